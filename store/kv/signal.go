package kv

import (
	"bytes"
	"context"
	"strings"

	"go.mau.fi/whatsmeow/types"
)

// PutIdentity implements [wastore.IdentityStore]. It does not store again what
// is already stored: whatsmeow puts the identity of the sender with every
// message, and a transaction that changes nothing need not wait for the disk.
func (d *data) PutIdentity(ctx context.Context, address string, key [32]byte) error {
	value := newEncoder(32).bytes(key[:]).b
	return d.write(ctx, func(tx Tx) error {
		// In a transaction that may write: one that reads may see a value that
		// another transaction has not yet stored durably.
		stored, err := tx.Get(d.key(kindIdentity, address))
		if err != nil || bytes.Equal(stored, value) {
			return err
		}
		return d.set(tx, value, kindIdentity, address)
	})
}

// DeleteAllIdentities implements [wastore.IdentityStore].
func (d *data) DeleteAllIdentities(ctx context.Context, phone string) error {
	return d.dropAll(ctx, kindIdentity, phone)
}

// DeleteIdentity implements [wastore.IdentityStore].
func (d *data) DeleteIdentity(ctx context.Context, address string) error {
	return d.drop(ctx, d.key(kindIdentity, address))
}

// IsTrustedIdentity implements [wastore.IdentityStore]. An unknown identity is
// trusted.
func (d *data) IsTrustedIdentity(ctx context.Context, address string, key [32]byte) (bool, error) {
	var known bool
	var stored [32]byte
	err := d.get(ctx, d.key(kindIdentity, address), func(dec *decoder) {
		known = true
		dec.fixed(stored[:])
	})
	return err == nil && (!known || stored == key), err
}

// GetSession implements [wastore.SessionStore].
func (d *data) GetSession(ctx context.Context, address string) ([]byte, error) {
	return d.blob(ctx, d.key(kindSession, address))
}

// HasSession implements [wastore.SessionStore].
func (d *data) HasSession(ctx context.Context, address string) (bool, error) {
	var has bool
	err := d.read(ctx, func(tx Tx) error {
		value, err := tx.Get(d.key(kindSession, address))
		has = value != nil
		return err
	})
	return has && err == nil, err
}

// GetManySessions implements [wastore.SessionStore].
func (d *data) GetManySessions(ctx context.Context, addresses []string) (map[string][]byte, error) {
	if len(addresses) == 0 {
		return nil, nil
	}
	sessions := make(map[string][]byte, len(addresses))
	err := d.read(ctx, func(tx Tx) error {
		for _, address := range addresses {
			sessions[address] = nil
			err := load(tx, d.key(kindSession, address), func(dec *decoder) { sessions[address] = dec.bytes() })
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return sessions, nil
}

// PutSession implements [wastore.SessionStore].
func (d *data) PutSession(ctx context.Context, address string, session []byte) error {
	return d.put(ctx, newEncoder(len(session)).bytes(session), kindSession, address)
}

// PutManySessions implements [wastore.SessionStore].
func (d *data) PutManySessions(ctx context.Context, sessions map[string][]byte) error {
	return d.write(ctx, func(tx Tx) error {
		for address, session := range sessions {
			if err := d.set(tx, newEncoder(len(session)).bytes(session).b, kindSession, address); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeleteAllSessions implements [wastore.SessionStore].
func (d *data) DeleteAllSessions(ctx context.Context, phone string) error {
	return d.dropAll(ctx, kindSession, phone)
}

// DeleteSession implements [wastore.SessionStore].
func (d *data) DeleteSession(ctx context.Context, address string) error {
	return d.drop(ctx, d.key(kindSession, address))
}

// MigratePNToLID implements [wastore.SessionStore]. It moves the keys under a
// phone number to a LID, once for each number in the life of the device.
func (d *data) MigratePNToLID(ctx context.Context, pn, lid types.JID) error {
	from, to := pn.SignalAddressUser(), lid.SignalAddressUser()
	if !d.migrating(from) {
		return nil
	}
	again := func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.migrated, from)
	}
	err := d.write(ctx, func(tx Tx) error {
		for _, kind := range []string{kindSession, kindIdentity, kindSenderKey} {
			if err := d.move(tx, kind, from, to); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		again()
		return err
	}
	d.store.onUndo(ctx, again)
	return nil
}

// migrating records that the sessions of a number were moved. It returns false
// if that was recorded before.
func (d *data) migrating(number string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.migrated[number] {
		return false
	}
	d.migrated[number] = true
	return true
}

func (d *data) move(tx Tx, kind, from, to string) error {
	type pair struct {
		key, value []byte
		moved      []string
	}
	var pairs []pair
	err := d.scanUser(tx, kind, from, func(key, value []byte, suffix []string) error {
		suffix[0] = to + strings.TrimPrefix(suffix[0], from)
		pairs = append(pairs, pair{key, value, suffix})
		return nil
	})
	if err != nil {
		return err
	}
	for _, p := range pairs {
		if err := d.set(tx, append([]byte(nil), p.value...), kind, p.moved...); err != nil {
			return err
		}
	}
	for _, p := range pairs {
		if err := tx.Delete(p.key); err != nil {
			return err
		}
	}
	return nil
}

// scanUser calls fn for each value of a kind that is stored for an address of a
// user.
func (d *data) scanUser(tx Tx, kind, user string, fn func(key, value []byte, suffix []string) error) error {
	begin := user + ":"
	// A long part is in the key with its first bytes only; compare the whole
	// part.
	return tx.Scan(escape(d.key(kind), begin[:min(len(begin), headPart)]), func(key, value []byte) error {
		suffix, err := d.suffix(tx, key)
		if err != nil || !strings.HasPrefix(suffix[0], begin) {
			return err
		}
		return fn(key, value, suffix)
	})
}

func (d *data) dropAll(ctx context.Context, kind, user string) error {
	return d.write(ctx, func(tx Tx) error {
		if len(user) < headPart {
			return clearPrefix(tx, escape(d.key(kind), user+":"))
		}
		var doomed [][]byte
		err := d.scanUser(tx, kind, user, func(key, _ []byte, _ []string) error {
			doomed = append(doomed, key)
			return nil
		})
		if err != nil {
			return err
		}
		return deleteAll(tx, doomed)
	})
}

// blob reads a value that has nothing but bytes.
func (d *data) blob(ctx context.Context, key []byte) ([]byte, error) {
	var b []byte
	err := d.get(ctx, key, func(dec *decoder) { b = dec.bytes() })
	if err != nil {
		return nil, err
	}
	return b, nil
}

// PutSenderKey implements [wastore.SenderKeyStore].
func (d *data) PutSenderKey(ctx context.Context, group, user string, session []byte) error {
	if err := required("sender key", session); err != nil {
		return d.fail(err)
	}
	return d.put(ctx, newEncoder(len(session)).bytes(session), kindSenderKey, user, group)
}

// GetSenderKey implements [wastore.SenderKeyStore].
func (d *data) GetSenderKey(ctx context.Context, group, user string) ([]byte, error) {
	return d.blob(ctx, d.key(kindSenderKey, user, group))
}
