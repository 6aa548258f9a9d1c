package kvtest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/walink/walink/store/kv"
)

// odd returns pairs that get lost if a DB takes bytes for text, lines or
// numbers, or stores lengths in a byte or two.
func odd() []pair {
	state := map[string]string{}
	for b := range 256 {
		one := string([]byte{byte(b)})
		state["key "+one] = one
		state["end "+one] = "value" + one
		state["begin "+one] = one + "value"
		state[one] = "short"
	}
	for i, text := range []string{
		"\n\n", "\r\n", "\x00\x00\x00", "nil", "null", "0", "{}", "[]", `""`, "'", "\\", "\\x00", "%", "%00", "=", ": ", "* ?",
		"\ufeffBOM", "\ufffd", "\xed\xa0\x80", "\xf4\x90\x80\x80", "é", "e\u0301", "\xc3", "\x01\x02", "\x01\x03",
		strings.Repeat("\xff", 20), strings.Repeat("\x00", 20), strings.Repeat("\r\n", 20),
	} {
		state["text "+text] = text
		state[fmt.Sprintf("text %d", i)] = text + text
	}
	for _, length := range []int{127, 128, 129, 254, 255, 256, 257, 1023, 1024, 4095, 4096, 4097} {
		state[fmt.Sprintf("length %d", length)] = strings.Repeat("\x01\x00", length)[:length]
		state[strings.Repeat("k", length)] = "long"
		state[strings.Repeat("k", length-1)+"\x00"] = "long, and a zero byte"
	}
	for _, length := range []int{65534, 65535, 65536, 65537, 1<<20 + 1} {
		state[fmt.Sprintf("length %d", length)] = strings.Repeat("\xff\x00\n", length)[:length]
	}
	return pairsOf(state)
}

func anyBytes(t *trial) {
	pairs := odd()
	t.write(func(tx kv.Tx) error {
		if err := put(tx, pairs...); err != nil {
			return err
		}
		said, err := differs(tx, "", pairs...)
		if said != "" {
			t.Errorf("in the transaction: %s", said)
		}
		return err
	})
	t.want("", pairs...)
	t.write(func(tx kv.Tx) error {
		for _, p := range pairs {
			if err := tx.Delete([]byte(p.Key)); err != nil {
				return err
			}
		}
		return nil
	})
	t.want("")
}

func large(t *trial) {
	key := strings.Repeat("k", kv.MaxKey-1)
	pairs := []pair{
		{key + "a", strings.Repeat("v", 16<<20-1) + "\n"},
		{key + "b", "\x00"},
	}
	t.set(pairs...)
	t.want(key, pairs...)
	t.want(key+"b", pairs[1])
	t.read(func(tx kv.Tx) error { return missing(tx, key, key+"c") })
}

func refusesEmpty(t *trial) {
	t.set(pair{"a", "1"})
	for _, p := range []struct{ key, value []byte }{
		{nil, []byte("value")}, {[]byte{}, []byte("value")}, {[]byte("a"), nil}, {[]byte("a"), []byte{}}, {[]byte("b"), nil}, {[]byte("b"), []byte{}},
	} {
		var said error
		err := t.db.Txn(t.Context(), true, func(tx kv.Tx) error {
			said = tx.Set(p.key, p.value)
			return said
		})
		if said == nil || !errors.Is(err, said) {
			t.Errorf("Set of key %q to value %q: %v, and Txn that returns it: %v, want an error", p.key, p.value, said, err)
		}
	}
	t.want("", pair{"a", "1"})
}

// kept is a slice from a DB, and its content at that time.
type kept struct {
	slice []byte
	was   string
	what  string
}

func staysAsItWas(t *trial) {
	stored := []pair{{"a", "value of a"}, {"b", "value b"}, {"c", "another value"}, {"d", strings.Repeat("long", 5000)}}
	t.set(stored...)
	for _, write := range []bool{false, true} {
		err := t.db.Txn(t.Context(), write, func(tx kv.Tx) error {
			var all []kept
			keep := func(what string, slice []byte) { all = append(all, kept{slice, string(slice), what}) }
			read := func(when string) error {
				for _, p := range stored {
					value, err := tx.Get([]byte(p.Key))
					if err != nil {
						return err
					}
					keep("the value that Get gave "+when, value)
				}
				return tx.Scan(nil, func(key, value []byte) error {
					keep("the key that Scan gave "+when, key)
					keep("the value that Scan gave "+when, value)
					return nil
				})
			}
			if write {
				if err := put(tx, pair{"aa", "own"}, pair{"b", "own value"}); err != nil {
					return err
				}
			}
			err := errors.Join(read("first"), read("again"))
			if write {
				err = errors.Join(err, put(tx, pair{"a", "short"}, pair{"c", strings.Repeat("longer", 1000)}, pair{"aa", "changed"}),
					tx.Delete([]byte("b")), tx.Delete([]byte("d")), read("after changes"))
			}
			said := map[string]bool{}
			for _, k := range all {
				if string(k.slice) != k.was && !said[k.what] {
					said[k.what] = true
					t.Errorf("%s was %q and has become %q before the transaction ended, write %t", k.what, shorten(k.was), shorten(string(k.slice)), write)
				}
			}
			return err
		})
		if err != nil {
			t.Errorf("Txn: %v", err)
		}
	}
}

// staysTheCallers changes a slice after it was an argument, except of Set, and
// tests that the DB does not change arguments.
func staysTheCallers(t *trial) {
	t.set(pair{"a", "1"}, pair{"b", "2"}, pair{"c", "3"}, pair{"cc", "4"})
	t.write(func(tx kv.Tx) error {
		use := make([]byte, 1)
		of := func(key string) []byte {
			copy(use, key)
			return use
		}
		_, err := tx.Get(of("a"))
		err = errors.Join(err, tx.Delete(of("b")), tx.Delete(of("e")))
		err = errors.Join(err, tx.Scan(of("c"), func(_, _ []byte) error { return nil }))
		copy(use, "a")

		key, value := []byte("key\x00\xff"), []byte("value\n\xff")
		err = errors.Join(err, tx.Set(key, value))
		_, err2 := tx.Get(key)
		err = errors.Join(err, err2, tx.Scan(key, func(_, _ []byte) error { return nil }))
		if !bytes.Equal(key, []byte("key\x00\xff")) || !bytes.Equal(value, []byte("value\n\xff")) {
			t.Errorf("the key and the value that were given to Set have become %q and %q", key, value)
		}
		return err
	})
	t.want("", pair{"a", "1"}, pair{"c", "3"}, pair{"cc", "4"}, pair{"key\x00\xff", "value\n\xff"})
}
