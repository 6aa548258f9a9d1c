package sqlkeep

import (
	"bytes"
	"context"
	"database/sql"
	"errors"

	"go.mau.fi/util/dbutil"

	"github.com/walink/walink/internal/registry"
	"github.com/walink/walink/store"
)

// PutEntry implements [store.Registry].
func (k *Keeper) PutEntry(ctx context.Context, e store.Entry) error {
	err := registry.Check(e.Value)
	if err == nil {
		err = k.txn(ctx, func(ctx context.Context) error {
			_, err := k.db.Exec(ctx, `
				INSERT INTO walink_entry (session, value) VALUES ($1, $2) ON CONFLICT (session) DO UPDATE SET value=excluded.value
			`, k.name(e.Session), blob(e.Value))
			return err
		})
	}
	if err != nil {
		return k.fail("store the entry of session", e.Session, err)
	}
	return nil
}

// Entry implements [store.Registry].
func (k *Keeper) Entry(ctx context.Context, session string) (store.Entry, error) {
	_, found, err := scanEntry(k.db.QueryRow(ctx, `SELECT session, value FROM walink_entry WHERE session=$1`, k.name(session)))
	if errors.Is(err, sql.ErrNoRows) {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Entry{}, registry.Fault(k.fail("read the entry of session", session, err))
	}
	return found, nil
}

// Entries implements [store.Registry].
func (k *Keeper) Entries(ctx context.Context) ([]store.Entry, error) {
	rows, err := k.db.Query(ctx, `SELECT session, value FROM walink_entry ORDER BY session`)
	all, err := list(k, "list the entries", scanEntry, rows, err)
	return all, registry.Fault(err)
}

// DeleteEntry implements [store.Registry].
func (k *Keeper) DeleteEntry(ctx context.Context, session string) error {
	err := k.txn(ctx, func(ctx context.Context) error {
		deleted, err := k.change(ctx, `DELETE FROM walink_entry WHERE session=$1`, k.name(session))
		if deleted {
			k.deletions.Add(1)
		}
		return err
	})
	if err != nil {
		return k.fail("delete the entry of session", session, err)
	}
	return nil
}

// scanEntry reads an entry. The session is known even if the value cannot be read.
func scanEntry(row dbutil.Scannable) (session string, e store.Entry, err error) {
	var name, value []byte
	err = row.Scan(&name, scanner(func(stored any) error {
		b, ok := stored.([]byte)
		if !ok {
			return errors.New("the value is no bytes")
		}
		value = bytes.Clone(b) // b belongs to the driver
		return registry.Check(b)
	}))
	return string(name), store.Entry{Session: string(name), Value: value}, err
}
