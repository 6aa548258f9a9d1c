package tenure

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
)

// faulty is a Store that loses one answer, fails one release, and is slow.
type faulty struct {
	*kv.Store

	unheard  string        // the session whose next lease gets no answer
	fails    bool          // the next release fails
	slow     time.Duration // how long the answer to TakeLeases takes
	from, to time.Time     // renewals that begin between them get no answer
}

func (f *faulty) TakeLeases(
	ctx context.Context, sessions []string, holder store.Holder, ttl time.Duration,
) (taken, busy []store.Lease, err error) {
	taken, busy, err = f.Store.TakeLeases(ctx, sessions, holder, ttl)
	time.Sleep(f.slow)
	if err == nil && slices.Contains(sessions, f.unheard) {
		f.unheard = ""
		return nil, nil, errDown
	}
	return taken, busy, err
}

func (f *faulty) ReleaseLease(ctx context.Context, lease store.Lease) error {
	if f.fails {
		f.fails = false
		return errDown
	}
	return f.Store.ReleaseLease(ctx, lease)
}

func (f *faulty) RenewHolder(ctx context.Context, holder store.Holder, ttl time.Duration) (store.Holder, error) {
	if now := time.Now(); !now.Before(f.from) && now.Before(f.to) {
		<-ctx.Done()
		return store.Holder{}, ctx.Err()
	}
	return f.Store.RenewHolder(ctx, holder, ttl)
}

// A process that goes on must not keep what it could not release.
func TestSessionWhoseReleaseFailedIsFreeSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := &faulty{Store: kv.New(memory.New()), fails: true}
		list := takeAll(t, newKeepers("one ", now), st, 2, nil)
		list[1].Release()
		if got := leases(t, st); got != 2 {
			t.Fatalf("%d leases, want 2: the release has not failed", got)
		}
		time.Sleep(sweepTime + time.Millisecond)
		if Busy(t.Context(), st, "session 1") || !list[0].Holds() {
			t.Error("the session is not free, or the other one is lost")
		}
		list[0].Release()
	})
}

// Two processes stand by for a session. One of them gets its lease, but not the answer that
// says so.
func TestProcessDoesNotStandByForItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := &faulty{Store: kv.New(memory.New())}
		g := newKeepers("one ", now)
		first := takeAll(t, g, st, 1, nil)[0]
		st.unheard = "wanted"
		if why := newIn(t.Context(), g, st, "wanted", nil).Take(t.Context()); why == nil || !Busy(t.Context(), st, "wanted") {
			t.Fatalf("the lease is not stored without an answer: %v", why)
		}
		time.Sleep(sweepTime + time.Millisecond)
		if Busy(t.Context(), st, "wanted") {
			t.Error("the process keeps a session that it does not use")
		}
		// A call that nobody waits for may lend the session even now.
		if _, _, err := st.TakeLeases(t.Context(), []string{"wanted"}, first.keeper.holder, ttl); err != nil {
			t.Fatal(err)
		}
		time.Sleep(sweepTime)
		if Busy(t.Context(), st, "wanted") || !first.Holds() {
			t.Error("the session is not free, or the other one is lost")
		}
		first.Release()
	})
}

// A session that is taken while the Store may have an older lease of it is not released.
func TestSessionInUseIsNotReleased(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := &faulty{Store: kv.New(memory.New()), fails: true}
		g := newKeepers("one ", now)
		list := takeAll(t, g, st, 2, nil)
		list[1].Release()
		again := newIn(t.Context(), g, st, "session 1", func(*Tenure, *machine.Failure) { t.Error("the session is lost") })
		if why := again.Take(t.Context()); why != nil {
			t.Fatal(why.Err)
		}
		time.Sleep(time.Minute)
		if lease, err := st.PeekLease(t.Context(), "session 1"); err != nil || lease.Token != again.lease.Token {
			t.Errorf("PeekLease: %+v, %v, want %+v", lease, err, again.lease)
		}
		again.Release()
		list[0].Release()
	})
}

// The holder of a lease that this process has given up is ended, so that its row is gone too.
func TestHolderThatNobodyKnowsIsEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := &faulty{Store: kv.New(memory.New()), unheard: "session 0"}
		g := newKeepers("one ", now)
		if why := newIn(t.Context(), g, st, "session 0", nil).Take(t.Context()); why == nil {
			t.Fatal("the answer was not lost")
		}
		lease, err := st.PeekLease(t.Context(), "session 0")
		if err != nil {
			t.Fatal(err)
		}
		again := takeAll(t, g, st, 1, nil)[0]
		if _, err := st.Store.RenewHolder(t.Context(), store.Holder{ID: lease.HolderID}, ttl); err == nil {
			t.Error("the holder is still there")
		}
		again.Release()
	})
}

// The age of a lease counts from the question, however late its answer comes.
func TestSessionIsGivenUpInTimeAfterALateAnswer(t *testing.T) {
	t.Parallel()
	for _, late := range []time.Duration{0, 9 * time.Second, limit - time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			st := &faulty{Store: kv.New(memory.New()), slow: late, to: time.Now().Add(time.Hour)}
			start := time.Now()
			var gone atomic.Int64
			tenure := newIn(t.Context(), newKeepers("one ", now), st, "x", func(*Tenure, *machine.Failure) { gone.Store(int64(time.Since(start))) })
			if why := tenure.Take(t.Context()); why != nil {
				t.Fatal(why.Err)
			}
			time.Sleep(time.Minute)
			if gone := time.Duration(gone.Load()); gone == 0 || gone > limit+retryTime { // one try more takes retryTime
				t.Errorf("with an answer after %v the session is given up after %v", late, gone)
			}
			tenure.Release()
		})
	}
}

// A Tenure that got its lease too late does not keep the session from the next one.
func TestTenureThatCameTooLateLeavesItsSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := &faulty{Store: kv.New(memory.New()), slow: limit}
		g := newKeepers("one ", now)
		first := newIn(t.Context(), g, st, "x", nil)
		if why := first.Take(t.Context()); why == nil {
			t.Fatal("taken")
		}
		st.slow = 0
		second := newIn(t.Context(), g, st, "x", nil)
		if other := g.join(second); other != nil {
			t.Fatal("the first has the session")
		}
		second.keeper.leave(second)
		if why := second.Take(t.Context()); why != nil {
			t.Error(why.Err)
		}
		first.Release()
		if !second.Holds() {
			t.Error("the second has lost the session")
		}
		second.Release()
	})
}

// Another program has ended the holder, and this process does not know it yet.
func TestFreeSessionIsTakenAlthoughTheHolderWasEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st, g := kv.New(memory.New()), newKeepers("one ", now)
		var lost atomic.Int32
		first := takeAll(t, g, st, 1, func(*Tenure, *machine.Failure) { lost.Add(1) })[0]
		if err := st.EndHolder(t.Context(), first.keeper.holder); err != nil {
			t.Fatal(err)
		}
		second := newIn(t.Context(), g, st, "another", func(*Tenure, *machine.Failure) { t.Error("the session is lost") })
		if why := second.Take(t.Context()); why != nil {
			t.Fatalf("a free session: %s, %v", why.Reason, why.Err)
		}
		time.Sleep(time.Minute)
		if lost.Load() != 1 || first.Holds() || !second.Holds() {
			t.Errorf("the first session was lost %d times", lost.Load())
		}
		first.Release()
		second.Release()
		if got := leases(t, st); got != 0 {
			t.Errorf("%d leases are left", got)
		}
	})
}

// Calls that begin while the database is away may get no answer at all.
func TestNobodyNoticesADatabaseThatHangsForSixSeconds(t *testing.T) {
	t.Parallel()
	for first := range 5 { // when the database goes away, within the time between two renewals
		synctest.Test(t, func(t *testing.T) {
			from := time.Now().Add(time.Duration(first) * renewTime / 4)
			st := &faulty{Store: kv.New(memory.New()), from: from, to: from.Add(6 * time.Second)}
			tenure := newIn(t.Context(), newKeepers("one ", now), st, "x", func(_ *Tenure, why *machine.Failure) { t.Error(why.Err) })
			if why := tenure.Take(t.Context()); why != nil {
				t.Fatal(why.Err)
			}
			time.Sleep(time.Minute)
			if !tenure.Holds() {
				t.Error("the session is lost")
			}
			tenure.Release()
		})
	}
}
