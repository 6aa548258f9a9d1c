package redis

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/store/kv"
)

// The numbers of names in a page of a scan: few at first, because many scans
// look for one name.
const (
	firstPage = 16
	lastPage  = 1024
)

// reader reads from the server.
type reader struct {
	ctx     context.Context // the ctx of the transaction
	db      *DB
	lock    *lock    // nil if the reader does not have the lock
	known   *planned // what was read; nil if the reader has the lock
	version string   // the version of what was read; empty before the first read
	looked  int      // how many keys were read again
	torn    bool     // the reader has met two states
	ended   bool
}

// errTorn ends a reading transaction that has met two states.
var errTorn = errors.New("the data changed while it was read")

func (r *reader) usable() error {
	if r.ended {
		return errors.New("the transaction has ended")
	}
	return nil
}

// ask runs a script that reads, and reports whether its answer is of the same
// state as the earlier reads. Without the lock it may be of another state.
func (r *reader) ask(script string, args ...any) (answer []any, same bool, err error) {
	token := ""
	if r.lock != nil {
		token = r.lock.token
	}
	answer, err = r.db.run(r.ctx, script, append([]any{token}, args...)...).Slice()
	if err != nil {
		return nil, false, err
	}
	if len(answer) == 0 {
		return nil, false, errShort
	}
	version, _ := answer[0].(string)
	if r.version == "" {
		r.version = version
	}
	same = r.version == version
	if r.lock != nil && (version == "lost" || !same) {
		r.lock.lose()
		return nil, false, ErrLockLost
	}
	return answer, same, nil
}

// Get implements [kv.Tx].
func (r *reader) Get(key []byte) ([]byte, error) {
	if err := r.usable(); err != nil {
		return nil, err
	}
	name := string(key)
	if r.known != nil {
		if value, ok := r.known.gets[name]; ok {
			return value, r.ctx.Err()
		}
	}
	answer, same, err := r.ask(getScript, name)
	if err != nil {
		return nil, err
	}
	var value []byte
	if len(answer) > 1 { // a nil at the end of a list is dropped
		if text, ok := answer[1].(string); ok {
			value = []byte(text)
		}
	}
	if r.known == nil {
		return value, nil
	}
	if same {
		r.known.get(name, value)
		return value, nil
	}
	before := *r.known
	before.gets = maps.Clone(before.gets)
	r.known.get(name, nil)
	if err := r.renew(&before); err != nil {
		if !r.torn {
			delete(r.known.gets, name)
		}
		return nil, err
	}
	return r.known.gets[name], nil
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
		found, err := r.page(span{from, to, size})
		if err != nil {
			return err
		}
		for i, key := range found.keys {
			if err := fn([]byte(key), []byte(found.values[i])); err != nil {
				return err
			}
		}
		if len(found.keys) < size {
			return nil
		}
		from = "(" + found.keys[len(found.keys)-1]
	}
}

func (r *reader) page(s span) (page, error) {
	if r.known != nil {
		if found, ok := r.known.pages[s]; ok {
			return found, r.ctx.Err()
		}
	}
	answer, same, err := r.ask(scanScript, s.from, s.to, s.size)
	if err != nil {
		return page{}, err
	}
	if len(answer) != 3 {
		return page{}, errShort
	}
	found, err := pageOf(answer[1], answer[2])
	if err != nil || r.known == nil {
		return found, err
	}
	if same {
		r.known.page(s, found)
		return found, nil
	}
	before := *r.known
	before.pages = maps.Clone(before.pages)
	r.known.page(s, page{})
	if err := r.renew(&before); err != nil {
		if !r.torn {
			delete(r.known.pages, s)
		}
		return page{}, err
	}
	return r.known.pages[s], nil
}

// pageOf returns the names and values in the answer of a script.
func pageOf(names, list any) (page, error) {
	var found page
	keys, _ := names.([]any)
	values, _ := list.([]any)
	for i, key := range keys {
		name, _ := key.(string)
		if i >= len(values) || values[i] == nil {
			return page{}, fmt.Errorf("the server has lost the value of key %q", redact.Numbers(name))
		}
		value, _ := values[i].(string)
		found.keys, found.values = append(found.keys, name), append(found.values, value)
	}
	return found, nil
}

// after returns the first name after all names that begin with prefix, or nil
// if there is none.
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

var errReadOnly = errors.New("the transaction is read-only")

// Set implements [kv.Tx].
func (readOnly) Set(_, _ []byte) error { return errReadOnly }

// Delete implements [kv.Tx].
func (readOnly) Delete([]byte) error { return errReadOnly }

// tornTimes is how often a reading transaction runs before it takes the lock,
// so that nothing changes.
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
	known := newPlanned()
	for range tornTimes {
		var torn bool
		known, torn, err = db.read(ctx, known, fn)
		if !torn {
			return err
		}
	}
	return db.readLocked(ctx, func(r *reader) error { return fn(readOnly{r}) })
}

// read runs fn once, with what an earlier call has read, and reports whether fn
// met two states.
func (db *DB) read(ctx context.Context, known *planned, fn func(kv.Tx) error) (now *planned, torn bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	r := &reader{ctx: ctx, db: db, known: known}
	defer func() { r.ended = true }()
	if known.tooMuch() {
		r.known = newPlanned()
	} else if known.size > 0 {
		if err := r.renew(nil); err != nil {
			return nil, false, err
		}
	}
	err = fn(readOnly{r})
	if err == nil {
		err = ctx.Err()
	}
	return r.known, r.torn, err
}
