// Package memory is a [kv.DB] in the memory of the process. With it a walink
// Store needs no file and no server, so it is the default for tests:
//
//	st := kv.New(memory.New())
//
// # What a crash may lose
//
// Everything. All data is gone after Close and with the process, so people must
// link again. TestCloseDropsEverything shows this.
//
// Transactions work as in any other DB: a transaction that fails, panics or
// whose ctx ends leaves no trace, and readers see one state without waiting for
// writers.
package memory

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tidwall/btree"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
)

// DB is a [kv.DB] in memory. It is safe for concurrent use. Use [New].
type DB struct {
	state  atomic.Pointer[tree] // a tree is never changed once it is here
	writer chan struct{}        // has a value while a transaction writes

	mu      sync.Mutex
	closed  bool
	readers sync.WaitGroup // grows only before closed is set
}

type tree = btree.Map[string, []byte]

var _ kv.DB = (*DB)(nil)

// New returns an empty DB.
func New() *DB {
	db := &DB{writer: make(chan struct{}, 1)}
	db.state.Store(&tree{})
	return db
}

// String implements [fmt.Stringer].
func (db *DB) String() string { return "memory" }

// Txn implements [kv.DB]. A writing transaction works on a copy of the tree,
// which shares all unchanged parts with the tree.
func (db *DB) Txn(ctx context.Context, write bool, fn func(kv.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !write {
		if !db.beginReading() {
			return store.ErrClosed
		}
		defer db.readers.Done()
		t := &tx{tree: db.state.Load()}
		defer t.end()
		if err := fn(t); err != nil {
			return err
		}
		return ctx.Err()
	}
	select {
	case db.writer <- struct{}{}:
		defer func() { <-db.writer }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if db.isClosed() {
		return store.ErrClosed
	}
	t := &tx{tree: db.state.Load(), write: true}
	defer t.end()
	if err := fn(t); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if t.own {
		db.state.Store(t.tree)
	}
	return nil
}

func (db *DB) beginReading() bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	if !db.closed {
		db.readers.Add(1)
	}
	return !db.closed
}

func (db *DB) isClosed() bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.closed
}

// Close waits for the running transactions, and drops everything. A second
// Close does nothing.
func (db *DB) Close() error {
	db.writer <- struct{}{}
	defer func() { <-db.writer }()
	db.mu.Lock()
	db.closed = true
	db.mu.Unlock()
	db.readers.Wait()
	db.state.Store(&tree{})
	return nil
}

type tx struct {
	tree  *tree
	write bool
	own   bool // the tree is this transaction's copy
	ended bool
}

func (t *tx) end() { t.ended = true }

func (t *tx) usable() error {
	if t.ended {
		return errors.New("memory: the transaction has ended")
	}
	return nil
}

// Get implements [kv.Tx].
func (t *tx) Get(key []byte) ([]byte, error) {
	if err := t.usable(); err != nil {
		return nil, err
	}
	value, _ := t.tree.Get(string(key))
	return value, nil
}

// change copies the tree before the first change.
func (t *tx) change() error {
	if err := t.usable(); err != nil {
		return err
	}
	if !t.write {
		return errors.New("memory: the transaction is read-only")
	}
	if !t.own {
		t.tree, t.own = t.tree.Copy(), true
	}
	return nil
}

// Set implements [kv.Tx].
func (t *tx) Set(key, value []byte) error {
	if len(key) == 0 || len(value) == 0 {
		return errors.New("memory: an empty key or an empty value")
	}
	if err := t.change(); err != nil {
		return err
	}
	t.tree.Set(string(key), value)
	return nil
}

// Delete implements [kv.Tx].
func (t *tx) Delete(key []byte) error {
	if err := t.change(); err != nil {
		return err
	}
	t.tree.Delete(string(key))
	return nil
}

// Scan implements [kv.Tx].
func (t *tx) Scan(prefix []byte, fn func(key, value []byte) error) error {
	err := t.usable()
	if err != nil {
		return err
	}
	begin := string(prefix)
	t.tree.Ascend(begin, func(key string, value []byte) bool {
		if !strings.HasPrefix(key, begin) {
			return false
		}
		err = fn([]byte(key), value)
		return err == nil
	})
	return err
}
