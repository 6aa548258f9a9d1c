package storetest

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/walink/walink/store"
)

func leaseAtomic(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	// Nobody has leased the first session, and the lease of the second has
	// expired.
	begin(tb, leaser, "over", holder("before"), 0)
	for _, session := range []string{"new", "over"} {
		var won atomic.Int32
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				taken, busy, err := leaser.TakeLeases(tb.Context(), []string{session}, holder("one of many"), long)
				if err != nil || len(taken)+len(busy) != 1 {
					tb.Errorf("TakeLeases: %+v, busy %+v, %v", taken, busy, err)
				}
				won.Add(int32(len(taken)))
			})
		}
		group.Wait()
		if got := won.Load(); got != 1 {
			tb.Errorf("%d holders of the session %q, want 1", got, session)
		}
	}
}

func leaseMany(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	one := holder("one")
	one.Until = begin(tb, leaser, "first", one, long).Until
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			if taken, _, err := leaser.TakeLeases(tb.Context(), []string{string(rune('a' + i))}, one, long); err != nil || len(taken) != 1 {
				tb.Errorf("TakeLeases: %+v, %v", taken, err)
			}
		})
	}
	group.Wait()
	if leases, err := leaser.Leases(tb.Context()); err != nil || len(leases) != 21 {
		tb.Errorf("%d leases, %v, want 21", len(leases), err)
	}
}

// leaseCrossed has holders take the same sessions, those of holders that have run out and
// others, each in another order. None waits for another for ever, and each session is lent once.
func leaseCrossed(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	const many = 12
	var sessions []string
	for i := range many {
		sessions = append(sessions, "over "+strconv.Itoa(i), "new "+strconv.Itoa(i))
		begin(tb, leaser, sessions[2*i], holder("before"), 0)
	}
	var lent atomic.Int32
	var group sync.WaitGroup
	for i := range 8 {
		own := slices.Concat(sessions[2*i:], sessions[:2*i])
		if i%2 == 1 {
			slices.Reverse(own)
		}
		group.Go(func() {
			for part := range slices.Chunk(own, 6) {
				one := holder("one of many")
				taken, busy, err := leaser.TakeLeases(tb.Context(), part, one, long)
				if err != nil || len(taken)+len(busy) != len(part) {
					tb.Errorf("TakeLeases: %d taken, %d busy, %v", len(taken), len(busy), err)
				}
				lent.Add(int32(len(taken)))
			}
		})
	}
	group.Wait()
	if got := lent.Load(); got != 2*many {
		tb.Errorf("%d leases of %d sessions", got, 2*many)
	}
}

func leaseRace(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	for range 20 {
		one := holder("one")
		begin(tb, leaser, "default", one, 0)
		var renewErr error
		var group sync.WaitGroup
		group.Go(func() { _, renewErr = leaser.RenewHolder(tb.Context(), one, long) })
		two := holder("two")
		taken, busy, err := leaser.TakeLeases(tb.Context(), []string{"default"}, two, long)
		group.Wait()
		if err != nil || len(taken)+len(busy) != 1 || (len(taken) == 1) == (renewErr == nil) {
			tb.Errorf("TakeLeases: %+v, busy %+v, %v, RenewHolder: %v, want one of them to fail", taken, busy, err, renewErr)
		}
		end(tb, leaser, store.Lease{HolderID: one.ID})
		end(tb, leaser, store.Lease{HolderID: two.ID})
	}
}
