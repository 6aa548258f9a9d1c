package sqlkeep

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"go.mau.fi/util/dbutil"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/transfer"
)

var errStop = errors.New("the loop has ended")

// Export implements [transfer.Exporter].
func (k *Keeper) Export(ctx context.Context, session string) iter.Seq2[transfer.Record, error] {
	return func(yield func(transfer.Record, error) bool) {
		err := k.snapshot(ctx, func(db *dbutil.Database) error { return k.export(ctx, db, session, yield) })
		if err != nil && !errors.Is(err, errStop) {
			yield(nil, k.fail("export session", session, err))
		}
	}
}

// snapshot runs fn with the database in a transaction that sees one state and
// blocks no writer.
func (k *Keeper) snapshot(ctx context.Context, fn func(db *dbutil.Database) error) error {
	tx, err := k.config.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // it wrote nothing
	db := k.db.Child("", nil, nil)
	db.LoggingDB.UnderlyingExecable = tx
	return fn(db)
}

func (k *Keeper) export(ctx context.Context, db *dbutil.Database, session string, yield func(transfer.Record, error) bool) error {
	device, linkedAt, err := k.find(ctx, db, session)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return store.ErrNotFound
	case err != nil:
		return err
	}
	if !yield(transfer.DeviceRecord{Device: device, LinkedAt: linkedAt}, nil) {
		return errStop
	}
	for _, t := range tables() {
		columns := slices.Concat(t.keys, t.columns)
		where := []string{t.owner + `=$1`}
		for _, key := range t.keys {
			where = append(where, key+` IS NOT NULL`) // SQLite allows such rows, which no query finds
		}
		query := fmt.Sprintf(`SELECT %s FROM %s WHERE %s`, strings.Join(columns, ", "), t.name, strings.Join(where, ` AND `))
		if err := each(ctx, db, t.record, yield, query, device.ID.String()); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return nil
}

// each calls read for each row of a query, and yield for each result.
func each[T any](
	ctx context.Context, db *dbutil.Database, read func(scan func(to ...any) error) (T, error), yield func(T, error) bool, query string, args ...any,
) (err error) {
	rows, err := db.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		item, err := read(rows.Scan)
		if err != nil {
			return err
		}
		if !yield(item, nil) {
			return errStop
		}
	}
	return rows.Err()
}

// ExportLIDs implements [transfer.Exporter].
func (k *Keeper) ExportLIDs(ctx context.Context) iter.Seq2[wastore.LIDMapping, error] {
	return func(yield func(wastore.LIDMapping, error) bool) {
		err := k.snapshot(ctx, func(db *dbutil.Database) error {
			var broken error
			err := each(ctx, db, scanPair, func(pair wastore.LIDMapping, _ error) bool {
				if pair.LID.User == "" || pair.PN.User == "" {
					broken = fmt.Errorf("%w: a pair lacks its LID or its number", store.ErrDamaged)
					return true
				}
				return yield(pair, nil)
			}, `SELECT lid, pn FROM whatsmeow_lid_map`)
			return cmp.Or(err, broken)
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(wastore.LIDMapping{}, k.config.Fail("export the LID map", err))
		}
	}
}

func scanPair(scan func(to ...any) error) (pair wastore.LIDMapping, err error) {
	pair.LID.Server, pair.PN.Server = types.HiddenUserServer, types.DefaultUserServer
	err = scan(text(&pair.LID.User), text(&pair.PN.User)) // SQLite allows NULL in a key
	return pair, err
}
