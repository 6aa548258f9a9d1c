// Package kvtest proves that a [kv.DB] keeps its contract. The test of a DB is
// two calls, one here and one of storetest for the Store on top of it:
//
//	func TestDB(t *testing.T) {
//		kvtest.Run(t, func(t *testing.T) kv.DB { return mydb.Open(t.TempDir()) })
//	}
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) store.Store { return kv.New(mydb.Open(t.TempDir())) })
//	}
//
// The subtests bear the numbers of the clauses in the documentation of
// [kv.DB]. What outlives a DB is tested only with [WithReopen], and what a
// crash leaves is for the DB's own tests. A case that has not ended after two
// minutes fails, and names the calls that hang.
//
// The suite is tested itself: each of more than a hundred DBs that do one thing
// wrong fails the case for it.
package kvtest

import (
	"testing"

	"github.com/walink/walink/store/kv"
)

// Option says more about the DBs that [Run] tests.
type Option func(*options)

type options struct {
	reopen func(t *testing.T, closed kv.DB) kv.DB
}

// WithReopen adds the cases for what outlives a DB. reopen opens again what a
// DB of the test's open, which has been closed, has stored.
func WithReopen(reopen func(t *testing.T, closed kv.DB) kv.DB) Option {
	return func(o *options) { o.reopen = reopen }
}

// Run tests the DBs that open returns against the contract. Every call of open
// must give an empty DB that shares nothing with the others, since the tests
// are parallel. Run closes them where they are closers, and not what hangs.
func Run(t *testing.T, open func(t *testing.T) kv.DB, opts ...Option) {
	t.Helper()
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	hung := &hangs{}
	for _, c := range examples() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var reopens func(closed kv.DB) kv.DB
			if o.reopen != nil {
				reopens = func(closed kv.DB) kv.DB { return o.reopen(t, closed) }
			}
			found, skipped, hangs := c.try(t, open(t), reopens, hung.patience)
			if hangs {
				hung.seen.Store(true)
			}
			for _, what := range found {
				t.Error(what)
			}
			if skipped != "" && len(found) == 0 {
				t.Skip(skipped)
			}
		})
	}
}

// example is a case, for a DB that is empty.
type example struct {
	name string
	run  func(t *trial)
}

func examples() []example {
	return []example{
		{"clause 1: all that fn did is stored when it returns nil", storesAll},
		{"clause 1: nothing is stored when fn returns an error", storesNothing},
		{"clause 2: a panic stores nothing and reaches the caller", panics},
		{"clause 2: a goroutine that ends in fn leaves the DB usable", exits},
		{"clause 3: writing transactions lose nothing of each other", losesNothing},
		{"clause 3: one writing transaction after the other", oneByOne},
		{"clause 3: one that fails takes none of the others along", failsAlone},
		{"clause 4: a reader waits for no writer, and sees nothing of it", waitsForNoWriter},
		{"clause 4: a reader sees one state, also when another is stored meanwhile", seesOneState},
		{"clause 4: readers beside writers never see half", neverHalf},
		{"clause 4: a reader cannot write", readsOnly},
		{"clause 5: a transaction sees its own changes", seesItsOwn},
		{"clause 5: a key is set and deleted many times in a transaction", setAndDeleted},
		{"clause 6: a scan is ordered by bytes and ends with its prefix", ordered},
		{"clause 6: a scan sees what its own transaction has changed", scansItsOwn},
		{"clause 6: an error ends a scan, and the scan returns it", endsScan},
		{"clause 6: Get and Scan inside of a scan", nested},
		{"clause 6: a scan of many keys", scansMany},
		{"clause 7: keys and values of any bytes", anyBytes},
		{"clause 7: long keys and large values", large},
		{"clause 7: an empty key and an empty value are refused", refusesEmpty},
		{"clause 8: what was read stays as it was", staysAsItWas},
		{"clause 8: what a DB is given stays the caller's", staysTheCallers},
		{"clause 9: a ctx that has ended stores nothing", endedBefore},
		{"clause 9: a ctx that ends in fn stores nothing", endedInside},
		{"clause 9: who waits for a writer waits no longer than its ctx", waitsWithCtx},
		{"clause 10: a Tx ends with fn", endsWithFn},
		{"clause 10: several goroutines at once", severalAtOnce},
		{"clause 11: Close may be called twice and ends everything", closesTwice},
		{"clause 11: Close waits for a transaction that reads", closeWaitsForReader},
		{"clause 11: Close waits for a transaction that writes", closeWaitsForWriter},
		{"clause 11: Close beside transactions", closeBeside},
		{"clause 11: what was stored outlives the DB", outlives},
		{"clause 11: any bytes outlive the DB", bytesOutlive},
		{"clause 11: what was stored beside Close outlives the DB", outlivesClose},
		{"clauses 1 to 7: what would happen to a map", likeAMap},
		{"Clock: the time goes on", clockGoesOn},
		{"Clock: a ctx that has ended", clockEnds},
		{"Stringer: the DB has a name", named},
	}
}
