package kv

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink/internal/batch"
	"github.com/walink/walink/store/transfer"
)

// Import implements [transfer.Importer]. The DB decides how much one
// transaction can hold: most DBs keep it in memory until it is stored.
func (s *Store) Import(ctx context.Context, session string, records iter.Seq2[transfer.Record, error]) error {
	err := s.txn(ctx, true, func(tx Tx) error {
		var d *data
		for record, err := range records {
			if err != nil {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			device, first := record.(transfer.DeviceRecord)
			switch {
			case first != (d == nil):
				return errors.New("the records must have one device, as the first of them")
			case first:
				id, err := importDevice(tx, session, device)
				if err != nil {
					return err
				}
				d = newData(s, session, id)
			default:
				if err := d.importRecord(tx, record); err != nil {
					return fmt.Errorf("%s: %w", record.Kind(), err)
				}
			}
		}
		if d == nil {
			return errors.New("there are no records")
		}
		return nil
	})
	if err != nil {
		return s.fail("import session", session, err)
	}
	return nil
}

// importDevice stores the device, and returns its id. It fails if the device or
// the session is already stored.
func importDevice(tx Tx, session string, r transfer.DeviceRecord) (id string, err error) {
	device := r.Device
	if device.ID == nil || device.ID.IsEmpty() || device.Account == nil {
		return "", errors.New("the device is not linked")
	}
	held, err := lookUp(tx, session)
	if err != nil {
		return "", err
	}
	twin, err := byJID(tx, *device.ID)
	switch {
	case err != nil:
		return "", err
	case held.id != "":
		return "", fmt.Errorf("the session already has a device: %w", transfer.ErrTaken)
	case twin.id != "":
		return "", fmt.Errorf("the device is already stored as session %q: %w", twin.name, transfer.ErrTaken)
	}
	value, err := encodeDevice(device)
	if err != nil {
		return "", err
	}
	e := entry{name: session, id: rand.Text(), jid: *device.ID, lid: device.LID, linkedAt: r.LinkedAt.UnixMilli()}
	if err := tx.Set(name(spaceDevice, e.id), value); err != nil {
		return "", err
	}
	return e.id, record(tx, e)
}

// importPairs is the number of LID pairs in one transaction.
const importPairs = 500

// ImportLIDs implements [transfer.Importer].
func (s *Store) ImportLIDs(ctx context.Context, pairs iter.Seq2[wastore.LIDMapping, error]) error {
	var broken error
	err := batch.Each(pairs, importPairs, func(list []wastore.LIDMapping) error {
		err := s.addPairs(ctx, list)
		if errors.Is(err, ErrDamaged) {
			broken, err = cmp.Or(broken, err), nil
		}
		return err
	})
	if err = cmp.Or(err, broken); err != nil {
		return lids{s}.fail(err)
	}
	return nil
}

// addPairs adds the pairs of which neither side is known. If a stored side is
// damaged, addPairs leaves it, adds the other pairs, and returns an error.
func (s *Store) addPairs(ctx context.Context, batch []wastore.LIDMapping) error {
	if len(batch) == 0 {
		return nil
	}
	var broken error
	err := s.txn(ctx, true, func(tx Tx) error {
		broken = nil
		for _, p := range batch {
			number, errLID := other(tx, spaceLID, p.LID.User)
			lid, errNumber := other(tx, spaceNumber, p.PN.User)
			switch err := cmp.Or(errLID, errNumber); {
			case errors.Is(err, ErrDamaged):
				broken = cmp.Or(broken, err)
			case err != nil:
				return err
			case number == "" && lid == "":
				if err := pair(tx, p.LID.User, p.PN.User); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return cmp.Or(err, broken)
}
