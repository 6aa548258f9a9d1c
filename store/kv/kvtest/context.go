package kvtest

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/walink/walink/store/kv"
)

func runContext(t *testing.T, open func(t *testing.T) kv.DB) {
	t.Helper()
	t.Run("clause 9: a ctx that has ended stores nothing", func(t *testing.T) {
		t.Parallel()
		db := open(t)
		set(t, db, pair{"a", "1"})
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		for _, write := range []bool{true, false} {
			if err := db.Txn(canceled, write, func(kv.Tx) error { return nil }); !errors.Is(err, context.Canceled) {
				t.Errorf("Txn: %v, want context.Canceled", err)
			}
		}

		ctx, cancel := context.WithCancel(t.Context())
		err := db.Txn(ctx, true, func(tx kv.Tx) error {
			err := put(tx, pair{"a", "2"})
			cancel()
			return err
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Txn whose ctx ended inside: %v, want context.Canceled", err)
		}
		want(t, db, "", pair{"a", "1"})
	})

	t.Run("clause 9: who waits for a writer waits no longer than its ctx", func(t *testing.T) {
		t.Parallel()
		db := open(t)
		err := db.Txn(t.Context(), true, func(tx kv.Tx) error {
			var group sync.WaitGroup
			defer group.Wait()
			for range 3 {
				ctx, cancel := context.WithCancel(t.Context())
				started := make(chan struct{})
				group.Go(func() {
					close(started)
					err := db.Txn(ctx, true, func(kv.Tx) error { return errors.New("it ran beside another") })
					if !errors.Is(err, context.Canceled) {
						t.Errorf("Txn: %v, want context.Canceled", err)
					}
				})
				<-started
				cancel()
			}
			return put(tx, pair{"a", "1"})
		})
		if err != nil {
			t.Errorf("Txn: %v", err)
		}
		set(t, db, pair{"b", "2"})
		want(t, db, "", pair{"a", "1"}, pair{"b", "2"})
	})

	t.Run("clause 10: a Tx ends with fn", func(t *testing.T) {
		t.Parallel()
		db := open(t)
		for _, write := range []bool{true, false} {
			var kept kv.Tx
			if err := db.Txn(t.Context(), write, func(tx kv.Tx) error { kept = tx; return nil }); err != nil {
				t.Fatalf("Txn: %v", err)
			}
			if kept.Set([]byte("a"), []byte("1")) == nil {
				t.Error("Set after the end succeeded")
			}
		}
		want(t, db, "")
	})
}

func runClose(t *testing.T, open func(t *testing.T) kv.DB) {
	t.Helper()
	t.Run("clause 11: Close may be called twice and ends everything", func(t *testing.T) {
		t.Parallel()
		db := open(t)
		closer, ok := db.(io.Closer)
		if !ok {
			t.Skip("the DB is no io.Closer")
		}
		set(t, db, pair{"a", "1"})
		for range 2 {
			if err := closer.Close(); err != nil {
				t.Fatalf("Close: %v", err)
			}
		}
		for _, write := range []bool{true, false} {
			if db.Txn(t.Context(), write, func(kv.Tx) error { return nil }) == nil {
				t.Errorf("Txn after Close succeeded, write %t", write)
			}
		}
	})

	t.Run("clause 11: Close beside transactions", func(t *testing.T) {
		t.Parallel()
		db := open(t)
		closer, ok := db.(io.Closer)
		if !ok {
			t.Skip("the DB is no io.Closer")
		}
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				for range 1000 { // until it is closed
					err := db.Txn(t.Context(), i%2 == 0, func(tx kv.Tx) error {
						_, err := tx.Get([]byte("a"))
						return err
					})
					if err != nil {
						return
					}
				}
			})
		}
		if err := closer.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		group.Wait()
	})
}

func runReopen(t *testing.T, open func(t *testing.T) kv.DB, reopen func(t *testing.T, db kv.DB) kv.DB) {
	t.Helper()
	t.Run("clause 11: what was stored outlives the DB", func(t *testing.T) {
		t.Parallel()
		db := open(t)
		set(t, db, pair{"a", "1"}, pair{"b", "2"}, pair{"c", "3"})
		err := db.Txn(t.Context(), true, func(tx kv.Tx) error {
			return errors.Join(put(tx, pair{"a", "one"}), tx.Delete([]byte("b")))
		})
		if err != nil {
			t.Fatal(err)
		}
		db = reopen(t, db)
		want(t, db, "", pair{"a", "one"}, pair{"c", "3"})
		set(t, db, pair{"d", "4"})
		db = reopen(t, db)
		want(t, db, "", pair{"a", "one"}, pair{"c", "3"}, pair{"d", "4"})
	})
}
