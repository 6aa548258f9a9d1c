package storetest

import (
	"errors"
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
				_, err := leaser.TakeLease(tb.Context(), session, holder("one of many"), long)
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

func leaseMany(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	one := holder("one")
	one.Until = begin(tb, leaser, "first", one, long).Until
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			if _, err := leaser.TakeLease(tb.Context(), string(rune('a'+i)), one, long); err != nil {
				tb.Errorf("TakeLease: %v", err)
			}
		})
	}
	group.Wait()
	if leases, err := leaser.Leases(tb.Context()); err != nil || len(leases) != 21 {
		tb.Errorf("%d leases, %v, want 21", len(leases), err)
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
		second, err := leaser.TakeLease(tb.Context(), "default", holder("two"), long)
		group.Wait()
		if (err == nil) == (renewErr == nil) {
			tb.Errorf("TakeLease: %v, RenewHolder: %v, want one of them to fail", err, renewErr)
		}
		end(tb, leaser, store.Lease{HolderID: one.ID})
		end(tb, leaser, second)
	}
}
