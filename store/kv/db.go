package kv

import (
	"context"
	"time"
)

// DB is a transactional key-value database with ordered keys: all that [New]
// needs. It is one method, and [Tx] has four.
//
// The contract, clause by clause; package kvtest has a case for each:
//
//  1. Txn calls fn and returns when the transaction has ended. Where fn
//     returns nil and write is set, what it has set and deleted is stored
//     before Txn returns: all of it, also across a crash, or none. Where fn
//     returns an error, nothing is stored, and Txn returns an error that wraps
//     it. So it is with an error of Txn's own, unless it says that the outcome
//     is not known.
//  2. A panic in fn stores nothing, reaches the caller of Txn, and leaves the
//     DB usable. The same goes for runtime.Goexit.
//  3. Writing transactions take effect one after the other, also across
//     processes where those can share the DB: each sees what was stored before
//     it, and nobody sees what it has not stored. fn of a writing transaction
//     is called once at most.
//  4. A reading transaction sees one state for as long as it runs. The state
//     has all that was stored before Txn was called. The transaction does not
//     wait for the fn of a writing one, from which it may be called. Its fn may
//     be called again on a later state, and then only the last call counts. Set
//     and Delete fail in it.
//  5. Get returns the value of a key, or nil where there is none. It sees what
//     its own transaction has set and deleted. Deleting what is not there is
//     not an error.
//  6. Scan calls fn for each key that begins with prefix, in ascending order of
//     their bytes, with what its own transaction has changed. Every key
//     begins with an empty prefix. If fn returns an error, Scan ends and returns
//     that very error. While Scan runs, fn may call Get and Scan, but not Set or
//     Delete.
//  7. A key is 1 to [MaxKey] bytes of any kind, and a value one byte or more
//     of any kind; sixteen MiB must be possible. Set fails for an empty key and
//     for an empty value.
//  8. What Get and Scan give is valid until the transaction ends: no later call
//     changes it, and neither does the caller. The caller does not change what
//     it gave to Set, and a DB changes nothing that it is given. What was given
//     to Get, Delete and Scan may be used again once they have returned.
//  9. Txn returns an error that wraps that of ctx when ctx has ended before fn
//     returned, or that of fn where fn failed too, and then nothing is stored.
//     A call that waits for other transactions waits no longer than its ctx.
//  10. Txn may be called from several goroutines at once. A Tx is for one of
//     them at a time, and ends with fn, which neither begins nor awaits
//     another writing transaction. However fn ended, all methods of the Tx fail
//     from then on.
//  11. Where the DB is an [io.Closer], Close may be called twice; it waits for
//     the transactions that run, which end as if it had not been called, and
//     Txn returns an error from then on. What was stored is there when the DB
//     is opened again.
//
// A DB may be a [Clock], and a [fmt.Stringer], whose String then names it in
// errors, also after Close: a path or an address, without a password.
type DB interface {
	// Txn runs fn in one transaction, which may write if write is set.
	Txn(ctx context.Context, write bool, fn func(tx Tx) error) error
}

// Tx is a transaction of a [DB].
type Tx interface {
	// Get returns the value of key, or nil.
	Get(key []byte) ([]byte, error)
	// Set gives key a value.
	Set(key, value []byte) error
	// Delete removes key.
	Delete(key []byte) error
	// Scan calls fn for each key that begins with prefix, in order.
	Scan(prefix []byte, fn func(key, value []byte) error) error
}

// MaxKey is the length of the longest key that a [Store] uses.
const MaxKey = 8 << 10

// Clock is an optional interface of a [DB] that several machines share. Leases
// end by its time; without a Clock they end by the time of the machine. Now may
// be called from several goroutines at once, and is not called inside a
// transaction. The time never goes back. If ctx has ended, Now returns an error
// that wraps that of ctx.
type Clock interface {
	Now(ctx context.Context) (time.Time, error)
}
