package sqlkeep

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.mau.fi/util/dbutil"
	"go.mau.fi/whatsmeow/proto/waAdv"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
	waLog "go.mau.fi/whatsmeow/util/log"

	"github.com/walink/walink/internal/keypair"
	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/store"
)

// Device returns the device linked under session, or a fresh unlinked one. A
// fresh device is stored under that name when whatsmeow saves it.
func (k *Keeper) Device(ctx context.Context, session string) (*wastore.Device, error) {
	device, _, err := k.find(ctx, k.db, session)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		device = k.container.NewDevice()
	case err != nil:
		return nil, k.fail("load session", session, err)
	default:
		device.Log = waLog.Noop
		k.initialize(device)
	}
	k.wrap(device, session)
	return device, nil
}

// find reads the device that is stored under session, without log and stores,
// and the time at which it was linked. find does what sqlstore's GetDevice
// does, with two differences: it looks the device up by session name, which
// saves a second query, and it computes the public keys faster.
func (k *Keeper) find(ctx context.Context, db *dbutil.Database, session string) (*wastore.Device, time.Time, error) {
	device := &wastore.Device{Account: &waAdv.ADVSignedDeviceIdentity{}}
	account := device.Account
	var noise, identity, preKey, signature []byte
	var preKeyID uint32
	var facebook uuid.NullUUID
	var linkedAt int64
	err := db.QueryRow(ctx, `
		SELECT d.jid, d.lid, d.registration_id, d.noise_key, d.identity_key,
		       d.signed_pre_key, d.signed_pre_key_id, d.signed_pre_key_sig,
		       d.adv_key, d.adv_details, d.adv_account_sig, d.adv_account_sig_key, d.adv_device_sig,
		       d.platform, d.business_name, d.push_name, d.facebook_uuid, d.lid_migration_ts, d.companion_meta_nonce,
		       s.linked_at
		FROM walink_session s JOIN whatsmeow_device d ON d.jid=s.jid
		WHERE s.name=$1
	`, k.name(session)).Scan(
		&device.ID, &device.LID, &device.RegistrationID, &noise, &identity,
		&preKey, &preKeyID, &signature,
		&device.AdvSecretKey, &account.Details, &account.AccountSignature, &account.AccountSignatureKey, &account.DeviceSignature,
		&device.Platform, &device.BusinessName, &device.PushName, &facebook, &device.LIDMigrationTimestamp, &device.CompanionMetaNonce,
		&linkedAt,
	)
	switch {
	case err != nil:
		return nil, time.Time{}, err
	case len(noise) != 32, len(identity) != 32, len(preKey) != 32, len(signature) != 64,
		len(account.AccountSignature) != 64, len(account.AccountSignatureKey) != 32, len(account.DeviceSignature) != 64:
		return nil, time.Time{}, sqlstore.ErrInvalidLength
	}
	device.NoiseKey, device.IdentityKey = keypair.Of([32]byte(noise)), keypair.Of([32]byte(identity))
	device.SignedPreKey = &keys.PreKey{KeyPair: *keypair.Of([32]byte(preKey)), KeyID: preKeyID, Signature: (*[64]byte)(signature)}
	device.FacebookUUID = facebook.UUID
	return device, time.UnixMilli(linkedAt).UTC(), nil
}

// Sessions returns all stored sessions, sorted by name, byte by byte. If a
// session cannot be read, Sessions returns the others and an error that names
// it.
func (k *Keeper) Sessions(ctx context.Context) ([]store.Session, error) {
	rows, err := k.db.Query(ctx, `
		SELECT s.name, s.jid, d.lid, s.linked_at
		FROM walink_session s JOIN whatsmeow_device d ON d.jid=s.jid
		ORDER BY s.name
	`)
	return list(k, "list sessions", scanSession, rows, err)
}

// list reads rows, each of which belongs to a session. If some are damaged, list
// returns the others and an error that names the sessions of the damaged ones.
func list[T any](
	k *Keeper, op string, scan func(row dbutil.Scannable) (session string, item T, err error), rows dbutil.Rows, err error,
) ([]T, error) {
	var whole []T
	var bad []error
	err = dbutil.NewRowIterWithError(rows, func(row dbutil.Scannable) (struct{}, error) {
		session, item, err := scan(row)
		if err == nil {
			whole = append(whole, item)
		} else if err = damaged(err); errors.Is(err, store.ErrDamaged) {
			bad = append(bad, fmt.Errorf("session %q: %w", session, err))
			err = nil
		}
		return struct{}{}, err
	}, err).Iter(func(struct{}) (bool, error) { return true, nil })
	if err != nil {
		return nil, k.config.Fail(op, err)
	}
	if err := redact.Join(bad...); err != nil {
		return whole, k.config.Fail(op, err)
	}
	return whole, nil
}

// scanSession reads a session. The name is known even if the rest cannot be read.
func scanSession(row dbutil.Scannable) (session string, found store.Session, err error) {
	var linkedAt int64
	var name []byte
	var jid, lid sql.NullString
	if err := row.Scan(&name, &jid, &lid, &linkedAt); err != nil {
		return string(name), found, err
	}
	found.Name, found.LinkedAt = string(name), time.UnixMilli(linkedAt).UTC()
	if found.JID, err = parseJID(jid.String); err != nil {
		return found.Name, found, fmt.Errorf("%w: its JID cannot be read", store.ErrDamaged)
	}
	if found.LID, err = parseJID(lid.String); err != nil {
		return found.Name, found, fmt.Errorf("%w: its LID cannot be read", store.ErrDamaged)
	}
	return found.Name, found, nil
}

// parseJID reads a column, which is empty if there is no JID.
func parseJID(text string) (types.JID, error) {
	if text == "" {
		return types.EmptyJID, nil
	}
	return types.ParseJID(text)
}

// Delete deletes session and everything stored for its device. For an unknown
// session the error wraps [store.ErrNotFound].
func (k *Keeper) Delete(ctx context.Context, session string) error {
	err := k.locked(ctx, "session", []string{session}, func(ctx context.Context) error {
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

// holder returns the JID and the private noise key of the device that is stored
// under session, or an empty JID.
func (k *Keeper) holder(ctx context.Context, session string) (jid types.JID, noiseKey []byte, err error) {
	err = k.db.QueryRow(ctx, `
		SELECT s.jid, d.noise_key FROM walink_session s JOIN whatsmeow_device d ON d.jid=s.jid WHERE s.name=$1
	`, k.name(session)).Scan(&jid, &noiseKey)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return jid, noiseKey, err
}

// forget deletes a device with its data and its session name. Foreign keys
// delete most of it; whatsmeow's privacy tokens have no foreign key.
func (k *Keeper) forget(ctx context.Context, jid types.JID) error {
	if _, err := k.db.Exec(ctx, `DELETE FROM whatsmeow_privacy_tokens WHERE our_jid=$1`, jid); err != nil {
		return err
	}
	result, err := k.db.Exec(ctx, `DELETE FROM whatsmeow_device WHERE jid=$1`, jid)
	if err != nil {
		return err
	}
	deleted, err := result.RowsAffected()
	k.deletions.Add(deleted)
	return err
}
