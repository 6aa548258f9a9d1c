package walinktest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mau.fi/whatsmeow/store"
)

// Restore links a device that was linked to this account on an earlier server,
// as if it had been linked here: a store that outlives its server, or its
// process, can then log in again. The phone must have been made for the same
// number. The device's one-time keys count as uploaded, and Device.OS and
// Device.Platform stay empty, since a store does not keep them.
//
// A device that is not linked, is another account's, or was linked to the real
// WhatsApp is an error.
func (p *Phone) Restore(ctx context.Context, stored *store.Device) error {
	switch {
	case stored.ID == nil:
		return errors.New("walinktest: restore: the device is not linked")
	case stored.ID.User != p.number:
		return errors.New("walinktest: restore: the device belongs to another number")
	case stored.LID.User != p.lid.User: // here a LID follows from the number, at WhatsApp it does not
		return errors.New("walinktest: restore: the device was not linked to a server of this package")
	}
	preKeys, err := stored.PreKeys.UploadedPreKeyCount(ctx)
	if err != nil {
		return fmt.Errorf("walinktest: restore: %w", err)
	}
	s := p.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	restored := &device{
		jid:      *stored.ID,
		lid:      stored.LID,
		noise:    *stored.NoiseKey.Pub,
		identity: *stored.IdentityKey.Pub,
		linkedAt: time.Now(),
		preKeys:  preKeys,
	}
	if s.devices[restored.id()] != nil {
		return errors.New("walinktest: restore: a device of this number is linked already")
	}
	s.devices[restored.id()] = restored
	return nil
}
