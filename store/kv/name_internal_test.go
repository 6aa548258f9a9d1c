package kv

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"
)

// The parts of a key are read back from it, and keys have the order of their
// parts.
func FuzzName(f *testing.F) {
	long := strings.Repeat("\x00\x01\x03", 400)
	for _, seed := range [][3]string{
		{"", "", ""},
		{"\x00\x03", "\x01\x03", "\x00\x01\x03\x02"},
		{"a\x00", "\x03a", "\x01"},
		{long, long + "\x00", "\x00" + long},
		{strings.Repeat("\x01", longPart), strings.Repeat("\x00", longPart+1), strings.Repeat("\x00\x03", headPart/2)},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, first, second, third string) {
		list := []string{first, second, third}
		hashes := map[string]string{}
		for _, part := range list {
			hashes[hashed(part)] = part
		}
		key := name(spaceData, list...)
		got, err := parts(key, len(spaceData), func(hash string) (string, error) {
			part, ok := hashes[hash]
			if !ok || len(part) <= longPart {
				return "", errors.New("no part of the key has this hash")
			}
			return part, nil
		})
		if err != nil || !slices.Equal(got, list) {
			t.Errorf("parts(%q): %q, %v, want %q", key, got, err, list)
		}
		if bytes.Count(key, []byte{0}) != len(list) {
			t.Errorf("%q has %d ends, want %d", key, bytes.Count(key, []byte{0}), len(list))
		}
		if max(len(first), len(second)) <= longPart {
			order := bytes.Compare(name(spaceData, first), name(spaceData, second))
			if order != cmp.Compare(first, second) {
				t.Errorf("the keys of %q and %q are in another order", first, second)
			}
		}
	})
}

// A string that is no key is an error and no panic.
func FuzzParts(f *testing.F) {
	for _, seed := range []string{"", "x", "x\x00", "x\x01\x00", "x\x01\x03\x00", "x\x01\x04\x00", "xa\x01\x03hash\x00", "xa\x00b"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, key []byte) {
		if len(key) == 0 {
			return
		}
		list, err := parts(key, 1, noLong)
		if err == nil && !bytes.Equal(name(string(key[:1]), list...), key) && len(key) <= longPart {
			t.Errorf("parts(%q): %q, of which name makes another", key, list)
		}
	})
}
