package group

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tidwall/btree"

	"github.com/walink/walink/store/kv"
)

// Every DB that uses this package can store keys and values up to these sizes.
const (
	maxKey   = 2 * kv.MaxKey
	maxValue = 256 << 20
)

// Overlay is a transaction that keeps its changes in memory. The value of a
// deleted key is nil. Use [NewOverlay].
type Overlay struct {
	base    kv.Tx
	changes btree.Map[string, []byte]
	ended   bool
}

// NewOverlay returns a transaction on top of base.
func NewOverlay(base kv.Tx) *Overlay { return &Overlay{base: base} }

// End makes all later calls fail.
func (o *Overlay) End() { o.ended = true }

func (o *Overlay) usable() error {
	if o.ended {
		return errors.New("the transaction has ended")
	}
	return nil
}

// Len returns how many keys were changed.
func (o *Overlay) Len() int { return o.changes.Len() }

// Each calls fn for each changed key, with its value or nil.
func (o *Overlay) Each(fn func(key string, value []byte) error) error {
	var err error
	o.changes.Scan(func(key string, value []byte) bool {
		err = fn(key, value)
		return err == nil
	})
	return err
}

// flush makes the changes in the transaction below.
func (o *Overlay) flush() error {
	return o.Each(func(key string, value []byte) error {
		if value == nil {
			return o.base.Delete([]byte(key))
		}
		return o.base.Set([]byte(key), value)
	})
}

// Get implements [kv.Tx].
func (o *Overlay) Get(key []byte) ([]byte, error) {
	if err := o.usable(); err != nil {
		return nil, err
	}
	if value, ok := o.changes.Get(string(key)); ok {
		return value, nil
	}
	return o.base.Get(key)
}

// Set implements [kv.Tx].
func (o *Overlay) Set(key, value []byte) error {
	if err := o.usable(); err != nil {
		return err
	}
	if len(key) == 0 || len(key) > maxKey || len(value) == 0 || len(value) > maxValue {
		return fmt.Errorf("a key of %d bytes with a value of %d, want 1 to %d and 1 to %d", len(key), len(value), maxKey, maxValue)
	}
	o.changes.Set(string(key), value)
	return nil
}

// Delete implements [kv.Tx].
func (o *Overlay) Delete(key []byte) error {
	if err := o.usable(); err != nil {
		return err
	}
	o.changes.Set(string(key), nil)
	return nil
}

// Scan implements [kv.Tx]. It merges the changes with the transaction below.
func (o *Overlay) Scan(prefix []byte, fn func(key, value []byte) error) error {
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
			return nil // its change comes before the next key
		}
		return fn(key, value)
	})
	if err != nil {
		return err
	}
	return upTo("", true)
}
