package kv_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
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

// take takes a lease that is free.
func take(t *testing.T, st *kv.Store, session string, holder store.Holder, ttl time.Duration) store.Lease {
	t.Helper()
	taken, busy, err := st.TakeLeases(t.Context(), []string{session}, holder, ttl)
	if err != nil || len(taken) != 1 {
		t.Fatalf("TakeLeases: %+v, busy %+v, %v", taken, busy, err)
	}
	return taken[0]
}

// A lease ends by the time of the DB, to the nanosecond.
func TestLeaseEndsByTheClockOfTheDB(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // in a bubble nothing takes time
		start := time.Date(2026, 2, 3, 4, 5, 6, 789, time.UTC)
		db := &clock{DB: memory.New(), now: start}
		st, one := reopen(t, db), holder("one")
		lease := take(t, st, "a", one, time.Minute)
		want := store.Lease{
			Session: "a", Holder: "one", HolderID: one.ID, Token: uint64(start.UnixMicro()), Since: start, Until: start.Add(time.Minute),
		}
		if diff := cmp.Diff(want, lease); diff != "" {
			t.Fatalf("the lease (-want +got):\n%s", diff)
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
	first := take(t, reopen(t, before), "a", one, time.Hour)
	after := &clock{DB: memory.New(), now: start.Add(time.Second)}
	st := reopen(t, after)
	second := take(t, st, "a", holder("two"), time.Hour)
	if second.Token <= first.Token {
		t.Errorf("the second lease is %v, want a token beyond %d", second, first.Token)
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
			defer close(taken)
			leases, _, err := st.TakeLeases(t.Context(), []string{"a"}, holder("one"), time.Minute)
			if err != nil || len(leases) != 1 {
				t.Errorf("TakeLeases: %v, %v", leases, err)
				return
			}
			taken <- leases[0]
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
		lease := take(t, reopen(t, db), "a", holder("one"), time.Hour)
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
		first := take(t, st, "default", one, time.Minute)
		db.pass(-time.Hour)
		want := first
		want.Until = first.Until.Add(-time.Hour)
		peeked, err := st.PeekLease(t.Context(), "default")
		if err != nil || !cmp.Equal(peeked, want) {
			t.Errorf("PeekLease: %+v, %v, want %+v", peeked, err, want)
		}
		if holders, err := st.Holders(t.Context()); err != nil || len(holders) != 1 || !holders[0].Until.Equal(want.Until) {
			t.Errorf("Holders: %+v, %v, want it until %v", holders, err, want.Until)
		}
		db.pass(time.Second)
		for range 2 {
			_, busy, err := st.TakeLeases(t.Context(), []string{"default"}, holder("two"), time.Minute)
			if err != nil || !cmp.Equal(busy, []store.Lease{want}) {
				t.Fatalf("TakeLeases: busy %+v, %v, want %+v", busy, err, want)
			}
			db.pass(29 * time.Second) // after which it has a second left
		}
		if _, err := st.RenewHolder(t.Context(), one, time.Minute); err != nil { // the holder may be alive after all
			t.Error(err)
		}
		db.pass(time.Minute)
		if second := take(t, st, "default", holder("two"), time.Minute); second.Token <= first.Token {
			t.Errorf("the token is %d after %d", second.Token, first.Token)
		}
	})
}

// An older program refuses the layout. It cannot renew its leases any more, and has the
// time to give its sessions up.
func TestLeasesOfLayout1StayInForce(t *testing.T) {
	t.Parallel()
	db := &clock{DB: memory.New(), now: time.Unix(1, 0)}
	update(t, db, func(tx kv.Tx) error {
		return errors.Join(
			tx.Set([]byte("f"), []byte{1, 1}),
			// The token, the holder, since when and until when, and whether it was released.
			tx.Set([]byte("t\x00"), append([]byte{1, 7, 3, 'o', 'n', 'e', 0}, append(binary.AppendVarint(nil, 2e9), 0)...)),
			tx.Set([]byte("tover\x00"), []byte{1, 8, 3, 'o', 'n', 'e', 0, 2, 0}),
			tx.Set([]byte("treleased\x00"), append([]byte{1, 9, 3, 'o', 'n', 'e', 0}, append(binary.AppendVarint(nil, 2e9), 1)...)),
			tx.Set([]byte("tdamaged\x00"), []byte{1, 9, 3}),
		)
	})
	st := reopen(t, db)
	take(t, st, "over", holder("two"), time.Hour)
	want := store.Lease{Holder: "one", HolderID: "of ", Token: 7, Since: time.Unix(0, 0).UTC(), Until: time.Unix(2, 0).UTC()}
	if got, err := st.PeekLease(t.Context(), ""); err != nil || got != want {
		t.Errorf("PeekLease: %+v, %v, want %+v", got, err, want)
	}
	if got, err := st.PeekLease(t.Context(), "released"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("PeekLease of a released one: %+v, %v, want ErrNotFound", got, err)
	}
	db.pass(time.Second)
	for session, last := range map[string]uint64{"": 7, "released": 9, "damaged": 0} {
		if lease := take(t, st, session, holder("two"), time.Hour); lease.Token <= last {
			t.Errorf("the next lease of %q is %+v", session, lease)
		}
	}
	update(t, db, func(tx kv.Tx) error {
		if layout, err := tx.Get([]byte("f")); err != nil || !cmp.Equal(layout, []byte{1, 2}) {
			t.Errorf("the layout is %v, %v", layout, err)
		}
		return tx.Scan([]byte("t"), func(key, _ []byte) error {
			t.Errorf("a lease of layout 1 is left: %q", key)
			return nil
		})
	})
}
