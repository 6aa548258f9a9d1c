package storetest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink/store"
)

// long is a ttl that no test outlives.
const long = time.Hour

// RunLeaser runs the cases of a [store.Leaser] alone, for one that is no
// Store. Every call of open must give an empty one.
func RunLeaser(t *testing.T, open func(t *testing.T) store.Leaser) {
	t.Helper()
	for name, test := range map[string]func(t *testing.T, leaser store.Leaser){
		"a session is lent to one at a time, and a name opens nothing": leaseExclusive,
		"tokens grow with each lending":                                leaseTokens,
		"a lease says since when and until when, in UTC":               leaseTimes,
		"a lease whose time is up can be taken, and is then lost":      leaseTaken,
		"a lease whose time is up and that nobody took is renewed":     leaseRenewed,
		"a lease ends by itself":                                       leasePasses,
		"releasing ends a lease, once, and no other":                   leaseReleased,
		"any string is a session":                                      leaseNames,
		"ctx is obeyed and nothing is lent":                            leaseContext,
		"one of many wins":                                             leaseAtomic,
	} {
		t.Run("Leaser: "+name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func leaseExclusive(t *testing.T, leaser store.Leaser) {
	t.Helper()
	first := take(t, leaser, "default", "one", long)
	if first.Session != "default" || first.Holder != "one" {
		t.Errorf("TakeLease gave a lease of %q to %q", first.Session, first.Holder)
	}
	for _, holder := range []string{"two", "one"} {
		_, err := leaser.TakeLease(t.Context(), "default", holder, long)
		wantBusy(t, err, first)
	}
	wantLease(t, leaser, first)
	other := take(t, leaser, "other", "one", long)
	wantLease(t, leaser, other)
	wantLease(t, leaser, first)
}

func leaseTokens(t *testing.T, leaser store.Leaser) {
	t.Helper()
	var last uint64
	for i, ttl := range []time.Duration{long, 0, -long, long, 0, long} {
		lease := take(t, leaser, "default", "one", ttl)
		if lease.Token <= last {
			t.Errorf("lease %d has token %d after %d", i, lease.Token, last)
		}
		last = lease.Token
		if ttl > 0 {
			release(t, leaser, lease)
		}
	}
}

func leaseTimes(t *testing.T, leaser store.Leaser) {
	t.Helper()
	// The clock of a Store may be that of another machine.
	const skew = time.Minute
	before := time.Now().Add(-skew)
	lease := take(t, leaser, "default", "one", long)
	if lease.Since.Before(before) || lease.Since.After(time.Now().Add(skew)) {
		t.Errorf("Since %v, want now", lease.Since)
	}
	for _, ttl := range []time.Duration{long, 3 * long, 2 * long} {
		renewed := renew(t, leaser, lease, ttl)
		if renewed.Until.Before(before.Add(ttl)) || renewed.Until.After(time.Now().Add(skew+ttl)) {
			t.Errorf("Until %v, want it %v from now", renewed.Until, ttl)
		}
		if renewed.Since.Location() != time.UTC || renewed.Until.Location() != time.UTC {
			t.Errorf("from %v until %v, want UTC", renewed.Since, renewed.Until)
		}
		lease.Until = renewed.Until
		if diff := cmp.Diff(lease, renewed); diff != "" {
			t.Errorf("the renewed lease (-want +got):\n%s", diff)
		}
		wantLease(t, leaser, renewed)
	}
}

func leaseTaken(t *testing.T, leaser store.Leaser) {
	t.Helper()
	for _, ttl := range []time.Duration{0, -long} {
		first := take(t, leaser, "default", "one", ttl)
		if first.Until.After(first.Since) {
			t.Errorf("with a ttl of %v the lease is from %v until %v", ttl, first.Since, first.Until)
		}
		wantNoLease(t, leaser, "default")
		second := take(t, leaser, "default", "two", long)
		if _, err := leaser.RenewLease(t.Context(), first, long); !errors.Is(err, store.ErrLeaseLost) {
			t.Errorf("RenewLease of the first: %v, want ErrLeaseLost", err)
		}
		release(t, leaser, first)
		wantLease(t, leaser, second)
		release(t, leaser, second)
		if _, err := leaser.RenewLease(t.Context(), first, long); !errors.Is(err, store.ErrLeaseLost) {
			t.Errorf("RenewLease of the first when the second has ended: %v, want ErrLeaseLost", err)
		}
		wantNoLease(t, leaser, "default")
	}
}

func leaseRenewed(t *testing.T, leaser store.Leaser) {
	t.Helper()
	lease := take(t, leaser, "default", "one", 0)
	renewed := renew(t, leaser, lease, long)
	if renewed.Token != lease.Token || !renewed.Since.Equal(lease.Since) {
		t.Errorf("renewed: token %d since %v, want %d since %v", renewed.Token, renewed.Since, lease.Token, lease.Since)
	}
	wantLease(t, leaser, renewed)
	_, err := leaser.TakeLease(t.Context(), "default", "two", long)
	wantBusy(t, err, renewed)

	over := renew(t, leaser, renewed, 0)
	wantNoLease(t, leaser, "default")
	wantLease(t, leaser, renew(t, leaser, over, long))
}

func leasePasses(t *testing.T, leaser store.Leaser) {
	t.Helper()
	first := take(t, leaser, "default", "one", 10*time.Millisecond)
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for {
		_, err := leaser.PeekLease(t.Context(), "default")
		if errors.Is(err, store.ErrNotFound) {
			break
		} else if err != nil {
			t.Fatalf("PeekLease: %v", err)
		}
		if time.Since(first.Until) > time.Minute {
			t.Fatalf("the lease until %v is still in force", first.Until)
		}
		<-poll.C
	}
	wantLease(t, leaser, take(t, leaser, "default", "two", long))
}

func leaseReleased(t *testing.T, leaser store.Leaser) {
	t.Helper()
	first := take(t, leaser, "default", "one", long)
	for range 2 {
		release(t, leaser, first)
		wantNoLease(t, leaser, "default")
		if _, err := leaser.RenewLease(t.Context(), first, long); !errors.Is(err, store.ErrLeaseLost) {
			t.Errorf("RenewLease of a released lease: %v, want ErrLeaseLost", err)
		}
	}
	second := take(t, leaser, "default", "one", long)
	release(t, leaser, first)
	wantLease(t, leaser, second)
	// A renewed lease is the same one: what it was before can release it.
	renew(t, leaser, second, 2*long)
	release(t, leaser, second)
	wantNoLease(t, leaser, "default")
}

func leaseNames(t *testing.T, leaser store.Leaser) {
	t.Helper()
	wantNoLease(t, leaser, "nobody")
	var leases []store.Lease
	for _, session := range oddKeys() {
		leases = append(leases, take(t, leaser, session, "holder of "+session[:min(len(session), 10)], long))
	}
	for i, lease := range leases {
		wantLease(t, leaser, lease)
		if i%2 == 0 {
			release(t, leaser, lease)
		}
	}
	for i, lease := range leases {
		if i%2 == 0 {
			wantNoLease(t, leaser, lease.Session)
		} else {
			wantLease(t, leaser, lease)
		}
	}
}

func leaseContext(t *testing.T, leaser store.Leaser) {
	t.Helper()
	lease := take(t, leaser, "default", "one", long)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, takeErr := leaser.TakeLease(ctx, "other", "one", long)
	_, renewErr := leaser.RenewLease(ctx, lease, 2*long)
	_, peekErr := leaser.PeekLease(ctx, "default")
	for what, err := range map[string]error{
		"TakeLease": takeErr, "RenewLease": renewErr, "PeekLease": peekErr, "ReleaseLease": leaser.ReleaseLease(ctx, lease),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", what, err)
		}
	}
	wantLease(t, leaser, lease)
	wantNoLease(t, leaser, "other")
}

func leaseAtomic(t *testing.T, leaser store.Leaser) {
	t.Helper()
	// Nobody has had the first session; the time of the second is up.
	take(t, leaser, "over", "before", 0)
	for _, session := range []string{"new", "over"} {
		var won atomic.Int32
		var group sync.WaitGroup
		for i := range 20 {
			group.Go(func() {
				_, err := leaser.TakeLease(t.Context(), session, strings.Repeat("x", i+1), long)
				var busy *store.BusyError
				switch {
				case err == nil:
					won.Add(1)
				case !errors.As(err, &busy):
					t.Errorf("TakeLease: %v, want a *BusyError", err)
				}
			})
		}
		group.Wait()
		if got := won.Load(); got != 1 {
			t.Errorf("%d holders of the session %q, want 1", got, session)
		}
	}
}

func take(t *testing.T, leaser store.Leaser, session, holder string, ttl time.Duration) store.Lease {
	t.Helper()
	lease, err := leaser.TakeLease(t.Context(), session, holder, ttl)
	if err != nil {
		t.Fatalf("TakeLease of %.40q: %v", session, err)
	}
	return lease
}

func renew(t *testing.T, leaser store.Leaser, lease store.Lease, ttl time.Duration) store.Lease {
	t.Helper()
	lease, err := leaser.RenewLease(t.Context(), lease, ttl)
	if err != nil {
		t.Fatalf("RenewLease: %v", err)
	}
	return lease
}

func release(t *testing.T, leaser store.Leaser, lease store.Lease) {
	t.Helper()
	if err := leaser.ReleaseLease(t.Context(), lease); err != nil {
		t.Fatalf("ReleaseLease: %v", err)
	}
}

// wantLease demands that lease is in force.
func wantLease(t *testing.T, leaser store.Leaser, lease store.Lease) {
	t.Helper()
	got, err := leaser.PeekLease(t.Context(), lease.Session)
	if err != nil {
		t.Errorf("PeekLease of %.40q: %v", lease.Session, err)
	} else if diff := cmp.Diff(lease, got); diff != "" {
		t.Errorf("PeekLease (-want +got):\n%s", diff)
	}
}

func wantNoLease(t *testing.T, leaser store.Leaser, session string) {
	t.Helper()
	if got, err := leaser.PeekLease(t.Context(), session); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("PeekLease of %.40q: %v, %v, want ErrNotFound", session, got, err)
	}
}

func wantBusy(t *testing.T, err error, with store.Lease) {
	t.Helper()
	if busy, ok := errors.AsType[*store.BusyError](err); !ok {
		t.Errorf("TakeLease: %v, want a *BusyError", err)
	} else if diff := cmp.Diff(with, busy.Lease); diff != "" {
		t.Errorf("the lease of the BusyError (-want +got):\n%s", diff)
	}
}
