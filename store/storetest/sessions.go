package storetest

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink/store"
)

func runReplace(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	t.Run("clause 4: a new device takes the name and the old one goes", func(t *testing.T) {
		t.Parallel()
		st := open(t)
		other := Link(t, st, "other", JID(number, 3))
		write(t, other)
		second := get(t, st, "default")
		first := Link(t, st, "default", JID(number, 1))
		write(t, first)

		Pair(second, JID(number, 2))
		if err := second.Save(t.Context()); err != nil {
			t.Fatalf("Save of the new device: %v", err)
		}
		if diff := cmp.Diff(identityOf(second), identityOf(get(t, st, "default"))); diff != "" {
			t.Errorf("device (-new +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"default", "other"}, names(t, st)); diff != "" {
			t.Errorf("sessions (-want +got):\n%s", diff)
		}
		check(t, get(t, st, "default"), unwritten)
		check(t, get(t, st, "other"), written)

		// The first device's JID is free, and nothing of the first is left.
		check(t, Link(t, st, "again", JID(number, 1)), unwritten)
	})

	t.Run("clause 4: a JID that is linked again gets the new keys", func(t *testing.T) {
		t.Parallel()
		st := open(t)
		fresh := get(t, st, "default")
		write(t, Link(t, st, "default", JID(number, 1)))
		Pair(fresh, JID(number, 1))
		if err := fresh.Save(t.Context()); err != nil {
			t.Fatalf("Save: %v", err)
		}
		if diff := cmp.Diff(identityOf(fresh), identityOf(get(t, st, "default"))); diff != "" {
			t.Errorf("device (-new +got):\n%s", diff)
		}
		check(t, get(t, st, "default"), unwritten)
	})

	t.Run("clause 4: a device that lost its session does not take it back", func(t *testing.T) {
		t.Parallel()
		st := open(t)
		second := get(t, st, "default")
		first := Link(t, st, "default", JID(number, 1))
		Pair(second, JID(number, 2))
		if err := second.Save(t.Context()); err != nil {
			t.Fatalf("Save: %v", err)
		}
		if err := first.Save(t.Context()); err == nil {
			t.Error("Save of the device that was replaced succeeded")
		}
		if got := get(t, st, "default").GetJID(); got != *second.ID {
			t.Errorf("the session has %s, want %s", got, second.ID)
		}
	})

	t.Run("clause 4: a device that was replaced under its own JID does not touch the new one", func(t *testing.T) {
		t.Parallel()
		st := open(t)
		second := get(t, st, "default")
		first := Link(t, st, "default", JID(number, 1))
		Pair(second, JID(number, 1))
		if err := second.Save(t.Context()); err != nil {
			t.Fatalf("Save: %v", err)
		}
		write(t, second)
		first.PushName = "old"
		if err := first.Save(t.Context()); err == nil {
			t.Error("Save of the device that was replaced succeeded")
		}
		_ = first.Delete(t.Context()) // it may fail because there is nothing to delete
		got := get(t, st, "default")
		if diff := cmp.Diff(identityOf(second), identityOf(got)); diff != "" {
			t.Fatalf("device (-new +got):\n%s", diff)
		}
		if got.PushName != "" {
			t.Errorf("PushName is %q, the old device's", got.PushName)
		}
		check(t, got, written)
	})
}

func runSessions(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	t.Run("clause 5: a deleted device deletes its session", func(t *testing.T) {
		t.Parallel()
		st := open(t)
		Link(t, st, "other", JID(number, 2))
		write(t, Link(t, st, "default", JID(number, 1)))
		device := get(t, st, "default")
		if err := device.Delete(t.Context()); err != nil {
			t.Fatalf("Delete: %v", err)
		}
		if diff := cmp.Diff([]string{"other"}, names(t, st)); diff != "" {
			t.Errorf("sessions (-want +got):\n%s", diff)
		}
		if err := device.Save(t.Context()); err == nil {
			t.Error("Save of a deleted device succeeded")
		}
		check(t, Link(t, st, "default", JID(number, 1)), unwritten)
	})

	t.Run("clause 6: sessions are listed by name", func(t *testing.T) {
		t.Parallel()
		st := open(t)
		if got := names(t, st); len(got) != 0 {
			t.Fatalf("a new store has sessions %q", got)
		}
		for i, name := range []string{"loja", "Ana", "", "ana", "çelik", "a b'\"%?"} {
			Link(t, st, name, JID(number, uint16(i)+1))
		}
		want := []string{"", "Ana", "a b'\"%?", "ana", "loja", "çelik"}
		if diff := cmp.Diff(want, names(t, st)); diff != "" {
			t.Errorf("sessions (-want +got):\n%s", diff)
		}
		for _, name := range want {
			if get(t, st, name).ID == nil {
				t.Errorf("session %q has no device", name)
			}
		}
	})

	t.Run("clause 7: Delete forgets a session and its data", func(t *testing.T) {
		t.Parallel()
		st := open(t)
		write(t, Link(t, st, "other", JID(number, 2)))
		device := Link(t, st, "default", JID(number, 1))
		write(t, device)
		if err := st.Delete(t.Context(), "default"); err != nil {
			t.Fatalf("Delete: %v", err)
		}
		if err := device.Save(t.Context()); err == nil {
			t.Error("a device whose session was deleted could save itself")
		}
		if diff := cmp.Diff([]string{"other"}, names(t, st)); diff != "" {
			t.Errorf("sessions (-want +got):\n%s", diff)
		}
		check(t, get(t, st, "other"), written)
		check(t, Link(t, st, "default", JID(number, 1)), unwritten)
		for _, name := range []string{"nobody", ""} {
			if err := st.Delete(t.Context(), name); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("Delete(%q): %v, want ErrNotFound", name, err)
			}
		}
	})
}
