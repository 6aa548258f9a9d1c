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
	var busy *store.BusyError
	if err == nil {
		err = k.locked(ctx, "lease", session, func(ctx context.Context) error {
			lease, busy, err = k.take(ctx, session, holder, mark, ttl)
			return err
		})
	}
	if err == nil && busy != nil { // not inside the transaction, which must store doubt
		err = busy
	}
	if err != nil {
		return store.Lease{}, k.fail("lease session", session, err)
	}
	return lease, nil
}

// record is a lease as it is stored.
type record struct {
	store.Lease
	renewed time.Time // when it was taken or last renewed; the Unix epoch if that is not known
	mark    string    // shows whether the holder is alive
	doubt   time.Time // when the holder was first found dead; the Unix epoch if it never was
}

// corrected returns a lease that was renewed in the future, before the clock was set
// back, as if it were renewed now. A holder that lives renews the lease by the new clock.
func (r record) corrected(now time.Time) record {
	now = milli(now)
	if ahead := r.renewed.Sub(now); ahead > clockSlack && r.Until.After(now) {
		r.renewed, r.Until = now, r.Until.Add(-ahead)
	}
	return r
}

// take lends the session, or says who holds it.
func (k *Keeper) take(ctx context.Context, session, holder, mark string, ttl time.Duration) (lease store.Lease, busy *store.BusyError, err error) {
	now, err := k.config.Now(ctx)
	if err != nil {
		return lease, nil, err
	}
	stored, err := k.last(ctx, session)
	if err != nil {
		return lease, nil, err
	}
	held := stored.corrected(now)
	if held != stored {
		_, err := k.db.Exec(ctx, `UPDATE walink_lease SET renewed=$1, until=$2 WHERE session=$3`,
			held.renewed.UnixMilli(), held.Until.UnixMilli(), k.name(session))
		if err != nil {
			return lease, nil, err
		}
	}
	if held.inForce(now) {
		if !k.dead(ctx, held.mark) {
			return lease, &store.BusyError{Lease: held.Lease}, nil
		}
		if held.doubt.UnixMilli() == 0 || held.doubt.After(now) {
			held.doubt = now
			_, err := k.db.Exec(ctx, `UPDATE walink_lease SET doubt=$1 WHERE session=$2`, now.UnixMilli(), k.name(session))
			if err != nil {
				return lease, nil, err
			}
		}
		if free := held.doubt.Add(k.config.Grace); free.After(now) {
			held.Until = milli(free)
			return lease, &store.BusyError{Lease: held.Lease}, nil
		}
	}
	// The token is the time, so that tokens grow even if the database has lost
	// the last one.
	token := max(held.Token+1, uint64(max(now.UnixMicro(), 0)))
	lease = store.Lease{Session: session, Holder: holder, Token: token, Since: milli(now), Until: milli(now.Add(ttl))}
	_, err = k.db.Exec(ctx, `
		INSERT INTO walink_lease (session, holder, token, since, until, renewed, mark, doubt) VALUES ($1, $2, $3, $4, $5, $4, $6, 0)
		ON CONFLICT (session) DO UPDATE
		SET holder=excluded.holder, token=excluded.token, since=excluded.since, until=excluded.until,
		    renewed=excluded.renewed, mark=excluded.mark, doubt=0
	`, k.name(session), k.name(holder), int64(lease.Token), lease.Since.UnixMilli(), lease.Until.UnixMilli(), mark) //nolint:gosec // a count
	return lease, nil, err
}

// RenewLease implements [store.Leaser].
func (k *Keeper) RenewLease(ctx context.Context, lease store.Lease, ttl time.Duration) (store.Lease, error) {
	mark, err := k.config.Mark(ctx)
	if err == nil {
		// Under the lock, because TakeLease reads what update changes here.
		err = k.locked(ctx, "lease", lease.Session, func(ctx context.Context) error {
			now, err := k.config.Now(ctx)
			if err != nil {
				return err
			}
			lease.Until = milli(now.Add(ttl))
			return k.update(ctx, lease, `until=$6, renewed=$7, mark=$8, doubt=0`, lease.Until.UnixMilli(), now.UnixMilli(), mark)
		})
	}
	if err != nil {
		return store.Lease{}, k.fail("renew the lease of session", lease.Session, err)
	}
	return lease, nil
}

// ReleaseLease implements [store.Leaser].
func (k *Keeper) ReleaseLease(ctx context.Context, lease store.Lease) error {
	if err := k.update(ctx, lease, `until=$6`, released); err != nil && !errors.Is(err, store.ErrLeaseLost) {
		return k.fail("release the lease of session", lease.Session, err)
	}
	return nil
}

// PeekLease implements [store.Leaser].
func (k *Keeper) PeekLease(ctx context.Context, session string) (store.Lease, error) {
	now, err := k.config.Now(ctx)
	var held record
	if err == nil {
		held, err = k.last(ctx, session)
		held = held.corrected(now)
	}
	if err == nil && (!held.inForce(now) || k.dead(ctx, held.mark) && !held.doubted(now, k.config.Grace)) {
		err = fmt.Errorf("it has no lease in force: %w", store.ErrNotFound)
	}
	if err != nil {
		return store.Lease{}, k.fail("look at the lease of session", session, err)
	}
	return held.Lease, nil
}

// Held returns when the last lease with that mark ends, or a time long ago if
// there is none.
func Held(ctx context.Context, conn *sql.Conn, mark string) (until time.Time, err error) {
	var end int64
	err = conn.QueryRowContext(ctx, `SELECT COALESCE(MAX(until), 0) FROM walink_lease WHERE mark=$1`, mark).Scan(&end)
	return time.UnixMilli(end), err
}

// released is the until of a lease that was released. The row stays, so that
// tokens continue to grow.
const released = -1

// update changes the row of a lease, unless the lease was released or the
// session was lent again. It compares holder and since too, because a database
// that has lost its data may have given another lease the same token.
func (k *Keeper) update(ctx context.Context, lease store.Lease, set string, values ...any) error {
	args := append([]any{
		k.name(lease.Session), int64(lease.Token), released, k.name(lease.Holder), lease.Since.UnixMilli(), //nolint:gosec // a count
	}, values...)
	result, err := k.db.Exec(ctx, `
		UPDATE walink_lease SET `+set+` WHERE session=$1 AND token=$2 AND until<>$3 AND holder=$4 AND since=$5
	`, args...)
	if err != nil {
		return err
	}
	changed, err := result.RowsAffected()
	if err == nil && changed == 0 {
		err = store.ErrLeaseLost
	}
	return err
}

// last returns the last lease of session, in force or not, or a zero record if
// there was none.
func (k *Keeper) last(ctx context.Context, session string) (held record, err error) {
	var holder []byte
	var token, since, until, renewed, doubt int64
	err = k.db.QueryRow(ctx, `SELECT holder, token, since, until, renewed, mark, doubt FROM walink_lease WHERE session=$1`, k.name(session)).
		Scan(&holder, &token, &since, &until, &renewed, &held.mark, &doubt)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return record{}, nil
	case err != nil:
		return record{}, err
	}
	held.Session, held.Holder, held.Token = session, string(holder), uint64(token) //nolint:gosec // a count
	held.Since, held.Until = time.UnixMilli(since).UTC(), time.UnixMilli(until).UTC()
	held.renewed, held.doubt = time.UnixMilli(renewed), time.UnixMilli(doubt)
	return held, nil
}

// doubted reports whether a holder that was found dead can still show that it
// is alive.
func (r record) doubted(now time.Time, grace time.Duration) bool {
	return grace > 0 && (r.doubt.UnixMilli() == 0 || r.doubt.Add(grace).After(now))
}

func (r record) inForce(now time.Time) bool { return r.Token > 0 && r.Until.After(now) }

// milli returns t with the precision of the database.
func milli(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()).UTC() }
