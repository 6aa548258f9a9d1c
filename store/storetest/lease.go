package storetest

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink/store"
)

// long is a ttl that is longer than any test.
const long = time.Hour

// RunLeaser runs the cases of a [store.Leaser] alone, for a Leaser that is no
// Store. Each call of open must return an empty one.
func RunLeaser(t *testing.T, open func(t *testing.T) store.Leaser) {
	t.Helper()
	for name, test := range leaseCases() {
		t.Run("Leaser: "+name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func leaseCases() map[string]func(tb testing.TB, leaser store.Leaser) {
	return map[string]func(tb testing.TB, leaser store.Leaser){
		"a session is lent to one at a time, and a name opens nothing": leaseExclusive,
		"tokens grow with each lending":                                leaseTokens,
		"a lease says since when and until when, in UTC":               leaseTimes,
		"a lease whose time is up can be taken, and is then lost":      leaseTaken,
		"a lease whose time is up and that nobody took is renewed":     leaseRenewed,
		"a lease ends by itself":                                       leasePasses,
		"a lease is more than its token":                               leaseWhole,
		"the longest ttl is in force":                                  leaseLongest,
		"releasing ends a lease, once, and no other":                   leaseReleased,
		"any string is a session":                                      leaseNames,
		"ctx is obeyed and nothing is lent":                            leaseContext,
		"one of many wins":                                             leaseAtomic,
	}
}

func leaseExclusive(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	first := take(tb, leaser, "default", "one", long)
	if first.Session != "default" || first.Holder != "one" {
		tb.Errorf("TakeLease gave a lease of %q to %q", first.Session, first.Holder)
	}
	for _, holder := range []string{"two", "one"} {
		_, err := leaser.TakeLease(tb.Context(), "default", holder, long)
		wantBusy(tb, err, first)
	}
	wantLease(tb, leaser, first)
	other := take(tb, leaser, "other", "one", long)
	wantLease(tb, leaser, other)
	wantLease(tb, leaser, first)
}

func leaseTokens(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	var last uint64
	for i, ttl := range []time.Duration{long, 0, -long, long, 0, long} {
		lease := take(tb, leaser, "default", "one", ttl)
		if lease.Token <= last {
			tb.Errorf("lease %d has token %d after %d", i, lease.Token, last)
		}
		last = lease.Token
		if ttl > 0 {
			release(tb, leaser, lease)
		}
	}
}

func leaseTimes(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	// The Store may use the clock of another machine.
	const skew = time.Minute
	before := time.Now().Add(-skew)
	lease := take(tb, leaser, "default", "one", long)
	if lease.Since.Before(before) || lease.Since.After(time.Now().Add(skew)) {
		tb.Errorf("Since %v, want now", lease.Since)
	}
	for _, ttl := range []time.Duration{long, 3 * long, 2 * long} {
		renewed := renew(tb, leaser, lease, ttl)
		if renewed.Until.Before(before.Add(ttl)) || renewed.Until.After(time.Now().Add(skew+ttl)) {
			tb.Errorf("Until %v, want it %v from now", renewed.Until, ttl)
		}
		if renewed.Since.Location() != time.UTC || renewed.Until.Location() != time.UTC {
			tb.Errorf("from %v until %v, want UTC", renewed.Since, renewed.Until)
		}
		lease.Until = renewed.Until
		if diff := cmp.Diff(lease, renewed); diff != "" {
			tb.Errorf("the renewed lease (-want +got):\n%s", diff)
		}
		wantLease(tb, leaser, renewed)
	}
}

func leaseTaken(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	for _, ttl := range []time.Duration{0, -long} {
		first := take(tb, leaser, "default", "one", ttl)
		if first.Until.After(first.Since) {
			tb.Errorf("with a ttl of %v the lease is from %v until %v", ttl, first.Since, first.Until)
		}
		wantNoLease(tb, leaser, "default")
		second := take(tb, leaser, "default", "two", long)
		if _, err := leaser.RenewLease(tb.Context(), first, long); !errors.Is(err, store.ErrLeaseLost) {
			tb.Errorf("RenewLease of the first: %v, want ErrLeaseLost", err)
		}
		release(tb, leaser, first)
		wantLease(tb, leaser, second)
		release(tb, leaser, second)
		if _, err := leaser.RenewLease(tb.Context(), first, long); !errors.Is(err, store.ErrLeaseLost) {
			tb.Errorf("RenewLease of the first when the second has ended: %v, want ErrLeaseLost", err)
		}
		wantNoLease(tb, leaser, "default")
	}
}

func leaseRenewed(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	lease := take(tb, leaser, "default", "one", 0)
	renewed := renew(tb, leaser, lease, long)
	if renewed.Token != lease.Token || !renewed.Since.Equal(lease.Since) {
		tb.Errorf("renewed: token %d since %v, want %d since %v", renewed.Token, renewed.Since, lease.Token, lease.Since)
	}
	wantLease(tb, leaser, renewed)
	_, err := leaser.TakeLease(tb.Context(), "default", "two", long)
	wantBusy(tb, err, renewed)

	over := renew(tb, leaser, renewed, 0)
	wantNoLease(tb, leaser, "default")
	wantLease(tb, leaser, renew(tb, leaser, over, long))
}

// A Store that has lost its data may give another holder the same token.
func leaseWhole(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	lease := take(tb, leaser, "default", "one", long)
	for _, change := range []func(*store.Lease){
		func(l *store.Lease) { l.Holder = "two" },
		func(l *store.Lease) { l.Since = l.Since.Add(-time.Hour) },
		func(l *store.Lease) { l.Token-- },
		func(l *store.Lease) { l.Session = "other" },
	} {
		other := lease
		change(&other)
		if _, err := leaser.RenewLease(tb.Context(), other, 2*long); !errors.Is(err, store.ErrLeaseLost) {
			tb.Errorf("RenewLease of %v: %v, want ErrLeaseLost", other, err)
		}
		release(tb, leaser, other)
		wantLease(tb, leaser, lease)
	}
}

func leaseLongest(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	lease := take(tb, leaser, "default", "one", math.MaxInt64)
	wantLease(tb, leaser, lease)
	_, err := leaser.TakeLease(tb.Context(), "default", "two", math.MaxInt64)
	wantBusy(tb, err, lease)
	wantLease(tb, leaser, renew(tb, leaser, lease, math.MaxInt64))
}

func leasePasses(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	first := take(tb, leaser, "default", "one", 10*time.Millisecond)
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for {
		_, err := leaser.PeekLease(tb.Context(), "default")
		if errors.Is(err, store.ErrNotFound) {
			break
		} else if err != nil {
			tb.Fatalf("PeekLease: %v", err)
		}
		if time.Since(first.Until) > time.Minute {
			tb.Fatalf("the lease until %v is still in force", first.Until)
		}
		<-poll.C
	}
	wantLease(tb, leaser, take(tb, leaser, "default", "two", long))
}

func leaseReleased(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	first := take(tb, leaser, "default", "one", long)
	for range 2 {
		release(tb, leaser, first)
		wantNoLease(tb, leaser, "default")
		if _, err := leaser.RenewLease(tb.Context(), first, long); !errors.Is(err, store.ErrLeaseLost) {
			tb.Errorf("RenewLease of a released lease: %v, want ErrLeaseLost", err)
		}
	}
	second := take(tb, leaser, "default", "one", long)
	release(tb, leaser, first)
	wantLease(tb, leaser, second)
	// A renewed lease is the same lease: its earlier value can release it.
	renew(tb, leaser, second, 2*long)
	release(tb, leaser, second)
	wantNoLease(tb, leaser, "default")
}

func leaseNames(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	wantNoLease(tb, leaser, "nobody")
	var leases []store.Lease
	for _, session := range oddKeys() {
		leases = append(leases, take(tb, leaser, session, "holder of "+session[:min(len(session), 10)], long))
	}
	for i, lease := range leases {
		wantLease(tb, leaser, lease)
		if i%2 == 0 {
			release(tb, leaser, lease)
		}
	}
	for i, lease := range leases {
		if i%2 == 0 {
			wantNoLease(tb, leaser, lease.Session)
		} else {
			wantLease(tb, leaser, lease)
		}
	}
}

func leaseContext(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	lease := take(tb, leaser, "default", "one", long)
	ctx, cancel := context.WithCancel(tb.Context())
	cancel()
	_, takeErr := leaser.TakeLease(ctx, "other", "one", long)
	_, renewErr := leaser.RenewLease(ctx, lease, 2*long)
	_, peekErr := leaser.PeekLease(ctx, "default")
	for what, err := range map[string]error{
		"TakeLease": takeErr, "RenewLease": renewErr, "PeekLease": peekErr, "ReleaseLease": leaser.ReleaseLease(ctx, lease),
	} {
		if !errors.Is(err, context.Canceled) {
			tb.Errorf("%s: %v, want context.Canceled", what, err)
		}
	}
	wantLease(tb, leaser, lease)
	wantNoLease(tb, leaser, "other")
}

func leaseAtomic(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	// Nobody has leased the first session, and the lease of the second has
	// expired.
	take(tb, leaser, "over", "before", 0)
	for _, session := range []string{"new", "over"} {
		var won atomic.Int32
		var group sync.WaitGroup
		for i := range 20 {
			group.Go(func() {
				_, err := leaser.TakeLease(tb.Context(), session, strings.Repeat("x", i+1), long)
				var busy *store.BusyError
				switch {
				case err == nil:
					won.Add(1)
				case !errors.As(err, &busy):
					tb.Errorf("TakeLease: %v, want a *BusyError", err)
				}
			})
		}
		group.Wait()
		if got := won.Load(); got != 1 {
			tb.Errorf("%d holders of the session %q, want 1", got, session)
		}
	}
}

func take(tb testing.TB, leaser store.Leaser, session, holder string, ttl time.Duration) store.Lease {
	tb.Helper()
	lease, err := leaser.TakeLease(tb.Context(), session, holder, ttl)
	if err != nil {
		tb.Fatalf("TakeLease of %.40q: %v", session, err)
	}
	return lease
}

func renew(tb testing.TB, leaser store.Leaser, lease store.Lease, ttl time.Duration) store.Lease {
	tb.Helper()
	lease, err := leaser.RenewLease(tb.Context(), lease, ttl)
	if err != nil {
		tb.Fatalf("RenewLease: %v", err)
	}
	return lease
}

func release(tb testing.TB, leaser store.Leaser, lease store.Lease) {
	tb.Helper()
	if err := leaser.ReleaseLease(tb.Context(), lease); err != nil {
		tb.Fatalf("ReleaseLease: %v", err)
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

func wantBusy(tb testing.TB, err error, with store.Lease) {
	tb.Helper()
	if busy, ok := errors.AsType[*store.BusyError](err); !ok {
		tb.Errorf("TakeLease: %v, want a *BusyError", err)
	} else if diff := cmp.Diff(with, busy.Lease); diff != "" {
		tb.Errorf("the lease of the BusyError (-want +got):\n%s", diff)
	}
}
