package sqlkeep

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
func (k *Keeper) Device(ctx context.Context, session string) (*wastore.Device, error) {
	device, err := k.load(ctx, session)
	if err != nil {
		return nil, k.fail("load session", session, err)
	}
	if device == nil {
		device = k.container.NewDevice()
	}
	k.wrap(device, session)
	return device, nil
}

// load returns nil if there is no device under session.
func (k *Keeper) load(ctx context.Context, session string) (*wastore.Device, error) {
	var jid types.JID
	err := k.db.QueryRow(ctx, `SELECT jid FROM walink_session WHERE name=$1`, k.name(session)).Scan(&jid)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return k.container.GetDevice(ctx, jid)
}

// Sessions returns all stored sessions, sorted by name, byte for byte. Where
// what is stored of one cannot be read, it returns the others with the error,
// which names that one.
func (k *Keeper) Sessions(ctx context.Context) ([]store.Session, error) {
	rows, err := k.db.Query(ctx, `
		SELECT s.name, s.jid, d.lid, s.linked_at
		FROM walink_session s JOIN whatsmeow_device d ON d.jid=s.jid
		ORDER BY s.name
	`)
	var bad []error
	sessions, err := dbutil.NewRowIterWithError(rows, func(row dbutil.Scannable) (listed, error) {
		s, broken, err := scanSession(row)
		bad = append(bad, broken)
		return listed{s, broken == nil}, err
	}, err).AsList()
	if err != nil {
		return nil, k.config.Fail("list sessions", err)
	}
	var whole []store.Session
	for _, s := range sessions {
		if s.whole {
			whole = append(whole, s.Session)
		}
	}
	if err := errors.Join(bad...); err != nil {
		return whole, k.config.Fail("list sessions", err)
	}
	return whole, nil
}

// listed is a session, and whether all of it could be read.
type listed struct {
	store.Session
	whole bool
}

// scanSession returns a broken session with its name.
func scanSession(row dbutil.Scannable) (session store.Session, broken, err error) {
	var linkedAt int64
	var name []byte
	var jid, lid sql.NullString
	if err := row.Scan(&name, &jid, &lid, &linkedAt); err != nil {
		return session, nil, err
	}
	session.Name, session.LinkedAt = string(name), time.UnixMilli(linkedAt).UTC()
	var errJID, errLID error
	session.JID, errJID = parseJID(jid.String)
	session.LID, errLID = parseJID(lid.String)
	switch {
	case errJID != nil:
		broken = fmt.Errorf("session %q: its JID cannot be read", session.Name)
	case errLID != nil:
		broken = fmt.Errorf("session %q: its LID cannot be read", session.Name)
	}
	return session, broken, nil
}

// parseJID reads what a column holds, which for no JID is nothing.
func parseJID(text string) (types.JID, error) {
	if text == "" {
		return types.EmptyJID, nil
	}
	return types.ParseJID(text)
}

// Delete forgets session and everything stored for its device. An unknown
// session gets an error that wraps [store.ErrNotFound].
func (k *Keeper) Delete(ctx context.Context, session string) error {
	err := k.locked(ctx, "session", session, func(ctx context.Context) error {
		jid, _, err := k.holder(ctx, session)
		if err != nil {
			return err
		} else if jid.IsEmpty() {
			return store.ErrNotFound
		}
		return k.forget(ctx, jid)
	})
	if err != nil {
		return k.fail("delete session", session, err)
	}
	return nil
}

// holder returns the JID and the private noise key of the device stored under
// session, or an empty JID.
func (k *Keeper) holder(ctx context.Context, session string) (jid types.JID, noiseKey []byte, err error) {
	err = k.db.QueryRow(ctx, `
		SELECT s.jid, d.noise_key FROM walink_session s JOIN whatsmeow_device d ON d.jid=s.jid WHERE s.name=$1
	`, k.name(session)).Scan(&jid, &noiseKey)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return jid, noiseKey, err
}

// forget deletes a device with its data and its session name, most of it by
// foreign keys; whatsmeow's privacy tokens have none.
func (k *Keeper) forget(ctx context.Context, jid types.JID) error {
	if _, err := k.db.Exec(ctx, `DELETE FROM whatsmeow_privacy_tokens WHERE our_jid=$1`, jid); err != nil {
		return err
	}
	_, err := k.db.Exec(ctx, `DELETE FROM whatsmeow_device WHERE jid=$1`, jid)
	return err
}
