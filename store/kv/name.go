package kv

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
)

// The first byte of a key says what it is of. The layout is in the package's
// documentation; what is stored stands in the way of changing it. A zero byte
// follows where all keys of the space are scanned, which makes it a part of its
// own: behind [Encrypt] a scan is one of the whole parts of its prefix.
const (
	spaceDevice  = "d"     // device id: the device itself
	spaceFormat  = "f"     // the version of the layout
	spaceJID     = "j\x00" // JID: the id and the session of its device
	spaceLID     = "l"     // LID user: phone number
	spaceNumber  = "n"     // phone number: LID user
	spaceLedger  = "p\x00" // number: its pairing codes and refusals
	spaceSession = "s\x00" // session name: its device
	spaceLease   = "t"     // session name: its lease
	spaceData    = "x"     // device id, kind, names: what belongs to a device
)

// A part that is longer than longPart stands in a key with its first bytes and
// its hash.
const (
	longPart = 1000
	headPart = 900
)

// name returns a key: its first bytes, and then each of the parts with an end
// mark, so that no key is the beginning of another. Keys are ordered like
// their parts.
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

// escape takes the zero byte out of part, which ends it: 0 becomes 1 1, and
// 1 becomes 1 2, which keeps the order.
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

// parts gives back what name was given after the first bytes of key. long
// tells the part of which there is a hash.
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

// unescape gives back what escape was given, or the hash of a part that is too
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
			return "", "", errors.New("the key is not whole")
		}
	}
	return string(plain), "", nil
}
