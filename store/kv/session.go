package kv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/store"
)

// entry is what stands under the name of a session. The LID is the device's
// too, and here so that a list of sessions reads nothing else.
type entry struct {
	name     string
	id       string // of the device, made when it was stored; no other ever has it
	jid, lid types.JID
	linkedAt int64 // Unix milliseconds
}

func (e entry) encode() []byte {
	return newEncoder(len(e.name) + 128).string(e.name).string(e.id).
		string(e.jid.String()).string(e.lid.String()).int(e.linkedAt).b
}

func decodeEntry(key, value []byte) (entry, error) {
	d := decode(key, value)
	e := entry{name: d.string(), id: d.string()}
	e.jid, e.lid = d.jid(), d.jid()
	e.linkedAt = d.int()
	return e, d.end()
}

func (d *decoder) jid() types.JID {
	jid, err := parseJID(d.string())
	if err != nil {
		d.fail("it holds no JID")
	}
	return jid
}

// parseJID reads what JID.String wrote, which for no JID is nothing.
func parseJID(text string) (types.JID, error) {
	if text == "" {
		return types.EmptyJID, nil
	}
	return types.ParseJID(text)
}

// lookUp returns the entry of a session, with an empty id where there is none.
func lookUp(tx Tx, session string) (entry, error) {
	key := name(spaceSession, session)
	value, err := tx.Get(key)
	if err != nil || value == nil {
		return entry{}, err
	}
	return decodeEntry(key, value)
}

// Device returns the device linked under session, or a fresh unlinked one,
// which is stored under that name when whatsmeow saves it.
func (s *Store) Device(ctx context.Context, session string) (*wastore.Device, error) {
	var device *wastore.Device
	var id string
	err := s.txn(ctx, false, func(tx Tx) error {
		device = nil
		found, err := lookUp(tx, session)
		if err != nil || found.id == "" {
			return err
		}
		key := name(spaceDevice, found.id)
		value, err := tx.Get(key)
		switch {
		case err != nil:
			return err
		case value == nil:
			return damaged(key, errors.New("it is not there"))
		}
		device, err = decodeDevice(key, value)
		id = found.id
		return err
	})
	if err != nil {
		return nil, s.fail("load session", session, err)
	}
	if device == nil {
		device = newDevice()
		device.Container = container{store: s, session: session}
		return device, nil
	}
	s.initialize(device, session, id)
	return device, nil
}

// Sessions returns all stored sessions, sorted by name, byte for byte. Where
// the entry of one is damaged, it returns the others with the error, which
// names the key of that one.
func (s *Store) Sessions(ctx context.Context) ([]store.Session, error) {
	var sessions []store.Session
	var bad []error
	err := s.txn(ctx, false, func(tx Tx) error {
		sessions, bad = nil, nil
		return tx.Scan([]byte(spaceSession), func(key, value []byte) error {
			e, err := decodeEntry(key, value)
			if err != nil {
				bad = append(bad, err)
				return nil
			}
			sessions = append(sessions, store.Session{Name: e.name, JID: e.jid, LID: e.lid, LinkedAt: time.UnixMilli(e.linkedAt).UTC()})
			return nil
		})
	})
	if err != nil && !errors.Is(err, ErrDamaged) {
		return nil, fmt.Errorf("kv: list sessions in %s: %w", s.title(), err)
	}
	if err := errors.Join(append(bad, err)...); err != nil {
		return sessions, fmt.Errorf("kv: list sessions in %s: %w", s.title(), err)
	}
	slices.SortFunc(sessions, func(a, b store.Session) int { return strings.Compare(a.Name, b.Name) })
	return sessions, nil
}

// byJID returns the entry of the device that has a JID, with an empty id where
// there is none.
func byJID(tx Tx, jid types.JID) (entry, error) {
	key := name(spaceJID, jid.String())
	value, err := tx.Get(key)
	if err != nil || value == nil {
		return entry{}, err
	}
	return decodeEntry(key, value)
}

// record writes the entry of a session under its name and its JID.
func record(tx Tx, e entry) error {
	value := e.encode()
	for _, key := range [][]byte{name(spaceSession, e.name), name(spaceJID, e.jid.String())} {
		if err := tx.Set(key, bytes.Clone(value)); err != nil {
			return err
		}
	}
	return nil
}
