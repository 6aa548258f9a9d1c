package kv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	wastore "go.mau.fi/whatsmeow/store"
)

// PutAppStateSyncKey implements [wastore.AppStateSyncKeyStore]. Only a later
// key replaces a stored one.
func (d *data) PutAppStateSyncKey(ctx context.Context, id []byte, key wastore.AppStateSyncKey) error {
	if err := errors.Join(required("sync key", key.Data), required("fingerprint", key.Fingerprint)); err != nil {
		return d.fail(err)
	}
	return d.write(ctx, func(tx Tx) error {
		at := d.key(kindSyncKey, string(id))
		value, err := tx.Get(at)
		if err != nil {
			return err
		}
		if value != nil {
			stored, err := decodeSyncKey(at, value)
			if err != nil || key.Timestamp <= stored.Timestamp {
				return err
			}
		}
		return tx.Set(at, syncKey{id: id, AppStateSyncKey: key}.encode())
	})
}

// syncKey is a sync key with its ID.
type syncKey struct {
	id []byte
	wastore.AppStateSyncKey
}

func (k syncKey) encode() []byte {
	return newEncoder(len(k.Data) + len(k.Fingerprint) + len(k.id)).
		bytes(k.id).bytes(k.Data).bytes(k.Fingerprint).int(k.Timestamp).b
}

func decodeSyncKey(key, value []byte) (syncKey, error) {
	dec := decode(key, value)
	k := syncKey{id: dec.bytes()}
	k.Data, k.Fingerprint, k.Timestamp = dec.bytes(), dec.bytes(), dec.int()
	return k, dec.end()
}

// GetAppStateSyncKey implements [wastore.AppStateSyncKeyStore].
func (d *data) GetAppStateSyncKey(ctx context.Context, id []byte) (*wastore.AppStateSyncKey, error) {
	var found *wastore.AppStateSyncKey
	if id == nil {
		return nil, nil
	}
	err := d.read(ctx, func(tx Tx) error {
		found = nil
		at := d.key(kindSyncKey, string(id))
		value, err := tx.Get(at)
		if err != nil || value == nil {
			return err
		}
		k, err := decodeSyncKey(at, value)
		if err == nil {
			found = &k.AppStateSyncKey
		}
		return err
	})
	return found, err
}

// syncKeys returns the sync keys, the latest first.
func (d *data) syncKeys(ctx context.Context) ([]syncKey, error) {
	var list []syncKey
	err := d.read(ctx, func(tx Tx) error {
		list = nil
		return tx.Scan(d.key(kindSyncKey), func(key, value []byte) error {
			k, err := decodeSyncKey(key, value)
			list = append(list, k)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(list, func(a, b syncKey) int { return cmp.Compare(b.Timestamp, a.Timestamp) })
	return list, nil
}

// GetLatestAppStateSyncKeyID implements [wastore.AppStateSyncKeyStore].
func (d *data) GetLatestAppStateSyncKeyID(ctx context.Context) ([]byte, error) {
	list, err := d.syncKeys(ctx)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return list[0].id, nil
}

// GetAllAppStateSyncKeys implements [wastore.AppStateSyncKeyStore].
func (d *data) GetAllAppStateSyncKeys(ctx context.Context) ([]*wastore.AppStateSyncKey, error) {
	list, err := d.syncKeys(ctx)
	if err != nil {
		return nil, err
	}
	var all []*wastore.AppStateSyncKey
	for _, k := range list {
		all = append(all, &k.AppStateSyncKey)
	}
	return all, nil
}

// PutAppStateVersion implements [wastore.AppStateStore].
func (d *data) PutAppStateVersion(ctx context.Context, name string, version uint64, hash [128]byte) error {
	if version > math.MaxInt64 {
		return d.fail(fmt.Errorf("the app state version %d is out of range", version))
	}
	return d.put(ctx, newEncoder(len(hash)).uint(version).bytes(hash[:]), kindSyncState, name)
}

// GetAppStateVersion implements [wastore.AppStateStore].
func (d *data) GetAppStateVersion(ctx context.Context, name string) (version uint64, hash [128]byte, err error) {
	var found bool
	err = d.get(ctx, d.key(kindSyncState, name), func(dec *decoder) {
		found = true
		version = dec.uint()
		dec.fixed(hash[:])
	})
	if err == nil && found && version == 0 {
		err = d.fail(fmt.Errorf("the stored app state %q has version 0", name))
	}
	if err != nil {
		return 0, [128]byte{}, err
	}
	return version, hash, nil
}

// DeleteAppStateVersion implements [wastore.AppStateStore]. It deletes the MACs
// with the version.
func (d *data) DeleteAppStateVersion(ctx context.Context, name string) error {
	return d.write(ctx, func(tx Tx) error {
		if err := tx.Delete(d.key(kindSyncState, name)); err != nil {
			return err
		}
		return clearPrefix(tx, d.key(kindMAC, name))
	})
}

// PutAppStateMutationMACs implements [wastore.AppStateStore]. If one of the
// MACs is already stored, or the app state has no version, nothing is stored.
func (d *data) PutAppStateMutationMACs(ctx context.Context, name string, version uint64, mutations []wastore.AppStateMutationMAC) error {
	if len(mutations) == 0 {
		return nil
	}
	for _, m := range mutations {
		if err := errors.Join(sized("index MAC", m.IndexMAC, 32), sized("value MAC", m.ValueMAC, 32)); err != nil {
			return d.fail(err)
		}
	}
	if version > math.MaxInt64 {
		return d.fail(fmt.Errorf("the app state version %d is out of range", version))
	}
	return d.write(ctx, func(tx Tx) error {
		state, err := tx.Get(d.key(kindSyncState, name))
		if err != nil {
			return err
		} else if state == nil {
			return fmt.Errorf("app state %q of these MACs is not stored", name)
		}
		taken := make(map[string]bool, len(mutations))
		pairs := make([][2][]byte, 0, len(mutations))
		for _, m := range mutations {
			key := d.macKey(name, m.IndexMAC, version)
			stored, err := tx.Get(key)
			if err != nil {
				return err
			}
			if stored != nil || taken[string(key)] {
				return fmt.Errorf("app state %q already has the MAC of version %d", name, version)
			}
			taken[string(key)] = true
			pairs = append(pairs, [2][]byte{key, newEncoder(32).bytes(m.ValueMAC).b})
		}
		for _, pair := range pairs {
			if err := tx.Set(pair[0], pair[1]); err != nil {
				return err
			}
		}
		return nil
	})
}

// macKey returns the key of a MAC. The keys are in descending order of
// versions.
func (d *data) macKey(name string, index []byte, version uint64) []byte {
	return d.key(kindMAC, name, string(index), fmt.Sprintf("%016x", math.MaxInt64-version))
}

// DeleteAppStateMutationMACs implements [wastore.AppStateStore].
func (d *data) DeleteAppStateMutationMACs(ctx context.Context, name string, indexMACs [][]byte) error {
	if len(indexMACs) == 0 {
		return nil
	}
	return d.write(ctx, func(tx Tx) error {
		if len(indexMACs) > manyMACs {
			return d.deleteManyMACs(tx, name, indexMACs)
		}
		for _, mac := range indexMACs {
			if err := clearPrefix(tx, d.key(kindMAC, name, string(mac))); err != nil {
				return err
			}
		}
		return nil
	})
}

// manyMACs is the number of MACs from which one scan of all stored MACs is less
// work than a scan for each.
const manyMACs = 50

func (d *data) deleteManyMACs(tx Tx, name string, indexMACs [][]byte) error {
	named := make(map[string]bool, len(indexMACs))
	for _, mac := range indexMACs {
		named[string(mac)] = true
	}
	var doomed [][]byte
	err := tx.Scan(d.key(kindMAC, name), func(key, _ []byte) error {
		suffix, err := d.suffix(tx, key)
		if err == nil && len(suffix) > 1 && named[suffix[1]] {
			doomed = append(doomed, key)
		}
		return err
	})
	if err != nil {
		return err
	}
	return deleteAll(tx, doomed)
}

// GetAppStateMutationMAC implements [wastore.AppStateStore]. It returns the MAC
// of the highest version.
func (d *data) GetAppStateMutationMAC(ctx context.Context, name string, indexMAC []byte) ([]byte, error) {
	var mac []byte
	err := d.read(ctx, func(tx Tx) error {
		mac = nil
		key, value, err := first(tx, d.key(kindMAC, name, string(indexMAC)))
		if err != nil || value == nil {
			return err
		}
		dec := decode(key, value)
		mac = dec.bytes()
		return dec.end()
	})
	return mac, err
}
