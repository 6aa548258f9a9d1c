package sqlkeep

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/walink/walink/store"
)

// TakeLease implements [store.Leaser].
func (k *Keeper) TakeLease(ctx context.Context, session, holder string, ttl time.Duration) (lease store.Lease, err error) {
	mark, err := k.config.Mark(ctx)
	if err == nil {
		err = k.locked(ctx, "lease", session, func(ctx context.Context) error {
			lease, err = k.take(ctx, session, holder, mark, ttl)
			return err
		})
	}
	if err != nil {
		return store.Lease{}, k.fail("lease session", session, err)
	}
	return lease, nil
}

func (k *Keeper) take(ctx context.Context, session, holder, mark string, ttl time.Duration) (lease store.Lease, err error) {
	now, err := k.config.Now(ctx)
	if err != nil {
		return lease, err
	}
	held, other, err := k.lease(ctx, session)
	switch {
	case err != nil:
		return lease, err
	case inForce(held, now) && !k.dead(ctx, other):
		return lease, &store.BusyError{Lease: held}
	}
	lease = store.Lease{Session: session, Holder: holder, Token: held.Token + 1, Since: milli(now), Until: milli(now.Add(ttl))}
	_, err = k.db.Exec(ctx, `
		INSERT INTO walink_lease (session, holder, token, since, until, mark) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (session) DO UPDATE
		SET holder=excluded.holder, token=excluded.token, since=excluded.since, until=excluded.until, mark=excluded.mark
	`, k.name(session), k.name(holder), int64(lease.Token), lease.Since.UnixMilli(), lease.Until.UnixMilli(), mark) //nolint:gosec // a count
	return lease, err
}

// RenewLease implements [store.Leaser].
func (k *Keeper) RenewLease(ctx context.Context, lease store.Lease, ttl time.Duration) (store.Lease, error) {
	now, err := k.config.Now(ctx)
	if err == nil {
		lease.Until = milli(now.Add(ttl))
		err = k.setUntil(ctx, lease, lease.Until)
	}
	if err != nil {
		return store.Lease{}, k.fail("renew the lease of session", lease.Session, err)
	}
	return lease, nil
}

// ReleaseLease implements [store.Leaser].
func (k *Keeper) ReleaseLease(ctx context.Context, lease store.Lease) error {
	if err := k.setUntil(ctx, lease, time.UnixMilli(released)); err != nil && !errors.Is(err, store.ErrLeaseLost) {
		return k.fail("release the lease of session", lease.Session, err)
	}
	return nil
}

// PeekLease implements [store.Leaser].
func (k *Keeper) PeekLease(ctx context.Context, session string) (store.Lease, error) {
	now, err := k.config.Now(ctx)
	var lease store.Lease
	var mark string
	if err == nil {
		lease, mark, err = k.lease(ctx, session)
	}
	if err == nil && (!inForce(lease, now) || k.dead(ctx, mark)) {
		err = fmt.Errorf("nobody has a lease of it: %w", store.ErrNotFound)
	}
	if err != nil {
		return store.Lease{}, k.fail("look at the lease of session", session, err)
	}
	return lease, nil
}

// released is the end of a lease that was given back. Its row stays, so that
// tokens go on growing.
const released = -1

// setUntil gives a lease another end, unless it has been released, or the
// session has been lent again.
func (k *Keeper) setUntil(ctx context.Context, lease store.Lease, until time.Time) error {
	result, err := k.db.Exec(ctx, `UPDATE walink_lease SET until=$1 WHERE session=$2 AND token=$3 AND until<>$4`,
		until.UnixMilli(), k.name(lease.Session), int64(lease.Token), released) //nolint:gosec // a count
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
func (k *Keeper) lease(ctx context.Context, session string) (lease store.Lease, mark string, err error) {
	var holder []byte
	var token, since, until int64
	err = k.db.QueryRow(ctx, `SELECT holder, token, since, until, mark FROM walink_lease WHERE session=$1`, k.name(session)).
		Scan(&holder, &token, &since, &until, &mark)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return store.Lease{}, "", nil
	case err != nil:
		return store.Lease{}, "", err
	}
	lease.Session, lease.Holder, lease.Token = session, string(holder), uint64(token) //nolint:gosec // a count
	lease.Since, lease.Until = time.UnixMilli(since).UTC(), time.UnixMilli(until).UTC()
	return lease, mark, nil
}

func inForce(lease store.Lease, now time.Time) bool { return lease.Token > 0 && lease.Until.After(now) }

// milli is a time as it is stored.
func milli(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()).UTC() }
