package kv

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/walink/walink/internal/redact"
)

// sealedTx is a transaction of an [Encrypted] DB.
type sealedTx struct {
	tx    Tx
	names *namer
	keys  []seal
}

var (
	_ Tx     = (*sealedTx)(nil)
	_ lister = (*sealedTx)(nil)
)

// Get implements [Tx].
func (t *sealedTx) Get(key []byte) ([]byte, error) {
	sealed := t.names.seal(key)
	value, err := t.tx.Get(sealed)
	if err != nil || value == nil {
		return nil, err
	}
	plain, err := unseal(t.keys, sealed, value)
	if err != nil {
		return nil, t.fail(key, value, err)
	}
	return plain, nil
}

// fail returns the error for a value that cannot be decrypted. If another key
// has encrypted the value, the value is damaged, with two exceptions: that key
// has encrypted the head too, because another program has called Rotate since
// this one began, or a Rotate has not replaced that key everywhere.
func (t *sealedTx) fail(key, value []byte, why error) error {
	if errors.Is(why, errNoKey) {
		head, err := t.tx.Get([]byte(headName))
		if err != nil {
			return err
		}
		if _, err := unseal(t.keys, []byte(headName), head); errors.Is(err, errNoKey) {
			return ErrKey
		}
		if err := unfinished(t.tx, value); err != nil {
			return err
		}
	}
	return damaged(key, why)
}

// Set implements [Tx].
func (t *sealedTx) Set(key, value []byte) error {
	if len(key) == 0 || len(key) > MaxKey {
		return fmt.Errorf("a key of %d bytes, want 1 to %d", len(key), MaxKey)
	}
	if len(value) == 0 {
		return errors.New("an empty value") // encrypted it would not be empty
	}
	sealed := t.names.seal(key)
	return t.tx.Set(sealed, t.keys[0].seal(sealed, value))
}

// Delete implements [Tx].
func (t *sealedTx) Delete(key []byte) error { return t.tx.Delete(t.names.seal(key)) }

// Scan implements [Tx]. Sealed names have another order, so Scan collects all
// pairs before it calls fn. If a value cannot be decrypted, fn is still called
// with all others, and Scan then returns an error.
func (t *sealedTx) Scan(prefix []byte, fn func(key, value []byte) error) error {
	type pair struct{ key, value []byte }
	var pairs []pair
	var damagedValues []error
	bad, err := t.scan(prefix, func(sealed, key, value []byte) error {
		plain, err := unseal(t.keys, sealed, value)
		if err == nil {
			pairs = append(pairs, pair{key, plain})
			return nil
		}
		if err = t.fail(key, value, err); !errors.Is(err, ErrDamaged) {
			return err
		}
		damagedValues = append(damagedValues, err)
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(pairs, func(a, b pair) int { return bytes.Compare(a.key, b.key) })
	for _, p := range pairs {
		if err := fn(p.key, p.value); err != nil {
			return err
		}
	}
	return redact.Join(append(bad, damagedValues...)...)
}

// scan calls fn for each name that begins with prefix, in any order, with the
// sealed name, the name and the sealed value. It returns an error for each name
// that cannot be decrypted. An error of fn ends the scan.
func (t *sealedTx) scan(prefix []byte, fn func(sealed, key, value []byte) error) (bad []error, err error) {
	whole := prefix[:bytes.LastIndexByte(prefix, 0)+1]
	err = t.tx.Scan(t.names.seal(whole), func(sealed, value []byte) error {
		if name := string(sealed); name == headName || name == rotationName {
			return nil
		}
		switch key := t.names.clear(sealed); {
		case key == nil:
			bad = append(bad, damaged(sealed, errors.New("its name cannot be decrypted")))
		case bytes.HasPrefix(key, prefix):
			return fn(sealed, key, value)
		}
		return nil
	})
	return bad, err
}

// keysOf implements lister. It skips names that cannot be decrypted.
func (t *sealedTx) keysOf(prefix []byte) ([][]byte, error) {
	var keys [][]byte
	_, err := t.scan(prefix, func(_, key, _ []byte) error {
		keys = append(keys, key)
		return nil
	})
	return keys, err
}

// namer encrypts names part by part; a part ends with a zero byte. Names with
// the same first parts still begin with the same bytes, and a scan by whole
// parts is a scan of the DB below. A sealed part has its length, a MAC of the
// name up to its end, and its bytes, encrypted in counter mode from that MAC.
// So the same part after the same parts always looks the same, and reveals
// nothing else.
type namer struct {
	secret []byte // the other fields are derived from it
	mac    []byte
	block  cipher.Block
}

const (
	partMAC  = 16
	partHead = 2 + partMAC
)

func newNamer(secret []byte) *namer {
	block, err := aes.NewCipher(derive(secret, "walink kv name encryption"))
	if err != nil {
		panic(err) // not reached: it fails for other lengths only
	}
	return &namer{secret: secret, mac: derive(secret, "walink kv name authentication"), block: block}
}

// seal returns the sealed form of a name.
func (n *namer) seal(key []byte) []byte {
	out := make([]byte, 0, len(key)+partHead*(bytes.Count(key, []byte{0})+1))
	mac := hmac.New(sha256.New, n.mac)
	var sum [sha256.Size]byte
	for rest := key; len(rest) > 0; {
		size := bytes.IndexByte(rest, 0) + 1
		if size == 0 {
			size = len(rest)
		}
		part := rest[:size]
		rest = rest[size:]
		_, _ = mac.Write(part)
		tag := mac.Sum(sum[:0])[:partMAC]
		out = binary.BigEndian.AppendUint16(out, uint16(size)) //nolint:gosec // MaxKey is less than 1<<16
		out = append(out, tag...)
		out = append(out, part...)
		at := out[len(out)-size:]
		cipher.NewCTR(n.block, tag).XORKeyStream(at, at)
	}
	return out
}

// clear returns the name that was sealed, or nil if sealed is not a sealed
// name.
func (n *namer) clear(sealed []byte) []byte {
	key := make([]byte, 0, len(sealed))
	mac := hmac.New(sha256.New, n.mac)
	var sum [sha256.Size]byte
	for rest := sealed; len(rest) > 0; {
		if len(rest) < partHead {
			return nil
		}
		size := int(binary.BigEndian.Uint16(rest))
		if len(rest) < partHead+size {
			return nil
		}
		tag := rest[2:partHead]
		key = append(key, rest[partHead:partHead+size]...)
		part := key[len(key)-size:]
		cipher.NewCTR(n.block, tag).XORKeyStream(part, part)
		_, _ = mac.Write(part)
		if !hmac.Equal(mac.Sum(sum[:0])[:partMAC], tag) {
			return nil
		}
		rest = rest[partHead+size:]
	}
	return key
}
