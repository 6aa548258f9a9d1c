package kv_test

import (
	"context"
	"crypto/rand"
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

// holder returns a Holder that has not begun.
func holder(name string) store.Holder { return store.Holder{ID: rand.Text(), Name: name} }

// A lease ends by the time of the DB, to the nanosecond.
func TestLeaseEndsByTheClockOfTheDB(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // in a bubble nothing takes time
		start := time.Date(2026, 2, 3, 4, 5, 6, 789, time.UTC)
		db := &clock{DB: memory.New(), now: start}
		st, one := reopen(t, db), holder("one")
		lease, err := st.TakeLease(t.Context(), "a", one, time.Minute)
		want := store.Lease{
			Session: "a", Holder: "one", HolderID: one.ID, Token: uint64(start.UnixMicro()), Since: start, Until: start.Add(time.Minute),
		}
		if diff := cmp.Diff(want, lease); err != nil || diff != "" {
			t.Fatalf("%v, the lease (-want +got):\n%s", err, diff)
		}
		db.pass(59 * time.Second)
		want.Until = start.Add(119 * time.Second)
		if renewed, err := st.RenewHolder(t.Context(), one, time.Minute); err != nil || !renewed.Until.Equal(want.Until) {
			t.Errorf("RenewHolder: %v, %v, want it until %v", renewed, err, want.Until)
		}
		db.pass(time.Minute - 1)
		if got, err := kv.New(db).PeekLease(t.Context(), "a"); err != nil || got != want {
			t.Errorf("PeekLease of another Store: %v, %v, want %v", got, err, want)
		}
		db.pass(1)
		if _, err := st.PeekLease(t.Context(), "a"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("PeekLease at its end: %v, want ErrNotFound", err)
		}
	})
}

// A DB that has lost its data lends the session again, and the holder of
// before has neither its lease nor the greater token.
func TestLeaseOfLostData(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 2, 3, 4, 5, 6, 789, time.UTC)
	before := &clock{DB: memory.New(), now: start}
	one := holder("one")
	first, err := reopen(t, before).TakeLease(t.Context(), "a", one, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	after := &clock{DB: memory.New(), now: start.Add(time.Second)}
	st := reopen(t, after)
	second, err := st.TakeLease(t.Context(), "a", holder("two"), time.Hour)
	if err != nil || second.Token <= first.Token {
		t.Errorf("the second lease is %v, %v, want a token beyond %d", second, err, first.Token)
	}
	if _, err := st.RenewHolder(t.Context(), one, time.Hour); !errors.Is(err, store.ErrLeaseLost) {
		t.Errorf("RenewHolder of the first: %v, want ErrLeaseLost", err)
	}
	for _, token := range []uint64{first.Token, second.Token} {
		first.Token = token
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
			lease, err := st.TakeLease(t.Context(), "a", holder("one"), time.Minute)
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

func TestReleasingNeedsNoClock(t *testing.T) {
	t.Parallel()
	db := keep{memory.New()}
	for what, release := range map[string]func(st *kv.Store, lease store.Lease) error{
		"ReleaseLease": func(st *kv.Store, lease store.Lease) error { return st.ReleaseLease(t.Context(), lease) },
		"EndHolder": func(st *kv.Store, lease store.Lease) error {
			return st.EndHolder(t.Context(), store.Holder{ID: lease.HolderID})
		},
	} {
		lease, err := reopen(t, db).TakeLease(t.Context(), "a", holder("one"), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if err := release(reopen(t, broken{db}), lease); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := reopen(t, db).PeekLease(t.Context(), "a"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("PeekLease after %s: %v, want ErrNotFound", what, err)
		}
	}
}

// The holder is dead, and the clock is set back by an hour: the lease is in force for as
// long as it would have been, and not for that hour.
func TestLeaseOfADeadHolderEndsAfterTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := &clock{DB: memory.New(), now: time.Date(2026, 2, 3, 4, 5, 6, 789, time.UTC)}
		st := reopen(t, db)
		one := holder("one")
		first, err := st.TakeLease(t.Context(), "default", one, time.Minute)
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
			_, err := st.TakeLease(t.Context(), "default", holder("two"), time.Minute)
			busy, ok := errors.AsType[*store.BusyError](err)
			if !ok || !cmp.Equal(busy.Lease, want) {
				t.Fatalf("TakeLease: %v, want it busy with %+v", err, want)
			}
			db.pass(29 * time.Second)
		}
		if _, err := st.RenewHolder(t.Context(), one, time.Minute); err != nil { // the holder may be alive after all
			t.Error(err)
		}
		db.pass(time.Minute)
		second, err := st.TakeLease(t.Context(), "default", holder("two"), time.Minute)
		if err != nil || second.Token <= first.Token {
			t.Errorf("TakeLease: %+v, %v", second, err)
		}
	})
}

// A program of before, which knows nothing of holders, must not go on beside this one.
func TestLeasesOfLayout1AreGoneAndItsProgramsRefuse(t *testing.T) {
	t.Parallel()
	db := keep{memory.New()}
	update(t, db, func(tx kv.Tx) error {
		return errors.Join(tx.Set([]byte("f"), []byte{1, 1}), tx.Set([]byte("tdefault\x00"), []byte{1, 7, 3, 'o', 'n', 'e', 0, 0, 0}))
	})
	st := reopen(t, db)
	if leases, err := st.Leases(t.Context()); err != nil || len(leases) != 0 {
		t.Errorf("Leases: %v, %v", leases, err)
	}
	if _, err := st.TakeLease(t.Context(), "default", holder("two"), time.Hour); err != nil {
		t.Fatal(err)
	}
	update(t, db, func(tx kv.Tx) error {
		layout, err := tx.Get([]byte("f"))
		old, oldErr := tx.Get([]byte("tdefault\x00"))
		if !cmp.Equal(layout, []byte{1, 2}) || old != nil {
			t.Errorf("the layout is %v, and the old lease %v", layout, old)
		}
		return errors.Join(err, oldErr)
	})
}
