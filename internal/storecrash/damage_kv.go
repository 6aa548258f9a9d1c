package storecrash

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/storetest"
)

// DamageKV truncates each value that a session has stored in db, one after the
// other. The error must name the session and the key, have a remedy, and have
// no phone number. Another session must not be affected, and a copy of it must
// succeed. above is db, or a kv.Encrypt of db.
func DamageKV(t *testing.T, db, above kv.DB) {
	t.Helper()
	st := kv.New(above)
	devices := map[string]*wastore.Device{}
	before := map[string][]byte{}
	for i, name := range []string{"two", "one"} {
		before = dump(t, db)
		devices[name] = storetest.Link(t, st, name, storetest.JID(damageNumber, uint16(i)+1))
		fill(t, devices[name])
		if err := devices[name].Sessions.PutSession(t.Context(), damageNumber+":7", []byte("the session")); err != nil {
			t.Fatal(err)
		}
		if err := devices[name].MsgSecrets.PutMessageSecret(t.Context(), chat(), chat(), "message", []byte("the secret")); err != nil {
			t.Fatal(err)
		}
	}
	unread, values := 0, 0
	for key, value := range dump(t, db) {
		if _, of := before[key]; of {
			continue // the other session's
		}
		values++
		found := false
		for _, size := range []int{1, len(value) / 2, len(value) - 1} {
			set(t, db, key, value[:size])
			found = named(t, useAll(t.Context(), st, devices["one"], "one")) || found
			for _, err := range useAll(t.Context(), st, devices["two"], "two") {
				t.Errorf("the other session suffers: %v", err)
			}
			sessions, err := st.Sessions(t.Context())
			if err != nil && !errors.Is(err, kv.ErrDamaged) || !slices.ContainsFunc(sessions, func(s store.Session) bool { return s.Name == "two" }) {
				t.Errorf("Sessions: %v, %v, want the other one in it", sessions, err)
			}
		}
		if err := copyOther(t, st); err != nil {
			damaged(t, err)
			if !strings.Contains(err.Error(), `key "`) || strings.Contains(err.Error(), damageNumber) {
				t.Errorf("Copy: %v, want the key, and no number", err)
			}
		}
		if !found {
			unread++
		}
		set(t, db, key, value)
	}
	// The entry under the JID is read only when another session takes the JID.
	if values < 10 || unread != 1 {
		t.Errorf("of %d values that were damaged %d are in no error", values, unread)
	}
	if err := st.Delete(t.Context(), "one"); err != nil {
		t.Errorf("Delete: %v", err)
	}
	clear(before)
	for _, session := range []string{"two", "one"} {
		maps.Copy(before, dump(t, db))
		if err := st.PutEntry(t.Context(), store.Entry{Session: session}); err != nil {
			t.Fatal(err)
		}
	}
	for key := range dump(t, db) {
		if _, of := before[key]; of {
			continue
		}
		for cut := range 3 {
			damageEntry(t, st, func() {
				value := dump(t, db)[key]
				set(t, db, key, value[:[]int{1, len(value) / 2, len(value) - 1}[cut]])
			})
		}
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
}

// useAll reads everything that fill has stored.
func useAll(ctx context.Context, st store.Store, device *wastore.Device, session string) (errs []error) {
	note := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	_, err := st.Device(ctx, session)
	note(err)
	_, err = device.Sessions.GetSession(ctx, damageNumber+":7")
	note(err)
	_, err = device.Identities.IsTrustedIdentity(ctx, damageNumber+":7", [32]byte{1})
	note(err)
	for id := range uint32(5) {
		_, err = device.PreKeys.GetPreKey(ctx, id+1)
		note(err)
	}
	_, _, err = device.AppState.GetAppStateVersion(ctx, "regular")
	note(err)
	_, _, err = device.MsgSecrets.GetMessageSecret(ctx, chat(), chat(), "message")
	note(err)
	return errs
}

// named reports whether there are errors, and fails the test unless each is as
// it should be.
func named(t *testing.T, errs []error) bool {
	t.Helper()
	for _, err := range errs {
		damaged(t, err)
		text := err.Error()
		if !strings.Contains(text, `"one"`) || !strings.Contains(text, `key "`) || strings.Contains(text, damageNumber) || strings.Contains(text, chat().User) {
			t.Errorf("%v, want the session and the key, and no number", err)
		}
	}
	return len(errs) > 0
}

func dump(t *testing.T, db kv.DB) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := db.Txn(t.Context(), false, func(tx kv.Tx) error {
		clear(all)
		return tx.Scan(nil, func(key, value []byte) error {
			all[string(key)] = slices.Clone(value)
			return nil
		})
	})
	if err != nil {
		t.Fatal(fmt.Errorf("dump: %w", err))
	}
	return all
}

func set(t *testing.T, db kv.DB, key string, value []byte) {
	t.Helper()
	err := db.Txn(t.Context(), true, func(tx kv.Tx) error { return tx.Set([]byte(key), value) })
	if err != nil {
		t.Fatal(err)
	}
}
