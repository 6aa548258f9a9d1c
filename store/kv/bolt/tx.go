package bolt

import (
	"bytes"
	"context"
	"errors"

	"go.etcd.io/bbolt"

	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/internal/group"
)

// tx is a transaction of bbolt.
type tx struct {
	tx     *bbolt.Tx
	bucket *bbolt.Bucket
	ended  bool
}

var _ group.Base = (*tx)(nil)

func (t *tx) usable() error {
	if t.ended {
		return errors.New("the transaction has ended")
	}
	return nil
}

// Get implements [kv.Tx].
func (t *tx) Get(key []byte) (value []byte, err error) {
	if err := t.usable(); err != nil {
		return nil, err
	}
	defer guard(&err)
	return t.bucket.Get(key), nil
}

// Set implements [kv.Tx].
func (t *tx) Set(key, value []byte) (err error) {
	if err := t.usable(); err != nil {
		return err
	}
	defer guard(&err)
	return t.bucket.Put(key, value)
}

// Delete implements [kv.Tx].
func (t *tx) Delete(key []byte) (err error) {
	if err := t.usable(); err != nil {
		return err
	}
	defer guard(&err)
	return t.bucket.Delete(key)
}

// Scan implements [kv.Tx].
func (t *tx) Scan(prefix []byte, fn func(key, value []byte) error) error {
	if err := t.usable(); err != nil {
		return err
	}
	cursor := t.bucket.Cursor()
	key, value, err := move(func() ([]byte, []byte) { return cursor.Seek(prefix) })
	for ; err == nil && key != nil && bytes.HasPrefix(key, prefix); key, value, err = move(cursor.Next) {
		if err := fn(key, value); err != nil {
			return err
		}
	}
	return err
}

// move guards a step of the cursor. It does not guard fn, whose panics belong
// to the caller.
func move(step func() (key, value []byte)) (key, value []byte, err error) {
	defer guard(&err)
	key, value = step()
	return key, value, nil
}

// Use implements [group.Base]. Nothing here takes long enough to need a ctx.
func (*tx) Use(context.Context) {}

// Commit implements [group.Base].
func (t *tx) Commit(context.Context) error {
	err := t.commit()
	if err != nil {
		t.Rollback()
	}
	t.ended = true
	return err
}

func (t *tx) commit() (err error) {
	defer guard(&err)
	return t.tx.Commit()
}

// Rollback implements [group.Base].
func (t *tx) Rollback() {
	t.ended = true
	// It fails only if the transaction has ended.
	_ = t.tx.Rollback()
}

// readOnly is a transaction that must not write, whatever bbolt allows.
type readOnly struct{ *tx }

var _ kv.Tx = readOnly{}

var errReadOnly = errors.New("the transaction is read-only")

// Set implements [kv.Tx].
func (readOnly) Set(_, _ []byte) error { return errReadOnly }

// Delete implements [kv.Tx].
func (readOnly) Delete([]byte) error { return errReadOnly }
