package kv_test

import (
	"bytes"
	stdcmp "cmp"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/kvtest"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/storetest"
)

func TestEncryptedDB(t *testing.T) {
	t.Parallel()
	kvtest.Run(t, func(*testing.T) kv.DB { return kv.Encrypt(memory.New(), kv.NewKey()) })
}

func TestEncryptedStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) store.Store { return kv.New(kv.Encrypt(memory.New(), kv.NewKey())) })
}

// keep is a DB whose Close does nothing, for several Stores one after the other.
type keep struct{ *memory.DB }

func (keep) Close() error { return nil }

func TestNothingCanBeReadWithoutTheKey(t *testing.T) {
	t.Parallel()
	db := keep{memory.New()}
	st := reopen(t, kv.Encrypt(db, kv.NewKey()))
	one, _ := link(t, st)
	if _, _, err := one.Contacts.PutPushName(t.Context(), storetest.JID("4915112345678", 0), "Ana"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := st.TakeLeases(t.Context(), []string{"one"}, holder("the holder"), 0); err != nil {
		t.Fatal(err)
	}
	if err := st.PutEntry(t.Context(), store.Entry{Session: "one", Value: []byte("the value")}); err != nil {
		t.Fatal(err)
	}
	for key, value := range dump(t, db) {
		for _, word := range []string{
			"the value", "one", "5511987654321", "4915112345678", "Ana", "the session", "the holder", "android",
			"session", "contact", string(one.NoiseKey.Priv[:]), string(one.AdvSecretKey), string(one.Account.Details),
		} {
			if strings.Contains(key, word) || strings.Contains(value, word) {
				t.Errorf("%q is in %q", word, key)
			}
		}
	}
}

func TestSealedEntryOpensOnlyForItsSession(t *testing.T) {
	t.Parallel()
	db := keep{memory.New()}
	st := reopen(t, kv.Encrypt(db, kv.NewKey()))
	if err := st.PutEntry(t.Context(), store.Entry{Session: "gone"}); err != nil {
		t.Fatal(err)
	}
	before := dump(t, db)
	for _, session := range []string{"one", "two"} {
		if err := st.PutEntry(t.Context(), store.Entry{Session: session, Value: []byte("of " + session)}); err != nil {
			t.Fatal(err)
		}
	}
	var keys []string
	stored := dump(t, db)
	for key := range stored {
		if _, of := before[key]; !of {
			keys = append(keys, key)
		}
	}
	if len(keys) != 2 {
		t.Fatalf("%d keys, want one for each entry", len(keys))
	}
	damage(t, db, keys[0], stored[keys[1]])
	damage(t, db, keys[1], stored[keys[0]])
	for _, session := range []string{"one", "two"} {
		if entry, err := st.Entry(t.Context(), session); !errors.Is(err, kv.ErrDamaged) {
			t.Errorf("Entry of %q: %q, %v, want ErrDamaged", session, entry.Value, err)
		}
	}
	if all, err := st.Entries(t.Context()); !errors.Is(err, kv.ErrDamaged) || len(all) != 1 {
		t.Errorf("Entries: %q, %v, want the third and ErrDamaged", all, err)
	}
}

func TestWrongKey(t *testing.T) {
	t.Parallel()
	db := keep{memory.New()}
	right := kv.NewKey()
	link(t, reopen(t, kv.Encrypt(db, right)))
	before := dump(t, db)
	for _, test := range []struct {
		name string
		db   kv.DB
		want error
	}{
		{"another key", kv.Encrypt(db, kv.NewKey()), kv.ErrKey},
		{"other keys", kv.Encrypt(db, kv.NewKey(), kv.NewKey()), kv.ErrKey},
		{"no Encrypt", db, kv.ErrEncrypted},
	} {
		st := reopen(t, test.db)
		_, deviceErr := st.Device(t.Context(), "one")
		for what, err := range map[string]error{"Device": deviceErr, "Check": st.Check(t.Context()), "Delete": st.Delete(t.Context(), "one")} {
			if !errors.Is(err, test.want) {
				t.Errorf("%s, %s: %v, want %v", test.name, what, err, test.want)
			}
		}
		if diff := cmp.Diff(before, dump(t, db)); diff != "" {
			t.Fatalf("%s: what is stored has changed (-before +after):\n%s", test.name, diff)
		}
	}

	plain := keep{memory.New()}
	link(t, reopen(t, plain))
	before = dump(t, plain)
	if _, err := reopen(t, kv.Encrypt(plain, right)).Device(t.Context(), "one"); !errors.Is(err, kv.ErrPlain) {
		t.Errorf("Device of what is not encrypted: %v, want ErrPlain", err)
	}
	if diff := cmp.Diff(before, dump(t, plain)); diff != "" {
		t.Errorf("what is stored has changed (-before +after):\n%s", diff)
	}
}

func TestRotate(t *testing.T) {
	t.Parallel()
	db := keep{memory.New()}
	first, second := kv.NewKey(), kv.NewKey()
	one, _ := link(t, reopen(t, kv.Encrypt(db, first)))
	for i := range 1200 {
		if err := one.Sessions.PutSession(t.Context(), fmt.Sprintf("%d:0", i), []byte("the session")); err != nil {
			t.Fatal(err)
		}
	}
	read := func(when string, keys ...kv.Key) {
		t.Helper()
		st := reopen(t, kv.Encrypt(db, keys[0], keys[1:]...))
		if got, err := device(t, st, "one").Sessions.GetSession(t.Context(), "1199:0"); err != nil || string(got) != "the session" {
			t.Errorf("%s: GetSession: %q, %v", when, got, err)
		}
	}
	read("before, with both keys", second, first)
	rotating := kv.Encrypt(db, second, first)
	// If two keys could both write, a program with one of them would not notice.
	put := func(st *kv.Store) error {
		return device(t, st, "two").Sessions.PutSession(t.Context(), "2:0", []byte("new"))
	}
	if err := put(reopen(t, rotating)); !errors.Is(err, kv.ErrNotCurrent) {
		t.Errorf("PutSession with the new key before Rotate: %v, want ErrNotCurrent", err)
	}
	old, both := reopen(t, kv.Encrypt(db, first)), reopen(t, kv.Encrypt(db, first, second))
	if err := errors.Join(put(old), put(both)); err != nil {
		t.Fatal(err)
	}
	oldTwo := device(t, old, "two")
	names := slices.Sorted(maps.Keys(dump(t, db)))
	for range 2 {
		if err := rotating.Rotate(t.Context()); err != nil {
			t.Fatalf("Rotate: %v", err)
		}
	}
	read("after, with the new key", second)
	if err := oldTwo.Sessions.PutSession(t.Context(), "3:0", []byte("new")); !errors.Is(err, kv.ErrKey) {
		t.Errorf("PutSession with the old key, by a Store that was open: %v, want ErrKey", err)
	}
	if err := put(both); !errors.Is(err, kv.ErrNotCurrent) {
		t.Errorf("PutSession with the old key first: %v, want ErrNotCurrent", err)
	}
	if err := put(reopen(t, rotating)); err != nil {
		t.Errorf("PutSession with the new key: %v", err)
	}
	if _, err := reopen(t, kv.Encrypt(db, first)).Device(t.Context(), "one"); !errors.Is(err, kv.ErrKey) {
		t.Errorf("Device with the old key: %v, want ErrKey", err)
	}
	if diff := cmp.Diff(names, slices.Sorted(maps.Keys(dump(t, db)))); diff != "" {
		t.Errorf("names (-before +after):\n%s", diff)
	}
}

func TestSealedDamage(t *testing.T) {
	t.Parallel()
	db := keep{memory.New()}
	key := kv.NewKey()
	encrypted := kv.Encrypt(db, key)
	st := reopen(t, encrypted)
	before := dump(t, db)
	one, _ := link(t, st)
	sealedName := func(plain []byte) (sealed string) {
		t.Helper()
		before := dump(t, db)
		// The only value that changes when one is stored again.
		update(t, encrypted, func(tx kv.Tx) error {
			value, err := tx.Get(plain)
			if err != nil {
				return err
			}
			return tx.Set(plain, value)
		})
		for name, value := range dump(t, db) {
			if before[name] != value {
				sealed = name
			}
		}
		return sealed
	}
	entry := sealedName(find(t, encrypted, "s", "one"))
	other := sealedName(find(t, encrypted, "s", "two"))
	stored := dump(t, db)
	if len(before) != 0 || entry == "" || entry == other {
		t.Fatalf("the names are %q and %q", entry, other)
	}

	for name, value := range map[string]string{
		"cut off":  stored[entry][:len(stored[entry])-1],
		"nearly":   stored[entry][:10],
		"changed":  stored[entry][:len(stored[entry])-1] + "\x00\x01"[:1],
		"moved":    stored[other],
		"not ours": "hello",
	} {
		if value == stored[entry] {
			continue // the last byte was the one it would become
		}
		update(t, db, func(tx kv.Tx) error { return tx.Set([]byte(entry), []byte(value)) })
		_, err := st.Device(t.Context(), "one")
		if !errors.Is(err, kv.ErrDamaged) || !strings.Contains(err.Error(), `"one"`) || !strings.Contains(err.Error(), `key "s\x00one\x00"`) {
			t.Errorf("%s: Device: %v, want ErrDamaged with the session and the key", name, err)
		}
		sessions, err := st.Sessions(t.Context())
		if !errors.Is(err, kv.ErrDamaged) || len(sessions) != 1 || sessions[0].Name != "two" {
			t.Errorf("%s: Sessions: %v, %v, want the other one and ErrDamaged", name, sessions, err)
		}
		if err := encrypted.Rotate(t.Context()); err != nil && !errors.Is(err, kv.ErrDamaged) {
			t.Errorf("%s: Rotate: %v", name, err)
		}
	}
	if got, err := device(t, st, "two").Sessions.GetSession(t.Context(), "1:0"); err != nil || string(got) != "the session" {
		t.Errorf("GetSession of the other: %q, %v", got, err)
	}
	if err := st.Delete(t.Context(), "one"); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	_ = one
	// All of it is deleted: the rest is what one session stores.
	empty := keep{memory.New()}
	single := reopen(t, kv.Encrypt(empty, key))
	if err := storetest.Link(t, single, "two", storetest.JID("5511987654321", 2)).Sessions.PutSession(t.Context(), "1:0", []byte("the session")); err != nil {
		t.Fatal(err)
	}
	if got, want := len(dump(t, db)), len(dump(t, empty)); got != want {
		t.Errorf("%d keys are left, want %d", got, want)
	}
}

// Whoever can write to the databases of two programs cannot give one of them the
// sessions of the other.
func TestDatabaseOfAnotherIdentityIsRefused(t *testing.T) {
	t.Parallel()
	key := kv.NewKey()
	db := keep{memory.New()}
	link(t, reopen(t, kv.Encrypt(db, key.For("sales"))))
	before := dump(t, db)
	for _, own := range []kv.Key{key.For("support"), key.For(""), key, kv.NewKey().For("sales")} {
		encrypted := kv.Encrypt(db, own)
		st := reopen(t, encrypted)
		_, deviceErr := st.Device(t.Context(), "one")
		for what, err := range map[string]error{
			"Device": deviceErr, "Check": st.Check(t.Context()), "Delete": st.Delete(t.Context(), "one"), "Rotate": encrypted.Rotate(t.Context()),
		} {
			if !errors.Is(err, kv.ErrKey) || !strings.Contains(remedyOf(err), "the same identity") {
				t.Errorf("%s: %v, remedy %q, want ErrKey and the identity", what, err, remedyOf(err))
			}
		}
	}
	if diff := cmp.Diff(before, dump(t, db)); diff != "" {
		t.Errorf("what is stored has changed (-before +after):\n%s", diff)
	}
	device(t, reopen(t, kv.Encrypt(db, key.For("sales"))), "one")
	if _, err := reopen(t, kv.Encrypt(db, kv.Key{}.For("sales"))).Sessions(t.Context()); !errors.Is(err, kv.ErrZeroKey) {
		t.Errorf("the zero key with an identity: %v, want ErrZeroKey", err)
	}
}

func TestRotateGivesADatabaseAnIdentity(t *testing.T) {
	t.Parallel()
	key := kv.NewKey()
	db := keep{memory.New()}
	link(t, reopen(t, kv.Encrypt(db, key)))
	if err := kv.Encrypt(db, key.For("sales"), key).Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := unread(t, db, key.For("sales")); err != nil {
		t.Error(err)
	}
	if err := unread(t, db, key); !errors.Is(err, kv.ErrKey) {
		t.Errorf("without the identity: %v, want ErrKey", err)
	}
}

// An error goes to logs and terminals.
func TestErrorAboutMassDamageIsShort(t *testing.T) {
	t.Parallel()
	key := kv.NewKey()
	db, inClear := keep{memory.New()}, memory.New()
	errs := map[string]error{}
	for name, into := range map[string]kv.DB{"Sessions": kv.Encrypt(db, key), "Sessions in clear": inClear} {
		st := reopen(t, into)
		link(t, st)
		update(t, into, func(tx kv.Tx) (err error) {
			for i := range 5000 {
				err = stdcmp.Or(err, tx.Set(fmt.Appendf(nil, "s\x00damaged %d\x00", i), []byte("damage")))
			}
			return err
		})
		_, errs[name] = st.Sessions(t.Context())
	}
	sealed := dump(t, db)
	update(t, db, func(tx kv.Tx) (err error) {
		for name, value := range sealed {
			if name != "walink" { // the secret that encrypts names
				err = stdcmp.Or(err, tx.Set([]byte(name), []byte(value+"damage")))
			}
		}
		return err
	})
	errs["a scan"] = unread(t, db, key)
	errs["Rotate"] = kv.Encrypt(db, kv.NewKey(), key).Rotate(t.Context())
	for name, err := range errs {
		if text := fmt.Sprint(err); !errors.Is(err, kv.ErrDamaged) || len(text) > 1000 || !regexp.MustCompile(`and [45]\d\d\d more$`).MatchString(text) {
			t.Errorf("%s: %d bytes: %.1000s", name, len(text), text)
		}
	}
}

func TestKeyDoesNotPrintItself(t *testing.T) {
	t.Parallel()
	key := kv.NewKey()
	texts := []string{fmt.Sprint(key), fmt.Sprint(&key)}
	for _, verb := range "vsqdboOxXcUeEfFgGt!" {
		for _, flag := range []string{"", "+", "#", "-0 9.3"} {
			texts = append(texts, fmt.Sprintf("%"+flag+string(verb), key))
		}
	}
	for _, text := range texts {
		if text != "kv.Key" {
			t.Errorf("%q", text)
		}
	}
	var out bytes.Buffer
	held := struct{ Key kv.Key }{key}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("a key", "key", key, "pointer", &key, "held", held)
	}
	_ = gob.NewEncoder(&out).Encode(held) // writes the type before the error
	for _, secret := range []string{string(key[:]), hex.EncodeToString(key[:]), strings.Trim(fmt.Sprint([32]byte(key)), "[]"), base64.StdEncoding.EncodeToString(key[:])} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("the key is in %q", &out)
		}
	}
	for format, marshal := range map[string]func() error{
		"JSON":        func() error { _, err := json.Marshal(held); return err },
		"XML":         func() error { _, err := xml.Marshal(key); return err },
		"gob":         func() error { return gob.NewEncoder(io.Discard).Encode(held) },
		"gob, itself": func() error { return gob.NewEncoder(io.Discard).Encode(&key) },
	} {
		if err := marshal(); err == nil || !strings.Contains(err.Error(), "a key is not marshaled") {
			t.Errorf("%s: %v", format, err)
		}
	}
}
