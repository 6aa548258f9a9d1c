package kv_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/storetest"
)

// open returns a Store and its DB.
func open(t *testing.T) (*kv.Store, *memory.DB) {
	t.Helper()
	db := memory.New()
	return reopen(t, db), db
}

// reopen returns another Store on a DB.
func reopen(t *testing.T, db kv.DB) *kv.Store {
	t.Helper()
	st := kv.New(db)
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return st
}

func update(t *testing.T, db kv.DB, fn func(tx kv.Tx) error) {
	t.Helper()
	if err := db.Txn(t.Context(), true, fn); err != nil {
		t.Fatalf("Txn: %v", err)
	}
}

// dump is all that a DB holds.
func dump(t *testing.T, db kv.DB) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := db.Txn(t.Context(), false, func(tx kv.Tx) error {
		return tx.Scan(nil, func(key, value []byte) error {
			all[string(key)] = string(value)
			return nil
		})
	})
	if err != nil {
		t.Fatalf("Txn: %v", err)
	}
	return all
}

// find returns the only key that begins with prefix and contains part.
func find(t *testing.T, db kv.DB, prefix, part string) []byte {
	t.Helper()
	var found [][]byte
	for key := range dump(t, db) {
		if bytes.HasPrefix([]byte(key), []byte(prefix)) && bytes.Contains([]byte(key), []byte(part)) {
			found = append(found, []byte(key))
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d keys with %q and %q, want one", len(found), prefix, part)
	}
	return found[0]
}

func device(t *testing.T, st store.Store, session string) *wastore.Device {
	t.Helper()
	device, err := st.Device(t.Context(), session)
	if err != nil {
		t.Fatalf("Device(%q): %v", session, err)
	}
	return device
}

// link links two sessions, and stores a Signal session for each.
func link(t *testing.T, st store.Store) (one, two *wastore.Device) {
	t.Helper()
	one = storetest.Link(t, st, "one", storetest.JID("5511987654321", 1))
	two = storetest.Link(t, st, "two", storetest.JID("5511987654321", 2))
	for _, device := range []*wastore.Device{one, two} {
		if err := device.Sessions.PutSession(t.Context(), "1:0", []byte("the session")); err != nil {
			t.Fatalf("PutSession: %v", err)
		}
	}
	return one, two
}

// failing is a DB that is not to be reached.
type failing struct{ err error }

func (f failing) Txn(context.Context, bool, func(kv.Tx) error) error { return f.err }

var errDown = errors.New("the server is down")

func TestMain(m *testing.M) {
	warm()
	os.Exit(m.Run())
}

// warm makes a device before the tests do so side by side: libsignal makes its
// global logger at first use, unguarded.
func warm() { _, _ = kv.New(memory.New()).Device(context.Background(), "") }

// remedyOf returns the remedy of an error, "" if it has none.
func remedyOf(err error) string {
	var hint interface{ Remedy() string }
	if errors.As(err, &hint) {
		return hint.Remedy()
	}
	return ""
}
