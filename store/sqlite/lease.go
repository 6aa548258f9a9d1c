package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/walink/walink/store"
)

var _ store.Leaser = (*Store)(nil)

// TakeLease implements [store.Leaser].
func (s *Store) TakeLease(ctx context.Context, session, holder string, ttl time.Duration) (store.Lease, error) {
	mark, err := s.vital.mark(s.path)
	if err != nil {
		return store.Lease{}, s.fail("lease session", session, err)
	}
	var lease store.Lease
	err = s.txn(ctx, func(ctx context.Context) error {
		now := time.Now()
		held, other, err := s.lease(ctx, session)
		switch {
		case err != nil:
			return err
		case inForce(held, now) && !s.vital.dead(other):
			return &store.BusyError{Lease: held}
		}
		lease = store.Lease{Session: session, Holder: holder, Token: held.Token + 1, Since: milli(now), Until: milli(now.Add(ttl))}
		_, err = s.db.Exec(ctx, `
			INSERT INTO walink_lease (session, holder, token, since, until, mark) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (session) DO UPDATE
			SET holder=excluded.holder, token=excluded.token, since=excluded.since, until=excluded.until, mark=excluded.mark
		`, session, holder, int64(lease.Token), lease.Since.UnixMilli(), lease.Until.UnixMilli(), mark) //nolint:gosec // a count
		return err
	})
	if err != nil {
		return store.Lease{}, s.fail("lease session", session, err)
	}
	return lease, nil
}

// RenewLease implements [store.Leaser].
func (s *Store) RenewLease(ctx context.Context, lease store.Lease, ttl time.Duration) (store.Lease, error) {
	until := milli(time.Now().Add(ttl))
	if err := s.setUntil(ctx, lease, until); err != nil {
		return store.Lease{}, s.fail("renew the lease of session", lease.Session, err)
	}
	lease.Until = until
	return lease, nil
}

// ReleaseLease implements [store.Leaser].
func (s *Store) ReleaseLease(ctx context.Context, lease store.Lease) error {
	if err := s.setUntil(ctx, lease, time.UnixMilli(released)); err != nil && !errors.Is(err, store.ErrLeaseLost) {
		return s.fail("release the lease of session", lease.Session, err)
	}
	return nil
}

// PeekLease implements [store.Leaser].
func (s *Store) PeekLease(ctx context.Context, session string) (store.Lease, error) {
	lease, mark, err := s.lease(ctx, session)
	if err == nil && (!inForce(lease, time.Now()) || s.vital.dead(mark)) {
		lease, err = store.Lease{}, fmt.Errorf("nobody has a lease of it: %w", store.ErrNotFound)
	}
	if err != nil {
		return store.Lease{}, s.fail("look at the lease of session", session, err)
	}
	return lease, nil
}

// released is the end of a lease that was given back. Its row stays, so that
// tokens go on growing.
const released = -1

// setUntil gives a lease another end, unless it has been released, or the
// session has been lent again.
func (s *Store) setUntil(ctx context.Context, lease store.Lease, until time.Time) error {
	result, err := s.db.Exec(ctx, `UPDATE walink_lease SET until=$1 WHERE session=$2 AND token=$3 AND until<>$4`,
		until.UnixMilli(), lease.Session, int64(lease.Token), released) //nolint:gosec // a count
	if err != nil {
		return err
	}
	changed, err := result.RowsAffected()
	if err == nil && changed == 0 {
		err = store.ErrLeaseLost
	}
	return err
}

// lease returns the last lease of session, in force or not, with its mark of
// life; a zero one if there was none.
func (s *Store) lease(ctx context.Context, session string) (lease store.Lease, mark string, err error) {
	var token, since, until int64
	err = s.db.QueryRow(ctx, `SELECT holder, token, since, until, mark FROM walink_lease WHERE session=$1`, session).
		Scan(&lease.Holder, &token, &since, &until, &mark)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return store.Lease{}, "", nil
	case err != nil:
		return store.Lease{}, "", err
	}
	lease.Session, lease.Token = session, uint64(token) //nolint:gosec // a count
	lease.Since, lease.Until = time.UnixMilli(since).UTC(), time.UnixMilli(until).UTC()
	return lease, mark, nil
}

func inForce(lease store.Lease, now time.Time) bool { return lease.Token > 0 && lease.Until.After(now) }

// milli is a time as it is stored.
func milli(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()).UTC() }
