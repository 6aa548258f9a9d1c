package kv

import (
	"context"
	"strings"

	"go.mau.fi/whatsmeow/types"
)

// PutIdentity implements [wastore.IdentityStore].
func (d *data) PutIdentity(ctx context.Context, address string, key [32]byte) error {
	return d.putReadable(ctx, kindIdentity, address, newEncoder(32).bytes(key[:]))
}

// DeleteAllIdentities implements [wastore.IdentityStore].
func (d *data) DeleteAllIdentities(ctx context.Context, phone string) error {
	return d.dropAll(ctx, kindIdentity, phone)
}

// DeleteIdentity implements [wastore.IdentityStore].
func (d *data) DeleteIdentity(ctx context.Context, address string) error {
	return d.drop(ctx, d.key(kindIdentity, address))
}

// IsTrustedIdentity implements [wastore.IdentityStore]. What is not known is
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
	return d.putReadable(ctx, kindSession, address, newEncoder(len(session)).bytes(session))
}

// PutManySessions implements [wastore.SessionStore].
func (d *data) PutManySessions(ctx context.Context, sessions map[string][]byte) error {
	return d.write(ctx, func(tx Tx) error {
		for address, session := range sessions {
			if err := readable(address); err != nil {
				return err
			}
			if err := tx.Set(d.key(kindSession, address), newEncoder(len(session)).bytes(session).b); err != nil {
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

// MigratePNToLID implements [wastore.SessionStore]: it moves what is under a
// phone number to a LID, once for each number as long as the device lives.
func (d *data) MigratePNToLID(ctx context.Context, pn, lid types.JID) error {
	from, to := pn.SignalAddressUser(), lid.SignalAddressUser()
	if !d.migrating(from) {
		return nil
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
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.migrated, from)
	}
	return err
}

// migrating records that the sessions of a number are moved, and returns false
// where it was recorded before.
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
	err := tx.Scan(d.ofUser(kind, from), func(key, value []byte) error {
		suffix, err := d.suffix(key)
		if err != nil {
			return err
		}
		if from != "" {
			suffix[0] = strings.ReplaceAll(suffix[0], from, to)
		}
		pairs = append(pairs, pair{key, value, suffix})
		return readable(suffix[0])
	})
	if err != nil {
		return err
	}
	for _, p := range pairs {
		if err := tx.Set(d.key(kind, p.moved...), append([]byte(nil), p.value...)); err != nil {
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

// ofUser returns how the keys of all devices of a user begin.
func (d *data) ofUser(kind, user string) []byte {
	return escape(d.key(kind), user+":")
}

func (d *data) dropAll(ctx context.Context, kind, user string) error {
	return d.write(ctx, func(tx Tx) error { return clearPrefix(tx, d.ofUser(kind, user)) })
}

func (d *data) putReadable(ctx context.Context, kind, part string, value *encoder) error {
	if err := readable(part); err != nil {
		return d.fail(err)
	}
	return d.put(ctx, d.key(kind, part), value)
}

// blob reads a value that is nothing but bytes.
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
	if err := readable(user + group); err != nil {
		return d.fail(err)
	}
	return d.put(ctx, d.key(kindSenderKey, user, group), newEncoder(len(session)).bytes(session))
}

// GetSenderKey implements [wastore.SenderKeyStore].
func (d *data) GetSenderKey(ctx context.Context, group, user string) ([]byte, error) {
	return d.blob(ctx, d.key(kindSenderKey, user, group))
}
