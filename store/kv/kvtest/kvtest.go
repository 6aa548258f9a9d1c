// Package kvtest tests that a [kv.DB] keeps its contract. The test of a DB is
// two calls, one of this package, and one of storetest for the Store on top of
// the DB:
//
//	func TestDB(t *testing.T) {
//		kvtest.Run(t, func(t *testing.T) kv.DB { return mydb.Open(t.TempDir()) })
//	}
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) store.Store { return kv.New(mydb.Open(t.TempDir())) })
//	}
//
// The names of the subtests begin with the clause in the documentation of
// [kv.DB]. What must survive Close is tested only with [WithReopen]. What must
// survive a crash is not tested here. A case that takes longer than two minutes
// fails, and names the calls that hang.
//
// The suite itself is tested: for each of more than a hundred DBs that do one
// thing wrong, the case for it fails.
package kvtest

import (
	"testing"

	"github.com/walink/walink/store/kv"
)

// Option is an option of [Run].
type Option func(*options)

type options struct {
	reopen func(t *testing.T, closed kv.DB) kv.DB
}

// WithReopen adds the cases for what must survive Close. reopen opens the data
// of a DB again that the open of the test has returned and the suite has
// closed.
func WithReopen(reopen func(t *testing.T, closed kv.DB) kv.DB) Option {
	return func(o *options) { o.reopen = reopen }
}

// Run tests the DBs that open returns against the contract. Each call of open
// must return an empty DB that shares nothing with the others, because the
// tests are parallel. Run closes each DB that is an io.Closer, unless a call of
// it hangs.
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

// example is a case. It runs with an empty DB.
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
		{"clause 3: one that fails does not affect the others", failsAlone},
		{"clause 4: a reader waits for no writer, and sees nothing of it", waitsForNoWriter},
		{"clause 4: a reader sees one state, even if another is stored meanwhile", seesOneState},
		{"clause 4: readers never see half of a write", neverHalf},
		{"clause 4: a reader cannot write", readsOnly},
		{"clause 5: a transaction sees its own changes", seesItsOwn},
		{"clause 5: a key is set and deleted many times in a transaction", setAndDeleted},
		{"clause 6: a scan is ordered by bytes and ends with its prefix", ordered},
		{"clause 6: a scan sees what its own transaction has changed", scansItsOwn},
		{"clause 6: an error ends a scan, and the scan returns it", endsScan},
		{"clause 6: Get and Scan inside a scan", nested},
		{"clause 6: a scan of many keys", scansMany},
		{"clause 7: keys and values of any bytes", anyBytes},
		{"clause 7: long keys and large values", large},
		{"clause 7: an empty key and an empty value are refused", refusesEmpty},
		{"clause 8: what was read stays as it was", staysAsItWas},
		{"clause 8: arguments stay the caller's", staysTheCallers},
		{"clause 9: a ctx that has ended stores nothing", endedBefore},
		{"clause 9: a ctx that ends in fn stores nothing", endedInside},
		{"clause 9: a transaction waits for a writer no longer than its ctx", waitsWithCtx},
		{"clause 10: a Tx ends with fn", endsWithFn},
		{"clause 10: several goroutines at once", severalAtOnce},
		{"clause 11: Close may be called twice and ends everything", closesTwice},
		{"clause 11: Close waits for a transaction that reads", closeWaitsForReader},
		{"clause 11: Close waits for a transaction that writes", closeWaitsForWriter},
		{"clause 11: Close during transactions", closeDuring},
		{"clause 11: what was stored survives Close", survives},
		{"clause 11: any bytes survive Close", bytesSurvive},
		{"clause 11: what was stored during Close survives it", survivesItsClose},
		{"clauses 1 to 7: the DB behaves like a map", likeAMap},
		{"Clock: the time goes on", clockGoesOn},
		{"Clock: a ctx that has ended", clockEnds},
		{"Stringer: the DB has a name", named},
	}
}
