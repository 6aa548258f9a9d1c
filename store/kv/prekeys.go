package kv

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"go.mau.fi/whatsmeow/util/keys"

	"github.com/walink/walink/internal/keypair"
)

// preKeyIDs is the number of possible IDs of prekeys.
const preKeyIDs = 1 << 24

// preKeyKey returns the key of a prekey. The keys are in descending order of
// IDs, because the highest ID is looked up most often.
func (d *data) preKeyKey(id uint32) []byte {
	return d.key(kindPreKey, fmt.Sprintf("%08x", math.MaxUint32-id))
}

// preKey is a stored prekey.
type preKey struct {
	id       uint32
	priv     [32]byte
	uploaded bool
}

func (k preKey) encode() []byte {
	return newEncoder(40).uint(uint64(k.id)).bytes(k.priv[:]).bool(k.uploaded).b
}

func (k preKey) pair() *keys.PreKey {
	return &keys.PreKey{KeyPair: *keypair.Of(k.priv), KeyID: k.id}
}

func decodePreKey(key, value []byte) (preKey, error) {
	dec := decode(key, value)
	k := preKey{id: uint32(dec.uint())} //nolint:gosec // it was a uint32 when it was stored
	dec.fixed(k.priv[:])
	k.uploaded = dec.bool()
	return k, dec.end()
}

// scanPreKeys calls fn for the prekeys in descending order of IDs.
func (d *data) scanPreKeys(tx Tx, fn func(preKey) error) error {
	err := tx.Scan(d.key(kindPreKey), func(key, value []byte) error {
		k, err := decodePreKey(key, value)
		if err != nil {
			return err
		}
		return fn(k)
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

func (d *data) lastPreKey(tx Tx) (last uint32, err error) {
	err = d.scanPreKeys(tx, func(k preKey) error {
		last = k.id
		return errEnough
	})
	return last, err
}

// waiting returns the prekeys that were not uploaded, in ascending order of
// IDs.
func (d *data) waiting(tx Tx) ([]preKey, error) {
	var list []preKey
	err := d.scanPreKeys(tx, func(k preKey) error {
		if !k.uploaded {
			list = append(list, k)
		}
		return nil
	})
	slices.Reverse(list)
	return list, err
}

// GetOrGenPreKeys implements [wastore.PreKeyStore]. It makes all keys before
// the transaction, and stores them in one: a first login has 812.
func (d *data) GetOrGenPreKeys(ctx context.Context, count uint32) ([]*keys.PreKey, error) {
	var stored []preKey
	err := d.read(ctx, func(tx Tx) (err error) {
		stored, err = d.waiting(tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	var fresh []*keys.PreKey
	for range int(count) - len(stored) {
		fresh = append(fresh, keypair.NewPreKey())
	}
	if fresh != nil {
		err = d.write(ctx, func(tx Tx) (err error) {
			if stored, err = d.waiting(tx); err != nil {
				return err
			}
			// Another goroutine may have made or taken some meanwhile.
			missing := max(int(count)-len(stored), 0)
			for len(fresh) < missing {
				fresh = append(fresh, keypair.NewPreKey())
			}
			fresh = fresh[:missing]
			return d.addPreKeys(tx, fresh, false)
		})
		if err != nil {
			return nil, err
		}
	}
	batch := make([]*keys.PreKey, 0, count)
	for _, k := range stored[:min(len(stored), int(count))] {
		batch = append(batch, k.pair())
	}
	return append(batch, fresh...), nil
}

// addPreKeys stores fresh keys under the IDs after the last one.
func (d *data) addPreKeys(tx Tx, fresh []*keys.PreKey, uploaded bool) error {
	last, err := d.lastPreKey(tx)
	if err != nil {
		return err
	}
	if uint64(last)+uint64(len(fresh)) >= preKeyIDs {
		return fmt.Errorf("prekey ID %d is the last possible one", last)
	}
	for _, key := range fresh {
		last++
		key.KeyID = last
		k := preKey{id: last, priv: *key.Priv, uploaded: uploaded}
		if err := tx.Set(d.preKeyKey(last), k.encode()); err != nil {
			return err
		}
	}
	return nil
}

// GenOnePreKey implements [wastore.PreKeyStore].
func (d *data) GenOnePreKey(ctx context.Context) (*keys.PreKey, error) {
	key := keypair.NewPreKey()
	err := d.write(ctx, func(tx Tx) error { return d.addPreKeys(tx, []*keys.PreKey{key}, true) })
	if err != nil {
		return nil, err
	}
	return key, nil
}

// GetPreKey implements [wastore.PreKeyStore].
func (d *data) GetPreKey(ctx context.Context, id uint32) (*keys.PreKey, error) {
	var found *keys.PreKey
	err := d.read(ctx, func(tx Tx) error {
		found = nil
		key := d.preKeyKey(id)
		value, err := tx.Get(key)
		if err != nil || value == nil {
			return err
		}
		k, err := decodePreKey(key, value)
		if err == nil {
			found = k.pair()
		}
		return err
	})
	return found, err
}

// RemovePreKey implements [wastore.PreKeyStore].
func (d *data) RemovePreKey(ctx context.Context, id uint32) error {
	return d.drop(ctx, d.preKeyKey(id))
}

// MarkPreKeysAsUploaded implements [wastore.PreKeyStore].
func (d *data) MarkPreKeysAsUploaded(ctx context.Context, upToID uint32) error {
	return d.write(ctx, func(tx Tx) error {
		list, err := d.waiting(tx)
		if err != nil {
			return err
		}
		for _, k := range list {
			if k.id > upToID {
				break
			}
			k.uploaded = true
			if err := tx.Set(d.preKeyKey(k.id), k.encode()); err != nil {
				return err
			}
		}
		return nil
	})
}

// UploadedPreKeyCount implements [wastore.PreKeyStore].
func (d *data) UploadedPreKeyCount(ctx context.Context) (int, error) {
	var count int
	err := d.read(ctx, func(tx Tx) error {
		count = 0
		return d.scanPreKeys(tx, func(k preKey) error {
			if k.uploaded {
				count++
			}
			return nil
		})
	})
	return count, err
}
