package storecrash

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/storetest"
	"github.com/walink/walink/store/transfer"
)

// damageNumber is a phone number that must not be in any error.
const damageNumber = "5511976543210"

// SQL is a Store in whatsmeow's tables, for [Damage].
type SQL struct {
	Open func(t *testing.T) store.Store
	// Set stores a value in a column of the rows of one session, without the
	// checks of any constraint.
	Set func(t *testing.T, st store.Store, table, column, where string, value any)
}

// Damage stores impossible values in the tables of an SQL store. The error must
// name the session and the key, have a remedy, and have no phone number.
// Another session must not be affected, and a copy of it must succeed. It must
// be possible to delete the damaged session.
func Damage(t *testing.T, sql SQL) {
	t.Helper()
	load := func(ctx context.Context, st store.Store, _ *wastore.Device, session string) error {
		_, err := st.Device(ctx, session)
		return err
	}
	for _, test := range []struct {
		name, table, column, owner string
		value                      any
		use                        func(ctx context.Context, st store.Store, device *wastore.Device, session string) error
		key                        string
		unlisted                   bool
	}{
		{"a noise key that is cut off", "whatsmeow_device", "noise_key", "jid", []byte{1, 2}, load, "load session", false},
		{"a signature that is cut off", "whatsmeow_device", "signed_pre_key_sig", "jid", []byte{1, 2}, load, "load session", false},
		{"a signature of the account that is cut off", "whatsmeow_device", "adv_account_sig", "jid", []byte{1, 2}, load, "load session", false},
		{"a LID that is none", "whatsmeow_device", "lid", "jid", "1:x@lid", load, "load session", true},
		{
			"an identity that is cut off", "whatsmeow_identity_keys", "identity", "our_jid",
			[]byte{1, 2},
			func(ctx context.Context, _ store.Store, device *wastore.Device, _ string) error {
				_, err := device.Identities.IsTrustedIdentity(ctx, damageNumber+":7", [32]byte{1})
				return err
			}, `identity "[redacted]:7"`, false,
		},
		{
			"a prekey that is cut off", "whatsmeow_pre_keys", "key", "jid",
			[]byte{1, 2},
			func(ctx context.Context, _ store.Store, device *wastore.Device, _ string) error {
				_, err := device.PreKeys.GetPreKey(ctx, 3)
				return err
			}, `prekey "3"`, false,
		},
		{
			"prekeys that are cut off", "whatsmeow_pre_keys", "key", "jid",
			[]byte{},
			func(ctx context.Context, _ store.Store, device *wastore.Device, _ string) error {
				_, err := device.PreKeys.GetOrGenPreKeys(ctx, 5)
				return err
			}, "prekeys", false,
		},
		{
			"a hash that is cut off", "whatsmeow_app_state_version", "hash", "jid",
			[]byte{1, 2},
			func(ctx context.Context, _ store.Store, device *wastore.Device, _ string) error {
				_, _, err := device.AppState.GetAppStateVersion(ctx, "regular")
				return err
			}, `app state "regular"`, false,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			st := sql.Open(t)
			devices := map[string]*wastore.Device{}
			for i, name := range []string{"one", "two"} {
				devices[name] = storetest.Link(t, st, name, storetest.JID(damageNumber, uint16(i)+1))
				fill(t, devices[name])
			}
			sql.Set(t, st, test.table, test.column, test.owner+"='"+devices["one"].ID.String()+"'", test.value)

			err := test.use(t.Context(), st, devices["one"], "one")
			damaged(t, err)
			if err == nil || !strings.Contains(err.Error(), `"one"`) || !strings.Contains(err.Error(), test.key) || strings.Contains(err.Error(), damageNumber) {
				t.Errorf("%v, want an error with the session and %q, and without the number", err, test.key)
			}
			if err := test.use(t.Context(), st, devices["two"], "two"); err != nil {
				t.Errorf("the other session suffers: %v", err)
			}
			sessions, err := st.Sessions(t.Context())
			if (err != nil) != test.unlisted || err != nil && !strings.Contains(err.Error(), `"one"`) {
				t.Errorf("Sessions: %v", err)
			}
			if test.unlisted {
				damaged(t, err)
			}
			if !slices.ContainsFunc(sessions, func(s store.Session) bool { return s.Name == "two" }) {
				t.Errorf("Sessions: %v, want the other one in it", sessions)
			}
			err = copyOther(t, st)
			damaged(t, err)
			if err == nil || !strings.Contains(err.Error(), `"one"`) || strings.Contains(err.Error(), damageNumber) {
				t.Errorf("Copy: %v, want an error with the session, and without the number", err)
			}
			if err := st.Delete(t.Context(), "one"); err != nil {
				t.Errorf("Delete: %v", err)
			}
			if err := test.use(t.Context(), st, devices["two"], "two"); err != nil {
				t.Errorf("the other session suffers: %v", err)
			}
		})
	}
	t.Run("an entry that is too long", func(t *testing.T) {
		t.Parallel()
		st := sql.Open(t)
		damageEntry(t, st, func() { sql.Set(t, st, "walink_entry", "value", "session='one'", make([]byte, store.MaxEntry+1)) })
	})
}

// damageEntry stores entries of two sessions, and calls damage for the entry of the
// session "one". Its errors must be as those of other damage, the other entry must not be
// affected, and storing and deleting the entry must repair it.
func damageEntry(t *testing.T, st store.Store, damage func()) {
	t.Helper()
	const secret = "what the program keeps"
	registry, ok := st.(store.Registry)
	if !ok {
		t.Fatalf("%T is no Registry", st)
	}
	put := func(session string) error {
		return registry.PutEntry(t.Context(), store.Entry{Session: session, Value: []byte(secret)})
	}
	for entries, repair := range []func() error{func() error { return registry.DeleteEntry(t.Context(), "one") }, func() error { return put("one") }} {
		if err := errors.Join(put("one"), put("two")); err != nil {
			t.Fatal(err)
		}
		damage()
		_, err := registry.Entry(t.Context(), "one")
		all, listErr := registry.Entries(t.Context())
		if len(all) != 1 || all[0].Session != "two" || string(all[0].Value) != secret {
			t.Errorf("Entries: %q, want the other one", all)
		}
		for _, err := range []error{err, listErr} {
			damaged(t, err)
			if text := fmt.Sprint(err); !strings.Contains(text, "one") || strings.Contains(text, secret[:5]) {
				t.Errorf("%v, want the session, and not the value", err)
			}
		}
		if err := repair(); err != nil {
			t.Error(err)
		}
		if all, err := registry.Entries(t.Context()); err != nil || len(all) != 1+entries {
			t.Errorf("Entries after the repair: %d, %v, want %d", len(all), err, 1+entries)
		}
	}
}

// fill stores a value of each kind that is damaged later.
func fill(t *testing.T, device *wastore.Device) {
	t.Helper()
	ctx := t.Context()
	if err := device.Identities.PutIdentity(ctx, damageNumber+":7", [32]byte{1}); err != nil {
		t.Fatal(err)
	}
	if _, err := device.PreKeys.GetOrGenPreKeys(ctx, 5); err != nil {
		t.Fatal(err)
	}
	if err := device.AppState.PutAppStateVersion(ctx, "regular", 1, [128]byte{1}); err != nil {
		t.Fatal(err)
	}
}

// damaged fails the test unless err is ErrDamaged and has a remedy.
func damaged(t *testing.T, err error) {
	t.Helper()
	var hint interface{ Remedy() string }
	if !errors.Is(err, store.ErrDamaged) || !errors.As(err, &hint) || hint.Remedy() == "" {
		t.Errorf("%v, want ErrDamaged with a remedy", err)
	}
}

// copyOther copies the session "two", by its name and with all others, and
// returns the error of the latter.
func copyOther(t *testing.T, from store.Store) error {
	t.Helper()
	named, all := kv.New(memory.New()), kv.New(memory.New())
	if err := transfer.Copy(t.Context(), named, from, transfer.Sessions("two")); err != nil && !strings.Contains(err.Error(), "the LID map") { // the LID map belongs to no session
		t.Errorf("Copy of the other session: %v", err)
	}
	err := transfer.Copy(t.Context(), all, from)
	for _, to := range []store.Store{named, all} {
		if sessions, err := to.Sessions(t.Context()); err != nil || !slices.ContainsFunc(sessions, func(s store.Session) bool { return s.Name == "two" }) {
			t.Errorf("the copy has %v, %v, want the other session in it", sessions, err)
		}
		if err := to.Close(); err != nil {
			t.Error(err)
		}
	}
	return err
}
