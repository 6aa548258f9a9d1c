package kv_test

import (
	"context"
	"errors"
	"testing"

	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/storetest"
)

// on is a DB within a transaction of another.
type on struct{ tx kv.Tx }

func (o on) Txn(_ context.Context, _ bool, fn func(kv.Tx) error) error { return fn(o.tx) }

// shared is a DB that commits several transactions together: each that writes
// sees the writes before it, and then the commit fails for both.
type shared struct {
	keep
	fails  bool
	before func(kv.Tx) error
}

var errFull = errors.New("the disk is full")

func (s *shared) Txn(ctx context.Context, write bool, fn func(kv.Tx) error) error {
	return s.keep.Txn(ctx, write, func(tx kv.Tx) error {
		if !write || !s.fails {
			return fn(tx)
		}
		return errors.Join(s.before(tx), fn(tx), errFull)
	})
}

// What a transaction has read of an empty DB may never be stored.
func TestTheFirstCommitFails(t *testing.T) {
	t.Parallel()
	key := kv.NewKey()
	for name, wrap := range map[string]func(kv.DB) kv.DB{
		"plain":     func(db kv.DB) kv.DB { return db },
		"encrypted": func(db kv.DB) kv.DB { return kv.Encrypt(db, key) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := &shared{keep: keep{memory.New()}, fails: true, before: func(tx kv.Tx) error {
				_, _, err := kv.New(wrap(on{tx})).TakeLeases(t.Context(), []string{"other"}, holder("another"), 0)
				return err
			}}
			st := reopen(t, wrap(db))
			if _, _, err := st.TakeLeases(t.Context(), []string{"one"}, holder("me"), 0); !errors.Is(err, errFull) {
				t.Fatalf("TakeLeases: %v, want the error of the commit", err)
			}
			if left := len(dump(t, db)); left != 0 {
				t.Fatalf("%d keys are stored", left)
			}
			db.fails = false
			storetest.Link(t, st, "one", storetest.JID("5511987654321", 1))
			if device(t, reopen(t, wrap(db)), "one").ID == nil {
				t.Error("another Store does not find the session")
			}
		})
	}
}
