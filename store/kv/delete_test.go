package kv_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/storetest"
)

// blur damages the entry of a session, and the entry under its JID.
func blur(t *testing.T, db kv.DB, sessions ...string) {
	t.Helper()
	update(t, db, func(tx kv.Tx) error {
		for key, value := range dump(t, db) {
			of := func(session string) bool { return strings.Contains(value, session) }
			if (key[0] == 's' || key[0] == 'j') && slices.ContainsFunc(sessions, of) {
				if err := tx.Set([]byte(key), []byte{1}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// devices is how many devices have anything stored.
func devices(t *testing.T, db kv.DB) int {
	t.Helper()
	ids := map[string]bool{}
	for key := range dump(t, db) {
		if key[0] == 'd' || key[0] == 'x' {
			ids[strings.SplitN(key[1:], "\x00", 2)[0]] = true
		}
	}
	return len(ids)
}

func TestDeleteWhereNothingLeadsToTheDevice(t *testing.T) {
	t.Parallel()
	for name, wrap := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := wrap(keep{memory.New()})
			st := reopen(t, db)
			link(t, st)
			blur(t, db, "one")
			if err := st.Delete(t.Context(), "one"); err != nil {
				t.Fatalf("Delete: %v", err)
			}
			if got := devices(t, db); got != 1 {
				t.Errorf("%d devices are left, want that of the other session", got)
			}
			if got, err := device(t, st, "two").Sessions.GetSession(t.Context(), "1:0"); err != nil || string(got) != "the session" {
				t.Errorf("GetSession of the other: %q, %v", got, err)
			}
			if sessions, err := st.Sessions(t.Context()); err != nil || len(sessions) != 1 {
				t.Errorf("Sessions: %v, %v, want the other", sessions, err)
			}
		})
	}
}

// The keys of several damaged sessions cannot be told apart, and are deleted
// with the last.
func TestDeleteWhereSeveralAreDamaged(t *testing.T) {
	t.Parallel()
	st, db := open(t)
	link(t, st)
	storetest.Link(t, st, "three", storetest.JID("5511987654321", 3))
	blur(t, db, "one", "two")
	err := st.Delete(t.Context(), "one")
	if !errors.Is(err, kv.ErrDamaged) || !strings.Contains(err.Error(), "keys") {
		t.Errorf("Delete of the first: %v, want ErrDamaged, and that keys are left", err)
	}
	if err := st.Delete(t.Context(), "one"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Delete of the first again: %v, want ErrNotFound", err)
	}
	if got := devices(t, db); got != 3 {
		t.Errorf("%d devices are left, want 3", got)
	}
	if err := st.Delete(t.Context(), "two"); err != nil {
		t.Errorf("Delete of the last: %v", err)
	}
	if got := devices(t, db); got != 1 {
		t.Errorf("%d devices are left, want 1", got)
	}
}

func TestLogoutWhereNothingLeadsToTheDevice(t *testing.T) {
	t.Parallel()
	st, db := open(t)
	one, _ := link(t, st)
	blur(t, db, "one", "two")
	if err := one.Delete(t.Context()); err != nil {
		t.Errorf("Delete: %v", err)
	}
	if got := devices(t, db); got != 1 {
		t.Errorf("%d devices are left, want 1", got)
	}
}

// A name that cannot be decrypted, and the data of devices, do not affect the
// list of sessions and the ledger.
func TestSealedSpacesAreApart(t *testing.T) {
	t.Parallel()
	db := keep{memory.New()}
	key := kv.NewKey()
	st := reopen(t, kv.Encrypt(db, key))
	link(t, st)
	update(t, db, func(tx kv.Tx) error { return tx.Set([]byte("~ not a name"), []byte("x")) })
	if sessions, err := st.Sessions(t.Context()); err != nil || len(sessions) != 2 {
		t.Errorf("Sessions next to a key of nobody: %v, %v, want both", sessions, err)
	}
	// A name among those of sessions, cut off.
	encrypted := kv.Encrypt(db, key)
	before := dump(t, db)
	update(t, encrypted, func(tx kv.Tx) error { return tx.Set([]byte("s\x00damaged\x00"), []byte("x")) })
	for sealed, value := range dump(t, db) {
		if _, ok := before[sealed]; ok {
			continue
		}
		update(t, db, func(tx kv.Tx) error {
			return errors.Join(tx.Delete([]byte(sealed)), tx.Set([]byte(sealed[:len(sealed)-1]), []byte(value)))
		})
	}
	if sessions, err := st.Sessions(t.Context()); !errors.Is(err, kv.ErrDamaged) || len(sessions) != 2 {
		t.Errorf("Sessions next to a damaged name: %v, %v, want both and ErrDamaged", sessions, err)
	}
	if err := st.Delete(t.Context(), "one"); err != nil {
		t.Errorf("Delete: %v", err)
	}
}
