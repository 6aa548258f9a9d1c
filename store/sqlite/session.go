package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"go.mau.fi/util/dbutil"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/store"
)

// Device returns the device linked under session, or a fresh unlinked one,
// which is stored under that name when whatsmeow saves it.
func (s *Store) Device(ctx context.Context, session string) (*wastore.Device, error) {
	device, err := s.load(ctx, session)
	if err != nil {
		return nil, s.fail("load session", session, err)
	}
	if device == nil {
		device = s.container.NewDevice()
	}
	s.wrap(device, session)
	return device, nil
}

// load returns nil if there is no device under session.
func (s *Store) load(ctx context.Context, session string) (*wastore.Device, error) {
	var jid types.JID
	err := s.db.QueryRow(ctx, `SELECT jid FROM walink_session WHERE name=$1`, session).Scan(&jid)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return s.container.GetDevice(ctx, jid)
}

// Sessions returns all stored sessions, sorted by name, byte for byte.
func (s *Store) Sessions(ctx context.Context) ([]store.Session, error) {
	rows, err := s.db.Query(ctx, `
		SELECT s.name, s.jid, d.lid, s.linked_at
		FROM walink_session s JOIN whatsmeow_device d ON d.jid=s.jid
		ORDER BY s.name
	`)
	sessions, err := dbutil.NewRowIterWithError(rows, scanSession, err).AsList()
	if err != nil {
		return nil, fmt.Errorf("sqlite: list sessions in %q: %w", s.path, explain(err))
	}
	return sessions, nil
}

func scanSession(row dbutil.Scannable) (session store.Session, err error) {
	var linkedAt int64
	err = row.Scan(&session.Name, &session.JID, &session.LID, &linkedAt)
	session.LinkedAt = time.UnixMilli(linkedAt).UTC()
	return session, err
}

// Delete forgets session and everything stored for its device. An unknown
// session gets an error that wraps [store.ErrNotFound].
func (s *Store) Delete(ctx context.Context, session string) error {
	err := s.txn(ctx, func(ctx context.Context) error {
		jid, _, err := s.holder(ctx, session)
		if err != nil {
			return err
		} else if jid.IsEmpty() {
			return store.ErrNotFound
		}
		return s.forget(ctx, jid)
	})
	if err != nil {
		return s.fail("delete session", session, err)
	}
	return nil
}

// holder returns the JID and the private noise key of the device stored under
// session, or an empty JID.
func (s *Store) holder(ctx context.Context, session string) (jid types.JID, noiseKey []byte, err error) {
	err = s.db.QueryRow(ctx, `
		SELECT s.jid, d.noise_key FROM walink_session s JOIN whatsmeow_device d ON d.jid=s.jid WHERE s.name=$1
	`, session).Scan(&jid, &noiseKey)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return jid, noiseKey, err
}

// forget deletes a device with its data and its session name, most of it by
// foreign keys; whatsmeow's privacy tokens have none.
func (s *Store) forget(ctx context.Context, jid types.JID) error {
	if _, err := s.db.Exec(ctx, `DELETE FROM whatsmeow_privacy_tokens WHERE our_jid=$1`, jid); err != nil {
		return err
	}
	_, err := s.db.Exec(ctx, `DELETE FROM whatsmeow_device WHERE jid=$1`, jid)
	return err
}
