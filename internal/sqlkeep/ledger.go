package sqlkeep

import (
	"context"
	"time"

	"github.com/walink/walink/store"
)

// ledgerMemory is the least time for which requests for pairing codes are
// remembered.
const ledgerMemory = 24 * time.Hour

// clockSlack is how much the clocks of several processes may differ.
const clockSlack = time.Minute

// TakeCode implements [store.Ledger]. The numbers are stored in clear, in the
// same database as the accounts that they belong to. Requests of more than a
// day ago are deleted by the next call, or when the database is opened.
func (k *Keeper) TakeCode(ctx context.Context, number string, now time.Time, limit int, window time.Duration) (next time.Time, err error) {
	err = k.locked(ctx, "codes", []string{number}, func(ctx context.Context) error {
		if err := k.forgetCodes(ctx, now, window); err != nil {
			return err
		}
		var until int64
		if err := k.db.QueryRow(ctx, `SELECT COALESCE(MAX(until), 0) FROM walink_refusal WHERE number=$1`, number).Scan(&until); err != nil {
			return err
		}
		if until > now.UnixNano() {
			next = time.Unix(0, until).UTC()
			return nil
		}
		if limit <= 0 {
			next = now.Add(window).UTC()
			return nil
		}
		// The limit-th request from the end must leave the window before
		// another code may be requested.
		var count int
		var oldest int64
		err := k.db.QueryRow(ctx, `
			SELECT COUNT(*), COALESCE(MIN(asked_at), 0) FROM (
				SELECT asked_at FROM walink_code WHERE number=$1 AND asked_at>$2 ORDER BY asked_at DESC LIMIT $3
			) AS asked
		`, number, now.Add(-window).UnixNano(), limit).Scan(&count, &oldest)
		switch {
		case err != nil:
			return err
		case count >= limit:
			next = time.Unix(0, oldest).Add(window).UTC()
			return nil
		}
		_, err = k.db.Exec(ctx, `INSERT INTO walink_code (number, asked_at) VALUES ($1, $2)`, number, now.UnixNano())
		return err
	})
	if err != nil {
		return time.Time{}, k.config.Fail("record a pairing code", err)
	}
	return next, nil
}

// RefuseCode implements [store.Ledger].
func (k *Keeper) RefuseCode(ctx context.Context, number string, now time.Time, wait time.Duration) (until time.Time, err error) {
	err = k.locked(ctx, "codes", []string{number}, func(ctx context.Context) error {
		if err := k.forgetCodes(ctx, now, 0); err != nil {
			return err
		}
		var before int
		if err := k.db.QueryRow(ctx, `SELECT COUNT(*) FROM walink_refusal WHERE number=$1`, number).Scan(&before); err != nil {
			return err
		}
		until = now.Add(store.Refusal(wait, before)).UTC()
		_, err := k.db.Exec(ctx, `INSERT INTO walink_refusal (number, refused_at, until) VALUES ($1, $2, $3)`,
			number, now.UnixNano(), until.UnixNano())
		return err
	})
	if err != nil {
		return time.Time{}, k.config.Fail("record a refusal", err)
	}
	return until, nil
}

// PeekCode implements [store.Ledger].
func (k *Keeper) PeekCode(ctx context.Context, number string, now time.Time, limit int, window time.Duration) (left int, next time.Time, err error) {
	var taken int
	var oldest, until int64
	err = k.db.QueryRow(ctx, `
		SELECT COUNT(*), COALESCE(MIN(asked_at), 0), (
			SELECT COALESCE(MAX(CASE WHEN refused_at>$5 THEN until-refused_at+$6 ELSE until END), 0) FROM walink_refusal WHERE number=$1
		)
		FROM (SELECT asked_at FROM walink_code WHERE number=$1 AND asked_at>$2 AND asked_at<=$4 ORDER BY asked_at DESC LIMIT $3) AS asked
	`, number, now.Add(-window).UnixNano(), limit, now.Add(max(window, clockSlack)).UnixNano(), now.Add(clockSlack).UnixNano(), now.UnixNano()).
		Scan(&taken, &oldest, &until)
	if err != nil {
		return 0, time.Time{}, k.config.Fail("read the pairing codes", err)
	}
	left = max(limit-taken, 0)
	switch {
	case until > now.UnixNano():
		next = time.Unix(0, until).UTC()
	case limit <= 0:
		next = now.Add(window)
	case left == 0:
		next = time.Unix(0, oldest).Add(window).UTC()
	}
	return left, next, nil
}

// forgetCodes deletes the requests and refusals that no longer count. The clock was
// wrong when a time in the future was written: forgetCodes deletes such a request, and
// lets such a refusal begin now.
func (k *Keeper) forgetCodes(ctx context.Context, now time.Time, window time.Duration) error {
	_, err := k.db.Exec(ctx, `DELETE FROM walink_code WHERE asked_at<$1 OR asked_at>$2`,
		now.Add(-max(window, ledgerMemory)).UnixNano(), now.Add(max(window, clockSlack)).UnixNano())
	if err != nil {
		return err
	}
	_, err = k.db.Exec(ctx, `UPDATE walink_refusal SET until=until-refused_at+$1, refused_at=$1 WHERE refused_at>$2`,
		now.UnixNano(), now.Add(clockSlack).UnixNano())
	if err != nil {
		return err
	}
	_, err = k.db.Exec(ctx, `DELETE FROM walink_refusal WHERE refused_at<=$1`, now.Add(-store.RefusalMemory).UnixNano())
	return err
}
