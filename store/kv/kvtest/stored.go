package kvtest

import (
	"errors"
	"runtime"
	"testing"

	"github.com/walink/walink/store/kv"
)

func runStored(t *testing.T, open func(t *testing.T) kv.DB) {
	t.Helper()
	before := []pair{{"a", "1"}, {"b", "2"}}
	spoil := func(tx kv.Tx) error {
		return errors.Join(put(tx, pair{"a", "changed"}, pair{"c", "new"}), tx.Delete([]byte("b")))
	}

	t.Run("clause 1: all that fn did is stored when it returns nil", func(t *testing.T) {
		t.Parallel()
		db := open(t)
		want(t, db, "")
		set(t, db, before...)
		want(t, db, "", before...)
		if err := db.Txn(t.Context(), true, spoil); err != nil {
			t.Fatalf("Txn: %v", err)
		}
		want(t, db, "", pair{"a", "changed"}, pair{"c", "new"})
	})

	t.Run("clause 1: nothing is stored when fn returns an error", func(t *testing.T) {
		t.Parallel()
		db := open(t)
		set(t, db, before...)
		failure := errors.New("the failure")
		err := db.Txn(t.Context(), true, func(tx kv.Tx) error { return errors.Join(spoil(tx), failure) })
		if !errors.Is(err, failure) {
			t.Errorf("Txn: %v, want the error of fn", err)
		}
		want(t, db, "", before...)
		err = db.Txn(t.Context(), false, func(kv.Tx) error { return failure })
		if !errors.Is(err, failure) {
			t.Errorf("reading Txn: %v, want the error of fn", err)
		}
	})

	t.Run("clause 2: a panic stores nothing and reaches the caller", func(t *testing.T) {
		t.Parallel()
		db := open(t)
		set(t, db, before...)
		for _, write := range []bool{true, false} {
			var got any
			func() {
				defer func() { got = recover() }()
				_ = db.Txn(t.Context(), write, func(tx kv.Tx) error {
					if write {
						_ = spoil(tx)
					}
					panic("the panic")
				})
			}()
			if got != "the panic" {
				t.Errorf("recovered %v, want the panic of fn", got)
			}
			want(t, db, "", before...)
		}
		set(t, db, pair{"c", "3"})
		want(t, db, "", append(before, pair{"c", "3"})...)
	})

	t.Run("clause 2: a goroutine that ends in fn leaves the DB usable", func(t *testing.T) {
		t.Parallel()
		db := open(t)
		set(t, db, before...)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = db.Txn(t.Context(), true, func(tx kv.Tx) error {
				_ = spoil(tx)
				runtime.Goexit()
				return nil
			})
		}()
		<-ended
		want(t, db, "", before...)
		set(t, db, pair{"c", "3"})
	})
}
