package walinktest

import (
	"context"
	"errors"
	"time"

	"go.mau.fi/whatsmeow/proto/waAdv"
	"go.mau.fi/whatsmeow/store"
	"google.golang.org/protobuf/proto"

	"github.com/walink/walink/internal/redact"
)

// Restore adds a device that an earlier server has linked to this account. A store that
// outlives its server or its process can then log in again. The phone must have the same
// number as the earlier phone. The device's uploaded one-time keys stay uploaded, but only their
// number is known: sessions with the device begin without one until it uploads more.
// Device.OS and Device.Platform stay empty, since a store does not keep them. The device gets no
// second first minute, and the app state of the earlier server is lost.
//
// Restore returns an error if the device is not linked, lacks its keys, belongs to another account, was
// linked by the real WhatsApp, or is linked here already.
func (p *Phone) Restore(ctx context.Context, stored *store.Device) error {
	switch {
	case stored.ID == nil:
		return errors.New("walinktest: restore: the device is not linked")
	case stored.NoiseKey == nil || stored.IdentityKey == nil || stored.SignedPreKey == nil || stored.PreKeys == nil:
		return errors.New("walinktest: restore: the device lacks its keys")
	case stored.ID.User != p.number:
		return errors.New("walinktest: restore: the device belongs to another number")
	case stored.LID.User != p.lid.User: // NewPhone derives the LID from the number, and WhatsApp does not
		return errors.New("walinktest: restore: the device was not linked to a server of this package")
	}
	var details waAdv.ADVDeviceIdentity
	if err := proto.Unmarshal(stored.Account.GetDetails(), &details); err != nil {
		return redact.Errorf("walinktest: restore: %w", err)
	}
	proof := encode(&waAdv.ADVSignedDeviceIdentity{ // as pair-device-sign has it
		Details:          stored.Account.GetDetails(),
		AccountSignature: stored.Account.GetAccountSignature(),
		DeviceSignature:  stored.Account.GetDeviceSignature(),
	})
	uploaded, err := stored.PreKeys.UploadedPreKeyCount(ctx)
	if err != nil {
		return redact.Errorf("walinktest: restore: %w", err)
	}
	s := p.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	restored := &device{
		phone:    p,
		jid:      *stored.ID,
		lid:      stored.LID,
		noise:    *stored.NoiseKey.Pub,
		identity: *stored.IdentityKey.Pub,
		keyIndex: details.GetKeyIndex(),
		linkedAt: time.Now(),
		proof:    proof,
		greeted:  true, // by the earlier server
		keys: preKeys{
			registration: registration(stored.RegistrationID),
			signed:       keyNode(stored.SignedPreKey),
			elsewhere:    uploaded,
		},
	}
	if s.devices[restored.id()] != nil {
		return errors.New("walinktest: restore: a device with this device number is linked already")
	}
	p.lastKeyIndex = max(p.lastKeyIndex, restored.keyIndex)
	s.devices[restored.id()] = restored
	return nil
}
