package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink/store"
)

func runReopen(t *testing.T, open func(t *testing.T) store.Store, reopen func(t *testing.T, st store.Store) store.Store) {
	t.Helper()
	t.Run("clause 3: what was stored survives Close", func(t *testing.T) {
		t.Parallel()
		st := open(t)
		device := Link(t, st, "default", JID(number, 1))
		write(t, device)
		Link(t, st, "gone", JID(number, 2))
		if err := st.Delete(t.Context(), "gone"); err != nil {
			t.Fatalf("Delete: %v", err)
		}
		before, err := st.Sessions(t.Context())
		if err != nil {
			t.Fatalf("Sessions: %v", err)
		}

		st = reopen(t, st)
		after, err := st.Sessions(t.Context())
		if err != nil {
			t.Fatalf("Sessions: %v", err)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("sessions (-before +after):\n%s", diff)
		}
		got := get(t, st, "default")
		if diff := cmp.Diff(identityOf(device), identityOf(got)); diff != "" {
			t.Errorf("device (-before +after):\n%s", diff)
		}
		check(t, got, written)
	})

	t.Run("Ledger: a budget survives Close", func(t *testing.T) {
		t.Parallel()
		st := open(t)
		now := time.Now()
		for _, want := range []time.Time{{}, now.Add(time.Minute)} {
			next, err := ledgerOf(t, st).TakeCode(t.Context(), number, now, 1, time.Minute)
			if err != nil || !next.Equal(want) {
				t.Errorf("TakeCode: next %v, %v, want %v", next, err, want)
			}
			st = reopen(t, st)
		}
	})
}
