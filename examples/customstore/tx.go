package main

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"
)

// tx implements kv.Tx. A change to no value is that of a deleted key.
type tx struct {
	state, changes map[string]string
	write, ended   bool
}

var errEnded = errors.New("the transaction has ended")

func (t *tx) Get(key []byte) ([]byte, error) {
	if t.ended {
		return nil, errEnded
	}
	return append([]byte(nil), t.state[string(key)]...), nil
}

func (t *tx) Set(key, value []byte) error {
	if len(key) == 0 || len(value) == 0 {
		return errors.New("the key or the value is empty")
	}
	return t.change(key, value)
}

func (t *tx) Delete(key []byte) error { return t.change(key, nil) }

func (t *tx) change(key, value []byte) error {
	if t.ended {
		return errEnded
	} else if !t.write {
		return errors.New("the transaction only reads")
	}
	t.state[string(key)], t.changes[string(key)] = string(value), string(value)
	if len(value) == 0 {
		delete(t.state, string(key))
	}
	return nil
}

func (t *tx) Scan(prefix []byte, fn func(key, value []byte) error) error {
	if t.ended {
		return errEnded
	}
	keys := slices.Collect(maps.Keys(t.state))
	keys = slices.DeleteFunc(keys, func(key string) bool { return !strings.HasPrefix(key, string(prefix)) })
	slices.Sort(keys)
	for _, key := range keys {
		if err := fn([]byte(key), []byte(t.state[key])); err != nil {
			return err
		}
	}
	return nil
}

// replay sets what commit wrote, keys and values with their lengths, and
// reports whether it is that.
func (t *tx) replay(record []byte) bool {
	for len(record) > 0 {
		var pair [2][]byte
		for i := range pair {
			size, n := binary.Uvarint(record)
			if n <= 0 || size > uint64(len(record)-n) { //nolint:gosec // not negative
				return false
			}
			pair[i], record = record[n:n+int(size)], record[n+int(size):] //nolint:gosec // no more than there is
		}
		_ = t.change(pair[0], pair[1])
	}
	return true
}
