package sqlkeep

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"go.mau.fi/util/dbutil"

	"github.com/walink/walink/store"
)

// TakeLease implements [store.Leaser].
func (k *Keeper) TakeLease(ctx context.Context, session string, holder store.Holder, ttl time.Duration) (lease store.Lease, err error) {
	var busy *store.BusyError
	err = k.locked(ctx, "lease", session, func(ctx context.Context) error {
		lease, busy, err = k.take(ctx, session, holder, ttl)
		return err
	})
	if err == nil && busy != nil { // not inside the transaction, which must store a correction
		err = busy
	}
	if err != nil {
		return store.Lease{}, k.fail("lease session", session, err)
	}
	return lease, nil
}

// record is a lease as it is stored, with the row of its holder. Without a holder
// until is zero.
type record struct {
	store.Lease
	until, renewed int64 // of the holder; renewed is when it began or was last renewed
}

// corrected returns the lease of a holder that was renewed in the future, before the
// clock was set back, as if the holder were renewed now. A holder that lives renews by
// the new clock.
func (r record) corrected(now time.Time) record {
	if ahead := r.renewed - now.UnixMilli(); ahead > clockSlack.Milliseconds() && r.until > now.UnixMilli() {
		r.renewed, r.until = now.UnixMilli(), r.until-ahead
		r.Until = time.UnixMilli(r.until).UTC()
	}
	return r
}

func (r record) inForce(now time.Time) bool { return r.until > now.UnixMilli() }

// take lends the session, or says who has it.
func (k *Keeper) take(ctx context.Context, session string, holder store.Holder, ttl time.Duration) (store.Lease, *store.BusyError, error) {
	now, err := k.config.Now(ctx)
	if err != nil {
		return store.Lease{}, nil, err
	}
	stored, err := k.last(ctx, session)
	if err != nil {
		return store.Lease{}, nil, err
	}
	if held := stored.corrected(now); held.inForce(now) {
		if held != stored {
			_, err = k.db.Exec(ctx, `UPDATE walink_holder SET renewed=$1, until=$2 WHERE id=$3 AND renewed=$4`,
				held.renewed, held.until, k.name(held.HolderID), stored.renewed)
		}
		return store.Lease{}, &store.BusyError{Lease: held.Lease}, err
	}
	if stored.until != 0 && stored.HolderID != holder.ID {
		ended, err := k.change(ctx, `DELETE FROM walink_holder WHERE id=$1 AND renewed=$2 AND until=$3`,
			k.name(stored.HolderID), stored.renewed, stored.until)
		if err == nil && !ended { // it was renewed or ended at this moment
			return k.take(ctx, session, holder, ttl)
		}
		if err != nil {
			return store.Lease{}, nil, err
		}
	}
	if holder.Until.IsZero() && holder.ID != "" {
		_, err := k.db.Exec(ctx, `INSERT INTO walink_holder (id, name, until, renewed) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			k.name(holder.ID), k.name(holder.Name), now.Add(ttl).UnixMilli(), now.UnixMilli())
		if err != nil {
			return store.Lease{}, nil, err
		}
	}
	// The token is the time, so that tokens grow even if the database has lost
	// the last one.
	token := max(stored.Token+1, uint64(max(now.UnixMicro(), 0)))
	own, err := k.pinned(ctx, holder.ID)
	if err == nil {
		_, err = k.db.Exec(ctx, `
			INSERT INTO walink_lease (session, holder, token, since) VALUES ($1, $2, $3, $4)
			ON CONFLICT (session) DO UPDATE SET holder=excluded.holder, token=excluded.token, since=excluded.since
		`, k.name(session), k.name(holder.ID), int64(token), now.UnixMilli()) //nolint:gosec // a count
	}
	return store.Lease{
		Session: session, Holder: own.Name, HolderID: own.ID, Token: token, Since: milli(now), Until: own.Until,
	}, nil, err
}

// pinned returns the holder with that ID, which nobody can end before the end of the
// transaction.
func (k *Keeper) pinned(ctx context.Context, id string) (store.Holder, error) {
	query := `SELECT name, until FROM walink_holder WHERE id=$1`
	if k.db.Dialect == dbutil.Postgres {
		query += ` FOR KEY SHARE`
	}
	var name []byte
	var until int64
	err := k.db.QueryRow(ctx, query, k.name(id)).Scan(&name, &until)
	if errors.Is(err, sql.ErrNoRows) {
		err = store.ErrLeaseLost
	}
	return store.Holder{ID: id, Name: string(name), Until: time.UnixMilli(until).UTC()}, err
}

// RenewHolder implements [store.Leaser].
func (k *Keeper) RenewHolder(ctx context.Context, holder store.Holder, ttl time.Duration) (store.Holder, error) {
	err := k.intact()
	var now time.Time
	if err == nil {
		now, err = k.config.Now(ctx)
	}
	if err == nil {
		holder.Until = milli(now.Add(ttl))
		var renewed bool
		renewed, err = k.change(ctx, `UPDATE walink_holder SET until=$1, renewed=$2 WHERE id=$3`,
			holder.Until.UnixMilli(), now.UnixMilli(), k.name(holder.ID))
		if err == nil && !renewed {
			err = store.ErrLeaseLost
		}
	}
	if err != nil {
		return store.Holder{}, k.config.Fail("renew the leases", err)
	}
	return holder, nil
}

// ReleaseLease implements [store.Leaser]. The row stays, so that tokens continue to
// grow.
func (k *Keeper) ReleaseLease(ctx context.Context, lease store.Lease) error {
	_, err := k.db.Exec(ctx, `UPDATE walink_lease SET holder='' WHERE session=$1 AND token=$2 AND holder=$3`,
		k.name(lease.Session), int64(lease.Token), k.name(lease.HolderID)) //nolint:gosec // a count
	if err != nil {
		return k.fail("release the lease of session", lease.Session, err)
	}
	return nil
}

// EndHolder implements [store.Leaser].
func (k *Keeper) EndHolder(ctx context.Context, holder store.Holder) error {
	if _, err := k.db.Exec(ctx, `DELETE FROM walink_holder WHERE id=$1`, k.name(holder.ID)); err != nil {
		return k.config.Fail("release the leases", err)
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
	if err == nil && !held.inForce(now) {
		err = fmt.Errorf("it has no lease in force: %w", store.ErrNotFound)
	}
	if err != nil {
		return store.Lease{}, k.fail("look at the lease of session", session, err)
	}
	return held.Lease, nil
}

// Leases implements [store.Leaser].
func (k *Keeper) Leases(ctx context.Context) ([]store.Lease, error) {
	now, err := k.config.Now(ctx)
	var all []store.Lease
	if err == nil {
		rows, queryErr := k.db.Query(ctx, leaseQuery+` WHERE walink_holder.until > 0 ORDER BY session`)
		err = dbutil.NewRowIterWithError(rows, scanRecord, queryErr).Iter(func(held record) (bool, error) {
			if held = held.corrected(now); held.inForce(now) {
				all = append(all, held.Lease)
			}
			return true, nil
		})
	}
	if err != nil {
		return nil, k.config.Fail("list the leases", err)
	}
	return all, nil
}

// last returns the last lease of session, in force or not, or a zero record if
// there was none.
func (k *Keeper) last(ctx context.Context, session string) (record, error) {
	held, err := scanRecord(k.db.QueryRow(ctx, leaseQuery+` WHERE session=$1`, k.name(session)))
	if errors.Is(err, sql.ErrNoRows) {
		return record{}, nil
	}
	return held, err
}

const leaseQuery = `
	SELECT session, holder, token, since, name, COALESCE(until, 0), COALESCE(renewed, 0)
	FROM walink_lease LEFT JOIN walink_holder ON id=holder
`

func scanRecord(row dbutil.Scannable) (held record, err error) {
	var session, id, name []byte
	var token, since int64
	if err := row.Scan(&session, &id, &token, &since, &name, &held.until, &held.renewed); err != nil {
		return record{}, err
	}
	held.Lease = store.Lease{
		Session: string(session), Holder: string(name), HolderID: string(id), Token: uint64(token), //nolint:gosec // a count
		Since: time.UnixMilli(since).UTC(), Until: time.UnixMilli(held.until).UTC(),
	}
	return held, nil
}

// change executes a statement, and reports whether it has changed a row.
func (k *Keeper) change(ctx context.Context, statement string, args ...any) (bool, error) {
	result, err := k.db.Exec(ctx, statement, args...)
	if err != nil {
		return false, err
	}
	changed, err := result.RowsAffected()
	return changed > 0, err
}

// milli returns t with the precision of the database.
func milli(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()).UTC() }
