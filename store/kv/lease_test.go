package kv_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
)

// clock is a DB whose time the test sets.
type clock struct {
	*memory.DB
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now(context.Context) (time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now, nil
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testLease) // in a bubble nothing takes time
}

func testLease(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	start := time.Date(2026, 2, 3, 4, 5, 6, 789, time.UTC)
	db := &clock{DB: memory.New(), now: start}
	st := reopen(t, db)

	take := func(session, holder string) store.Lease {
		t.Helper()
		lease, err := st.TakeLease(ctx, session, holder, time.Minute)
		if err != nil {
			t.Fatalf("TakeLease of %q: %v", session, err)
		}
		return lease
	}
	busy := func(want store.Lease) {
		t.Helper()
		_, err := st.TakeLease(ctx, want.Session, want.Holder, time.Minute)
		var busy *store.BusyError
		if !errors.As(err, &busy) {
			t.Fatalf("TakeLease: %v, want a BusyError", err)
		}
		if diff := cmp.Diff(want, busy.Lease); diff != "" {
			t.Errorf("the lease in force (-want +got):\n%s", diff)
		}
		if got, err := st.PeekLease(ctx, want.Session); err != nil || got != want {
			t.Errorf("PeekLease: %v, %v, want %v", got, err, want)
		}
	}

	if _, err := st.PeekLease(ctx, "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("PeekLease of nothing: %v, want ErrNotFound", err)
	}
	first := take("a", "one")
	if diff := cmp.Diff(store.Lease{Session: "a", Holder: "one", Token: uint64(start.UnixMicro()), Since: start, Until: start.Add(time.Minute)}, first); diff != "" {
		t.Errorf("lease (-want +got):\n%s", diff)
	}
	busy(first)
	busy(take("", "another session"))

	db.pass(59 * time.Second)
	renewed, err := st.RenewLease(ctx, first, time.Minute)
	if err != nil || !renewed.Until.Equal(start.Add(119*time.Second)) || !renewed.Since.Equal(start) || renewed.Token != first.Token {
		t.Fatalf("RenewLease: %v, %v", renewed, err)
	}
	db.pass(time.Minute - 1)
	busy(renewed)
	db.pass(1)
	if _, err := st.PeekLease(ctx, "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("PeekLease at its end: %v, want ErrNotFound", err)
	}
	// Nobody has taken it since.
	if renewed, err = st.RenewLease(ctx, first, time.Second); err != nil {
		t.Fatalf("RenewLease after its end: %v", err)
	}
	busy(renewed)

	db.pass(time.Second)
	second := take("a", "two")
	if second.Token <= first.Token {
		t.Errorf("token %d after %d", second.Token, first.Token)
	}
	if _, err := st.RenewLease(ctx, renewed, time.Minute); !errors.Is(err, store.ErrLeaseLost) {
		t.Errorf("RenewLease of what was taken: %v, want ErrLeaseLost", err)
	}
	if err := st.ReleaseLease(ctx, renewed); err != nil {
		t.Errorf("ReleaseLease of what was taken: %v", err)
	}
	busy(second)

	for range 2 {
		if err := st.ReleaseLease(ctx, second); err != nil {
			t.Errorf("ReleaseLease: %v", err)
		}
	}
	if _, err := st.RenewLease(ctx, second, time.Minute); !errors.Is(err, store.ErrLeaseLost) {
		t.Errorf("RenewLease of what was released: %v, want ErrLeaseLost", err)
	}
	third := take("a", "three")
	if third.Token <= second.Token {
		t.Errorf("token %d after %d", third.Token, second.Token)
	}
	// The DB keeps it, and not the Store.
	if got, err := kv.New(db).PeekLease(ctx, "a"); err != nil || got != third {
		t.Errorf("PeekLease of another Store: %v, %v, want %v", got, err, third)
	}
	for _, lease := range []store.Lease{{Session: "never"}, {Session: "a", Holder: "three", Token: 99}} {
		if _, err := st.RenewLease(ctx, lease, time.Minute); !errors.Is(err, store.ErrLeaseLost) {
			t.Errorf("RenewLease of %v: %v, want ErrLeaseLost", lease, err)
		}
		if err := st.ReleaseLease(ctx, lease); err != nil {
			t.Errorf("ReleaseLease of %v: %v", lease, err)
		}
	}
	busy(third)
}

func TestLeaseIsOnes(t *testing.T) {
	t.Parallel()
	st := reopen(t, memory.New())
	var mu sync.Mutex
	var taken []store.Lease
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			lease, err := st.TakeLease(t.Context(), "a", "one of many", time.Hour)
			var busy *store.BusyError
			if err != nil && !errors.As(err, &busy) {
				t.Errorf("TakeLease: %v", err)
			}
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				taken = append(taken, lease)
			}
		})
	}
	group.Wait()
	if len(taken) != 1 {
		t.Errorf("%d leases, want one: %v", len(taken), taken)
	}
}

// A DB that has lost its data lends the session again, and the holder of
// before has neither its lease nor the greater token.
func TestLeaseOfLostData(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 2, 3, 4, 5, 6, 789, time.UTC)
	before := &clock{DB: memory.New(), now: start}
	first, err := reopen(t, before).TakeLease(t.Context(), "a", "one", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	after := &clock{DB: memory.New(), now: start.Add(time.Second)}
	st := reopen(t, after)
	second, err := st.TakeLease(t.Context(), "a", "two", time.Hour)
	if err != nil || second.Token <= first.Token {
		t.Errorf("the second lease is %v, %v, want a token beyond %d", second, err, first.Token)
	}
	for _, token := range []uint64{first.Token, second.Token} {
		first.Token = token
		if _, err := st.RenewLease(t.Context(), first, time.Hour); !errors.Is(err, store.ErrLeaseLost) {
			t.Errorf("RenewLease of the first: %v, want ErrLeaseLost", err)
		}
		if err := st.ReleaseLease(t.Context(), first); err != nil {
			t.Errorf("ReleaseLease: %v", err)
		}
	}
	if got, err := st.PeekLease(t.Context(), "a"); err != nil || got != second {
		t.Errorf("PeekLease: %v, %v, want %v", got, err, second)
	}
}

// A lease that waited for another writer has the whole ttl from then on.
func TestLeaseBeginsWhenItIsGiven(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Date(2026, 2, 3, 4, 5, 6, 789, time.UTC)
		db := &clock{DB: memory.New(), now: start}
		st := reopen(t, db)
		writing, taken := make(chan struct{}), make(chan store.Lease)
		go func() {
			<-writing
			lease, err := st.TakeLease(t.Context(), "a", "one", time.Minute)
			if err != nil {
				t.Errorf("TakeLease: %v", err)
			}
			taken <- lease
		}()
		update(t, db, func(kv.Tx) error {
			close(writing)
			synctest.Wait()
			<-time.After(10 * time.Second)
			return nil
		})
		want := start.Add(10 * time.Second)
		if lease := <-taken; !lease.Since.Equal(want) || !lease.Until.Equal(want.Add(time.Minute)) {
			t.Errorf("the lease is from %v until %v, want it from %v", lease.Since, lease.Until, want)
		}
	})
}

// broken is a DB whose clock does not answer.
type broken struct{ keep }

func (broken) Now(context.Context) (time.Time, error) { return time.Time{}, errDown }

func TestReleaseLeaseNeedsNoClock(t *testing.T) {
	t.Parallel()
	db := keep{memory.New()}
	lease, err := reopen(t, db).TakeLease(t.Context(), "a", "one", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := reopen(t, broken{db}).ReleaseLease(t.Context(), lease); err != nil {
		t.Errorf("ReleaseLease: %v", err)
	}
	if _, err := reopen(t, db).PeekLease(t.Context(), "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("PeekLease: %v, want ErrNotFound", err)
	}
}

func TestLeaseStaysWithoutItsSession(t *testing.T) {
	t.Parallel()
	st := reopen(t, memory.New())
	link(t, st)
	lease, err := st.TakeLease(t.Context(), "one", "me", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Delete(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	if got, err := st.PeekLease(t.Context(), "one"); err != nil || got != lease {
		t.Errorf("PeekLease after Delete: %v, %v, want %v", got, err, lease)
	}
}

// The holder is dead, and the clock is set back by an hour: the lease is in force for as
// long as it would have been, and not for that hour.
func TestLeaseOfADeadHolderEndsAfterTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := &clock{DB: memory.New(), now: time.Date(2026, 2, 3, 4, 5, 6, 789, time.UTC)}
		st := reopen(t, db)
		first, err := st.TakeLease(t.Context(), "default", "one", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		db.pass(-time.Hour)
		want := first
		want.Until = first.Until.Add(-time.Hour)
		peeked, err := st.PeekLease(t.Context(), "default")
		if err != nil || !cmp.Equal(peeked, want) {
			t.Errorf("PeekLease: %+v, %v, want %+v", peeked, err, want)
		}
		for range 2 {
			_, err := st.TakeLease(t.Context(), "default", "two", time.Minute)
			busy, ok := errors.AsType[*store.BusyError](err)
			if !ok || !cmp.Equal(busy.Lease, want) {
				t.Fatalf("TakeLease: %v, want it busy with %+v", err, want)
			}
			db.pass(29 * time.Second)
		}
		if _, err := st.RenewLease(t.Context(), first, time.Minute); err != nil { // the holder may be alive after all
			t.Error(err)
		}
		db.pass(time.Minute)
		second, err := st.TakeLease(t.Context(), "default", "two", time.Minute)
		if err != nil || second.Token <= first.Token {
			t.Errorf("TakeLease: %+v, %v", second, err)
		}
	})
}
