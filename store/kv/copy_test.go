package kv_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/storetest"
	"github.com/walink/walink/store/transfer"
)

// repeating calls fn of each reading transaction again after so many keys, as a
// database does that has met two states, and changes something in between.
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
	if err := transfer.Copy(t.Context(), to, from); err != nil {
		t.Fatal(err)
	}
	storetest.SameSession(t, "one", to, from)
	if got, want := len(dump(t, toDB)), len(dump(t, fromDB)); got != want {
		t.Errorf("%d keys, want %d", got, want)
	}
}

// Damage in the LID map, of the source or the target, affects only the damaged
// pair.
func TestCopyWithADamagedPair(t *testing.T) {
	t.Parallel()
	key := kv.NewKey()
	for name, seal := range map[string]func(db kv.DB) kv.DB{
		"in clear": func(db kv.DB) kv.DB { return db },
		"sealed":   func(db kv.DB) kv.DB { return kv.Encrypt(db, key) },
	} {
		for _, inTarget := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, in the target %v", name, inTarget), func(t *testing.T) {
				t.Parallel()
				fromDB, toDB := memory.New(), memory.New()
				from, to := reopen(t, seal(fromDB)), reopen(t, seal(toDB))
				device, _ := link(t, from)
				damagedDB, damaged := fromDB, device
				if inTarget {
					damagedDB, damaged = toDB, storetest.Link(t, to, "other", storetest.JID("5511987654322", 1))
				}
				before := dump(t, damagedDB)
				putPair(t, damaged, 5)
				for key, value := range dump(t, damagedDB) {
					if _, of := before[key]; !of {
						damage(t, damagedDB, key, value[:len(value)/2])
					}
				}
				for i := range 10 {
					if inTarget || i != 5 {
						putPair(t, device, i)
					}
				}

				err := transfer.Move(t.Context(), to, from)
				if !errors.Is(err, kv.ErrDamaged) || remedyOf(err) == "" {
					t.Errorf("Move: %v, want ErrDamaged with a remedy", err)
				}
				if sessions, err := from.Sessions(t.Context()); err != nil || len(sessions) != 0 {
					t.Errorf("the source has %v, %v", sessions, err)
				}
				moved, err := to.Device(t.Context(), "one")
				if err != nil || moved.ID == nil {
					t.Fatalf("the target has %v, %v", moved, err)
				}
				for i := range 10 {
					lid, pn := pairOf(i)
					if got, err := moved.LIDs.GetPNForLID(t.Context(), lid); i != 5 && (err != nil || got != pn) {
						t.Errorf("the number of %s is %v, %v, want %s", lid, got, err, pn)
					}
				}
			})
		}
	}
}

func pairOf(i int) (lid, pn types.JID) {
	return types.NewJID(fmt.Sprint("8", i), types.HiddenUserServer), types.NewJID(fmt.Sprint("49", i), types.DefaultUserServer)
}

func putPair(t *testing.T, device *wastore.Device, i int) {
	t.Helper()
	lid, pn := pairOf(i)
	if err := device.LIDs.PutLIDMapping(t.Context(), lid, pn); err != nil {
		t.Fatal(err)
	}
}

func damage(t *testing.T, db kv.DB, key, value string) {
	t.Helper()
	if err := db.Txn(t.Context(), true, func(tx kv.Tx) error { return tx.Set([]byte(key), []byte(value)) }); err != nil {
		t.Fatal(err)
	}
}
