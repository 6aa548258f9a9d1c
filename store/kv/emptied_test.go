package kv_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/storetest"
)

// ways are the ways to use a DB, with one key.
func ways() map[string]func(kv.DB) kv.DB {
	key := kv.NewKey()
	return map[string]func(kv.DB) kv.DB{
		"plain":     func(db kv.DB) kv.DB { return db },
		"encrypted": func(db kv.DB) kv.DB { return kv.Encrypt(db, key) },
	}
}

// A database that is emptied or replaced under a running program, as by FLUSHALL
// or by a failover to an empty replica, is not written to as if it were whole.
func TestEmptiedUnderARunningProgram(t *testing.T) {
	t.Parallel()
	for name, wrap := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := keep{memory.New()}
			st := reopen(t, wrap(db))
			one, _ := link(t, st)
			update(t, db, func(tx kv.Tx) error {
				for key := range dump(t, db) {
					if err := tx.Delete([]byte(key)); err != nil {
						return err
					}
				}
				return nil
			})
			_, _, leaseErr := st.TakeLeases(t.Context(), []string{"one"}, holder("me"), time.Hour)
			for what, err := range map[string]error{
				"TakeLeases": leaseErr, "PutSession": one.Sessions.PutSession(t.Context(), "1:0", []byte("the session")),
				"Check": st.Check(t.Context()),
			} {
				if !errors.Is(err, kv.ErrEmptied) || remedyOf(err) == "" {
					t.Errorf("%s: %v, want ErrEmptied and its remedy", what, err)
				}
			}
			if left := dump(t, db); len(left) != 0 {
				t.Errorf("%d keys were stored", len(left))
			}
			// Another program starts with an empty database, and the two are
			// kept apart.
			other := reopen(t, wrap(db))
			storetest.Link(t, other, "three", storetest.JID("5511987654321", 3))
			err := one.Sessions.PutSession(t.Context(), "1:0", []byte("the session"))
			if err == nil {
				t.Error("PutSession of the device that is gone succeeds")
			}
			if name == "encrypted" && !errors.Is(err, kv.ErrEmptied) {
				t.Errorf("PutSession with the old secret: %v, want ErrEmptied", err)
			}
			if sessions, err := reopen(t, wrap(db)).Sessions(t.Context()); err != nil || len(sessions) != 1 {
				t.Errorf("Sessions: %v, %v, want one", sessions, err)
			}
		})
	}
}

func TestUpgradedUnderARunningProgram(t *testing.T) {
	t.Parallel()
	st, db := open(t)
	one, _ := link(t, st)
	update(t, db, func(tx kv.Tx) error { return tx.Set([]byte("f"), []byte("\x01\x03")) })
	if err := one.Sessions.PutSession(t.Context(), "1:0", []byte("x")); !errors.Is(err, kv.ErrNewer) {
		t.Errorf("PutSession: %v, want ErrNewer", err)
	}
}

// Check binds an empty database to nothing: neither to a key nor to none.
func TestCheckLeavesAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	for name, wrap := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := keep{memory.New()}
			if err := reopen(t, wrap(db)).Check(t.Context()); err != nil {
				t.Errorf("Check: %v", err)
			}
			if left := dump(t, db); len(left) != 0 {
				t.Errorf("%d keys were stored", len(left))
			}
			for _, other := range ways() {
				if err := reopen(t, other(db)).Check(t.Context()); err != nil {
					t.Errorf("Check of another: %v", err)
				}
			}
		})
	}
}

func TestNewerSeal(t *testing.T) {
	t.Parallel()
	db := keep{memory.New()}
	key := kv.NewKey()
	link(t, reopen(t, kv.Encrypt(db, key)))
	update(t, db, func(tx kv.Tx) error {
		return tx.Set([]byte("walink"), append([]byte{2}, dump(t, db)["walink"][1:]...))
	})
	before := dump(t, db)
	var st store.Store = reopen(t, kv.Encrypt(db, key))
	_, err := st.Sessions(t.Context())
	if deleteErr := st.Delete(t.Context(), "one"); !errors.Is(err, kv.ErrNewer) || !errors.Is(deleteErr, kv.ErrNewer) {
		t.Errorf("Sessions: %v, Delete: %v, want ErrNewer", err, deleteErr)
	}
	if diff := cmp.Diff(before, dump(t, db)); diff != "" {
		t.Errorf("what is stored has changed (-before +after):\n%s", diff)
	}
}
