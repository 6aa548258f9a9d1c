package kvtest_test

import (
	"bytes"
	"strings"
)

const (
	anyBytes        = "clause 7: keys and values of any bytes"
	large           = "clause 7: long keys and large values"
	refusesEmpty    = "clause 7: an empty key and an empty value are refused"
	staysAsItWas    = "clause 8: what was read stays as it was"
	staysTheCallers = "clause 8: arguments stay the caller's"
)

// brokenBytes break what keys and values are (clauses 7 and 8).
func brokenBytes() []mutant {
	valid := func(s string) string { return strings.ToValidUTF8(s, "?") }
	return []mutant{
		{"a value is UTF-8", anyBytes, "Get of", values(valid)},
		{"a value has no newline at its end", anyBytes, "Get of", values(func(s string) string {
			if len(s) > 1 {
				return strings.TrimSuffix(s, "\n")
			}
			return s
		})},
		{"a value has no carriage return", anyBytes, "Get of", values(func(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") })},
		{"a value has no space around it", anyBytes, "Get of", values(func(s string) string {
			if trimmed := strings.TrimSpace(s); trimmed != "" {
				return trimmed
			}
			return s
		})},
		{"a value ends with a zero byte", anyBytes, "Get of", values(cutAt("\x00"))},
		{"a value has no zero bytes at its end", anyBytes, "Get of", values(func(s string) string { return s[:1] + strings.TrimRight(s[1:], "\x00") })},
		{"a value is cut off after 65535 bytes", anyBytes, "Get of", values(cutTo(65535))},
		{"a value that is a zero byte is none", anyBytes, "Get of", inside(func(t *brokenTx, _ bool) {
			t.get = func(key []byte) ([]byte, error) {
				value, err := t.Tx.Get(key)
				if string(value) == "\x00" {
					return nil, err
				}
				return value, err
			}
		})},
		{"a value of a scan is UTF-8", anyBytes, "Scan", inside(func(t *brokenTx, _ bool) {
			t.scan = func(prefix []byte, fn func(key, value []byte) error) error {
				return t.Tx.Scan(prefix, func(key, value []byte) error { return fn(key, []byte(valid(string(value)))) })
			}
		})},
		{"a key is UTF-8", anyBytes, "Get of", keys(valid)},
		{"a key ends with a zero byte", anyBytes, "Get of", keys(cutAt("\x00"))},
		{"a key has no case", anyBytes, "Get of", keys(strings.ToLower)},
		{"a key is cut off after 255 bytes", anyBytes, "Get of", keys(cutTo(255))},
		{"a key is normal Unicode", anyBytes, "Scan", keys(func(s string) string { return strings.ReplaceAll(s, "e\u0301", "é") })},
		{"a key is cut off one byte too early", large, "Get of", keys(cutTo(8<<10 - 1))},
		{"a large value is refused", large, "Txn: broken", inside(func(t *brokenTx, _ bool) {
			t.set = func(key, value []byte) error {
				if len(value) >= 16<<20 {
					return errBroken
				}
				return t.Tx.Set(key, value)
			}
		})},
		{"an empty key is ignored", refusesEmpty, "Set of key \"\" to value \"value\": <nil>", inside(func(t *brokenTx, _ bool) {
			t.set = func(key, value []byte) error {
				if len(key) == 0 {
					return nil
				}
				return t.Tx.Set(key, value)
			}
		})},
		{"an empty value is taken", refusesEmpty, "Set of key \"b\" to value \"\": <nil>", inside(func(t *brokenTx, _ bool) {
			t.set = func(key, value []byte) error {
				if len(value) == 0 {
					value = []byte("empty")
				}
				return t.Tx.Set(key, value)
			}
		})},
		{"an empty value deletes", refusesEmpty, "Set of key \"a\" to value \"\": <nil>", inside(func(t *brokenTx, _ bool) {
			t.set = func(key, value []byte) error {
				if len(value) == 0 {
					return t.Tx.Delete(key)
				}
				return t.Tx.Set(key, value)
			}
		})},
		{"Get has one buffer", staysAsItWas, "the value that Get gave", inside(func(t *brokenTx, _ bool) {
			var buffer []byte
			t.get = func(key []byte) ([]byte, error) {
				value, err := t.Tx.Get(key)
				if value == nil {
					return nil, err
				}
				buffer = append(buffer[:0], value...)
				return buffer, err
			}
		})},
		{"Scan has one buffer for values", staysAsItWas, "the value that Scan gave", buffered(true, true, false)},
		{"Scan has one buffer for values in writers", staysAsItWas, "the value that Scan gave", buffered(true, false, true)},
		{"Scan has one buffer for keys in readers", staysAsItWas, "the key that Scan gave", buffered(false, true, false)},
		{"Scan has one buffer for keys in writers", staysAsItWas, "the key that Scan gave", buffered(false, false, true)},
		{"Set changes what Get gave", staysAsItWas, "the value that Get gave", inside(func(t *brokenTx, write bool) {
			given := map[string][]byte{}
			t.get = func(key []byte) ([]byte, error) {
				value, err := t.Tx.Get(key)
				if write && value != nil {
					value = bytes.Clone(value)
					given[string(key)] = value
				}
				return value, err
			}
			t.set = func(key, value []byte) error {
				copy(given[string(key)], value)
				return t.Tx.Set(key, value)
			}
		})},
		{"Delete clears what Get gave", staysAsItWas, "the value that Get gave", inside(func(t *brokenTx, write bool) {
			given := map[string][]byte{}
			t.get = func(key []byte) ([]byte, error) {
				value, err := t.Tx.Get(key)
				if write && value != nil {
					value = bytes.Clone(value)
					given[string(key)] = value
				}
				return value, err
			}
			t.del = func(key []byte) error {
				clear(given[string(key)])
				return t.Tx.Delete(key)
			}
		})},
		{"Delete keeps the key that it is given", staysTheCallers, "Scan", func(b *broken) {
			var deleted [][]byte
			inside(func(t *brokenTx, write bool) {
				if !write {
					return
				}
				deleted = nil
				t.del = func(key []byte) error {
					deleted = append(deleted, key)
					return t.Tx.Delete(key)
				}
				t.scan = func(prefix []byte, fn func(key, value []byte) error) error {
					for _, key := range deleted {
						_ = t.Tx.Delete(key)
					}
					return t.Tx.Scan(prefix, fn)
				}
			})(b)
		}},
		{"Set changes the value that it is given", staysTheCallers, "have become", inside(func(t *brokenTx, _ bool) {
			t.set = func(key, value []byte) error {
				err := t.Tx.Set(key, bytes.Clone(value))
				if len(value) > 5 {
					value[5] = 0
				}
				return err
			}
		})},
		{"Get changes the key that it is given", staysTheCallers, "have become", inside(func(t *brokenTx, _ bool) {
			t.get = func(key []byte) ([]byte, error) {
				value, err := t.Tx.Get(key)
				key[0] = 'x'
				return value, err
			}
		})},
	}
}

// buffered has Scan use one slice for all that it gives.
func buffered(values, readers, writers bool) func(*broken) {
	return inside(func(t *brokenTx, write bool) {
		if write && !writers || !write && !readers {
			return
		}
		t.scan = func(prefix []byte, fn func(key, value []byte) error) error {
			var buffer []byte
			return t.Tx.Scan(prefix, func(key, value []byte) error {
				if values {
					buffer = append(buffer[:0], value...)
					return fn(key, buffer)
				}
				buffer = append(buffer[:0], key...)
				return fn(buffer, value)
			})
		}
	})
}
