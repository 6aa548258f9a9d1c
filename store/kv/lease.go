package kv

import (
	"context"
	"math"
	"time"

	"github.com/walink/walink/store"
)

// loan is the value of the last lease of a session. It stays when the lease has
// ended, so that the next lease has a greater token.
type loan struct {
	token        uint64
	holder       string
	since, until int64 // Unix nanoseconds
	released     bool
	renewed      int64 // when it was taken or last renewed; zero if an older program has stored it
}

func (l loan) encode() []byte {
	return newEncoder(len(l.holder) + 50).uint(l.token).string(l.holder).int(l.since).int(l.until).bool(l.released).int(l.renewed).b
}

// corrected returns a lease that was renewed in the future, before the clock was set
// back, as if it were renewed now. A holder that lives renews the lease by the new clock.
func (l loan) corrected(now time.Time) loan {
	if ahead := l.renewed - now.UnixNano(); ahead > int64(clockSlack) {
		l.renewed, l.until = now.UnixNano(), l.until-ahead
	}
	return l
}

func (l loan) lease(session string) store.Lease {
	return store.Lease{
		Session: session, Holder: l.holder, Token: l.token,
		Since: time.Unix(0, l.since).UTC(), Until: time.Unix(0, l.until).UTC(),
	}
}

// newLoan returns a lease from now on. The token is the time in microseconds if
// that is greater than the last token, so that tokens grow even if the DB has
// lost the earlier ones.
func newLoan(now time.Time, holder string, last uint64, ttl time.Duration) loan {
	token := max(last+1, uint64(max(now.UnixMicro(), 0)))
	return loan{token: token, holder: holder, since: now.UnixNano(), until: end(now, ttl), renewed: now.UnixNano()}
}

// end returns when a lease ends that is in force for ttl from now, or the
// latest time that can be stored.
func end(now time.Time, ttl time.Duration) int64 {
	if ttl > 0 && int64(ttl) > math.MaxInt64-now.UnixNano() {
		return math.MaxInt64
	}
	return now.Add(ttl).UnixNano()
}

// is reports whether lease is the stored one, and not released. It compares
// holder and since too, because a DB that has lost its data may have given
// another lease the same token.
func (l loan) is(lease store.Lease) bool {
	return l.token != 0 && !l.released && l.token == lease.Token && l.holder == lease.Holder && l.since == lease.Since.UnixNano()
}

func (l loan) inForce(now time.Time) bool { return !l.released && l.until > now.UnixNano() }

func lastLease(tx Tx, session string) (loan, error) {
	var l loan
	err := load(tx, name(spaceLease, session), func(dec *decoder) {
		l.token, l.holder, l.since, l.until, l.released = dec.uint(), dec.string(), dec.int(), dec.int(), dec.bool()
		if len(dec.rest) > 0 {
			l.renewed = dec.int()
		}
	})
	return l, err
}

// TakeLease implements [store.Leaser]. The time is that of the DB if the DB is
// a [Clock], and that of this machine otherwise.
func (s *Store) TakeLease(ctx context.Context, session, holder string, ttl time.Duration) (store.Lease, error) {
	var taken loan
	var busy *store.BusyError
	err := s.lend(ctx, session, func(tx Tx, now time.Time, stored loan) error {
		last := stored.corrected(now)
		if last.inForce(now) {
			busy = &store.BusyError{Lease: last.lease(session)}
			if last == stored {
				return busy
			}
			return tx.Set(name(spaceLease, session), last.encode())
		}
		taken = newLoan(now, holder, last.token, ttl)
		return tx.Set(name(spaceLease, session), taken.encode())
	})
	if err == nil && busy != nil { // not inside the transaction, which must store the correction
		err = busy
	}
	if err != nil {
		return store.Lease{}, s.fail("lend session", session, err)
	}
	return taken.lease(session), nil
}

// RenewLease implements [store.Leaser].
func (s *Store) RenewLease(ctx context.Context, lease store.Lease, ttl time.Duration) (store.Lease, error) {
	var renewed loan
	err := s.lend(ctx, lease.Session, func(tx Tx, now time.Time, last loan) error {
		if !last.is(lease) {
			return store.ErrLeaseLost
		}
		renewed = last
		renewed.until, renewed.renewed = end(now, ttl), now.UnixNano()
		return tx.Set(name(spaceLease, lease.Session), renewed.encode())
	})
	if err != nil {
		return store.Lease{}, s.fail("renew the lease of session", lease.Session, err)
	}
	return renewed.lease(lease.Session), nil
}

// ReleaseLease implements [store.Leaser].
func (s *Store) ReleaseLease(ctx context.Context, lease store.Lease) error {
	err := s.txn(ctx, true, func(tx Tx) error {
		last, err := lastLease(tx, lease.Session)
		if err != nil || !last.is(lease) {
			return err
		}
		last.released = true
		return tx.Set(name(spaceLease, lease.Session), last.encode())
	})
	if err != nil {
		return s.fail("release the lease of session", lease.Session, err)
	}
	return nil
}

// lend calls fn with the last lease of a session, in a transaction that may
// write.
func (s *Store) lend(ctx context.Context, session string, fn func(tx Tx, now time.Time, last loan) error) error {
	now, err := s.now(ctx)
	if err != nil {
		return err
	}
	asked := time.Now()
	return s.txn(ctx, true, func(tx Tx) error {
		last, err := lastLease(tx, session)
		if err != nil {
			return err
		}
		return fn(tx, now.Add(time.Since(asked)), last) // the transaction may have waited for other writers
	})
}

// PeekLease implements [store.Leaser].
func (s *Store) PeekLease(ctx context.Context, session string) (store.Lease, error) {
	now, err := s.now(ctx)
	var last loan
	if err == nil {
		err = s.txn(ctx, false, func(tx Tx) (err error) {
			last, err = lastLease(tx, session)
			return err
		})
	}
	last = last.corrected(now)
	if err == nil && !last.inForce(now) {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Lease{}, s.fail("read the lease of session", session, err)
	}
	return last.lease(session), nil
}
