package sqlkeep

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"go.mau.fi/util/dbutil"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/store"
)

// Adoptable returns the devices in the database that have no session name,
// sorted. Another whatsmeow program has linked them.
func (k *Keeper) Adoptable(ctx context.Context) ([]types.JID, error) {
	rows, err := k.db.Query(ctx, `
		SELECT jid FROM whatsmeow_device d
		WHERE jid IS NOT NULL AND NOT EXISTS (SELECT 1 FROM walink_session s WHERE s.jid=d.jid)
		ORDER BY jid
	`)
	jids, err := dbutil.NewRowIterWithError(rows, dbutil.ScanSingleColumn[types.JID], err).AsList()
	if err != nil {
		return nil, k.config.Fail("list devices", err)
	}
	return jids, nil
}

// Adopt stores a session name for the stored device jid. It never deletes
// anything.
func (k *Keeper) Adopt(ctx context.Context, session string, jid types.JID) error {
	err := k.locked(ctx, "session", []string{session}, func(ctx context.Context) error {
		held, _, err := k.holder(ctx, session)
		switch {
		case err != nil:
			return err
		case !held.IsEmpty() && held == jid:
			return nil
		case !held.IsEmpty():
			return errors.New("the session has another device: choose another name, or delete the session first")
		}
		var name []byte
		err = k.db.QueryRow(ctx, `
			SELECT s.name FROM whatsmeow_device d LEFT JOIN walink_session s ON s.jid=d.jid WHERE d.jid=$1
		`, jid).Scan(&name)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return fmt.Errorf("the database has no such device: %w", store.ErrNotFound)
		case err != nil:
			return err
		case name != nil:
			return fmt.Errorf("the device is already stored as session %q", name)
		}
		return k.record(ctx, session, jid, time.Now())
	})
	if err != nil {
		return k.fail("adopt session", session, err)
	}
	return nil
}
