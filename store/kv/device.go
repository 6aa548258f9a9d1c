package kv

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/google/uuid"
	"go.mau.fi/whatsmeow/proto/waAdv"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/util/keys"
	waLog "go.mau.fi/whatsmeow/util/log"

	"github.com/walink/walink/internal/keypair"
)

// newDevice returns a new, unlinked device.
func newDevice() *wastore.Device {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // Read never fails
	device := &wastore.Device{
		Log:            waLog.Noop,
		NoiseKey:       keys.NewKeyPair(),
		IdentityKey:    keys.NewKeyPair(),
		RegistrationID: randomUint32(),
		AdvSecretKey:   secret,
	}
	device.SignedPreKey = device.IdentityKey.CreateSignedPreKey(1)
	return device
}

func randomUint32() uint32 {
	n, err := rand.Int(rand.Reader, big.NewInt(1<<32))
	if err != nil {
		return 1 // not reached: the reader never fails
	}
	return uint32(n.Uint64()) //nolint:gosec // less than 1<<32
}

// encodeDevice checks what the schema of sqlstore checks.
func encodeDevice(device *wastore.Device) ([]byte, error) {
	account := device.Account
	for _, field := range []struct {
		what      string
		got, want int
	}{
		{"account signature", len(account.GetAccountSignature()), 64},
		{"account signature key", len(account.GetAccountSignatureKey()), 32},
		{"device signature", len(account.GetDeviceSignature()), 64},
	} {
		if field.got != field.want {
			return nil, fmt.Errorf("the %s has %d bytes, want %d", field.what, field.got, field.want)
		}
	}
	return newEncoder(640).
		string(device.ID.String()).string(device.LID.String()).
		uint(uint64(device.RegistrationID)).
		bytes(device.NoiseKey.Priv[:]).bytes(device.IdentityKey.Priv[:]).
		bytes(device.SignedPreKey.Priv[:]).uint(uint64(device.SignedPreKey.KeyID)).bytes(device.SignedPreKey.Signature[:]).
		bytes(device.AdvSecretKey).
		bytes(account.GetDetails()).bytes(account.GetAccountSignature()).
		bytes(account.GetAccountSignatureKey()).bytes(account.GetDeviceSignature()).
		string(device.Platform).string(device.BusinessName).string(device.PushName).
		bytes(device.FacebookUUID[:]).int(device.LIDMigrationTimestamp).string(device.CompanionMetaNonce).b, nil
}

func decodeDevice(key, value []byte) (*wastore.Device, error) {
	d := decode(key, value)
	device := &wastore.Device{Log: waLog.Noop, Account: &waAdv.ADVSignedDeviceIdentity{}}
	jid := d.jid()
	device.ID, device.LID = &jid, d.jid()
	device.RegistrationID = uint32(d.uint()) //nolint:gosec // it was a uint32 when it was stored
	var noise, identity, preKey [32]byte
	var signature [64]byte
	d.fixed(noise[:])
	d.fixed(identity[:])
	d.fixed(preKey[:])
	preKeyID := uint32(d.uint()) //nolint:gosec // it was a uint32 when it was stored
	d.fixed(signature[:])
	device.AdvSecretKey = d.bytes()
	device.Account.Details = d.bytes()
	device.Account.AccountSignature = d.bytes()
	device.Account.AccountSignatureKey = d.bytes()
	device.Account.DeviceSignature = d.bytes()
	device.Platform, device.BusinessName, device.PushName = d.string(), d.string(), d.string()
	device.FacebookUUID = uuid.Nil
	d.fixed(device.FacebookUUID[:])
	device.LIDMigrationTimestamp = d.int()
	device.CompanionMetaNonce = d.string()
	if err := d.end(); err != nil {
		return nil, err
	}
	device.NoiseKey = keypair.Of(noise)
	device.IdentityKey = keypair.Of(identity)
	device.SignedPreKey = &keys.PreKey{KeyPair: *keypair.Of(preKey), KeyID: preKeyID, Signature: &signature}
	return device, nil
}

// initialize sets the stores of a stored device.
func (s *Store) initialize(device *wastore.Device, session, id string) {
	device.SetAllStores(newData(s, session, id))
	device.LIDs = lids{s}
	device.Container = container{store: s, session: session, id: id}
	device.Initialized = true
}

// container is the DeviceContainer of a device: it saves and deletes the device
// and its session name together.
type container struct {
	store   *Store
	session string
	id      string // of the device; empty before it is stored
}

var _ wastore.DeviceContainer = container{}

// PutDevice implements [wastore.DeviceContainer]. It stores the device and the
// session name in one transaction. A new device is initialized only if that
// transaction succeeds.
func (c container) PutDevice(ctx context.Context, device *wastore.Device) error {
	if err := c.put(ctx, device); err != nil {
		return c.store.fail("save session", c.session, err)
	}
	return nil
}

func (c container) put(ctx context.Context, device *wastore.Device) error {
	switch {
	case device.ID == nil || device.ID.IsEmpty():
		return sqlstore.ErrDeviceIDMustBeSet
	case device.Account == nil:
		return errors.New("the device has no account identity")
	}
	if device.Initialized {
		return c.update(ctx, device)
	}
	value, err := encodeDevice(device)
	if err != nil {
		return err
	}
	e := entry{name: c.session, id: rand.Text(), jid: *device.ID, lid: device.LID, linkedAt: time.Now().UnixMilli()}
	if err := c.insert(ctx, e, value); err != nil {
		return err
	}
	c.store.initialize(device, c.session, e.id)
	return nil
}

// insert stores a device that was just linked. It deletes the device that held
// the session before, and any device with the same JID. The link of the latter
// has ended, or its JID would not be free.
func (c container) insert(ctx context.Context, e entry, value []byte) error {
	return c.store.txn(ctx, true, func(tx Tx) error {
		old, err := c.store.holder(tx, e.name)
		if err != nil {
			return err
		}
		if old.id != "" {
			if err := forget(tx, old); err != nil {
				return err
			}
		}
		twin, err := byJID(tx, e.jid)
		if err != nil && !errors.Is(err, ErrDamaged) {
			return err
		}
		if err == nil && twin.id != "" {
			if err := forget(tx, twin); err != nil {
				return err
			}
		}
		if err := tx.Set(name(spaceDevice, e.id), value); err != nil {
			return err
		}
		return record(tx, e)
	})
}

// update stores a device again, as whatsmeow does when a name changes. The keys
// stay those that the device was linked with. A device that has lost its
// session does not take it back.
func (c container) update(ctx context.Context, device *wastore.Device) error {
	return c.store.txn(ctx, true, func(tx Tx) error {
		held, err := lookUp(tx, c.session)
		if err != nil {
			return err
		} else if held.id != c.id || held.jid != *device.ID {
			return wastore.ErrDeviceDeleted
		}
		key := name(spaceDevice, c.id)
		value, err := tx.Get(key)
		if err != nil {
			return err
		}
		stored, err := decodeDevice(key, value)
		if err != nil {
			return err
		}
		stored.LID = device.LID
		stored.Platform, stored.BusinessName, stored.PushName = device.Platform, device.BusinessName, device.PushName
		stored.LIDMigrationTimestamp, stored.CompanionMetaNonce = device.LIDMigrationTimestamp, device.CompanionMetaNonce
		if value, err = encodeDevice(stored); err != nil {
			return err
		}
		if err := tx.Set(key, value); err != nil || held.lid == device.LID {
			return err
		}
		held.lid = device.LID
		return record(tx, held)
	})
}

// DeleteDevice implements [wastore.DeviceContainer]. It deletes the session
// name with the device. If another device has replaced it, that device stays.
func (c container) DeleteDevice(ctx context.Context, device *wastore.Device) error {
	err := sqlstore.ErrDeviceIDMustBeSet
	if device.ID != nil && !device.ID.IsEmpty() {
		err = c.store.txn(ctx, true, func(tx Tx) error {
			held, err := c.store.holder(tx, c.session)
			if err == nil && c.id != "" && held.id == noDevice {
				if err := forgetData(tx, c.id); err != nil {
					return err
				}
				_, err = sweep(tx, c.session)
			}
			if err != nil || c.id == "" || held.id != c.id {
				return err
			}
			return forget(tx, held)
		})
	}
	if err != nil {
		return c.store.fail("delete the device of session", c.session, err)
	}
	return nil
}
