package kvtest_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
)

var errBroken = errors.New("broken")

type txnFunc func(ctx context.Context, write bool, fn func(kv.Tx) error) error

// broken is a DB that does nothing wrong until it is spoilt: a DB in memory
// that can be opened again.
type broken struct {
	disk  *memory.DB
	spoil func(*broken)
	end   chan struct{} // closed when the test ends; calls that hang wait for it

	mu     sync.Mutex
	closed bool
	users  sync.WaitGroup

	// Each of these that is not nil is called instead.
	txn      txnFunc
	close    func() error
	now      func(ctx context.Context) (time.Time, error)
	name     func() string
	reopened func(disk *memory.DB)
}

func newBroken(spoil func(*broken), end chan struct{}) *broken {
	b := &broken{disk: memory.New(), spoil: spoil, end: end}
	spoil(b)
	return b
}

func reopen(closed kv.DB) kv.DB {
	old, _ := closed.(*broken)
	b := &broken{disk: old.disk, spoil: old.spoil, end: old.end}
	if old.reopened != nil {
		old.reopened(b.disk)
	}
	b.spoil(b)
	return b
}

func (b *broken) Txn(ctx context.Context, write bool, fn func(kv.Tx) error) error {
	if b.txn != nil {
		return b.txn(ctx, write, fn)
	}
	return b.good(ctx, write, fn)
}

// good is Txn as it should be.
func (b *broken) good(ctx context.Context, write bool, fn func(kv.Tx) error) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return errors.New("closed")
	}
	b.users.Add(1)
	b.mu.Unlock()
	defer b.users.Done()
	return b.disk.Txn(ctx, write, fn)
}

func (b *broken) Close() error {
	if b.close != nil {
		return b.close()
	}
	return b.goodClose()
}

func (b *broken) goodClose() error {
	b.shut()
	b.users.Wait()
	return nil
}

// shut is Close without waiting.
func (b *broken) shut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
}

func (b *broken) isShut() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

func (b *broken) Now(ctx context.Context) (time.Time, error) {
	if b.now != nil {
		return b.now(ctx)
	}
	return time.Now(), ctx.Err()
}

func (b *broken) String() string {
	if b.name != nil {
		return b.name()
	}
	return "broken"
}

// hang waits for the end of the test.
func (b *broken) hang() error {
	<-b.end
	return errBroken
}

// lock waits for the lock, and for nothing else but the end of the test.
func (b *broken) lock(lock chan struct{}) bool {
	select {
	case lock <- struct{}{}:
		return true
	case <-b.end:
		return false
	}
}

// wrap spoils what is around each transaction that writes, or that reads.
func wrap(write bool, txn func(b *broken, ctx context.Context, fn func(kv.Tx) error) error) func(*broken) {
	return func(b *broken) {
		b.txn = func(ctx context.Context, writes bool, fn func(kv.Tx) error) error {
			if writes != write {
				return b.good(ctx, writes, fn)
			}
			return txn(b, ctx, fn)
		}
	}
}

// brokenTx is a transaction. A field that is not nil is called instead.
type brokenTx struct {
	kv.Tx
	get  func(key []byte) ([]byte, error)
	set  func(key, value []byte) error
	del  func(key []byte) error
	scan func(prefix []byte, fn func(key, value []byte) error) error
}

// inside spoils each transaction.
func inside(spoil func(tx *brokenTx, write bool)) func(*broken) {
	return func(b *broken) {
		b.txn = func(ctx context.Context, write bool, fn func(kv.Tx) error) error {
			return b.good(ctx, write, func(tx kv.Tx) error {
				t := &brokenTx{Tx: tx}
				spoil(t, write)
				return fn(t)
			})
		}
	}
}

func (t *brokenTx) Get(key []byte) ([]byte, error) {
	if t.get != nil {
		return t.get(key)
	}
	return t.Tx.Get(key)
}

func (t *brokenTx) Set(key, value []byte) error {
	if t.set != nil {
		return t.set(key, value)
	}
	return t.Tx.Set(key, value)
}

func (t *brokenTx) Delete(key []byte) error {
	if t.del != nil {
		return t.del(key)
	}
	return t.Tx.Delete(key)
}

func (t *brokenTx) Scan(prefix []byte, fn func(key, value []byte) error) error {
	if t.scan != nil {
		return t.scan(prefix, fn)
	}
	return t.Tx.Scan(prefix, fn)
}

// keys spoils the keys that are given to a DB.
func keys(fold func(string) string) func(*broken) {
	return inside(func(t *brokenTx, _ bool) {
		of := func(key []byte) []byte { return []byte(fold(string(key))) }
		t.get = func(key []byte) ([]byte, error) { return t.Tx.Get(of(key)) }
		t.set = func(key, value []byte) error { return t.Tx.Set(of(key), value) }
		t.del = func(key []byte) error { return t.Tx.Delete(of(key)) }
	})
}

// values spoils the values that are given to a DB.
func values(fold func(string) string) func(*broken) {
	return inside(func(t *brokenTx, _ bool) {
		t.set = func(key, value []byte) error { return t.Tx.Set(key, []byte(fold(string(value)))) }
	})
}

// cutAt returns what is before the first separator, but not nothing.
func cutAt(separator string) func(string) string {
	return func(s string) string {
		if i := strings.Index(s, separator); i > 0 {
			return s[:i]
		}
		return s
	}
}

func cutTo(length int) func(string) string {
	return func(s string) string { return s[:min(len(s), length)] }
}

// stored returns what a Scan finds.
type stored struct{ key, value []byte }

func all(tx kv.Tx, prefix []byte) (found []stored, err error) {
	err = tx.Scan(prefix, func(key, value []byte) error {
		found = append(found, stored{key, value})
		return nil
	})
	return found, err
}

// scanned calls fn for what was found.
func scanned(found []stored, fn func(key, value []byte) error) error {
	for _, s := range found {
		if err := fn(s.key, s.value); err != nil {
			return err
		}
	}
	return nil
}

// change is a change of a transaction: the new value, or nil for a deletion.
type change struct {
	key   string
	value []byte
}

// log keeps what a transaction changes.
func log(t *brokenTx) *[]change {
	var changes []change
	t.set = func(key, value []byte) error {
		changes = append(changes, change{string(key), value})
		return t.Tx.Set(key, value)
	}
	t.del = func(key []byte) error {
		changes = append(changes, change{string(key), nil})
		return t.Tx.Delete(key)
	}
	return &changes
}

// redo makes changes on tx.
func redo(tx kv.Tx, changes []change) (err error) {
	for _, c := range changes {
		if c.value == nil {
			err = errors.Join(err, tx.Delete([]byte(c.key)))
		} else {
			err = errors.Join(err, tx.Set([]byte(c.key), c.value))
		}
	}
	return err
}
