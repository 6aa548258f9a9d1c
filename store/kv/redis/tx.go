package redis

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/walink/walink/internal/digits"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/internal/group"
)

// The scripts are sent by their hash, and in full where the server does not
// know them yet. Each answers with the version, which tells a reader whether
// what it has read is of one state.
const (
	getScript = `
return {redis.call('GET', KEYS[1]) or '0', redis.call('HGET', KEYS[2], ARGV[1])}`

	// A page of a scan: names from one on, below another, and their values.
	scanScript = `
local keys = redis.call('ZRANGE', KEYS[3], ARGV[1], ARGV[2], 'BYLEX', 'LIMIT', 0, ARGV[3])
local values = {}
if #keys > 0 then values = redis.call('HMGET', KEYS[2], unpack(keys)) end
return {redis.call('GET', KEYS[1]) or '0', keys, values}`

	// What a batch has changed, as an operation, a name and a value each. The
	// lock ends with it.
	commitScript = `
if redis.call('GET', KEYS[4]) ~= ARGV[1] then return 0 end
for i = 2, #ARGV, 3 do
	if ARGV[i] == 's' then
		redis.call('HSET', KEYS[2], ARGV[i + 1], ARGV[i + 2])
		redis.call('ZADD', KEYS[3], 0, ARGV[i + 1])
	else
		redis.call('HDEL', KEYS[2], ARGV[i + 1])
		redis.call('ZREM', KEYS[3], ARGV[i + 1])
	end
end
redis.call('INCR', KEYS[1])
redis.call('DEL', KEYS[4])
return 1`

	unlockScript = `
if redis.call('GET', KEYS[4]) == ARGV[1] then return redis.call('DEL', KEYS[4]) end
return 0`
)

// run runs a script with the keys of the DB.
func (db *DB) run(ctx context.Context, script string, args ...any) *redis.Cmd {
	keys := []string{db.names.version, db.names.values, db.names.index, db.names.lock}
	return redis.NewScript(script).Run(ctx, db.client, keys, args...)
}

// How many names a page of a scan has: few at first, since many scans look for
// one thing.
const (
	firstPage = 16
	lastPage  = 1024
)

// reader reads from the server.
type reader struct {
	ctx     context.Context //nolint:containedctx // a transaction is for the ctx that it was begun with
	db      *DB
	version string // of what was read; empty before the first read
	torn    bool   // there was another version meanwhile
	ended   bool
}

// errTorn ends a transaction that reads and has seen two states.
var errTorn = errors.New("the data changed while it was read")

func (r *reader) usable() error {
	if r.ended {
		return errors.New("the transaction has ended")
	}
	return nil
}

// saw notes the version of what was read.
func (r *reader) saw(version any) error {
	text, _ := version.(string)
	if r.version == "" {
		r.version = text
	}
	if r.version != text {
		r.torn = true
		return errTorn
	}
	return nil
}

// Get implements [kv.Tx].
func (r *reader) Get(key []byte) ([]byte, error) {
	if err := r.usable(); err != nil {
		return nil, err
	}
	answer, err := r.db.run(r.ctx, getScript, key).Slice()
	if err != nil {
		return nil, err
	}
	if len(answer) == 0 {
		return nil, errors.New("the server gave no answer")
	}
	if err := r.saw(answer[0]); err != nil || len(answer) < 2 {
		return nil, err
	}
	value, ok := answer[1].(string)
	if !ok {
		return nil, nil // the end of a list that a nil cuts short, or the nil
	}
	return []byte(value), nil
}

// Scan implements [kv.Tx].
func (r *reader) Scan(prefix []byte, fn func(key, value []byte) error) error {
	if err := r.usable(); err != nil {
		return err
	}
	from, to := "-", "+"
	if len(prefix) > 0 {
		from = "[" + string(prefix)
		if end := after(prefix); end != nil {
			to = "(" + string(end)
		}
	}
	for size := firstPage; ; size = min(4*size, lastPage) {
		keys, values, err := r.page(from, to, size)
		if err != nil {
			return err
		}
		for i, key := range keys {
			if err := fn([]byte(key), []byte(values[i])); err != nil {
				return err
			}
		}
		if len(keys) < size {
			return nil
		}
		from = "(" + keys[len(keys)-1]
	}
}

func (r *reader) page(from, to string, size int) (keys, values []string, err error) {
	answer, err := r.db.run(r.ctx, scanScript, from, to, size).Slice()
	if err != nil {
		return nil, nil, err
	}
	if len(answer) != 3 {
		return nil, nil, errors.New("the server gave no whole answer")
	}
	if err := r.saw(answer[0]); err != nil {
		return nil, nil, err
	}
	keyList, _ := answer[1].([]any)
	valueList, _ := answer[2].([]any)
	for i, key := range keyList {
		name, _ := key.(string)
		if i >= len(valueList) || valueList[i] == nil {
			return nil, nil, fmt.Errorf("key %q has no value: the server has lost it", digits.Mask(name))
		}
		value, _ := valueList[i].(string)
		keys, values = append(keys, name), append(values, value)
	}
	return keys, values, nil
}

// after returns the first name after all that begin with prefix, or nil where
// there is none.
func after(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			end := append([]byte(nil), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}

// readOnly is a reader as a [kv.Tx].
type readOnly struct{ *reader }

var _ kv.Tx = readOnly{}

var errReadOnly = errors.New("the transaction only reads")

// Set implements [kv.Tx].
func (readOnly) Set(_, _ []byte) error { return errReadOnly }

// Delete implements [kv.Tx].
func (readOnly) Delete([]byte) error { return errReadOnly }

// tornTimes is how often a transaction that reads is begun again before it
// takes the lock, under which nothing changes.
const tornTimes = 10

// Txn implements [kv.DB].
func (db *DB) Txn(ctx context.Context, write bool, fn func(kv.Tx) error) error {
	return explain(db.txn(ctx, write, fn))
}

func (db *DB) txn(ctx context.Context, write bool, fn func(kv.Tx) error) error {
	if write {
		return db.writer.Txn(ctx, fn)
	}
	for range tornTimes {
		torn, err := db.read(ctx, fn)
		if !torn {
			return err
		}
	}
	return db.writer.Txn(ctx, func(tx kv.Tx) error { return fn(getScan{tx}) })
}

// read runs fn once, and tells whether it saw more than one state.
func (db *DB) read(ctx context.Context, fn func(kv.Tx) error) (torn bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return false, group.ErrClosed
	}
	r := &reader{ctx: ctx, db: db}
	defer func() { r.ended = true }()
	err = fn(readOnly{r})
	if err == nil {
		err = ctx.Err()
	}
	return r.torn, err
}

// getScan is a transaction that could write, for who only reads.
type getScan struct{ kv.Tx }

// Set implements [kv.Tx].
func (getScan) Set(_, _ []byte) error { return errReadOnly }

// Delete implements [kv.Tx].
func (getScan) Delete([]byte) error { return errReadOnly }
