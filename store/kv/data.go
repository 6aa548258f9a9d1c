package kv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink/internal/redact"
)

// The kinds of data of a device. The comment says what follows the kind in the
// key.
const (
	kindContact   = "contact"  // JID
	kindChat      = "chat"     // JID: its settings
	kindEvent     = "event"    // hash of the ciphertext
	kindIdentity  = "identity" // address
	kindLong      = "long"     // hash: the whole part
	kindMAC       = "mac"      // name, index MAC, version in descending order
	kindOutgoing  = "outgoing" // chat, message ID
	kindPreKey    = "prekey"   // id in descending order
	kindSalt      = "salt"
	kindSecret    = "secret"    // chat, sender, message ID
	kindSenderKey = "senderkey" // address, group
	kindSession   = "session"   // address
	kindSyncKey   = "synckey"   // id
	kindSyncState = "syncstate" // name
	kindToken     = "token"     // JID
)

// data is the data of one stored device. It implements all of whatsmeow's
// stores that belong to one device, and answers as whatsmeow's sqlstore does.
type data struct {
	store   *Store
	session string
	id      string

	mu       sync.Mutex
	migrated map[string]bool // phone numbers whose sessions were moved to LIDs
}

var _ wastore.AllSessionSpecificStores = (*data)(nil)

func newData(s *Store, session, id string) *data {
	return &data{store: s, session: session, id: id, migrated: map[string]bool{}}
}

// key returns the key of a value of the device.
func (d *data) key(kind string, parts ...string) []byte {
	// One slice for the call below, on the stack, with room for all parts.
	all := append(make([]string, 0, 6), d.id, kind)
	return name(spaceData, append(all, parts...)...)
}

// set stores value under the key of kind and parts. It also stores each part
// that is too long for a key.
func (d *data) set(tx Tx, value []byte, kind string, parts ...string) error {
	for _, part := range parts {
		if len(part) > longPart {
			if err := tx.Set(d.key(kindLong, hashed(part)), newEncoder(len(part)).string(part).b); err != nil {
				return err
			}
		}
	}
	return tx.Set(d.key(kind, parts...), value)
}

// suffix returns what follows the kind in a key of the device.
func (d *data) suffix(tx Tx, key []byte) ([]string, error) {
	var loading error // complete without the key
	list, err := parts(key, len(spaceData), func(hash string) (part string, err error) {
		long := d.key(kindLong, hash)
		loading = load(tx, long, func(dec *decoder) { part = dec.string() })
		if loading == nil && part == "" {
			loading = damaged(long, errors.New("the value is missing"))
		}
		return part, loading
	})
	switch {
	case loading != nil:
		return nil, loading
	case err != nil:
		return nil, damaged(key, err)
	case len(list) < 3:
		return nil, damaged(key, errors.New("the key is not that of a device"))
	}
	return list[2:], nil
}

func (d *data) read(ctx context.Context, fn func(tx Tx) error) error {
	return d.fail(d.store.txn(ctx, false, fn))
}

// write runs fn if the device is still stored. Data of a device that was
// deleted would stay for ever.
func (d *data) write(ctx context.Context, fn func(tx Tx) error) error {
	return d.fail(d.store.txn(ctx, true, func(tx Tx) error {
		value, err := tx.Get(name(spaceDevice, d.id))
		if err != nil {
			return err
		} else if value == nil {
			return wastore.ErrDeviceDeleted
		}
		return fn(tx)
	}))
}

func (d *data) fail(err error) error {
	if err == nil {
		return nil
	}
	return redact.Errorf("kv: session %q in %s: %w", d.session, d.store.title(), err)
}

// get reads the value of a key in its own transaction. It does not call use if
// there is no value.
func (d *data) get(ctx context.Context, key []byte, use func(*decoder)) error {
	var value []byte
	err := d.read(ctx, func(tx Tx) (err error) {
		value, err = tx.Get(key)
		value = bytes.Clone(value)
		return err
	})
	if err != nil {
		return err
	}
	return d.fail(decodeWith(key, value, use)) // here, because the transaction may have run more than once
}

// load is get inside a transaction.
func load(tx Tx, key []byte, use func(*decoder)) error {
	value, err := tx.Get(key)
	if err != nil {
		return err
	}
	return decodeWith(key, value, use)
}

func decodeWith(key, value []byte, use func(*decoder)) error {
	if value == nil {
		return nil
	}
	dec := decode(key, value)
	use(dec)
	return dec.end()
}

// put stores value under the key of kind and parts, in its own transaction.
func (d *data) put(ctx context.Context, value *encoder, kind string, parts ...string) error {
	return d.write(ctx, func(tx Tx) error { return d.set(tx, value.b, kind, parts...) })
}

// drop deletes a key in its own transaction.
func (d *data) drop(ctx context.Context, key []byte) error {
	return d.write(ctx, func(tx Tx) error { return tx.Delete(key) })
}

// required fails for nil, as sqlstore does. An empty slice is allowed.
func required(what string, b []byte) error {
	if b == nil {
		return fmt.Errorf("the %s is missing", what)
	}
	return nil
}

// sized fails unless b has the right length.
func sized(what string, b []byte, size int) error {
	if len(b) != size {
		return fmt.Errorf("the %s has %d bytes, want %d", what, len(b), size)
	}
	return nil
}
