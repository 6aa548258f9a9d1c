package sqlite_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/store/storetest"
)

// foreign makes a database in which another whatsmeow program has linked two
// devices, with the schema of an earlier whatsmeow.
func foreign(t *testing.T) (path string, jids []types.JID) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "whatsmeow.db")
	container, db := plain(t, path)
	for i := range uint16(2) {
		device := container.NewDevice()
		storetest.Pair(device, storetest.JID("5511987654321", i+1))
		if err := device.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := device.Sessions.PutSession(t.Context(), "1:0", []byte("session")); err != nil {
			t.Fatal(err)
		}
		jids = append(jids, *device.ID)
	}
	err := errors.Join(run(t.Context(), db, []string{
		"ALTER TABLE whatsmeow_device DROP COLUMN companion_meta_nonce",
		"UPDATE whatsmeow_version SET version=14",
	}), db.Close())
	if err != nil {
		t.Fatal(err)
	}
	return path, jids
}

func adoptable(t *testing.T, st *sqlite.Store) []types.JID {
	t.Helper()
	jids, err := st.Adoptable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return jids
}

func TestAdopt(t *testing.T) {
	t.Parallel()
	path, jids := foreign(t)
	st := open(t, path)
	if diff := cmp.Diff(jids, adoptable(t, st)); diff != "" {
		t.Fatalf("adoptable (-want +got):\n%s", diff)
	}
	if sessions, err := st.Sessions(t.Context()); err != nil || len(sessions) != 0 {
		t.Fatalf("sessions %v, %v, want none", sessions, err)
	}

	for range 2 { // the second time there is nothing to do
		if err := st.Adopt(t.Context(), "default", jids[0]); err != nil {
			t.Fatalf("Adopt: %v", err)
		}
	}
	device, err := st.Device(t.Context(), "default")
	if err != nil || device.ID == nil || *device.ID != jids[0] {
		t.Fatalf("Device: %v, %v, want %v", device, err, jids[0])
	}
	if got, err := device.Sessions.GetSession(t.Context(), "1:0"); err != nil || string(got) != "session" {
		t.Errorf("GetSession: %q, %v", got, err)
	}
	if err := device.Save(t.Context()); err != nil {
		t.Errorf("Save: %v", err)
	}
	if diff := cmp.Diff(jids[1:], adoptable(t, st)); diff != "" {
		t.Errorf("adoptable (-want +got):\n%s", diff)
	}
}

func TestAdoptRefuses(t *testing.T) {
	t.Parallel()
	path, jids := foreign(t)
	st := open(t, path)
	if err := st.Adopt(t.Context(), "default", jids[0]); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, session string
		jid           types.JID
		reason        string
		is            error
	}{
		{"unknown device", "new", storetest.JID("5511987654321", 9), "no such device", store.ErrNotFound},
		{"no device number", "new", jids[1].ToNonAD(), "no such device", store.ErrNotFound},
		{"empty JID", "new", types.EmptyJID, "no such device", store.ErrNotFound},
		{"session taken", "default", jids[1], "the session has another device", nil},
		{"device taken", "new", jids[0], `already stored as session "default"`, nil},
	} {
		err := st.Adopt(t.Context(), test.session, test.jid)
		if err == nil || !strings.Contains(err.Error(), test.reason) || test.is != nil && !errors.Is(err, test.is) {
			t.Errorf("%s: %v, want %q", test.name, err, test.reason)
			continue
		}
		if strings.Contains(err.Error(), "5511987654321") {
			t.Errorf("%s: the error holds a phone number: %v", test.name, err)
		}
	}
	sessions, err := st.Sessions(t.Context())
	if err != nil || len(sessions) != 1 || sessions[0].JID != jids[0] {
		t.Errorf("sessions %v, %v, want the one adopted", sessions, err)
	}
	if diff := cmp.Diff(jids[1:], adoptable(t, st)); diff != "" {
		t.Errorf("adoptable (-want +got):\n%s", diff)
	}
}

func TestUpgradeIsAllOrNothing(t *testing.T) {
	t.Parallel()
	path, _ := foreign(t)
	// walink's first migration fails on a table that is in its way, after
	// whatsmeow's have run.
	db := raw(t, path)
	t.Cleanup(func() { _ = db.Close() })
	if err := run(t.Context(), db, []string{"CREATE TABLE walink_code (x)"}); err != nil {
		t.Fatal(err)
	}
	if st, err := sqlite.Open(t.Context(), path); err == nil {
		t.Fatal(st.Close(), "Open succeeded")
	}
	if got := version(t, path); got != 14 {
		t.Errorf("whatsmeow's schema is at %d, want 14 as before", got)
	}
	if err := run(t.Context(), db, []string{"DROP TABLE walink_code"}); err != nil {
		t.Fatal(err)
	}
	open(t, path)
	if got := version(t, path); got < 15 {
		t.Errorf("whatsmeow's schema is at %d", got)
	}
}
