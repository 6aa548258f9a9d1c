package kv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// ErrNotCurrent is in the chain of the error about writing to an encrypted DB
// whose current key is given, but not as the first. Nothing in it has been
// changed.
var ErrNotCurrent error = &fault{
	"its current key is not the first of those given: give it first, or call Rotate to make the first one current",
	"Give the current key of the database first, or, if the first one is newer, call Rotate before anything is stored.",
}

// rotateStep is how many values one transaction of Rotate seals.
const rotateStep = 500

// Rotate makes the first key the current one of the DB, and then seals with it
// all values that are sealed with an older one. It does so in many
// transactions; what it has done when it fails stays done, and it can be called
// again. Values that do not open are passed over, and named in the error.
//
// From its first step on nobody can write with another first key: a program
// that has the old key alone gets [ErrKey] where it writes or begins, and where
// it reads what is sealed anew; one that has the new key further back gets
// [ErrNotCurrent] where it writes. So let all programs have both keys before,
// with the old one first, and the new one first after.
//
// When it has returned nil the older keys open no value in the DB any more.
// They still open copies that were made before. The secret with which names are
// sealed stays the same: who has an older key and a copy of that time reads
// names, which hold phone numbers and session names, in the DB of today too. To
// change that secret as well, copy the sessions to an empty DB with
// [github.com/walink/walink/transfer.Copy].
func (e *Encrypted) Rotate(ctx context.Context) error {
	if e.unset {
		return fmt.Errorf("kv: rotate the key of %s: %w", e, ErrZeroKey)
	}
	err := e.db.Txn(ctx, true, func(tx Tx) error {
		_, kept, err := e.open(tx, false, e.names.Load())
		if err == nil && kept {
			_, err = e.reseal(tx, [][]byte{[]byte(headName)})
		}
		return err
	})
	var old [][]byte
	if err == nil {
		err = e.db.Txn(ctx, false, func(tx Tx) error {
			old = nil
			return tx.Scan(nil, func(key, value []byte) error {
				if !e.keys[0].sealed(value) {
					old = append(old, bytes.Clone(key))
				}
				return nil
			})
		})
	}
	var bad []error
	for err == nil && len(old) > 0 {
		step := old[:min(rotateStep, len(old))]
		old = old[len(step):]
		var found []error
		err = e.db.Txn(ctx, true, func(tx Tx) (err error) {
			found, err = e.reseal(tx, step)
			return err
		})
		bad = append(bad, found...)
	}
	if err = errors.Join(append(bad, err)...); err != nil {
		return fmt.Errorf("kv: rotate the key of %s: %w", e, err)
	}
	return nil
}

// reseal seals what is under the sealed names with the first key, and returns
// what is wrong with those that do not open.
func (e *Encrypted) reseal(tx Tx, sealedNames [][]byte) (bad []error, err error) {
	for _, key := range sealedNames {
		value, err := tx.Get(key)
		if err != nil {
			return nil, err
		}
		if value == nil || e.keys[0].sealed(value) {
			continue // deleted or written since
		}
		plain, err := unseal(e.keys, key, value)
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
