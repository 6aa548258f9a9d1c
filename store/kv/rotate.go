package kv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/internal/redact"
)

// ErrNotCurrent is in the chain of the error about a write to an encrypted DB
// whose current key is given, but not as the first key. Nothing in the DB was
// changed.
var ErrNotCurrent error = hint.New(
	errors.New("its current key is not the first key: give it first, or call Rotate to make the first key current"),
	"Give the current key of the database first, or, if the first key is newer, call Rotate before anything else.",
)

// rotateStep is how many values one transaction of Rotate encrypts.
const rotateStep = 500

// rotationName is the name under which the DB below keeps, until Rotate has ended, the
// ids of the keys that it replaces. No sealed name is so short.
const rotationName = "walink rotation"

// errUnfinished is the error of a value whose key a rotation has not replaced yet.
var errUnfinished error = hint.New(
	fmt.Errorf("an older key has encrypted the value, and the rotation of the key has not ended: %w", ErrKey),
	"Give the older key too, after the new one, and call Rotate again: an earlier Rotate has not ended.",
)

// Rotate makes the first key the current key of the DB, and then encrypts with
// it all values that an older key has encrypted. It does so in many
// transactions. If Rotate fails, its finished transactions stay, and it can be
// called again. Until it has ended, the new key alone does not read everything,
// and errors say so. Rotate skips values that cannot be decrypted, and names
// the first three in the error. If another Rotate with another first key begins meanwhile,
// Rotate ends with [ErrNotCurrent].
//
// As soon as Rotate begins, nobody can write with another first key. A program
// that has only the old key gets [ErrKey] when it writes or starts, and when it
// reads a value that was encrypted again. A program that has the new key, but
// not first, gets [ErrNotCurrent] when it writes. So give all programs both
// keys, the old one first. Then open the DB with the new key first, and call
// Rotate. At last give all programs the new key first.
//
// After Rotate has returned nil, the older keys decrypt no value in the DB.
// They still decrypt copies that were made before. The secret that encrypts
// names stays the same: whoever has an older key and a copy of that time can
// still read the names in the DB, which hold phone numbers and session names.
// To change that secret too, copy the sessions to an empty DB with
// [transfer.Copy].
func (e *Encrypted) Rotate(ctx context.Context) error {
	if e.unset {
		return redact.Errorf("kv: rotate the key of %s: %w", e, ErrZeroKey)
	}
	if err := e.rotate(ctx); err != nil {
		return redact.Errorf("kv: rotate the key of %s: %w", e, err)
	}
	return nil
}

func (e *Encrypted) rotate(ctx context.Context) error {
	if err := e.db.Txn(ctx, true, e.makeCurrent); err != nil {
		return err
	}
	var old [][]byte
	err := e.db.Txn(ctx, false, func(tx Tx) error {
		old = nil
		return tx.Scan(nil, func(key, value []byte) error {
			if string(key) != rotationName && !e.keys[0].sealed(value) {
				old = append(old, bytes.Clone(key))
			}
			return nil
		})
	})
	var bad []error
	for err == nil && len(old) > 0 {
		step := old[:min(rotateStep, len(old))]
		old = old[len(step):]
		var found []error
		err = e.whileCurrent(ctx, func(tx Tx) (err error) {
			found, err = e.reseal(tx, step)
			return err
		})
		bad = append(bad, found...)
	}
	if err == nil {
		err = e.whileCurrent(ctx, func(tx Tx) error { return tx.Delete([]byte(rotationName)) })
	}
	return redact.Join(append(bad, err)...)
}

// makeCurrent encrypts the head with the first key, and notes the ids of the others.
func (e *Encrypted) makeCurrent(tx Tx) error {
	_, kept, err := e.open(tx, false, e.names.Load())
	if err != nil || !kept {
		return err
	}
	ids, err := tx.Get([]byte(rotationName))
	if err != nil {
		return err
	}
	ids = bytes.Clone(ids)
	for _, key := range e.keys[1:] {
		if !lists(ids, key.id) {
			ids = append(ids, key.id...)
		}
	}
	if len(ids) > 0 {
		if err := tx.Set([]byte(rotationName), ids); err != nil {
			return err
		}
	}
	_, err = e.reseal(tx, [][]byte{[]byte(headName)})
	return err
}

// whileCurrent runs fn in a transaction that may write. It fails if another Rotate
// has made another key current.
func (e *Encrypted) whileCurrent(ctx context.Context, fn func(Tx) error) error {
	return e.db.Txn(ctx, true, func(tx Tx) error {
		value, err := tx.Get([]byte(headName))
		switch {
		case err != nil:
			return err
		case value != nil && !e.keys[0].sealed(value):
			return ErrNotCurrent
		}
		return fn(tx)
	})
}

// reseal encrypts the values under the sealed names with the first key. It
// returns an error for each value that cannot be decrypted.
func (e *Encrypted) reseal(tx Tx, sealedNames [][]byte) (bad []error, err error) {
	for _, key := range sealedNames {
		value, err := tx.Get(key)
		if err != nil {
			return nil, err
		}
		if value == nil || e.keys[0].sealed(value) {
			continue // deleted or written meanwhile
		}
		plain, err := unseal(e.keys, key, value)
		if errors.Is(err, errNoKey) {
			if err := unfinished(tx, value); err != nil {
				return nil, err
			}
		}
		if err != nil {
			clear := []byte(nil)
			if names := e.names.Load(); names != nil {
				clear = names.clear(key)
			}
			if clear == nil {
				clear = key
			}
			bad = append(bad, damaged(clear, err))
			continue
		}
		if err := tx.Set(key, e.keys[0].seal(key, plain)); err != nil {
			return nil, err
		}
	}
	return bad, nil
}

// unfinished returns errUnfinished if the key of a value is one that a rotation has
// not replaced yet. Otherwise the value is damaged, because nobody writes with another
// key than the current one.
func unfinished(tx Tx, value []byte) error {
	ids, err := tx.Get([]byte(rotationName))
	if err == nil && len(value) > keyIDSize && lists(ids, value[1:1+keyIDSize]) {
		err = errUnfinished
	}
	return err
}

// lists reports whether id is one of ids.
func lists(ids, id []byte) bool {
	for one := range slices.Chunk(ids, keyIDSize) {
		if bytes.Equal(one, id) {
			return true
		}
	}
	return false
}
