package storetest

import (
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/walink/walink/store"
)

func leaseHolders(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	wantHolders(tb, leaser)
	one, two := holder("one"), holder("two")
	one.ID, two.ID = "b "+one.ID, "a "+two.ID
	a := begin(tb, leaser, "a", one, long)
	one.Until = a.Until
	b := begin(tb, leaser, "b", two, long)
	two.Until = b.Until
	begin(tb, leaser, "over", holder("three"), 0)
	idle := begin(tb, leaser, "idle", holder("four"), long)
	release(tb, leaser, idle)
	c := take(tb, leaser, "c", one)
	wantHolders(tb, leaser, store.HolderLeases{Holder: two, Leases: 1}, store.HolderLeases{Holder: one, Leases: 2})
	end(tb, leaser, b)
	wantHolders(tb, leaser, store.HolderLeases{Holder: one, Leases: 2})
	release(tb, leaser, c)
	wantHolders(tb, leaser, store.HolderLeases{Holder: one, Leases: 1})
	renew(tb, leaser, one, 0)
	wantHolders(tb, leaser)
	one = renew(tb, leaser, one, long)
	wantHolders(tb, leaser, store.HolderLeases{Holder: one, Leases: 1})
	end(tb, leaser, store.Lease{HolderID: one.ID})
	wantHolders(tb, leaser)
}

// leaseMarks changes the leases of a holder between two looks, and has the number of its
// leases stay the same.
func leaseMarks(tb testing.TB, leaser store.Leaser) {
	tb.Helper()
	one := holder("one")
	a := begin(tb, leaser, "a", one, long)
	one.Until = a.Until
	b, c := take(tb, leaser, "b", one), take(tb, leaser, "c", one)
	before := wantHolders(tb, leaser, store.HolderLeases{Holder: one, Leases: 3})
	seen := map[uint64]bool{before: true}
	for what, change := range map[string]func(){
		"the same session is taken again": func() { release(tb, leaser, a); a = take(tb, leaser, "a", one) },
		"another session in its place":    func() { release(tb, leaser, b); take(tb, leaser, "d", one) },
		"the last one is taken again":     func() { release(tb, leaser, c); c = take(tb, leaser, "c", one) },
	} {
		change()
		mark := wantHolders(tb, leaser, store.HolderLeases{Holder: one, Leases: 3})
		if seen[mark] {
			tb.Errorf("%s: the Mark is %d as before", what, mark)
		}
		seen[mark] = true
		before = mark
	}
	for _, ttl := range []time.Duration{2 * long, 0, long} {
		one = renew(tb, leaser, one, ttl)
	}
	if mark := wantHolders(tb, leaser, store.HolderLeases{Holder: one, Leases: 3}); mark != before {
		tb.Errorf("the Mark is %d after renewals, and was %d", mark, before)
	}
	begin(tb, leaser, "another", holder("two"), 0) // which is not in force
	if mark := wantHolders(tb, leaser, store.HolderLeases{Holder: one, Leases: 3}); mark != before {
		tb.Errorf("the Mark is %d with a lease of another holder, and was %d", mark, before)
	}
}

// wantHolders compares what Holders returns without the Marks, and returns the sum of these.
func wantHolders(tb testing.TB, leaser store.Leaser, want ...store.HolderLeases) (marks uint64) {
	tb.Helper()
	got, err := leaser.Holders(tb.Context())
	if err != nil {
		tb.Errorf("Holders: %v", err)
	}
	for i := range got {
		marks += got[i].Mark
		got[i].Mark = 0
	}
	if len(got)+len(want) > 0 {
		if diff := gocmp.Diff(want, got); diff != "" {
			tb.Errorf("Holders (-want +got):\n%s", diff)
		}
	}
	return marks
}
