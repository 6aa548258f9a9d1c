package tenure

import (
	"context"
	"errors"
	"fmt"
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

// counted is a Store that counts what it is asked for, and fails on request.
type counted struct {
	*kv.Store

	takes, renewals, releases, ends atomic.Int32
	down, quiet                     atomic.Bool // quiet: it lends nothing, and does not say why
}

var errDown = errors.New("the database is away")

func (c *counted) TakeLeases(
	ctx context.Context, sessions []string, holder store.Holder, ttl time.Duration,
) (taken, busy []store.Lease, err error) {
	c.takes.Add(1)
	switch {
	case c.down.Load():
		return nil, nil, errDown
	case c.quiet.Load():
		return nil, nil, nil
	}
	return c.Store.TakeLeases(ctx, sessions, holder, ttl)
}

func (c *counted) RenewHolder(ctx context.Context, holder store.Holder, ttl time.Duration) (store.Holder, error) {
	c.renewals.Add(1)
	if c.down.Load() {
		return store.Holder{}, errDown
	}
	return c.Store.RenewHolder(ctx, holder, ttl)
}

func (c *counted) ReleaseLease(ctx context.Context, lease store.Lease) error {
	c.releases.Add(1)
	return c.Store.ReleaseLease(ctx, lease)
}

func (c *counted) EndHolder(ctx context.Context, holder store.Holder) error {
	c.ends.Add(1)
	return c.Store.EndHolder(ctx, holder)
}

// newIn is New in the process of g.
func newIn(ctx context.Context, g *keepers, leaser store.Leaser, session string, evicted func(*Tenure, *machine.Failure)) *Tenure {
	t := New(ctx, leaser, session, "", evicted)
	t.group = g
	return t
}

// takeAll takes the leases of n sessions.
func takeAll(t *testing.T, g *keepers, st store.Leaser, n int, evicted func(*Tenure, *machine.Failure)) (list []*Tenure) {
	t.Helper()
	for i := range n {
		tenure := newIn(t.Context(), g, st, fmt.Sprint("session ", i), evicted)
		tenure.Start()
		list = append(list, tenure)
	}
	for _, tenure := range list {
		if why := tenure.Take(t.Context()); why != nil {
			t.Fatal(why.Err)
		}
	}
	return list
}

func leases(t *testing.T, st store.Leaser) int {
	t.Helper()
	all, err := st.Leases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// However many sessions a process has, it writes less than once a second.
func TestManySessionsCostWhatOneCosts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := &counted{Store: kv.New(memory.New())}
		list := takeAll(t, newKeepers("one ", now), st, 200, nil)
		time.Sleep(100*time.Second + renewTime/2) // nothing is under way when the sessions are released
		if got := st.renewals.Load(); got < 70 || got > 80 {
			t.Errorf("%d renewals in 100 seconds", got)
		}
		if got := leases(t, st); got != len(list) {
			t.Errorf("%d leases are in force, want %d", got, len(list))
		}
		for _, tenure := range list {
			if !tenure.Holds() {
				t.Error("a session is lost")
			}
			tenure.Release()
		}
		if releases, ends := st.releases.Load(), st.ends.Load(); releases != 199 || ends != 1 || leases(t, st) != 0 {
			t.Errorf("%d leases were released and %d holders ended; %d leases are left", releases, ends, leases(t, st))
		}
		before := st.renewals.Load()
		time.Sleep(time.Minute)
		if st.renewals.Load() != before {
			t.Error("a holder without sessions is renewed")
		}
	})
}

// All sessions are given up at the same time, which is before the Store lends them to
// others. The next session gets another holder.
func TestAllSessionsAreGivenUpBeforeOthersHaveThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st, g := &counted{Store: kv.New(memory.New())}, newKeepers("one ", now)
		var evicted atomic.Int32
		list := takeAll(t, g, st, 20, func(_ *Tenure, why *machine.Failure) {
			if why.Reason != machine.ReasonStore || !errors.Is(why.Err, ErrNotRenewed) || !errors.Is(why.Err, errDown) {
				t.Errorf("the failure is %s: %v", why.Reason, why.Err)
			}
			evicted.Add(1)
		})
		time.Sleep(time.Minute + renewTime/2) // the last renewal was a minute after the first
		st.down.Store(true)
		time.Sleep(limit - renewTime/2 - time.Millisecond)
		if evicted.Load() != 0 || !list[0].Holds() {
			t.Error("sessions are given up too early")
		}
		time.Sleep(2 * time.Millisecond)
		if got := evicted.Load(); got != 20 || leases(t, st) != 20 {
			t.Errorf("%d of 20 sessions are given up, and others can have %d of them", got, 20-leases(t, st))
		}
		for _, tenure := range list {
			if tenure.Holds() || tenure.Failure() == nil {
				t.Error("a session is used that is given up")
			}
		}
		st.down.Store(false)
		list[0].Release() // its lease is free, and those of the others are not
		again := newIn(t.Context(), g, st, "session 0", nil)
		if why := again.Take(t.Context()); why != nil {
			t.Error(why.Err)
		}
		other := newIn(t.Context(), g, st, "session 1", nil)
		if why := other.Take(t.Context()); why == nil || why.Reason != machine.ReasonSessionBusy {
			t.Errorf("a session that is still connected was taken: %v", why)
		}
		for _, tenure := range append(list[1:], again, other) {
			tenure.Release()
		}
		if got := leases(t, st); got != 0 {
			t.Errorf("%d leases are left", got)
		}
	})
}

// A process that was stopped uses nothing before it has renewed its holder. If nobody has
// taken one of its sessions, it goes on.
func TestStoppedProcessGoesOnIfNobodyTookItsSessions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stopped atomic.Int64
		clock := func() moment {
			m := now()
			m.wall = m.wall.Add(time.Duration(stopped.Load()))
			return m
		}
		st := &counted{Store: kv.New(memory.New())}
		list := takeAll(t, newKeepers("one ", clock), st, 3, func(*Tenure, *machine.Failure) { t.Error("a session is lost") })
		stopped.Store(int64(time.Hour))
		for _, tenure := range list {
			if tenure.Holds() {
				t.Error("a process that was stopped uses a session")
			}
		}
		time.Sleep(renewTime + time.Millisecond)
		for _, tenure := range list {
			if !tenure.Holds() {
				t.Error("the session is not used again")
			}
			tenure.Release()
		}
	})
}

// A session that the process has already is busy, and the error has the lease.
func TestSessionOfThisProcessIsBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st, g := kv.New(memory.New()), newKeepers("one ", now)
		first := takeAll(t, g, st, 1, nil)[0]
		for _, st := range []store.Leaser{st, kinless{st, nil}} {
			second := newIn(t.Context(), g, st, "session 0", nil)
			why := second.Take(t.Context())
			if why == nil {
				t.Fatal("a session was taken twice")
			}
			busy, ok := errors.AsType[*store.BusyError](why.Err)
			if why.Reason != machine.ReasonSessionBusy || !ok || busy.Lease.HolderID != first.keeper.holder.ID {
				t.Errorf("the failure is %s: %v", why.Reason, why.Err)
			}
			second.Release()
		}
		if !first.Holds() || leases(t, st) != 1 {
			t.Error("the first has lost the session")
		}
		first.Release()
	})
}

// kinless is a Leaser that cannot be compared.
type kinless struct {
	store.Leaser
	_ []int
}

func TestLeaserThatCannotBeComparedHasItsLeasesToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := kinless{kv.New(memory.New()), nil}
		list := takeAll(t, newKeepers("one ", now), st, 3, nil)
		time.Sleep(time.Minute)
		for _, tenure := range list {
			if !tenure.Holds() {
				t.Error("a session is lost")
			}
			tenure.Release()
		}
		if got := leases(t, st); got != 0 {
			t.Errorf("%d leases are left", got)
		}
	})
}

// Many Tenures cost a few calls of the Store. Each ends as it would alone: one of them
// meets another program, one another Tenure, one the same Tenure twice, and one what this process has left.
func TestManyTenuresTakeTheirLeasesWithFewCalls(t *testing.T) {
	t.Parallel()
	for name, comparable := range map[string]bool{"shared": true, "each its own holder": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				st, g := &counted{Store: kv.New(memory.New())}, newKeepers("one ", now)
				leaser := store.Leaser(st)
				if !comparable {
					leaser = kinless{st, nil}
				}
				other := takeAll(t, newKeepers("another ", now), st, 1, nil)[0]
				left := []string{"session 1", "session 70"}
				if _, _, err := st.TakeLeases(t.Context(), left, store.Holder{ID: "one and gone"}, time.Hour); err != nil {
					t.Fatal(err)
				}
				var list []*Tenure
				for i := range 2*most + 1 {
					list = append(list, newIn(t.Context(), g, leaser, fmt.Sprint("session ", i), nil))
				}
				twice := newIn(t.Context(), g, leaser, "session 2", nil)
				before := st.takes.Load()
				StartAll(append(list, list[2], nil, twice))
				if why := list[0].Take(t.Context()); why == nil || why.Reason != machine.ReasonSessionBusy {
					t.Errorf("the session of another program: %+v", why)
				}
				second, why := list[2], twice.Take(t.Context())
				if why == nil && !comparable { // the Store had the choice
					second, why = twice, second.Take(t.Context())
				}
				if why == nil || why.Reason != machine.ReasonSessionBusy {
					t.Errorf("the session of another Tenure: %+v", why)
				}
				for i, tenure := range append([]*Tenure{second}, slices.Delete(slices.Clone(list[1:]), 1, 2)...) {
					if why := tenure.Take(t.Context()); why != nil || !tenure.Holds() {
						t.Errorf("Tenure %d: %+v, holds %t", i, why, tenure.Holds())
					}
				}
				// The third call, and the one for what this process has left: both sessions had one holder.
				if got := st.takes.Load() - before; comparable && got != 4 {
					t.Errorf("%d calls of the Store, want 4", got)
				}
				if got := leases(t, st); got != 2*most+1 {
					t.Errorf("%d leases are in force, want %d", got, 2*most+1)
				}
				for _, tenure := range append(list, twice, other) {
					tenure.Release()
				}
				if got := leases(t, st); got != 0 {
					t.Errorf("%d leases are left", got)
				}
			})
		})
	}
}

// The Store fails for all of a call, and their sessions can be taken at once after it.
func TestTenuresOfACallThatFailsFailTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st, g := &counted{Store: kv.New(memory.New())}, newKeepers("one ", now)
		for _, quiet := range []bool{false, true} {
			st.down.Store(!quiet)
			st.quiet.Store(quiet)
			var list []*Tenure
			for i := range 3 {
				list = append(list, newIn(t.Context(), g, st, fmt.Sprint("session ", i), nil))
			}
			StartAll(list)
			want := errDown
			if quiet {
				want = errNoAnswer
			}
			for _, tenure := range list {
				if why := tenure.Take(t.Context()); why == nil || why.Reason != machine.ReasonStore || !errors.Is(why.Err, want) || tenure.Holds() {
					t.Errorf("the failure is %+v, want %v", why, want)
				}
				tenure.Release()
			}
		}
		st.quiet.Store(false)
		for _, tenure := range takeAll(t, g, st, 3, nil) {
			tenure.Release()
		}
	})
}
