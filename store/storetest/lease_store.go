package storetest

import (
	"errors"
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
	t.Run("Leaser: deleting a session does not touch its lease", func(t *testing.T) {
		t.Parallel()
		st := open(t)
		leaser := leaserOf(t, st)
		lease := take(t, leaser, "default", "one", long)
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
	t.Run("Leaser: tokens grow after the Store was opened again", func(t *testing.T) {
		t.Parallel()
		st := open(t)
		leaser := leaserOf(t, st)
		over := take(t, leaser, "over", "one", 0)
		released := take(t, leaser, "released", "one", long)
		release(t, leaser, released)
		kept := take(t, leaser, "kept", "one", long)

		leaser = leaserOf(t, reopen(t, st))
		for _, before := range []store.Lease{over, released, kept} {
			after, err := leaser.TakeLease(t.Context(), before.Session, "two", long)
			var busy *store.BusyError
			switch {
			case errors.As(err, &busy) && before == kept: // a Store may not know, or not for sure yet, that the holder is dead
				if busy.Lease.Until.Before(kept.Until) {
					busy.Lease.Until = kept.Until
				}
				wantBusy(t, busy, kept)
			case err != nil:
				t.Errorf("TakeLease of %q: %v", before.Session, err)
			case after.Token <= before.Token:
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
