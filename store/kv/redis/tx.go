package redis

import (
	"context"
	"errors"
	"fmt"

	"github.com/walink/walink/internal/digits"
	"github.com/walink/walink/store/kv"
)

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
	lock    *lock   // nil without the lock
	plan    *plan   // notes what is read, if it is not nil
	known   planned // what was read before it was asked for
	version string  // of what was read; empty before the first read
	torn    bool    // there was another version meanwhile
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

// ask runs a script that reads.
func (r *reader) ask(script string, args ...any) ([]any, error) {
	token := ""
	if r.lock != nil {
		token = r.lock.token
	}
	answer, err := r.db.run(r.ctx, script, append([]any{token}, args...)...).Slice()
	if err != nil {
		return nil, err
	}
	if len(answer) == 0 {
		return nil, errShort
	}
	return answer, r.saw(answer[0])
}

// saw notes the version of what was read.
func (r *reader) saw(version any) error {
	text, _ := version.(string)
	if r.version == "" {
		r.version = text
	}
	switch {
	case r.lock != nil && (text == "lost" || r.version != text):
		r.lock.lose()
		return ErrLockLost
	case r.version != text:
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
	name := string(key)
	if value, ok := r.known.gets[name]; ok {
		return value, r.ctx.Err()
	}
	if r.plan != nil {
		r.plan.gets[name] = true
	}
	answer, err := r.ask(getScript, name)
	if err != nil || len(answer) < 2 {
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
	whole, count := span{from, to}, 0
	next, ok := r.known.scans[whole]
	for size := firstPage; ; size = min(4*size, lastPage) {
		if !ok || len(next.keys) == 0 && !next.whole {
			var err error
			if next, err = r.page(from, to, size); err != nil {
				return err
			}
		}
		ok = false
		if count += len(next.keys); r.plan != nil {
			r.plan.scans[whole] = max(r.plan.scans[whole], count)
		}
		for i, key := range next.keys {
			if err := fn([]byte(key), []byte(next.values[i])); err != nil {
				return err
			}
		}
		if next.whole {
			return r.ctx.Err()
		}
		from = "(" + next.keys[len(next.keys)-1]
	}
}

func (r *reader) page(from, to string, size int) (page, error) {
	answer, err := r.ask(scanScript, from, to, size)
	if err != nil {
		return page{}, err
	}
	if len(answer) != 3 {
		return page{}, errShort
	}
	keys, values, err := pairs(answer[1], answer[2])
	return page{keys, values, len(keys) < size}, err
}

// pairs returns the names and the values that a script has answered.
func pairs(names, list any) (keys, values []string, err error) {
	keyList, _ := names.([]any)
	valueList, _ := list.([]any)
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
	end, err := db.enter()
	if err != nil {
		return err
	}
	defer end()
	read := newPlan()
	for range tornTimes {
		torn, err := db.read(ctx, read, fn)
		if !torn {
			return err
		}
	}
	return db.readLocked(ctx, func(r *reader) error { return fn(readOnly{r}) })
}

// read runs fn once, and tells whether it saw more than one state.
func (db *DB) read(ctx context.Context, read *plan, fn func(kv.Tx) error) (torn bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	r := &reader{ctx: ctx, db: db, plan: read}
	defer func() { r.ended = true }()
	if err := r.load(read); err != nil {
		return false, err
	}
	err = fn(readOnly{r})
	if err == nil {
		err = ctx.Err()
	}
	return r.torn, err
}
