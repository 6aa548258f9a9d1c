package kvtest

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink/store/kv"
)

func runKeys(t *testing.T, open func(t *testing.T) kv.DB) {
	t.Helper()
	t.Run("clause 5: a transaction sees its own changes", func(t *testing.T) {
		t.Parallel()
		db := open(t)
		set(t, db, pair{"a", "1"}, pair{"b", "2"}, pair{"d", "4"})
		err := db.Txn(t.Context(), true, func(tx kv.Tx) error {
			err := errors.Join(put(tx, pair{"a", "one"}, pair{"c", "3"}, pair{"e", "5"}),
				tx.Delete([]byte("b")), tx.Delete([]byte("e")), tx.Delete([]byte("never there")))
			if err != nil {
				return err
			}
			for key, value := range map[string][]byte{"a": []byte("one"), "b": nil, "c": []byte("3"), "d": []byte("4"), "e": nil, "f": nil} {
				got, err := tx.Get([]byte(key))
				if err != nil {
					return err
				}
				if !bytes.Equal(got, value) || (got == nil) != (value == nil) {
					t.Errorf("Get of %q: %q, want %q", key, got, value)
				}
			}
			found, err := list(tx, "")
			if diff := cmp.Diff([]pair{{"a", "one"}, {"c", "3"}, {"d", "4"}}, found); diff != "" {
				t.Errorf("Scan (-want +got):\n%s", diff)
			}
			return err
		})
		if err != nil {
			t.Fatalf("Txn: %v", err)
		}
	})

	t.Run("clause 6: a scan is ordered by bytes and ends with its prefix", func(t *testing.T) {
		t.Parallel()
		db := open(t)
		keys := []string{"\x00", "\x00\x00", "a", "a\x00", "a\x00b", "a\x01", "aa", "a\xff", "a\xff\xff", "b", "é", "\xff", "\xff\x00", "\xff\xff"}
		slices.Sort(keys)
		for _, i := range []int{7, 0, 13, 3, 9, 1, 12, 5, 2, 10, 4, 11, 6, 8} {
			set(t, db, pair{keys[i], "value"})
		}
		for _, prefix := range append(keys, "", "c", "a\x00bc") {
			var pairs []pair
			for _, key := range keys {
				if strings.HasPrefix(key, prefix) {
					pairs = append(pairs, pair{key, "value"})
				}
			}
			want(t, db, prefix, pairs...)
		}
	})

	t.Run("clause 6: an error ends a scan, and the scan returns it", func(t *testing.T) {
		t.Parallel()
		db := open(t)
		set(t, db, pair{"a", "1"}, pair{"b", "2"}, pair{"c", "3"})
		enough := errors.New("enough")
		for _, write := range []bool{true, false} {
			err := db.Txn(t.Context(), write, func(tx kv.Tx) error {
				seen := 0
				err := tx.Scan(nil, func([]byte, []byte) error {
					if seen++; seen == 2 {
						return enough
					}
					return nil
				})
				if seen != 2 || err != enough { //nolint:errorlint // that very error
					t.Errorf("%d calls and %v, want 2 and the error of fn", seen, err)
				}
				return nil
			})
			if err != nil {
				t.Errorf("Txn: %v", err)
			}
		}
	})

	t.Run("clause 6: a scan of many keys, with reads inside", func(t *testing.T) {
		t.Parallel()
		db := open(t)
		var pairs []pair
		for i := range 3000 {
			pairs = append(pairs, pair{"key " + string([]byte{byte(i >> 8), byte(i)}), strings.Repeat("v", i%50+1)})
		}
		set(t, db, pairs...)
		want(t, db, "key", pairs...)
		err := db.Txn(t.Context(), false, func(tx kv.Tx) error {
			return tx.Scan([]byte("key \x01"), func(key, value []byte) error {
				got, err := tx.Get(key)
				if !bytes.Equal(got, value) {
					t.Errorf("Get of %q: %q, want %q", key, got, value)
				}
				return err
			})
		})
		if err != nil {
			t.Errorf("Txn: %v", err)
		}
	})

	t.Run("clause 7: long keys and large values", func(t *testing.T) {
		t.Parallel()
		db := open(t)
		key := strings.Repeat("k", kv.MaxKey-1)
		pairs := []pair{{key + "a", strings.Repeat("v", 16<<20)}, {key + "b", "\x00"}}
		set(t, db, pairs...)
		want(t, db, key, pairs...)
	})

	t.Run("clause 8: what was read stays as it was", func(t *testing.T) {
		t.Parallel()
		db := open(t)
		set(t, db, pair{"a", "1"}, pair{"b", "2"})
		err := db.Txn(t.Context(), true, func(tx kv.Tx) error {
			value, err := tx.Get([]byte("a"))
			if err != nil {
				return err
			}
			var keys [][]byte
			err = tx.Scan(nil, func(key, _ []byte) error {
				keys = append(keys, key)
				return nil
			})
			if err != nil {
				return err
			}
			err = errors.Join(put(tx, pair{"a", "3"}), tx.Delete([]byte("b")))
			if string(value) != "1" || len(keys) != 2 || string(keys[0]) != "a" || string(keys[1]) != "b" {
				t.Errorf("value %q and keys %q, want what was read", value, keys)
			}
			return err
		})
		if err != nil {
			t.Errorf("Txn: %v", err)
		}
	})
}
