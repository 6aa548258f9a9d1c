package kv

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/store"
)

// entry is the value under the name of a session. The LID is that of the
// device; it is here too so that Sessions need not read the devices.
type entry struct {
	name     string
	id       string // of the device; made when it was stored, and never used again
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
		d.fail("it has no JID")
	}
	return jid
}

// parseJID reads what JID.String has written, which is empty if there is no
// JID.
func parseJID(text string) (types.JID, error) {
	if text == "" {
		return types.EmptyJID, nil
	}
	return types.ParseJID(text)
}

// lookUp returns the entry of a session, with an empty id if there is none.
func lookUp(tx Tx, session string) (entry, error) {
	key := name(spaceSession, session)
	value, err := tx.Get(key)
	if err != nil || value == nil {
		return entry{}, err
	}
	return decodeEntry(key, value)
}

// Device returns the device linked under session, or a fresh unlinked one. A
// fresh device is stored under that name when whatsmeow saves it.
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
			return damaged(key, errors.New("the value is missing"))
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

// Sessions returns all stored sessions, sorted by name, byte by byte. If an
// entry is damaged, Sessions returns the others and an error that names its
// key.
func (s *Store) Sessions(ctx context.Context) ([]store.Session, error) {
	sessions, err := list(ctx, s, "sessions", spaceSession, func(key, value []byte) (store.Session, error) {
		e, err := decodeEntry(key, value)
		return store.Session{Name: e.name, JID: e.jid, LID: e.lid, LinkedAt: time.UnixMilli(e.linkedAt).UTC()}, err
	})
	slices.SortFunc(sessions, func(a, b store.Session) int { return strings.Compare(a.Name, b.Name) })
	return sessions, err
}

// list reads all values of a space. If some are damaged, list returns the others
// and an error that names the keys of the damaged ones.
func list[T any](ctx context.Context, s *Store, what, space string, read func(key, value []byte) (T, error)) ([]T, error) {
	var all []T
	var bad []error
	err := s.txn(ctx, false, func(tx Tx) error {
		all, bad = nil, nil
		return tx.Scan([]byte(space), func(key, value []byte) error {
			item, err := read(key, value)
			if err != nil {
				bad = append(bad, err)
				return nil
			}
			all = append(all, item)
			return nil
		})
	})
	if err != nil && !errors.Is(err, ErrDamaged) {
		return nil, redact.Errorf("kv: list %s in %s: %w", what, s.title(), err)
	}
	if err := redact.Join(append(bad, err)...); err != nil {
		return all, redact.Errorf("kv: list %s in %s: %w", what, s.title(), err)
	}
	return all, nil
}

// byJID returns the entry of the device with a JID, with an empty id if there
// is none.
func byJID(tx Tx, jid types.JID) (entry, error) {
	key := name(spaceJID, jid.String())
	value, err := tx.Get(key)
	if err != nil || value == nil {
		return entry{}, err
	}
	return decodeEntry(key, value)
}

// record stores the entry of a session under its name and its JID.
func record(tx Tx, e entry) error {
	value := e.encode()
	for _, key := range [][]byte{name(spaceSession, e.name), name(spaceJID, e.jid.String())} {
		if err := tx.Set(key, bytes.Clone(value)); err != nil {
			return err
		}
	}
	return nil
}
