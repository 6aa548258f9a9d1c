package storetest

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/walink/walink/store"
)

// long is a ttl that is longer than any test.
const long = time.Hour

// RunLeaser runs the cases of a [store.Leaser] alone, for a Leaser that is no
// Store. Each call of open must return an empty one. Clause 7 is not tested here,
// because the clock of a Leaser cannot be set back from outside.
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
		"clause 1: a lease says since when and until when, in UTC":              leaseTimes,
		"clause 1: a lease ends with its holder":                                leasePasses,
		"clause 1: the longest ttl is in force":                                 leaseLongest,
		"clause 1: Leases are those in force":                                   leaseList,
		"clause 2: a session is lent to one at a time":                          leaseExclusive,
		"clause 2: a holder that gets no session has not begun":                 leaseBusy,
		"clause 3: a holder loses all its sessions with the first":              leaseTaken,
		"clause 3: a holder that is not there gets nothing":                     leaseUnknown,
		"clause 3: a call takes what is free, and ends those that have run out": leaseSeveral,
		"clause 3: a call of a holder that is not there lends nothing":          leaseNothing,
		"clause 3: a renewal and a takeover at once: one of them succeeds":      leaseRace,
		"clause 4: a holder whose time is up and that nobody ended":             leaseRenewed,
		"clause 5: tokens grow with each lending":                               leaseTokens,
		"clause 6: releasing ends a lease, once, and no other":                  leaseReleased,
		"clause 6: the end of a holder is that of its leases":                   leaseEnded,
		"clause 8: any string is a session":                                     leaseNames,
		"clause 8: ctx is obeyed and nothing is lent":                           leaseContext,
		"clause 8: one of many wins":                                            leaseAtomic,
		"clause 8: a holder takes many sessions at once":                        leaseMany,
		"clause 8: many take several at once":                                   leaseCrossed,
		"clause 9: Holders are those in force that have leases":                 leaseHolders,
		"clause 9: the Mark shows each lease that is taken or ended":            leaseMarks,
	}
}

func leaseExclusive(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	one := holder("one")
	first := begin(tb, leaser, "default", one, long)
	if first.Session != "default" || first.Holder != "one" || first.HolderID != one.ID {
		tb.Errorf("TakeLeases gave %+v to %+v", first, one)
	}
	one.Until = first.Until
	for _, other := range []store.Holder{holder("two"), holder("one"), one} {
		wantBusy(tb, leaser, other, first)
	}
	wantLease(tb, leaser, first)
	other := take(tb, leaser, "other", one)
	wantLease(tb, leaser, other)
	wantLease(tb, leaser, first)
}

func leaseBusy(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	first := begin(tb, leaser, "default", holder("one"), long)
	two := holder("two")
	wantBusy(tb, leaser, two, first)
	wantLost(tb, leaser, two)
	two.Until = first.Until
	wantBusy(tb, leaser, two, first) // it is no error that the holder is not there
	wantBusy(tb, leaser, two)
}

func leaseTokens(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	var last uint64
	for i, ttl := range []time.Duration{long, 0, -long, long, 0, long} {
		lease := begin(tb, leaser, "default", holder("one"), ttl)
		if lease.Token <= last {
			tb.Errorf("lease %d has token %d after %d", i, lease.Token, last)
		}
		last = lease.Token
		switch {
		case ttl <= 0:
		case i == 0:
			release(tb, leaser, lease)
		default:
			end(tb, leaser, lease)
		}
	}
}

func leaseTimes(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	// The Store may use the clock of another machine.
	const skew = time.Minute
	before := time.Now().Add(-skew)
	one := holder("one")
	lease := begin(tb, leaser, "default", one, long)
	if lease.Since.Before(before) || lease.Since.After(time.Now().Add(skew)) {
		tb.Errorf("Since %v, want now", lease.Since)
	}
	if lease.Since.Location() != time.UTC || lease.Until.Location() != time.UTC {
		tb.Errorf("from %v until %v, want UTC", lease.Since, lease.Until)
	}
	for _, ttl := range []time.Duration{long, 3 * long, 2 * long} {
		renewed := renew(tb, leaser, one, ttl)
		if renewed.Until.Before(before.Add(ttl)) || renewed.Until.After(time.Now().Add(skew+ttl)) || renewed.Until.Location() != time.UTC {
			tb.Errorf("Until %v, want it %v from now", renewed.Until, ttl)
		}
		lease.Until, one.Until = renewed.Until, renewed.Until
		if diff := gocmp.Diff(one, renewed); diff != "" {
			tb.Errorf("the renewed holder (-want +got):\n%s", diff)
		}
		wantLease(tb, leaser, lease)
		if other := take(tb, leaser, "other", one); !other.Until.Equal(one.Until) {
			tb.Errorf("another lease of the holder ends at %v, want %v", other.Until, one.Until)
		} else {
			release(tb, leaser, other)
		}
	}
}

func leaseTaken(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	for _, ttl := range []time.Duration{0, -long} {
		one := holder("one")
		first := begin(tb, leaser, "default", one, ttl)
		if first.Until.After(first.Since) {
			tb.Errorf("with a ttl of %v the lease is from %v until %v", ttl, first.Since, first.Until)
		}
		one.Until = first.Until
		also := take(tb, leaser, "other", one)
		wantNoLease(tb, leaser, "default")
		two := holder("two")
		second := begin(tb, leaser, "default", two, long)
		wantLost(tb, leaser, one)
		release(tb, leaser, first)
		end(tb, leaser, also)
		wantLease(tb, leaser, second)
		release(tb, leaser, second)
		wantLost(tb, leaser, one)
		wantNoLease(tb, leaser, "default")
		wantNoLease(tb, leaser, "other")
		renew(tb, leaser, two, long)
	}
}

func leaseUnknown(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	two := holder("two")
	wantLost(tb, leaser, two)
	wantLost(tb, leaser, store.Holder{Name: "one without an ID"})
	one := holder("one")
	lease := begin(tb, leaser, "default", one, long)
	end(tb, leaser, lease)
	one.Until = lease.Until
	wantLost(tb, leaser, one)
	wantNoLease(tb, leaser, "default")
}

func leaseSeveral(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	over, alive, one := holder("over"), holder("alive"), holder("one")
	first := begin(tb, leaser, "over", over, 0)
	over.Until = first.Until
	take(tb, leaser, "also over", over)
	otherOver := holder("another that is over")
	begin(tb, leaser, "over with another", otherOver, 0)
	a, b := begin(tb, leaser, "b of one that lives", alive, long), begin(tb, leaser, "a of another", holder("another"), long)
	release(tb, leaser, begin(tb, leaser, "released", holder("a third"), long))
	free := []string{"over", "new", "released", "new", "over with another", "another new one"}
	sessions := slices.Concat(free[:2], []string{a.Session, a.Session}, free[2:5], []string{b.Session}, free[5:])
	taken, busy, err := leaser.TakeLeases(tb.Context(), sessions, one, long)
	if diff := gocmp.Diff([]store.Lease{a, b}, busy); err != nil || diff != "" {
		tb.Errorf("TakeLeases: %v, busy (-want +got):\n%s", err, diff)
	}
	var got []string
	for _, lease := range taken {
		got = append(got, lease.Session)
		wantLease(tb, leaser, lease)
		if lease.HolderID != one.ID || lease.Session == "over" && lease.Token <= first.Token {
			tb.Errorf("TakeLeases gave %+v to %+v after %+v", lease, one, first)
		}
	}
	if diff := gocmp.Diff([]string{"over", "new", "released", "over with another", "another new one"}, got); diff != "" {
		tb.Errorf("the sessions that are taken (-want +got):\n%s", diff)
	}
	wantLost(tb, leaser, over)
	wantLost(tb, leaser, otherOver)
	wantNoLease(tb, leaser, "also over")
	one.Until = renew(tb, leaser, one, long).Until
	taken, busy, err = leaser.TakeLeases(tb.Context(), []string{"also over", "new"}, one, 2*long)
	if err != nil || len(taken) != 1 || len(busy) != 1 || busy[0].HolderID != one.ID || !taken[0].Until.Equal(one.Until) {
		tb.Errorf("TakeLeases by a holder that has begun: %+v, busy %+v, %v", taken, busy, err)
	}
}

func leaseNothing(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	over := holder("over")
	over.Until = begin(tb, leaser, "over", over, 0).Until
	busy := begin(tb, leaser, "busy", holder("one"), long)
	lost := holder("lost")
	lost.Until = busy.Until
	sessions := []string{"new", "busy", "over"}
	if taken, held, err := leaser.TakeLeases(tb.Context(), sessions, lost, long); !errors.Is(err, store.ErrLeaseLost) || len(taken)+len(held) > 0 {
		tb.Errorf("TakeLeases: %+v, busy %+v, %v, want ErrLeaseLost", taken, held, err)
	}
	wantLeases(tb, leaser, busy)
	renew(tb, leaser, over, long) // it was not ended
}

func leaseRenewed(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	one := holder("one")
	lease := begin(tb, leaser, "default", one, 0)
	one.Until = lease.Until
	other := take(tb, leaser, "other", one) // which is in force once the holder is
	wantNoLease(tb, leaser, "other")
	renewed := renew(tb, leaser, one, long)
	lease.Until, other.Until = renewed.Until, renewed.Until
	for _, lease := range []store.Lease{lease, other} {
		wantLease(tb, leaser, lease)
		wantBusy(tb, leaser, holder("two"), lease)
	}
	for range 20 { // at several parts of a millisecond, in case the Store rounds times
		renew(tb, leaser, one, 0)
		wantNoLease(tb, leaser, "default")
	}
	lease.Until = renew(tb, leaser, one, long).Until
	wantLease(tb, leaser, lease)
}

func leaseLongest(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	one := holder("one")
	lease := begin(tb, leaser, "default", one, math.MaxInt64)
	wantLease(tb, leaser, lease)
	wantBusy(tb, leaser, holder("two"), lease)
	lease.Until = renew(tb, leaser, one, math.MaxInt64).Until
	wantLease(tb, leaser, lease)
}

func leasePasses(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	first := begin(tb, leaser, "default", holder("one"), 10*time.Millisecond)
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
	wantLease(tb, leaser, begin(tb, leaser, "default", holder("two"), long))
}

func leaseReleased(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	one := holder("one")
	first := begin(tb, leaser, "default", one, long)
	one.Until = first.Until
	other := take(tb, leaser, "other", one)
	// A Store that has lost its data may give another holder the same token.
	for _, change := range []func(*store.Lease){
		func(l *store.Lease) { l.HolderID = holder("two").ID },
		func(l *store.Lease) { l.HolderID = "" },
		func(l *store.Lease) { l.Token-- },
		func(l *store.Lease) { l.Session = "a third" },
	} {
		changed := first
		change(&changed)
		release(tb, leaser, changed)
		wantLease(tb, leaser, first)
	}
	for range 2 {
		release(tb, leaser, first)
		wantNoLease(tb, leaser, "default")
	}
	wantLease(tb, leaser, other)
	second := take(tb, leaser, "default", one)
	release(tb, leaser, first)
	wantLease(tb, leaser, second)
	// A renewed lease is the same lease: its earlier value can release it.
	renew(tb, leaser, one, 2*long)
	release(tb, leaser, second)
	wantNoLease(tb, leaser, "default")
	// Without leases a holder goes on.
	release(tb, leaser, other)
	renew(tb, leaser, one, long)
	wantLease(tb, leaser, begin(tb, leaser, "default", holder("two"), long))
}

func leaseEnded(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	one := holder("one")
	first := begin(tb, leaser, "default", one, long)
	one.Until = first.Until
	take(tb, leaser, "other", one)
	kept := begin(tb, leaser, "kept", holder("two"), long)
	end(tb, leaser, store.Lease{HolderID: holder("nobody").ID})
	wantLease(tb, leaser, first)
	for range 2 {
		end(tb, leaser, first)
		wantNoLease(tb, leaser, "default")
		wantNoLease(tb, leaser, "other")
		wantLost(tb, leaser, one)
	}
	wantLease(tb, leaser, kept)
	second := begin(tb, leaser, "default", holder("three"), long)
	end(tb, leaser, first)
	wantLease(tb, leaser, second)
}

func leaseList(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	wantLeases(tb, leaser)
	one := holder("one")
	b := begin(tb, leaser, "b", one, long)
	one.Until = b.Until
	a, released := take(tb, leaser, "a", one), take(tb, leaser, "released", one)
	release(tb, leaser, released)
	begin(tb, leaser, "over", holder("two"), 0)
	c := begin(tb, leaser, "c", holder("three"), long)
	wantLeases(tb, leaser, a, b, c)
	end(tb, leaser, a)
	wantLeases(tb, leaser, c)
}

func leaseNames(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	wantNoLease(tb, leaser, "nobody")
	var leases []store.Lease
	for _, session := range oddKeys() {
		leases = append(leases, begin(tb, leaser, session, holder("holder of "+session[:min(len(session), 10)]), long))
	}
	for i, lease := range leases {
		wantLease(tb, leaser, lease)
		if i%2 == 0 {
			release(tb, leaser, lease)
		}
	}
	var left []store.Lease
	for i, lease := range leases {
		if i%2 == 0 {
			wantNoLease(tb, leaser, lease.Session)
		} else {
			wantLease(tb, leaser, lease)
			left = append(left, lease)
		}
	}
	slices.SortFunc(left, func(a, b store.Lease) int { return cmp.Compare(a.Session, b.Session) })
	wantLeases(tb, leaser, left...)
}

func leaseContext(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	one := holder("one")
	lease := begin(tb, leaser, "default", one, long)
	ctx, cancel := context.WithCancel(tb.Context())
	cancel()
	two := holder("two")
	_, _, takeErr := leaser.TakeLeases(ctx, []string{"other"}, two, long)
	_, renewErr := leaser.RenewHolder(ctx, one, 2*long)
	_, peekErr := leaser.PeekLease(ctx, "default")
	_, listErr := leaser.Leases(ctx)
	_, holdersErr := leaser.Holders(ctx)
	for what, err := range map[string]error{
		"TakeLeases": takeErr, "RenewHolder": renewErr, "PeekLease": peekErr, "Leases": listErr, "Holders": holdersErr,
		"ReleaseLease": leaser.ReleaseLease(ctx, lease), "EndHolder": leaser.EndHolder(ctx, one),
	} {
		if !errors.Is(err, context.Canceled) {
			tb.Errorf("%s: %v, want context.Canceled", what, err)
		}
	}
	wantLease(tb, leaser, lease)
	wantNoLease(tb, leaser, "other")
	wantLost(tb, leaser, two) // it has not begun
}
