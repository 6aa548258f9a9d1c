package sqlkeep

import (
	"bytes"
	"context"
	"errors"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/types"
)

// container is the DeviceContainer of a device: it saves and deletes the device
// and its session name together.
type container struct {
	keeper  *Keeper
	session string
}

var _ wastore.DeviceContainer = container{}

// wrap sets the device's container, and wraps the stores that sqlstore has
// given the device.
func (k *Keeper) wrap(device *wastore.Device, session string) {
	device.Container = container{keeper: k, session: session}
	if device.Initialized {
		of := owner{keeper: k, session: session}
		device.Identities = identities{IdentityStore: device.Identities, owner: of, jid: *device.ID}
		device.Sessions = &sessions{SessionStore: device.Sessions, owner: of, jid: *device.ID}
		device.PreKeys = &preKeys{PreKeyStore: device.PreKeys, owner: of, jid: *device.ID}
		device.AppState = appState{AppStateStore: device.AppState, owner: of}
		device.MsgSecrets = messageSecrets{MsgSecretStore: device.MsgSecrets, owner: of}
		device.Contacts = &contacts{ContactStore: device.Contacts}
		device.PrivacyTokens = privacyTokens{PrivacyTokenStore: device.PrivacyTokens, keeper: k}
		device.EventBuffer = eventBuffer{EventBuffer: device.EventBuffer, owner: of}
	}
}

// PutDevice implements [wastore.DeviceContainer]. It stores the device and the
// session name in one transaction. A new device is initialized only if that
// transaction is committed.
func (c container) PutDevice(ctx context.Context, device *wastore.Device) error {
	if err := c.put(ctx, device); err != nil {
		return c.keeper.fail("save session", c.session, err)
	}
	return nil
}

func (c container) put(ctx context.Context, device *wastore.Device) error {
	if device.ID == nil || device.ID.IsEmpty() {
		return sqlstore.ErrDeviceIDMustBeSet
	} else if device.Account == nil {
		return errors.New("the device has no account identity")
	}
	if device.Initialized {
		return c.update(ctx, device)
	}
	saved := *device // sqlstore initializes its argument even when it fails
	if err := c.insert(ctx, &saved); err != nil {
		return err
	}
	c.keeper.initialize(device)
	c.keeper.wrap(device, c.session)
	return nil
}

// initialize gives a stored device its stores, as sqlstore does. It writes no other field,
// because whatsmeow may read the keys meanwhile.
func (k *Keeper) initialize(device *wastore.Device) {
	device.SetAllStores(sqlstore.NewSQLStore(k.container, *device.ID))
	device.LIDs, device.Initialized = k.container.LIDMap, true
}

// insert stores a device that was just linked. It deletes the device that held
// the session before, and any device with the same JID. The link of the latter
// has ended, or its JID would not be free, and sqlstore would keep its old
// keys.
func (c container) insert(ctx context.Context, device *wastore.Device) error {
	k := c.keeper
	return k.locked(ctx, "session", []string{c.session}, func(ctx context.Context) error {
		old, _, err := k.holder(ctx, c.session)
		if err != nil {
			return err
		}
		for _, jid := range []types.JID{old, *device.ID} {
			if err := k.forget(ctx, jid); err != nil {
				return err
			}
		}
		if err := k.container.PutDevice(ctx, device); err != nil {
			return err
		}
		return k.record(ctx, c.session, *device.ID, time.Now())
	})
}

// update stores a device again, as whatsmeow does when a name changes. A device
// that has lost its session must not take it back. It may have lost the session
// to a device with the same JID, so update compares the keys too.
func (c container) update(ctx context.Context, device *wastore.Device) error {
	return c.keeper.locked(ctx, "session", []string{c.session}, func(ctx context.Context) error {
		held, key, err := c.keeper.holder(ctx, c.session)
		if err != nil {
			return err
		} else if held != *device.ID || !bytes.Equal(key, device.NoiseKey.Priv[:]) {
			return wastore.ErrDeviceDeleted
		}
		saved := *device // PutDevice replaces the container of its argument
		return c.keeper.container.PutDevice(ctx, &saved)
	})
}

// record stores a session name for a stored device.
func (k *Keeper) record(ctx context.Context, session string, jid types.JID, linkedAt time.Time) error {
	// A row without a device is left by a program that deletes without foreign
	// keys.
	if _, err := k.db.Exec(ctx, `DELETE FROM walink_session WHERE name=$1 OR jid=$2`, k.name(session), jid); err != nil {
		return err
	}
	_, err := k.db.Exec(ctx, `INSERT INTO walink_session (name, jid, linked_at) VALUES ($1, $2, $3)`,
		k.name(session), jid, linkedAt.UnixMilli())
	return err
}

// DeleteDevice implements [wastore.DeviceContainer]. It deletes the session
// name with the device. If another device was stored under the same JID, that
// device stays.
func (c container) DeleteDevice(ctx context.Context, device *wastore.Device) error {
	err := sqlstore.ErrDeviceIDMustBeSet
	if device.ID != nil && !device.ID.IsEmpty() {
		err = c.keeper.locked(ctx, "session", []string{c.session}, func(ctx context.Context) error {
			var stored bool
			err := c.keeper.db.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM whatsmeow_device WHERE jid=$1 AND noise_key=$2)`,
				*device.ID, device.NoiseKey.Priv[:]).Scan(&stored)
			if err != nil || !stored {
				return err
			}
			return c.keeper.forget(ctx, *device.ID)
		})
	}
	if err != nil {
		return c.keeper.fail("delete the device of session", c.session, err)
	}
	return nil
}

// eventBuffer adds two things to a decryption transaction. If the code inside
// panics, the connection is returned, as in [Txn]. If the transaction itself
// fails, the error names the session.
type eventBuffer struct {
	wastore.EventBuffer
	owner
}

// DoDecryptionTxn implements [wastore.EventBuffer].
func (b eventBuffer) DoDecryptionTxn(ctx context.Context, fn func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var own error
	err := b.keeper.intact() // a message that is not kept must not be confirmed to WhatsApp
	if err == nil {
		err = b.EventBuffer.DoDecryptionTxn(ctx, func(ctx context.Context) error {
			own = fn(ctx)
			return own
		})
	}
	if err != nil && own == nil {
		return b.keeper.fail("decrypt for session", b.session, err)
	}
	return err
}
