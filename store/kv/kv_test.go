package kv_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/storetest"
)

func TestLayoutIsRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		key, value string
		want       error
	}{
		{"of a newer program", "f", "\x01\x03and more", kv.ErrNewer},
		{"that cannot be read", "f", "\x01", kv.ErrDamaged},
		{"of another program", "users:1", "{}", kv.ErrForeign},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			st, db := open(t)
			update(t, db, func(tx kv.Tx) error { return tx.Set([]byte(test.key), []byte(test.value)) })
			before := dump(t, db)
			_, deviceErr := st.Device(t.Context(), "default")
			_, sessionsErr := st.Sessions(t.Context())
			_, _, leaseErr := st.TakeLeases(t.Context(), []string{"default"}, holder("me"), 0)
			for what, err := range map[string]error{
				"Device": deviceErr, "Sessions": sessionsErr, "TakeLeases": leaseErr,
				"Check": st.Check(t.Context()), "Delete": st.Delete(t.Context(), "default"),
			} {
				if !errors.Is(err, test.want) {
					t.Errorf("%s: %v, want %v", what, err, test.want)
				}
			}
			if diff := cmp.Diff(before, dump(t, db)); diff != "" {
				t.Errorf("what is stored has changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestErrorsOfTheDB(t *testing.T) {
	t.Parallel()
	st := reopen(t, failing{errDown})
	_, err := st.Device(t.Context(), "default")
	if !errors.Is(err, errDown) || !strings.Contains(err.Error(), `"default"`) {
		t.Errorf("Device: %v, want the session and the error of the DB", err)
	}
}

func TestDamage(t *testing.T) {
	t.Parallel()
	cut := func(value string) string { return value[:len(value)-1] }
	for _, test := range []struct {
		name         string
		prefix, part string
		damage       func(string) string
		use          func(ctx context.Context, st *kv.Store, one *wastore.Device) error
	}{
		{"an entry that is cut off", "s", "one", cut, func(ctx context.Context, st *kv.Store, _ *wastore.Device) error {
			_, err := st.Device(ctx, "one")
			return err
		}},
		{"a device that is cut off", "d", "", cut, func(ctx context.Context, st *kv.Store, _ *wastore.Device) error {
			_, err := st.Device(ctx, "one")
			return err
		}},
		{"a Signal session that is cut off", "x", "session\x001:0", cut, func(ctx context.Context, _ *kv.Store, one *wastore.Device) error {
			_, err := one.Sessions.GetSession(ctx, "1:0")
			return err
		}},
		{
			"a Signal session that is too long", "x", "session\x001:0", func(v string) string { return v + "." },
			func(ctx context.Context, _ *kv.Store, one *wastore.Device) error {
				_, err := one.Sessions.GetManySessions(ctx, []string{"1:0"})
				return err
			},
		},
		{
			"a Signal session of another kind", "x", "session\x001:0", func(v string) string { return "\x07" + v[1:] },
			func(ctx context.Context, _ *kv.Store, one *wastore.Device) error {
				_, err := one.Sessions.GetSession(ctx, "1:0")
				return err
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			st, db := open(t)
			one, _ := link(t, st)
			keys := slices.DeleteFunc(slices.Collect(maps.Keys(dump(t, db))), func(key string) bool {
				return !strings.HasPrefix(key, test.prefix) || !strings.Contains(key, test.part)
			})
			slices.Sort(keys)
			// Two devices have names that are random: the one of the session is
			// that under whose name the entry of "one" leads to it.
			entry := dump(t, db)[string(find(t, db, "s", "one"))]
			keys = slices.DeleteFunc(keys, func(key string) bool {
				return test.prefix != "s" && !strings.Contains(entry, strings.SplitN(key[1:], "\x00", 2)[0])
			})
			if len(keys) != 1 {
				t.Fatalf("%d keys to damage, want one: %q", len(keys), keys)
			}
			update(t, db, func(tx kv.Tx) error {
				return tx.Set([]byte(keys[0]), []byte(test.damage(dump(t, db)[keys[0]])))
			})

			err := test.use(t.Context(), st, one)
			if !errors.Is(err, kv.ErrDamaged) {
				t.Fatalf("%v, want ErrDamaged", err)
			}
			for _, part := range []string{`"one"`, "key "} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v, want it to name %s", err, part)
				}
			}
			if strings.Contains(err.Error(), "the session\x00") {
				t.Errorf("%v, which holds the value", err)
			}

			// The other session is as it was, and listed.
			sessions, err := st.Sessions(t.Context())
			if test.prefix == "s" != errors.Is(err, kv.ErrDamaged) {
				t.Errorf("Sessions: %v", err)
			}
			if !slices.ContainsFunc(sessions, func(s store.Session) bool { return s.Name == "two" }) {
				t.Errorf("Sessions %v, want the other one in it", sessions)
			}
			if got, err := device(t, st, "two").Sessions.GetSession(t.Context(), "1:0"); err != nil || string(got) != "the session" {
				t.Errorf("GetSession of the other: %q, %v", got, err)
			}

			// The remedy: delete it, and link again.
			if err := st.Delete(t.Context(), "one"); err != nil {
				t.Fatalf("Delete: %v", err)
			}
			storetest.Link(t, st, "one", storetest.JID("5511987654321", 1))
			for key := range dump(t, db) {
				if key == keys[0] && test.prefix != "s" {
					t.Errorf("key %q is still there", key)
				}
			}
		})
	}
}

func TestNothingIsLeftOfADevice(t *testing.T) {
	t.Parallel()
	st, db := open(t)
	one, two := link(t, st)
	if err := one.LIDs.PutLIDMapping(t.Context(), one.LID, *one.ID); err != nil {
		t.Fatal(err)
	}
	if err := one.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := st.Delete(t.Context(), "two"); err != nil {
		t.Fatal(err)
	}
	if err := two.Sessions.PutSession(t.Context(), "1:0", []byte("late")); !errors.Is(err, wastore.ErrDeviceDeleted) {
		t.Errorf("PutSession of a deleted device: %v, want ErrDeviceDeleted", err)
	}
	var left []string
	for key := range dump(t, db) {
		left = append(left, key[:1])
	}
	slices.Sort(left)
	if diff := cmp.Diff([]string{"f", "l", "n"}, left); diff != "" {
		t.Errorf("kinds of keys (-want +got):\n%s", diff)
	}
}

func TestNamesOfAnyKind(t *testing.T) {
	t.Parallel()
	st, db := open(t)
	long := strings.Repeat("\x00\x01", 4000)
	names := []string{"", "\x00", "\x00\x00", "\x01", "\x01\x01", "a", "a\x00", "a\x00b", "\xff", "\xff\xfe", long, long + "1", long + "2"}
	for i, name := range names {
		storetest.Link(t, st, name, storetest.JID("5511987654321", uint16(i)+1))
	}
	sessions, err := st.Sessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, session := range sessions {
		got = append(got, session.Name)
	}
	slices.Sort(names)
	if diff := cmp.Diff(names, got); diff != "" {
		t.Errorf("sessions (-want +got):\n%s", diff)
	}
	for _, name := range names {
		if device(t, st, name).ID == nil {
			t.Errorf("session %q has no device", name)
		}
		if err := st.Delete(t.Context(), name); err != nil {
			t.Errorf("Delete(%q): %v", name, err)
		}
	}
	if left := len(dump(t, db)); left != 1 {
		t.Errorf("%d keys are left, want that of the layout", left)
	}
}

func TestDecryptionIsOneTransaction(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	st := reopen(t, memory.New())
	one, two := link(t, st)
	failure := errors.New("the failure")
	for _, fail := range []error{failure, nil} {
		var late context.Context
		err := one.EventBuffer.DoDecryptionTxn(ctx, func(ctx context.Context) error {
			late = ctx
			err := errors.Join(
				one.Sessions.PutSession(ctx, "1:0", []byte("new")),
				one.EventBuffer.PutBufferedEvent(ctx, [32]byte{1}, []byte("event"), time.Now()),
			)
			if err != nil {
				return err
			}
			inside, insideErr := one.Sessions.GetSession(ctx, "1:0")
			outside, outsideErr := one.Sessions.GetSession(t.Context(), "1:0")
			other, otherErr := two.Sessions.GetSession(ctx, "1:0")
			if string(inside) != "new" || string(outside) != "the session" || string(other) != "the session" {
				t.Errorf("inside %q, outside %q, of the other %q", inside, outside, other)
			}
			return errors.Join(insideErr, outsideErr, otherErr, fail)
		})
		want := map[bool]string{true: "the session", false: "new"}[fail != nil]
		if err != nil && fail == nil || !errors.Is(err, fail) {
			t.Errorf("DoDecryptionTxn: %v, want %v", err, fail)
		}
		if got, err := one.Sessions.GetSession(ctx, "1:0"); err != nil || string(got) != want {
			t.Errorf("GetSession: %q, %v, want %q", got, err, want)
		}
		if _, err := one.Sessions.GetSession(late, "1:0"); err == nil {
			t.Error("the ctx of a transaction that has ended still reads")
		}
	}
}

// A key may hold what marks a long part in its escaped form: 0 and 3.
func TestKeysWithAnyBytes(t *testing.T) {
	t.Parallel()
	st, _ := open(t)
	one, _ := link(t, st)
	var all [][]byte
	var mutations []wastore.AppStateMutationMAC
	for i := range 60 { // more than are deleted one by one
		mac := append([]byte{0, 3, byte(i)}, make([]byte, 29)...)
		all = append(all, mac)
		mutations = append(mutations, wastore.AppStateMutationMAC{IndexMAC: mac, ValueMAC: mac})
	}
	if err := errors.Join(
		one.AppState.PutAppStateVersion(t.Context(), "regular", 1, [128]byte{1}),
		one.AppState.PutAppStateMutationMACs(t.Context(), "regular", 1, mutations),
		one.AppState.DeleteAppStateMutationMACs(t.Context(), "regular", all),
	); err != nil {
		t.Fatal(err)
	}
	if got, err := one.AppState.GetAppStateMutationMAC(t.Context(), "regular", all[7]); err != nil || got != nil {
		t.Errorf("GetAppStateMutationMAC: %x, %v, want nothing", got, err)
	}
}

// hostile is a DB whose server writes to the terminal, once it is on.
type hostile struct {
	kv.DB
	on bool
}

var errObeyed = errors.New("\x1b[2J\u202e\r\n2026 forged")

func (h *hostile) Txn(ctx context.Context, write bool, fn func(kv.Tx) error) error {
	if h.on {
		return errObeyed
	}
	return h.DB.Txn(ctx, write, fn)
}

func (h *hostile) Close() error { return errObeyed }

func TestNoTextOfTheDatabaseIsObeyed(t *testing.T) {
	t.Parallel()
	db := &hostile{DB: memory.New()}
	st := kv.New(db)
	one, _ := link(t, st)
	db.on = true
	ctx, now := t.Context(), time.Now()
	_, device := st.Device(ctx, "one")
	_, sessions := st.Sessions(ctx)
	_, take := st.TakeCode(ctx, "5511987654321", now, 3, time.Hour)
	_, refuse := st.RefuseCode(ctx, "5511987654321", now, time.Hour)
	_, _, peek := st.PeekCode(ctx, "5511987654321", now, 3, time.Hour)
	_, lid := one.LIDs.GetPNForLID(ctx, types.NewJID("1", types.HiddenUserServer))
	var export error
	for _, err := range st.ExportLIDs(ctx) {
		export = err
	}
	for name, err := range map[string]error{
		"Device": device, "Sessions": sessions, "TakeCode": take, "RefuseCode": refuse, "PeekCode": peek,
		"GetPNForLID": lid, "ExportLIDs": export,
		"Check": st.Check(ctx), "Delete": st.Delete(ctx, "one"), "PutSession": one.Sessions.PutSession(ctx, "1:0", nil),
		"Rotate": kv.Encrypt(db, kv.NewKey()).Rotate(ctx), "Close": st.Close(),
	} {
		if !errors.Is(err, errObeyed) || strings.ContainsFunc(err.Error(), func(r rune) bool { return unicode.IsControl(r) || r == '\u202e' }) {
			t.Errorf("%s: %q", name, err)
		}
	}
}
