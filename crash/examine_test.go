package crash_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/walinktest"
)

// reopen opens the file of a child that was killed, and ends its leases, which would be in
// force for some seconds more.
func reopen(t *testing.T, file string) *sqlite.Store {
	t.Helper()
	st, err := sqlite.Open(t.Context(), file) // which recovers the transactions that the child has left in the WAL
	if err != nil {
		t.Fatal(err)
	}
	integrity(t, file)
	leases, err := st.Leases(t.Context())
	for _, lease := range leases {
		err = errors.Join(err, st.ReleaseLease(t.Context(), lease))
	}
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// examine makes the demands of the package comment on a Store.
func (l *lab) examine(t *testing.T, phone *walinktest.Phone, st *sqlite.Store) {
	t.Helper()
	stored := 0
	listed := len(phone.LinkedDevices())
	sessions, err := st.Sessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	known := false
	for _, s := range sessions {
		stored++
		known = slices.ContainsFunc(phone.LinkedDevices(), func(d walinktest.Device) bool { return d.JID == s.JID })
	}
	want := "absent"
	switch {
	case stored > 1 || listed > 1:
		t.Fatalf("%d sessions are stored, and the phone lists %d devices", stored, listed)
	case stored == 1 && known:
		want = "resumed"
	case stored == 1:
		want = "dropped"
	case listed > 0:
		t.Fatal("the phone lists a device that is not stored")
	}
	got := l.resume(t, phone, st)
	if got != want {
		t.Errorf("%d stored, %d listed: the session is %s for the next Link, want %s", stored, listed, got, want)
	}
	l.outcomes[got]++
}

// resume links again, and returns what became of the session: resumed, absent or dropped.
func (l *lab) resume(t *testing.T, phone *walinktest.Phone, st *sqlite.Store) (outcome string) {
	t.Helper()
	linker, err := walink.New(st, walink.Settings{
		HTTPClient: l.srv.HTTPClient(), Timeout: time.Minute,
		Passkey: func(_ context.Context, challenge json.RawMessage) (json.RawMessage, error) {
			return phone.Assert(challenge)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := linker.Close(); err != nil {
			t.Error(err)
		}
	}()
	events, err := linker.Link(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	outcome = "resumed"
	for event := range events {
		switch e := event.(type) {
		case walink.Retrying:
			if outcome = "dropped"; !errors.Is(e.Err, walink.ErrLoggedOut) {
				t.Errorf("retrying for %v", e.Err)
			}
		case walink.QRCode:
			if outcome == "resumed" {
				outcome = "absent"
			}
			go func() { _ = phone.ScanQR(t.Context(), e.Payload) }()
		case walink.Failed:
			t.Fatalf("failed: %v", e.Err)
		case walink.Linked:
			if e.Resumed != (outcome == "resumed") {
				t.Errorf("resumed: %t, after a session that was %s", e.Resumed, outcome)
			}
		}
	}
	if err := linker.Client().SetPassive(t.Context(), false); err != nil {
		t.Errorf("the client is not usable: %v", err)
	}
	sessions, err := st.Sessions(t.Context())
	if err != nil || len(sessions) != 1 {
		t.Fatalf("%d sessions are stored in the end (%v)", len(sessions), err)
	}
	if listed := phone.LinkedDevices(); len(listed) != 1 || listed[0].JID != sessions[0].JID {
		t.Errorf("the phone lists %v, and %v is stored", listed, sessions[0].JID)
	}
	return outcome
}

// integrity runs SQLite's own check. It does not create the file.
func integrity(t *testing.T, file string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?mode=rw")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	var result string
	if err := db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&result); err != nil || result != "ok" {
		t.Errorf("integrity_check: %q (%v)", result, err)
	}
}
