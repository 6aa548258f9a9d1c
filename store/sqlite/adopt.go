package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"go.mau.fi/util/dbutil"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/store"
)

// Adoptable returns the devices that the database holds without a session
// name, sorted: those that another whatsmeow program has linked. [Store.Adopt]
// gives one of them a name.
func (s *Store) Adoptable(ctx context.Context) ([]types.JID, error) {
	rows, err := s.db.Query(ctx, `
		SELECT jid FROM whatsmeow_device d
		WHERE jid IS NOT NULL AND NOT EXISTS (SELECT 1 FROM walink_session s WHERE s.jid=d.jid)
		ORDER BY jid
	`)
	jids, err := dbutil.NewRowIterWithError(rows, dbutil.ScanSingleColumn[types.JID], err).AsList()
	if err != nil {
		return nil, fmt.Errorf("sqlite: list devices in %q: %w", s.path, err)
	}
	return jids, nil
}

// Adopt records the stored device jid under session, so that nobody need link
// it again. The JID must be as Adoptable gives it, with the device number. Its
// LinkedAt is the time of the adoption.
//
// If the database holds no such device the error wraps [store.ErrNotFound]. If
// the session already has another device, or the device another name, that is
// an error too; nothing is ever deleted. Adopting twice is not an error.
//
// Only one program at a time may use a device: stop the one that linked it.
func (s *Store) Adopt(ctx context.Context, session string, jid types.JID) error {
	err := s.txn(ctx, func(ctx context.Context) error {
		held, _, err := s.holder(ctx, session)
		switch {
		case err != nil:
			return err
		case !held.IsEmpty() && held == jid:
			return nil
		case !held.IsEmpty():
			return errors.New("the session has another device: delete it first, or choose another name")
		}
		var name sql.NullString
		err = s.db.QueryRow(ctx, `
			SELECT s.name FROM whatsmeow_device d LEFT JOIN walink_session s ON s.jid=d.jid WHERE d.jid=$1
		`, jid).Scan(&name)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return fmt.Errorf("the database holds no such device: %w", store.ErrNotFound)
		case err != nil:
			return err
		case name.Valid:
			return fmt.Errorf("the device is already stored as session %q", name.String)
		}
		return s.record(ctx, session, jid)
	})
	if err != nil {
		return s.fail("adopt session", session, err)
	}
	return nil
}
