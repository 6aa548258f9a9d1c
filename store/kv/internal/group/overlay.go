package group

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tidwall/btree"

	"github.com/walink/walink/store/kv"
)

// What every DB below can keep.
const (
	maxKey   = 2 * kv.MaxKey
	maxValue = 256 << 20
)

// overlay is a transaction that keeps its changes to itself until flush. A nil
// value is that of a deleted key.
type overlay struct {
	base    kv.Tx
	changes btree.Map[string, []byte]
	ended   bool
}

func newOverlay(base kv.Tx) *overlay { return &overlay{base: base} }

func (o *overlay) end() { o.ended = true }

func (o *overlay) usable() error {
	if o.ended {
		return errors.New("the transaction has ended")
	}
	return nil
}

func (o *overlay) changed() bool { return o.changes.Len() > 0 }

// flush does the changes on the transaction below.
func (o *overlay) flush() error {
	var err error
	o.changes.Scan(func(key string, value []byte) bool {
		if value == nil {
			err = o.base.Delete([]byte(key))
		} else {
			err = o.base.Set([]byte(key), value)
		}
		return err == nil
	})
	return err
}

// Get implements [kv.Tx].
func (o *overlay) Get(key []byte) ([]byte, error) {
	if err := o.usable(); err != nil {
		return nil, err
	}
	if value, ok := o.changes.Get(string(key)); ok {
		return value, nil
	}
	return o.base.Get(key)
}

// Set implements [kv.Tx].
func (o *overlay) Set(key, value []byte) error {
	if err := o.usable(); err != nil {
		return err
	}
	if len(key) == 0 || len(key) > maxKey || len(value) == 0 || len(value) > maxValue {
		return fmt.Errorf("a key of %d bytes with a value of %d, where 1 to %d and 1 to %d are possible", len(key), len(value), maxKey, maxValue)
	}
	o.changes.Set(string(key), value)
	return nil
}

// Delete implements [kv.Tx].
func (o *overlay) Delete(key []byte) error {
	if err := o.usable(); err != nil {
		return err
	}
	o.changes.Set(string(key), nil)
	return nil
}

// Scan implements [kv.Tx]: it goes through the changes and through what is
// below side by side.
func (o *overlay) Scan(prefix []byte, fn func(key, value []byte) error) error {
	if err := o.usable(); err != nil {
		return err
	}
	type change struct {
		key   string
		value []byte
	}
	var changes []change
	begin := string(prefix)
	o.changes.Ascend(begin, func(key string, value []byte) bool {
		if !strings.HasPrefix(key, begin) {
			return false
		}
		changes = append(changes, change{key, value})
		return true
	})
	// upTo calls fn for the changes before key.
	upTo := func(key string, all bool) error {
		for len(changes) > 0 && (all || changes[0].key < key) {
			next := changes[0]
			changes = changes[1:]
			if next.value == nil {
				continue
			}
			if err := fn([]byte(next.key), next.value); err != nil {
				return err
			}
		}
		return nil
	}
	err := o.base.Scan(prefix, func(key, value []byte) error {
		if len(changes) == 0 {
			return fn(key, value)
		}
		if err := upTo(string(key), false); err != nil {
			return err
		}
		if len(changes) > 0 && changes[0].key == string(key) {
			return nil // what it has become comes before the next
		}
		return fn(key, value)
	})
	if err != nil {
		return err
	}
	return upTo("", true)
}
