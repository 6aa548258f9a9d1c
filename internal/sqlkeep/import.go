package sqlkeep

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/internal/batch"
	"github.com/walink/walink/store/transfer"
)

// Import implements [transfer.Importer].
func (k *Keeper) Import(ctx context.Context, session string, records iter.Seq2[transfer.Record, error]) error {
	err := k.locked(ctx, "session", []string{session}, func(ctx context.Context) error {
		var w *writer
		for record, err := range records {
			if err != nil {
				return err
			}
			device, first := record.(transfer.DeviceRecord)
			switch {
			case first != (w == nil):
				return errors.New("the records must have one device, as the first of them")
			case first:
				if err := k.importDevice(ctx, session, device); err != nil {
					return err
				}
				w = newWriter(k, *device.Device.ID)
			default:
				if err := w.add(ctx, record); err != nil {
					return err
				}
			}
		}
		if w == nil {
			return errors.New("there are no records")
		}
		return w.flush(ctx)
	})
	if err != nil {
		return k.fail("import session", session, err)
	}
	return nil
}

// importDevice stores the device. It fails if the device or the session is
// already stored.
func (k *Keeper) importDevice(ctx context.Context, session string, record transfer.DeviceRecord) error {
	device := *record.Device // PutDevice changes its argument
	if device.ID == nil || device.ID.IsEmpty() || device.Account == nil {
		return errors.New("the device is not linked")
	}
	held, _, err := k.holder(ctx, session)
	if err != nil {
		return err
	}
	var stored bool
	err = k.db.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM whatsmeow_device WHERE jid=$1)`, *device.ID).Scan(&stored)
	switch {
	case err != nil:
		return err
	case !held.IsEmpty():
		return fmt.Errorf("the session already has a device: %w", transfer.ErrTaken)
	case stored:
		return fmt.Errorf("the database has the device already, under another name or under none (see Adopt): %w", transfer.ErrTaken)
	}
	// A program that deletes without foreign keys may have left data of the
	// device.
	if err := k.forget(ctx, *device.ID); err != nil {
		return err
	}
	if err := k.container.PutDevice(ctx, &device); err != nil {
		return err
	}
	return k.record(ctx, session, *device.ID, record.LinkedAt)
}

// importRows is the number of rows in one statement.
const importRows = 100

// writer stores rows, many rows of one table in one statement.
type writer struct {
	keeper *Keeper
	jid    types.JID
	tables map[string]table
	table  string // the table of the rows that wait
	rows   int
	args   []any // the JID, and the values of the rows that wait
}

func newWriter(k *Keeper, jid types.JID) *writer {
	w := &writer{keeper: k, jid: jid, tables: map[string]table{}}
	for _, t := range tables() {
		w.tables[t.name] = t
	}
	return w
}

func (w *writer) add(ctx context.Context, record transfer.Record) error {
	table, values := row(record)
	if w.rows == importRows || w.rows > 0 && w.table != table {
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	if w.rows == 0 {
		w.table, w.args = table, []any{w.jid.String()}
	}
	w.args = append(w.args, values...)
	w.rows++
	return nil
}

// flush stores the rows that wait.
func (w *writer) flush(ctx context.Context) error {
	if w.rows == 0 {
		return nil
	}
	t := w.tables[w.table]
	columns := slices.Concat([]string{t.owner}, t.keys, t.columns)
	var query strings.Builder
	fmt.Fprintf(&query, `INSERT INTO %s (%s) VALUES `, t.name, strings.Join(columns, ", "))
	next := 2
	for i := range w.rows {
		if i > 0 {
			query.WriteByte(',')
		}
		query.WriteString("($1")
		for range columns[1:] {
			fmt.Fprintf(&query, ",$%d", next)
			next++
		}
		query.WriteByte(')')
	}
	w.rows = 0
	if _, err := w.keeper.db.Exec(ctx, query.String(), w.args...); err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	return nil
}

// importPairs is the number of LID pairs in one statement.
const importPairs = 500

// ImportLIDs implements [transfer.Importer]. It stores the pairs through the
// container's LIDMap, so that the cache of the LIDMap knows them.
func (k *Keeper) ImportLIDs(ctx context.Context, pairs iter.Seq2[wastore.LIDMapping, error]) error {
	err := batch.Each(pairs, importPairs, func(list []wastore.LIDMapping) error { return k.addPairs(ctx, list) })
	if err != nil {
		return k.config.Fail("import the LID map", err)
	}
	return nil
}

// addPairs adds the pairs of which neither side is known.
func (k *Keeper) addPairs(ctx context.Context, batch []wastore.LIDMapping) error {
	if len(batch) == 0 {
		return nil
	}
	known := map[types.JID]bool{}
	n := len(batch)
	args := make([]any, 2*n)
	for i, pair := range batch {
		args[i], args[n+i] = pair.LID.User, pair.PN.User
	}
	query := `SELECT lid, pn FROM whatsmeow_lid_map WHERE lid IN ` + places(1, 1, n) + ` OR pn IN ` + places(n+1, 1, n)
	err := each(ctx, k.db, scanPair, func(pair wastore.LIDMapping, _ error) bool {
		known[pair.LID], known[pair.PN] = true, true
		return true
	}, query, args...)
	if err != nil {
		return err
	}
	fresh := slices.DeleteFunc(slices.Clone(batch), func(pair wastore.LIDMapping) bool { return known[pair.LID] || known[pair.PN] })
	return k.container.LIDMap.PutManyLIDMappings(ctx, fresh)
}
