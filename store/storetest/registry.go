package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink/store"
)

// runRegistry runs the cases of a Store that is a [store.Registry]. Damage (clause 4)
// is not tested here, because a Store cannot be damaged from outside.
func runRegistry(t *testing.T, open func(t *testing.T) store.Store, reopen func(t *testing.T, st store.Store) store.Store) {
	t.Helper()
	t.Run("registry", func(t *testing.T) {
		t.Parallel()
		if _, ok := open(t).(store.Registry); !ok {
			t.Skip("the Store is no Registry")
		}
		for name, test := range registryCases() {
			t.Run("Registry: "+name, func(t *testing.T) {
				t.Parallel()
				st := open(t)
				test(t, st, registryOf(st))
			})
		}
		if reopen == nil {
			return
		}
		t.Run("Registry: clause 3: entries survive Close", func(t *testing.T) {
			t.Parallel()
			st := open(t)
			putEntry(t, registryOf(st), "kept", "the first value")
			kept := putEntry(t, registryOf(st), "kept", "the value")
			putEntry(t, registryOf(st), "deleted", "the value")
			deleteEntry(t, registryOf(st), "deleted")
			wantEntries(t, registryOf(reopen(t, st)), kept)
		})
	})
}

func registryCases() map[string]func(tb testing.TB, st store.Store, registry store.Registry) {
	return map[string]func(tb testing.TB, st store.Store, registry store.Registry){
		"clause 1: any string is a session":                   registrySessions,
		"clause 1: any bytes are a value":                     registryValues,
		"clause 1: a value that is too long is refused":       registryTooLong,
		"clause 2: an entry does not depend on a device":      registryDevice,
		"clause 2: a lease does not depend on an entry":       registryLease,
		"clause 3: the last of many values is there, whole":   registryRace,
		"clause 3: ctx is obeyed and nothing is changed":      registryContext,
		"clause 4: entries are listed, and deleted only once": registryList,
		"clause 5: no error has a value":                      registrySecret,
		"clause 6: after Close each call returns ErrClosed":   registryClose,
	}
}

// registryOf returns st as a Registry, or nil.
func registryOf(st store.Store) store.Registry {
	registry, _ := st.(store.Registry)
	return registry
}

func putEntry(tb testing.TB, registry store.Registry, session, value string) store.Entry {
	tb.Helper()
	entry := store.Entry{Session: session, Value: []byte(value)}
	if err := registry.PutEntry(tb.Context(), entry); err != nil {
		tb.Fatalf("PutEntry of %.40q: %v", session, err)
	}
	return entry
}

func deleteEntry(tb testing.TB, registry store.Registry, session string) {
	tb.Helper()
	if err := registry.DeleteEntry(tb.Context(), session); err != nil {
		tb.Fatalf("DeleteEntry of %.40q: %v", session, err)
	}
}

func wantNoEntry(tb testing.TB, registry store.Registry, session string) {
	tb.Helper()
	if got, err := registry.Entry(tb.Context(), session); !errors.Is(err, store.ErrNotFound) {
		tb.Errorf("Entry of %.40q: %d bytes, %v, want ErrNotFound", session, len(got.Value), err)
	}
}

// wantEntries fails the test unless these entries are there, and no others.
func wantEntries(tb testing.TB, registry store.Registry, want ...store.Entry) {
	tb.Helper()
	got, err := registry.Entries(tb.Context())
	if err != nil {
		tb.Errorf("Entries: %v", err)
	} else if diff := cmp.Diff(told(want...), told(got...)); diff != "" {
		tb.Errorf("Entries (-want +got):\n%s", diff)
	}
	for _, entry := range want {
		if got, err := registry.Entry(tb.Context(), entry.Session); err != nil || !slices.Equal(told(entry), told(got)) {
			tb.Errorf("Entry: %v, %v, want %v", told(got), err, told(entry))
		}
	}
}

// told returns a line for each entry, which may be long.
func told(entries ...store.Entry) []string {
	lines := []string{}
	for _, e := range entries {
		lines = append(lines, fmt.Sprintf("%.40q (%x): %d bytes (%x)", e.Session, sha256.Sum256([]byte(e.Session)), len(e.Value), sha256.Sum256(e.Value)))
	}
	return lines
}

func registrySessions(tb testing.TB, _ store.Store, registry store.Registry) {
	tb.Helper()
	var left []store.Entry
	for i, session := range oddKeys() {
		wantNoEntry(tb, registry, session)
		if entry := putEntry(tb, registry, session, fmt.Sprint("value ", i)); i%2 == 1 {
			left = append(left, entry)
		}
	}
	for i, session := range oddKeys() {
		if i%2 == 0 {
			deleteEntry(tb, registry, session)
			wantNoEntry(tb, registry, session)
		}
	}
	slices.SortFunc(left, func(a, b store.Entry) int { return strings.Compare(a.Session, b.Session) })
	wantEntries(tb, registry, left...)
}

func registryValues(tb testing.TB, _ store.Store, registry store.Registry) {
	tb.Helper()
	var all []byte
	for i := range store.MaxEntry {
		all = append(all, byte(i), byte(i>>8))
	}
	for _, value := range [][]byte{all[:store.MaxEntry], nil, []byte("value"), {}, {0}, {0xff, 0}, []byte("NULL"), all[:512]} {
		given := bytes.Clone(value)
		if err := registry.PutEntry(tb.Context(), store.Entry{Session: "default", Value: given}); err != nil {
			tb.Fatalf("PutEntry of %d bytes: %v", len(value), err)
		}
		clear(given) // it is the caller's
		got, err := registry.Entry(tb.Context(), "default")
		if err != nil {
			tb.Errorf("Entry: %v", err)
		}
		clear(got.Value) // likewise
		wantEntries(tb, registry, store.Entry{Session: "default", Value: value})
	}
}

func registryTooLong(tb testing.TB, _ store.Store, registry store.Registry) {
	tb.Helper()
	long := store.Entry{Session: "new", Value: make([]byte, store.MaxEntry+1)}
	if err := registry.PutEntry(tb.Context(), long); err == nil {
		tb.Error("PutEntry of a value that is too long succeeded")
	}
	wantEntries(tb, registry)
	kept := putEntry(tb, registry, "default", "the value")
	long.Session = "default"
	if err := registry.PutEntry(tb.Context(), long); err == nil {
		tb.Error("PutEntry of a value that is too long succeeded")
	}
	wantEntries(tb, registry, kept)
}

func registryDevice(tb testing.TB, st store.Store, registry store.Registry) {
	tb.Helper()
	kept := putEntry(tb, registry, "default", "the value")
	late, err := st.Device(tb.Context(), "default")
	if err != nil {
		tb.Fatalf("Device: %v", err)
	}
	for what, change := range map[string]func() error{
		"Delete of the device":  func() error { return Link(tb, st, "default", JID(number, 1)).Delete(tb.Context()) },
		"Delete of the session": func() error { Link(tb, st, "default", JID(number, 1)); return st.Delete(tb.Context(), "default") },
		"Save of another device": func() error {
			Link(tb, st, "default", JID(number, 1))
			Pair(late, JID(number, 2))
			return errors.Join(late.Save(tb.Context()), st.Delete(tb.Context(), "default"))
		},
	} {
		if err := change(); err != nil {
			tb.Errorf("%s: %v", what, err)
		}
		wantEntries(tb, registry, kept)
	}
	Link(tb, st, "default", JID(number, 1))
	wantEntries(tb, registry, kept)
	putEntry(tb, registry, "default", "another value")
	deleteEntry(tb, registry, "default")
	if device, err := st.Device(tb.Context(), "default"); err != nil || device.ID == nil {
		tb.Errorf("DeleteEntry has deleted the device, or %v", err)
	}
	wantNoEntry(tb, registry, "default")
}

func registryLease(tb testing.TB, st store.Store, registry store.Registry) {
	tb.Helper()
	leaser, ok := st.(store.Leaser)
	if !ok {
		tb.Skip("the Store is no Leaser")
	}
	lease := begin(tb, leaser, "default", holder("one"), long)
	kept := putEntry(tb, registry, "default", "the value")
	deleteEntry(tb, registry, "other")
	wantLease(tb, leaser, lease)
	release(tb, leaser, lease)
	end(tb, leaser, lease)
	wantEntries(tb, registry, kept)
	lease = begin(tb, leaser, "default", holder("two"), long)
	deleteEntry(tb, registry, "default")
	wantLease(tb, leaser, lease)
}

// registryRace writes values of different lengths, which are whole if all their bytes
// are the same.
func registryRace(tb testing.TB, _ store.Store, registry store.Registry) {
	tb.Helper()
	const writers, rounds = 8, 10
	whole := func(value []byte) bool {
		return len(value) > 0 && len(value) == 1000*int(value[0]) && bytes.Count(value, value[:1]) == len(value)
	}
	value := func(writer int) string { return strings.Repeat(string(rune(writer)), 1000*writer) }
	putEntry(tb, registry, "shared", value(1))
	var group sync.WaitGroup
	for writer := 1; writer <= writers; writer++ {
		group.Go(func() {
			own := fmt.Sprint("own ", writer)
			for round := range rounds {
				put := value(1 + (writer+round)%writers)
				for _, session := range []string{"shared", own} {
					if err := registry.PutEntry(tb.Context(), store.Entry{Session: session, Value: []byte(put)}); err != nil {
						tb.Errorf("PutEntry: %v", err)
					}
				}
				if got, err := registry.Entry(tb.Context(), own); err != nil || string(got.Value) != put {
					tb.Errorf("Entry of %q: %d bytes, %v, want the last value, of %d", own, len(got.Value), err, len(put))
				}
				if got, err := registry.Entry(tb.Context(), "shared"); err != nil || !whole(got.Value) {
					tb.Errorf("Entry: %d bytes, %v, want a whole value", len(got.Value), err)
				}
				all, err := registry.Entries(tb.Context())
				if err != nil || len(all) < 2 || slices.ContainsFunc(all, func(e store.Entry) bool { return !whole(e.Value) }) {
					tb.Errorf("Entries: %d, %v, want whole values", len(all), err)
				}
			}
		})
	}
	group.Wait()
}

// registryErrors makes each call with ctx, and returns the errors.
func registryErrors(ctx context.Context, registry store.Registry, value string) map[string]error {
	_, entryErr := registry.Entry(ctx, "default")
	_, entriesErr := registry.Entries(ctx)
	return map[string]error{
		"Entry": entryErr, "Entries": entriesErr,
		"PutEntry":    registry.PutEntry(ctx, store.Entry{Session: "default", Value: []byte(value)}),
		"DeleteEntry": registry.DeleteEntry(ctx, "default"),
	}
}

func registryContext(tb testing.TB, _ store.Store, registry store.Registry) {
	tb.Helper()
	kept := putEntry(tb, registry, "default", "the value")
	ctx, cancel := context.WithCancel(tb.Context())
	cancel()
	for what, err := range registryErrors(ctx, registry, "another value") {
		if !errors.Is(err, context.Canceled) {
			tb.Errorf("%s: %v, want context.Canceled", what, err)
		}
	}
	wantEntries(tb, registry, kept)
}

func registryList(tb testing.TB, _ store.Store, registry store.Registry) {
	tb.Helper()
	wantEntries(tb, registry)
	b, a, upper := putEntry(tb, registry, "b", "1"), putEntry(tb, registry, "a", "2"), putEntry(tb, registry, "B", "3")
	wantEntries(tb, registry, upper, a, b)
	b = putEntry(tb, registry, "b", "4")
	for range 2 {
		deleteEntry(tb, registry, "a")
		wantNoEntry(tb, registry, "a")
		wantEntries(tb, registry, upper, b)
	}
}

func registrySecret(tb testing.TB, st store.Store, registry store.Registry) {
	tb.Helper()
	const secret = "the secret"
	putEntry(tb, registry, "default", secret)
	ctx, cancel := context.WithCancel(tb.Context())
	cancel()
	errs := []error{registry.PutEntry(tb.Context(), store.Entry{Value: []byte(strings.Repeat(secret, store.MaxEntry))})}
	add := func(ctx context.Context) {
		for _, err := range registryErrors(ctx, registry, secret) {
			errs = append(errs, err)
		}
	}
	add(ctx)
	if err := st.Close(); err != nil {
		tb.Fatalf("Close: %v", err)
	}
	add(tb.Context())
	for _, err := range errs {
		if err == nil || strings.Contains(fmt.Sprintf("%v %+v", err, err), secret) {
			tb.Errorf("%v, want an error without the value", err)
		}
	}
}

func registryClose(tb testing.TB, st store.Store, registry store.Registry) {
	tb.Helper()
	putEntry(tb, registry, "default", "the value")
	if err := st.Close(); err != nil {
		tb.Fatalf("Close: %v", err)
	}
	for what, err := range registryErrors(tb.Context(), registry, "another value") {
		if !errors.Is(err, store.ErrClosed) {
			tb.Errorf("after Close, %s: %v, want ErrClosed", what, err)
		}
	}
}
