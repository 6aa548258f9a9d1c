package sqlkeep

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.mau.fi/util/dbutil"

	"github.com/walink/walink/store"
)

// TakeLeases implements [store.Leaser].
func (k *Keeper) TakeLeases(
	ctx context.Context, sessions []string, holder store.Holder, ttl time.Duration,
) (taken, busy []store.Lease, err error) {
	err = k.locked(ctx, "lease", sessions, func(ctx context.Context) error {
		taken, busy, err = k.take(ctx, sessions, holder, ttl)
		return err
	})
	if err != nil {
		return nil, nil, k.config.Fail("take the leases", err)
	}
	return taken, busy, nil
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

// most is how many sessions one statement is about.
const most = 100

// take lends the sessions that are free, and says who has the others.
func (k *Keeper) take(
	ctx context.Context, sessions []string, holder store.Holder, ttl time.Duration,
) (taken, busy []store.Lease, err error) {
	now, err := k.config.Now(ctx)
	if err != nil {
		return nil, nil, err
	}
	stored, err := k.last(ctx, sessions)
	if err != nil {
		return nil, nil, err
	}
	var free []string
	holders := map[string]record{} // a record of each, by ID
	seen := map[string]bool{}
	for _, session := range sessions {
		if seen[session] {
			continue
		}
		seen[session] = true
		last := stored[session]
		if held := last.corrected(now); held.inForce(now) {
			busy = append(busy, held.Lease)
		} else {
			free = append(free, session)
		}
		if last.until != 0 {
			holders[last.HolderID] = last
		}
	}
	if _, known := holders[holder.ID]; !known && len(free) > 0 {
		holders[holder.ID] = record{}
	}
	own := holder
	for _, id := range slices.Sorted(maps.Keys(holders)) { // in one order, so that no two transactions wait for each other
		last := holders[id]
		switch held := last.corrected(now); {
		case held.inForce(now):
			err = k.correct(ctx, last, held)
		case id != holder.ID:
			var ended bool
			ended, err = k.change(ctx, `DELETE FROM walink_holder WHERE id=$1 AND renewed=$2 AND until=$3`, k.name(id), last.renewed, last.until)
			if err == nil && !ended { // it was renewed or ended at this moment
				return k.take(ctx, sessions, holder, ttl)
			}
		}
		if err == nil && id == holder.ID && len(free) > 0 {
			own, err = k.pin(ctx, holder, now, ttl)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	for _, session := range free {
		taken = append(taken, store.Lease{
			Session: session, Holder: own.Name, HolderID: own.ID, Since: milli(now), Until: own.Until,
			// The token is the time, so that tokens grow even if the database has lost
			// the last one.
			Token: max(stored[session].Token+1, uint64(max(now.UnixMicro(), 0))),
		})
	}
	return taken, busy, k.put(ctx, taken)
}

// put stores leases.
func (k *Keeper) put(ctx context.Context, leases []store.Lease) error {
	for part := range slices.Chunk(leases, most) {
		var args []any
		for _, lease := range part {
			args = append(args, k.name(lease.Session), k.name(lease.HolderID), int64(lease.Token), lease.Since.UnixMilli()) //nolint:gosec // a count
		}
		_, err := k.db.Exec(ctx, `INSERT INTO walink_lease (session, holder, token, since) VALUES `+places(1, len(part), 4)+`
			ON CONFLICT (session) DO UPDATE SET holder=excluded.holder, token=excluded.token, since=excluded.since`, args...)
		if err != nil {
			return err
		}
	}
	return nil
}

// places returns the placeholders of rows with that many columns. The first one is $first.
func places(first, rows, columns int) string {
	var list strings.Builder
	for i := range rows * columns {
		switch {
		case i == 0:
			list.WriteString("(")
		case i%columns == 0:
			list.WriteString("), (")
		default:
			list.WriteString(", ")
		}
		_, _ = fmt.Fprintf(&list, "$%d", first+i)
	}
	return list.String() + ")"
}

// pin begins the holder if it has not begun, and returns it as it is stored. Nobody can
// end it before the end of the transaction.
func (k *Keeper) pin(ctx context.Context, holder store.Holder, now time.Time, ttl time.Duration) (store.Holder, error) {
	if holder.Until.IsZero() && holder.ID != "" {
		_, err := k.db.Exec(ctx, `INSERT INTO walink_holder (id, name, until, renewed) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			k.name(holder.ID), k.name(holder.Name), now.Add(ttl).UnixMilli(), now.UnixMilli())
		if err != nil {
			return store.Holder{}, err
		}
	}
	query := `SELECT name, until FROM walink_holder WHERE id=$1`
	if k.db.Dialect == dbutil.Postgres {
		query += ` FOR KEY SHARE`
	}
	var name []byte
	var until int64
	err := k.db.QueryRow(ctx, query, k.name(holder.ID)).Scan(&name, &until)
	if errors.Is(err, sql.ErrNoRows) {
		err = store.ErrLeaseLost
	}
	return store.Holder{ID: holder.ID, Name: string(name), Until: time.UnixMilli(until).UTC()}, err
}

// correct stores what corrected has changed, unless the holder was renewed at this moment.
func (k *Keeper) correct(ctx context.Context, stored, held record) error {
	if held == stored {
		return nil
	}
	_, err := k.db.Exec(ctx, `UPDATE walink_holder SET renewed=$1, until=$2 WHERE id=$3 AND renewed=$4`,
		held.renewed, held.until, k.name(held.HolderID), stored.renewed)
	return err
}

// RenewHolder implements [store.Leaser].
func (k *Keeper) RenewHolder(ctx context.Context, holder store.Holder, ttl time.Duration) (store.Holder, error) {
	err := k.intact()
	if err == nil {
		holder.Until, err = k.renew(ctx, holder.ID, ttl)
	}
	if errors.Is(err, sql.ErrNoRows) {
		err = store.ErrLeaseLost
	}
	if err != nil {
		return store.Holder{}, k.config.Fail("renew the leases", err)
	}
	return holder, nil
}

// renew returns the new Until of a holder. PostgreSQL reads the clock when it renews: the
// statement may come from a network after a later one, and must not shorten what that has
// given.
func (k *Keeper) renew(ctx context.Context, id string, ttl time.Duration) (until time.Time, err error) {
	if k.db.Dialect == dbutil.Postgres {
		const clock = `FLOOR(EXTRACT(EPOCH FROM clock_timestamp())*1000)::BIGINT` // a cast alone rounds up, and other calls do not
		var milli int64
		err := k.db.QueryRow(ctx, `UPDATE walink_holder SET until=`+clock+`+$1, renewed=`+clock+` WHERE id=$2 RETURNING until`,
			ttl.Milliseconds(), k.name(id)).Scan(&milli)
		return time.UnixMilli(milli).UTC(), err
	}
	now, err := k.config.Now(ctx)
	if err != nil {
		return until, err
	}
	until = milli(now.Add(ttl))
	renewed, err := k.change(ctx, `UPDATE walink_holder SET until=$1, renewed=$2 WHERE id=$3`, until.UnixMilli(), now.UnixMilli(), k.name(id))
	if err == nil && !renewed {
		err = sql.ErrNoRows
	}
	return until, err
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
	var held, stored record
	if err == nil {
		var last map[string]record
		last, err = k.last(ctx, []string{session})
		stored = last[session]
		held = stored.corrected(now)
	}
	if err == nil && held.inForce(now) {
		err = k.correct(ctx, stored, held)
	} else if err == nil {
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

// Holders implements [store.Leaser]. The Mark is the sum of the tokens, which a database
// adds in two parts: the whole sum may be too large for its numbers.
func (k *Keeper) Holders(ctx context.Context) ([]store.HolderLeases, error) {
	now, err := k.config.Now(ctx)
	var all []store.HolderLeases
	if err == nil {
		rows, queryErr := k.db.Query(ctx, `
			SELECT id, name, until, renewed, COUNT(*), CAST(SUM(token >> 32) AS BIGINT), CAST(SUM(token & 4294967295) AS BIGINT)
			FROM walink_holder JOIN walink_lease ON holder=id WHERE until > $1 GROUP BY id ORDER BY id`, now.UnixMilli())
		scan := func(row dbutil.Scannable) (h store.HolderLeases, err error) {
			var id, name []byte
			var held record
			var high, low int64
			err = row.Scan(&id, &name, &held.until, &held.renewed, &h.Leases, &high, &low)
			held.Until = time.UnixMilli(held.until).UTC()
			h.Holder = store.Holder{ID: string(id), Name: string(name), Until: held.corrected(now).Until}
			h.Mark = uint64(high)<<32 + uint64(low) //nolint:gosec // modulo 1<<64
			return h, err
		}
		err = dbutil.NewRowIterWithError(rows, scan, queryErr).Iter(func(h store.HolderLeases) (bool, error) {
			if h.Until.After(now) {
				all = append(all, h)
			}
			return true, nil
		})
	}
	if err != nil {
		return nil, k.config.Fail("list the holders of leases", err)
	}
	return all, nil
}

// last returns the last leases of the sessions that had one, in force or not.
func (k *Keeper) last(ctx context.Context, sessions []string) (map[string]record, error) {
	last := map[string]record{}
	for part := range slices.Chunk(sessions, most) {
		var args []any
		for _, session := range part {
			args = append(args, k.name(session))
		}
		rows, err := k.db.Query(ctx, leaseQuery+` WHERE session IN `+places(1, 1, len(part)), args...)
		err = dbutil.NewRowIterWithError(rows, scanRecord, err).Iter(func(held record) (bool, error) {
			last[held.Session] = held
			return true, nil
		})
		if err != nil {
			return nil, err
		}
	}
	return last, nil
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
