// Package kvtest proves that a [kv.DB] keeps its contract. The test of a DB is
// two calls, one here and one of storetest for the Store on top of it:
//
//	func TestDB(t *testing.T) {
//		kvtest.Run(t, func(t *testing.T) kv.DB { return mydb.Open(t.TempDir()) })
//	}
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) store.Store { return kv.New(mydb.Open(t.TempDir())) })
//	}
//
// The subtests bear the numbers of the clauses in the documentation of
// [kv.DB]. What a crash leaves is for the DB's own tests.
package kvtest

import (
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink/store/kv"
)

// Option says more about the DBs that [Run] tests.
type Option func(*options)

type options struct {
	reopen func(t *testing.T, closed kv.DB) kv.DB
}

// WithReopen adds the case for what outlives a DB. reopen opens again what a
// DB of the test's open, which has been closed, has stored.
func WithReopen(reopen func(t *testing.T, closed kv.DB) kv.DB) Option {
	return func(o *options) { o.reopen = reopen }
}

// Run tests the DBs that open returns against the contract. Every call of open
// must give an empty DB that shares nothing with the others, since the tests
// are parallel. Run closes them where they are closers.
func Run(t *testing.T, open func(t *testing.T) kv.DB, opts ...Option) {
	t.Helper()
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	opened := func(t *testing.T) kv.DB {
		t.Helper()
		return closing(t, open(t))
	}
	runStored(t, opened)
	runOrder(t, opened)
	runKeys(t, opened)
	runContext(t, opened)
	runClose(t, opened)
	if o.reopen != nil {
		runReopen(t, opened, func(t *testing.T, db kv.DB) kv.DB {
			t.Helper()
			closeDB(t, db)
			return closing(t, o.reopen(t, db))
		})
	}
}

// closing returns db, which is closed when the test ends.
func closing(t *testing.T, db kv.DB) kv.DB {
	t.Helper()
	t.Cleanup(func() { closeDB(t, db) })
	return db
}

func closeDB(t *testing.T, db kv.DB) {
	t.Helper()
	if closer, ok := db.(io.Closer); ok {
		if err := closer.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

// pair is a key with its value.
type pair struct{ Key, Value string }

// set stores pairs in one transaction.
func set(t *testing.T, db kv.DB, pairs ...pair) {
	t.Helper()
	err := db.Txn(t.Context(), true, func(tx kv.Tx) error { return put(tx, pairs...) })
	if err != nil {
		t.Fatalf("Txn: %v", err)
	}
}

func put(tx kv.Tx, pairs ...pair) error {
	for _, p := range pairs {
		if err := tx.Set([]byte(p.Key), []byte(p.Value)); err != nil {
			return err
		}
	}
	return nil
}

// list is what a Scan finds.
func list(tx kv.Tx, prefix string) (found []pair, err error) {
	found = []pair{}
	err = tx.Scan([]byte(prefix), func(key, value []byte) error {
		found = append(found, pair{string(key), string(value)})
		return nil
	})
	return found, err
}

// want compares what db holds under prefix.
func want(t *testing.T, db kv.DB, prefix string, pairs ...pair) {
	t.Helper()
	var found []pair
	err := db.Txn(t.Context(), false, func(tx kv.Tx) (err error) {
		found, err = list(tx, prefix)
		return err
	})
	if err != nil {
		t.Errorf("Scan of %q: %v", prefix, err)
	}
	if diff := cmp.Diff(append([]pair{}, pairs...), found); diff != "" {
		t.Errorf("keys that begin with %q (-want +got):\n%s", prefix, diff)
	}
}
