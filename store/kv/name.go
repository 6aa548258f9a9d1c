package kv

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
)

// The first byte of a key is its kind. The layout is described in the package's
// documentation. Stored data makes it hard to change. The kinds that are
// scanned as a whole end with a zero byte, so that the kind is a part: with
// [Encrypt], a scan covers the whole parts of its prefix.
const (
	spaceDevice  = "d"     // device id: the device itself
	spaceEntry   = "e\x00" // session name: its store.Entry
	spaceFormat  = "f"     // the version of the layout
	spaceHolder  = "h"     // holder ID: the holder of leases
	spaceJID     = "j\x00" // JID: the id and the session of its device
	spaceLID     = "l"     // LID user: phone number
	spaceNumber  = "n"     // phone number: LID user
	spaceLease   = "o\x00" // session name: its last lease
	spaceLedger  = "p\x00" // number: its requests for pairing codes, and refusals
	spaceSession = "s\x00" // session name: its device
	spaceData    = "x"     // device id, kind, names: the data of a device
)

// A part longer than longPart is written as its first headPart bytes and its
// hash.
const (
	longPart = 1000
	headPart = 900
)

// name returns a key: its first bytes, and then each part with its end mark, so
// that no key is the beginning of another. Keys have the order of their parts.
func name(first string, parts ...string) []byte {
	size := len(first)
	for _, part := range parts {
		size += min(len(part), longPart) + 1
	}
	key := append(make([]byte, 0, size), first...)
	for _, part := range parts {
		if len(part) > longPart {
			key = escape(key, part[:headPart])
			key = append(key, 1, 3)
			part = hashed(part)
		}
		key = append(escape(key, part), 0)
	}
	return key
}

// escape removes the zero byte, which ends a part: 0 becomes 1 1, and 1 becomes
// 1 2, which keeps the order.
func escape(key []byte, part string) []byte {
	if strings.IndexByte(part, 0) < 0 && strings.IndexByte(part, 1) < 0 {
		return append(key, part...)
	}
	for i := range len(part) {
		if part[i] <= 1 {
			key = append(key, 1, part[i]+1)
		} else {
			key = append(key, part[i])
		}
	}
	return key
}

func hashed(part string) string {
	sum := sha256.Sum256([]byte(part))
	return hex.EncodeToString(sum[:])
}

// parts returns the parts of a key that name has made with that many first
// bytes. long returns the part for a hash.
func parts(key []byte, first int, long func(hash string) (string, error)) ([]string, error) {
	var list []string
	for rest := key[first:]; len(rest) > 0; {
		part, after, ok := bytes.Cut(rest, []byte{0})
		if !ok {
			return nil, errors.New("the key has no end")
		}
		rest = after
		text, hash, err := unescape(part)
		if err == nil && hash != "" {
			text, err = long(hash)
		}
		if err != nil {
			return nil, err
		}
		list = append(list, text)
	}
	return list, nil
}

// unescape returns the argument of escape, or the hash of a part that is too
// long for a key.
func unescape(part []byte) (text, hash string, err error) {
	plain := make([]byte, 0, len(part))
	for i := 0; i < len(part); i++ {
		if part[i] != 1 {
			plain = append(plain, part[i])
			continue
		}
		i++
		switch {
		case i < len(part) && (part[i] == 1 || part[i] == 2):
			plain = append(plain, part[i]-1)
		case i < len(part)-1 && part[i] == 3:
			return "", string(part[i+1:]), nil
		default:
			return "", "", errors.New("the key is not complete")
		}
	}
	return string(plain), "", nil
}
