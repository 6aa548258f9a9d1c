package kv_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/storetest"
)

// repeating begins each reading transaction anew after so many keys, as a
// database does that has seen two states, and changes something in between.
type repeating struct {
	kv.DB
	after  int
	change func()
}

func (r *repeating) Txn(ctx context.Context, write bool, fn func(kv.Tx) error) error {
	if write || r.after == 0 {
		return r.DB.Txn(ctx, write, fn)
	}
	err := r.DB.Txn(ctx, false, func(tx kv.Tx) error { return fn(&tearing{Tx: tx, left: r.after}) })
	if !errors.Is(err, errTorn) {
		return err
	}
	r.change()
	return r.DB.Txn(ctx, false, fn)
}

var errTorn = errors.New("torn")

type tearing struct {
	kv.Tx
	left int
}

func (t *tearing) Scan(prefix []byte, fn func(key, value []byte) error) error {
	return t.Tx.Scan(prefix, func(key, value []byte) error {
		if t.left--; t.left < 0 {
			return errTorn
		}
		return fn(key, value)
	})
}

func TestExportIsOfOneState(t *testing.T) {
	t.Parallel()
	for after := 1; after < 10; after++ {
		db := &repeating{DB: memory.New()}
		st := kv.New(db)
		one, two := link(t, st)
		put := func(address, text string) func() {
			return func() {
				if err := one.Sessions.PutSession(t.Context(), address, []byte(text)); err != nil {
					t.Error(err)
				}
			}
		}
		for i := range 10 {
			put(fmt.Sprintf("%d:0", i), "a session")()
		}
		for _, test := range []struct {
			what   string
			change func()
			fails  bool
		}{
			{"nothing has changed", func() {}, false},
			{"another session has changed", func() {
				if err := two.Sessions.PutSession(t.Context(), "2:0", []byte("new")); err != nil {
					t.Error(err)
				}
			}, false},
			{"what was exported has changed", put("0:0", "another"), true},
		} {
			seen := map[string]int{}
			db.after, db.change = after, test.change
			var failed error
			for record, err := range st.Export(t.Context(), "one") {
				if failed = err; err == nil {
					seen[fmt.Sprint(record)]++
				}
			}
			db.after = 0
			if test.fails != (failed != nil) || failed == nil && len(seen) != 11 {
				t.Errorf("after %d, where %s: %v, with %d records", after, test.what, failed, len(seen))
			}
			for record, count := range seen {
				if count != 1 {
					t.Errorf("after %d, where %s: %d times %s", after, test.what, count, record)
				}
			}
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What a database keeps of a session is the same after a copy, key by key.
func TestCopyKeepsEveryKey(t *testing.T) {
	t.Parallel()
	from, fromDB := open(t)
	to, toDB := open(t)
	link(t, from)
	if err := store.Copy(t.Context(), to, from); err != nil {
		t.Fatal(err)
	}
	storetest.SameSession(t, "one", to, from)
	if got, want := len(dump(t, toDB)), len(dump(t, fromDB)); got != want {
		t.Errorf("%d keys, want %d", got, want)
	}
}
