package storetest

import (
	"testing"

	"github.com/walink/walink/store"
)

// runLease runs the cases of a Store that is a Leaser.
func runLease(t *testing.T, open func(t *testing.T) store.Store, reopen func(t *testing.T, st store.Store) store.Store) {
	t.Helper()
	t.Run("leases", func(t *testing.T) {
		t.Parallel()
		leaserOf(t, open(t)) // skips all cases if the Store is no Leaser
		RunLeaser(t, func(t *testing.T) store.Leaser {
			t.Helper()
			return leaserOf(t, open(t))
		})
		runStoreLease(t, open, reopen)
	})
}

func runStoreLease(t *testing.T, open func(t *testing.T) store.Store, reopen func(t *testing.T, st store.Store) store.Store) {
	t.Helper()
	t.Run("Leaser: clause 8: deleting a session does not touch its lease", func(t *testing.T) {
		t.Parallel()
		st := open(t)
		leaser := leaserOf(t, st)
		lease := begin(t, leaser, "default", holder("one"), long)
		Link(t, st, "default", JID(number, 1))
		wantLease(t, leaser, lease)
		if err := st.Delete(t.Context(), "default"); err != nil {
			t.Fatalf("Delete: %v", err)
		}
		wantLease(t, leaser, lease)
	})
	if reopen == nil {
		return
	}
	t.Run("Leaser: clauses 5 and 8: leases and tokens survive Close", func(t *testing.T) {
		t.Parallel()
		st := open(t)
		leaser := leaserOf(t, st)
		over := begin(t, leaser, "over", holder("one"), 0)
		released := begin(t, leaser, "released", holder("one"), long)
		release(t, leaser, released)
		kept := begin(t, leaser, "kept", holder("one"), long)

		leaser = leaserOf(t, reopen(t, st))
		wantLease(t, leaser, kept)
		wantBusy(t, leaser, holder("two"), kept)
		for _, before := range []store.Lease{over, released} {
			if after := begin(t, leaser, before.Session, holder("two"), long); after.Token <= before.Token {
				t.Errorf("the lease of %q has token %d after %d", before.Session, after.Token, before.Token)
			}
		}
	})
}

// leaserOf returns st as a Leaser, or skips the test.
func leaserOf(t *testing.T, st store.Store) store.Leaser {
	t.Helper()
	leaser, ok := st.(store.Leaser)
	if !ok {
		t.Skip("the Store is no Leaser")
	}
	return leaser
}
