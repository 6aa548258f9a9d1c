package storetest

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink/store"
)

// holder returns a Holder that has not begun.
func holder(name string) store.Holder { return store.Holder{ID: rand.Text(), Name: name} }

// take takes a lease for a holder that has begun.
func take(tb testing.TB, leaser store.Leaser, session string, holder store.Holder) store.Lease {
	tb.Helper()
	if holder.Until.IsZero() {
		tb.Fatal("the holder has not begun")
	}
	return begin(tb, leaser, session, holder, 2*long) // the ttl does not count
}

// begin takes a lease, and begins its holder with it.
func begin(tb testing.TB, leaser store.Leaser, session string, holder store.Holder, ttl time.Duration) store.Lease {
	tb.Helper()
	taken, busy, err := leaser.TakeLeases(tb.Context(), []string{session}, holder, ttl)
	if err != nil || len(taken) != 1 || len(busy) != 0 {
		tb.Fatalf("TakeLeases of %.40q: %d taken, %d busy, %v", session, len(taken), len(busy), err)
	}
	return taken[0]
}

func renew(tb testing.TB, leaser store.Leaser, holder store.Holder, ttl time.Duration) store.Holder {
	tb.Helper()
	holder, err := leaser.RenewHolder(tb.Context(), holder, ttl)
	if err != nil {
		tb.Fatalf("RenewHolder: %v", err)
	}
	return holder
}

func release(tb testing.TB, leaser store.Leaser, lease store.Lease) {
	tb.Helper()
	if err := leaser.ReleaseLease(tb.Context(), lease); err != nil {
		tb.Fatalf("ReleaseLease: %v", err)
	}
}

// end ends the holder of lease.
func end(tb testing.TB, leaser store.Leaser, lease store.Lease) {
	tb.Helper()
	if err := leaser.EndHolder(tb.Context(), store.Holder{ID: lease.HolderID}); err != nil {
		tb.Fatalf("EndHolder: %v", err)
	}
}

// wantLease fails the test unless lease is in force.
func wantLease(tb testing.TB, leaser store.Leaser, lease store.Lease) {
	tb.Helper()
	got, err := leaser.PeekLease(tb.Context(), lease.Session)
	if err != nil {
		tb.Errorf("PeekLease of %.40q: %v", lease.Session, err)
	} else if diff := cmp.Diff(lease, got); diff != "" {
		tb.Errorf("PeekLease (-want +got):\n%s", diff)
	}
}

func wantNoLease(tb testing.TB, leaser store.Leaser, session string) {
	tb.Helper()
	if got, err := leaser.PeekLease(tb.Context(), session); !errors.Is(err, store.ErrNotFound) {
		tb.Errorf("PeekLease of %.40q: %v, %v, want ErrNotFound", session, got, err)
	}
}

func wantLeases(tb testing.TB, leaser store.Leaser, want ...store.Lease) {
	tb.Helper()
	got, err := leaser.Leases(tb.Context())
	if err != nil {
		tb.Errorf("Leases: %v", err)
	} else if diff := cmp.Diff(want, got); diff != "" {
		tb.Errorf("Leases (-want +got):\n%s", diff)
	}
}

// wantLost fails the test unless the holder is not there.
func wantLost(tb testing.TB, leaser store.Leaser, holder store.Holder) {
	tb.Helper()
	if _, err := leaser.RenewHolder(tb.Context(), holder, long); !errors.Is(err, store.ErrLeaseLost) {
		tb.Errorf("RenewHolder of %s: %v, want ErrLeaseLost", holder.Name, err)
	}
	holder.Until = time.Now().Add(long)
	if _, _, err := leaser.TakeLeases(tb.Context(), []string{"a free one"}, holder, long); !errors.Is(err, store.ErrLeaseLost) {
		tb.Errorf("TakeLeases by %s: %v, want ErrLeaseLost", holder.Name, err)
	}
	wantNoLease(tb, leaser, "a free one")
}

// wantBusy fails the test unless holder gets none of the sessions of these leases.
func wantBusy(tb testing.TB, leaser store.Leaser, holder store.Holder, leases ...store.Lease) {
	tb.Helper()
	var sessions []string
	for _, lease := range leases {
		sessions = append(sessions, lease.Session)
	}
	taken, busy, err := leaser.TakeLeases(tb.Context(), sessions, holder, long)
	if err != nil || len(taken) > 0 {
		tb.Errorf("TakeLeases: %+v, %v, want all of them busy", taken, err)
	}
	if diff := cmp.Diff(leases, busy); diff != "" {
		tb.Errorf("the busy leases (-want +got):\n%s", diff)
	}
}
