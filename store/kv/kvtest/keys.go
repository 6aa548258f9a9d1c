package kvtest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/walink/walink/store/kv"
)

func seesItsOwn(t *trial) {
	t.set(pair{"a", "1"}, pair{"b", "2"}, pair{"d", "4"})
	t.write(func(tx kv.Tx) error {
		err := errors.Join(put(tx, pair{"a", "one"}, pair{"c", "3"}, pair{"e", "5"}),
			tx.Delete([]byte("b")), tx.Delete([]byte("e")), tx.Delete([]byte("never there")))
		if err != nil {
			return err
		}
		said, err := differs(tx, "", pair{"a", "one"}, pair{"c", "3"}, pair{"d", "4"})
		if said != "" {
			t.Errorf("in the transaction: %s", said)
		}
		return errors.Join(err, missing(tx, "b", "e", "f", "never there"))
	})
	t.read(func(tx kv.Tx) error { return missing(tx, "b", "e", "f", "never there") })
	t.want("", pair{"a", "one"}, pair{"c", "3"}, pair{"d", "4"})
}

// setAndDeleted makes every sequence of up to four sets and deletes, on a key
// that exists and on one that does not.
func setAndDeleted(t *trial) {
	state, steps := map[string]string{}, map[string]string{} // s is a set, d a delete
	for length := 1; length <= 4; length++ {
		for n := range 1 << length {
			sequence := strings.NewReplacer("0", "d", "1", "s").Replace(fmt.Sprintf("%0*b", length, n))
			steps["new "+sequence], steps["old "+sequence] = sequence, sequence
			state["old "+sequence] = "old"
		}
	}
	t.set(pairsOf(state)...)
	t.write(func(tx kv.Tx) error {
		for i := range 4 {
			for _, key := range slices.Sorted(maps.Keys(steps)) {
				var err error
				switch sequence := steps[key]; {
				case i >= len(sequence):
				case sequence[i] == 's':
					state[key] = fmt.Sprintf("value %d", i)
					err = put(tx, pair{key, state[key]})
				default:
					delete(state, key)
					err = tx.Delete([]byte(key))
				}
				if err != nil {
					return err
				}
			}
			said, err := differs(tx, "", pairsOf(state)...)
			if said != "" {
				t.Errorf("after step %d, in the transaction: %s", i+1, said)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	t.want("", pairsOf(state)...)
}

// pairsOf returns the pairs of a map in the order of their keys.
func pairsOf(state map[string]string) []pair {
	var pairs []pair
	for _, key := range slices.Sorted(maps.Keys(state)) {
		pairs = append(pairs, pair{key, state[key]})
	}
	return pairs
}

// edges returns all keys of up to length bytes, from bytes with which an order
// or the end of a prefix often goes wrong.
func edges(length int) (keys []string) {
	last := []string{""}
	for range length {
		var next []string
		for _, key := range last {
			for _, b := range []byte{0x00, 0x01, 'a', 0x7f, 0x80, 0xff} {
				next = append(next, key+string([]byte{b}))
			}
		}
		keys, last = append(keys, next...), next
	}
	slices.Sort(keys)
	return keys
}

func ordered(t *trial) {
	state := map[string]string{}
	for _, key := range append(edges(3), "é", "e\u0301", "A", "a ", "aa\xff\xff\xff\xff", "\xff\xff\xff\xff", "\xff\xff\xff\xff\x00") {
		state[key] = "value of " + key
	}
	all := pairsOf(state)
	// In no order, and not all at once.
	for _, i := range []int{2, 0, 1} {
		var pairs []pair
		for n, p := range all {
			if n%3 == i {
				pairs = append(pairs, p)
			}
		}
		slices.Reverse(pairs)
		t.set(pairs...)
	}
	t.read(func(tx kv.Tx) error { return scansEdges(t, tx, all) })
}

// scansEdges compares the scans of all prefixes of up to two bytes, and of some
// longer ones.
func scansEdges(t *trial, tx kv.Tx, all []pair) error {
	for _, prefix := range append(edges(2), "", "c", "aaa", "aaab", "a\xff\xff", "\xff\xff\xff", "\xff\xff\xff\xff", "\xff\xff\xff\xff\xff", "\x00\x00\x00", "\x00\x00\x00\x00") {
		pairs := slices.DeleteFunc(slices.Clone(all), func(p pair) bool { return !strings.HasPrefix(p.Key, prefix) })
		said, err := differs(tx, prefix, pairs...)
		if said != "" {
			t.Errorf("%s", said)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// scansItsOwn mixes keys that are stored, new, changed and deleted.
func scansItsOwn(t *trial) {
	state := map[string]string{}
	keys := edges(3)
	for i, key := range keys {
		if i%2 == 0 {
			state[key] = "stored"
		}
	}
	t.set(pairsOf(state)...)
	t.write(func(tx kv.Tx) error {
		for i, key := range keys {
			var err error
			switch i % 6 {
			case 0, 1:
				state[key] = "changed"
				err = put(tx, pair{key, "changed"})
			case 2, 3:
				delete(state, key)
				err = tx.Delete([]byte(key))
			}
			if err != nil {
				return err
			}
		}
		return scansEdges(t, tx, pairsOf(state))
	})
	t.want("", pairsOf(state)...)
}

func endsScan(t *trial) {
	t.set(pair{"a", "1"}, pair{"b", "2"}, pair{"c", "3"})
	enough := errors.New("enough")
	for _, write := range []bool{true, false} {
		err := t.db.Txn(t.Context(), write, func(tx kv.Tx) error {
			if write {
				if err := put(tx, pair{"d", "4"}); err != nil {
					return err
				}
			}
			for _, last := range []string{"a", "b", "c", "d"} {
				var seen string
				err := tx.Scan(nil, func(key, _ []byte) error {
					seen += string(key)
					if string(key) == last {
						return enough
					}
					return nil
				})
				if !write && last == "d" {
					break
				}
				if err != enough || !strings.HasSuffix(seen, last) { //nolint:errorlint // that very error
					t.Errorf("Scan whose fn fails at %q saw %q and returned %v, want that very error", last, seen, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Errorf("Txn: %v, though fn returned nil", err)
		}
	}
}

func nested(t *trial) {
	t.set(pair{"a1", "1"}, pair{"a2", "2"}, pair{"b1", "3"}, pair{"b2", "4"})
	for _, write := range []bool{false, true} {
		pairs := []pair{{"b1", "3"}, {"b2", "4"}}
		err := t.db.Txn(t.Context(), write, func(tx kv.Tx) error {
			if write {
				if err := errors.Join(put(tx, pair{"a3", "new"}, pair{"b3", "new"}), tx.Delete([]byte("b1"))); err != nil {
					return err
				}
				pairs = []pair{{"b2", "4"}, {"b3", "new"}}
			}
			var seen string
			err := tx.Scan([]byte("a"), func(key, value []byte) error {
				seen += string(key) + " "
				if got, err := get(tx, string(key)); err != nil || got.Value != string(value) {
					return errors.Join(err, fmt.Errorf("Get of %q inside Scan is %q, want %q", key, got.Value, value))
				}
				said, err := differs(tx, "b", pairs...)
				if said != "" {
					t.Errorf("inside a Scan: %s", said)
				}
				if err != nil {
					return err
				}
				return tx.Scan([]byte("b"), func(_, _ []byte) error {
					_, err := list(tx, "")
					return errors.Join(err, missing(tx, "c"))
				})
			})
			if want := map[bool]string{false: "a1 a2 ", true: "a1 a2 a3 "}[write]; seen != want {
				t.Errorf("a Scan with others inside saw %q, want %q", seen, want)
			}
			return err
		})
		if err != nil {
			t.Errorf("Txn, write %t: %v", write, err)
		}
	}
}

func scansMany(t *trial) {
	var pairs []pair
	for i := range 3000 {
		pairs = append(pairs, pair{"key " + string([]byte{byte(i >> 8), byte(i)}), strings.Repeat("v", i%50+1)})
	}
	t.set(pairs...)
	t.want("key", pairs...)
	t.write(func(tx kv.Tx) error {
		for i := 0; i < len(pairs); i += 2 {
			if err := tx.Delete([]byte(pairs[i].Key)); err != nil {
				return err
			}
		}
		return nil
	})
	var left []pair
	for i := 1; i < len(pairs); i += 2 {
		left = append(left, pairs[i])
	}
	t.want("", left...)
}
