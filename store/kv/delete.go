package kv

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/walink/walink/store"
)

// Delete deletes session and everything stored for its device, even if some of
// it is damaged. For an unknown session the error wraps [store.ErrNotFound].
//
// If damage hides which device the session had, Delete deletes all data that
// belongs to no other session. If other sessions are damaged in the same way,
// Delete deletes only the name, and the error wraps [ErrDamaged]; the data is
// deleted with the last of these sessions.
func (s *Store) Delete(ctx context.Context, session string) error {
	var kept bool
	err := s.txn(ctx, true, func(tx Tx) error {
		found, err := s.holder(tx, session)
		if err != nil {
			return err
		} else if found.id == "" {
			return store.ErrNotFound
		}
		if found.id == noDevice {
			kept, err = sweep(tx, session)
			return err
		}
		return forget(tx, found)
	})
	if err == nil && kept {
		err = errKept
	}
	if err != nil {
		return s.fail("delete session", session, err)
	}
	return nil
}

// noDevice is the id of an entry whose device is not known.
const noDevice = "?"

var errKept = fmt.Errorf("its name was deleted, but the keys of its device stay until the other damaged sessions are deleted too: %w", ErrDamaged)

// holder is lookUp for a deletion. If the entry is damaged, holder looks for
// the entry under the JID.
func (s *Store) holder(tx Tx, session string) (entry, error) {
	found, err := lookUp(tx, session)
	if !errors.Is(err, ErrDamaged) {
		return found, err
	}
	found = entry{name: session, id: noDevice}
	err = tx.Scan([]byte(spaceJID), func(key, value []byte) error {
		link, err := decodeEntry(key, value)
		if err == nil && link.name == session {
			found = link
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) && !errors.Is(err, ErrDamaged) {
		return entry{}, err
	}
	return found, nil
}

// forget deletes a device with its data, its session name and its JID.
func forget(tx Tx, e entry) error {
	keys := [][]byte{name(spaceSession, e.name)}
	if !e.jid.IsEmpty() {
		keys = append(keys, name(spaceJID, e.jid.String()))
	}
	if err := deleteAll(tx, keys); err != nil {
		return err
	}
	return forgetData(tx, e.id)
}

// forgetData deletes a device with its data.
func forgetData(tx Tx, id string) error {
	if err := tx.Delete(name(spaceDevice, id)); err != nil {
		return err
	}
	return clearPrefix(tx, name(spaceData, id))
}

// sweep deletes the name of a session whose device is not known, and all data
// of devices that no entry leads to. If other sessions are damaged in the same
// way, their data cannot be told apart: sweep then deletes only the name, and
// returns true.
func sweep(tx Tx, session string) (kept bool, err error) {
	own := name(spaceSession, session)
	used := map[string]bool{} // what readable entries lead to: ids of devices, and keys
	var damagedKeys [][]byte
	for _, space := range []string{spaceSession, spaceJID} {
		keys, err := keysOf(tx, []byte(space))
		if err != nil {
			return false, err
		}
		for _, key := range keys {
			value, err := tx.Get(key)
			var e entry
			if err == nil {
				e, err = decodeEntry(key, value)
			}
			if errors.Is(err, ErrDamaged) {
				damagedKeys = append(damagedKeys, key)
				continue
			} else if err != nil {
				return false, err
			}
			used[e.id] = true
			used[string(name(spaceSession, e.name))], used[string(name(spaceJID, e.jid.String()))] = true, true
		}
	}
	unused := [][]byte{own}
	for _, key := range damagedKeys {
		switch {
		case used[string(key)], bytes.Equal(key, own):
		case bytes.HasPrefix(key, []byte(spaceSession)):
			kept = true
		default:
			unused = append(unused, key)
		}
	}
	if kept {
		return true, tx.Delete(own)
	}
	for _, space := range []string{spaceDevice, spaceData} {
		keys, err := keysOf(tx, []byte(space))
		if err != nil {
			return false, err
		}
		for _, key := range keys {
			if id, _, _ := bytes.Cut(key[len(space):], []byte{0}); !used[string(id)] {
				unused = append(unused, key)
			}
		}
	}
	return false, deleteAll(tx, unused)
}
