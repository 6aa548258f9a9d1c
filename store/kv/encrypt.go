package kv

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// ErrKey is in the chain of the error about an encrypted DB for which none of
// the keys is right. Nothing in it has been changed.
var ErrKey error = &fault{
	"none of the keys opens it: give the key with which it was encrypted",
	"Give the key with which the database was encrypted: without it nothing in it can be read.",
}

// ErrPlain is in the chain of the error about a DB that holds data which is not
// encrypted. Nothing in it has been changed.
var ErrPlain error = &fault{
	"it holds data that is not encrypted: begin with an empty database, or use it without Encrypt",
	"Begin with an empty database, or use this one without Encrypt.",
}

// ErrZeroKey is in the chain of the error about a key that is all zero: a
// variable that was not set. The DB has not been asked.
var ErrZeroKey error = &fault{
	"a key is all zero, as of a variable that was not set",
	"Give the key with which the database was encrypted, or a new one for an empty database.",
}

// Key is a key for [Encrypt]: 32 bytes of [crypto/rand], which [NewKey] gives,
// or that a key service keeps. It is not a password. It does not print itself,
// but where package fmt asks nobody: in an unexported field of what is printed.
type Key [32]byte

// NewKey returns a random key.
func NewKey() Key {
	var key Key
	_, _ = rand.Read(key[:]) // it never fails
	return key
}

// Format implements [fmt.Formatter], and says nothing of the key.
func (Key) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, "kv.Key") }

// MarshalText implements [encoding.TextMarshaler] with an error, so that no
// log and no settings file holds a key because it was in a struct.
func (Key) MarshalText() ([]byte, error) {
	return nil, errors.New("kv: a key does not become text by itself")
}

// Encrypted is a [DB] that seals what it keeps in another. It is safe for
// concurrent use. Use [Encrypt].
type Encrypted struct {
	db    DB
	keys  []seal
	unset bool // a key is all zero
	// names is what names are sealed with. It is made with the DB, kept in it
	// sealed, and known after the first transaction.
	names atomic.Pointer[namer]
}

var (
	_ DB        = (*Encrypted)(nil)
	_ Clock     = (*Encrypted)(nil)
	_ Checker   = (*Encrypted)(nil)
	_ io.Closer = (*Encrypted)(nil)
)

// Encrypt returns a DB that keeps everything in db, sealed with AES-256-GCM
// under key, with a random nonce for each value. A value is bound to its
// name: moved to another, it does not open. Names are sealed too, each part by
// itself, so that a part has the same form wherever it follows the same parts.
//
// Who steals what db has stored sees the sizes of values and of the parts of
// names, how many there are, and over time which of them change. Who can also
// write there can bring back an old state, as a whole or of single values. All
// else needs a key. Keep keys where the data is not. Without the key the data
// is lost.
//
// The first key seals, and older ones open what they have sealed:
// [Encrypted.Rotate] seals all values anew, after which they are not needed.
// Before that nothing is stored with a new first key, see [ErrNotCurrent]. A
// key should seal no more than 2^32 values, which are 100 a second for a year:
// rotate before.
//
// Encrypt does no I/O. The first transaction finds a wrong key, or data that
// is not encrypted, and then changes nothing: see [ErrKey] and [ErrPlain]. With
// a key that is all zero every transaction fails: see [ErrZeroKey].
func Encrypt(db DB, key Key, older ...Key) *Encrypted {
	e := &Encrypted{db: db}
	for _, k := range append([]Key{key}, older...) {
		e.keys = append(e.keys, newSeal(k))
		e.unset = e.unset || k == Key{}
	}
	return e
}

// String names the DB below.
func (e *Encrypted) String() string { return title(e.db) }

// Close closes the DB below where it is an [io.Closer].
func (e *Encrypted) Close() error {
	if closer, ok := e.db.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// Now implements [Clock] with the time of the DB below.
func (e *Encrypted) Now(ctx context.Context) (time.Time, error) {
	if clock, ok := e.db.(Clock); ok {
		return clock.Now(ctx)
	}
	return time.Now(), ctx.Err()
}

// Check implements [Checker] with that of the DB below.
func (e *Encrypted) Check(ctx context.Context) error {
	if e.unset {
		return ErrZeroKey
	}
	if checker, ok := e.db.(Checker); ok {
		return checker.Check(ctx)
	}
	return nil
}

// Txn implements [DB].
func (e *Encrypted) Txn(ctx context.Context, write bool, fn func(Tx) error) error {
	if e.unset {
		return ErrZeroKey
	}
	names := e.names.Load()
	if names != nil && !write {
		return e.db.Txn(ctx, write, func(tx Tx) error { return fn(&sealedTx{tx: tx, names: names, keys: e.keys}) })
	}
	var kept bool
	err := e.db.Txn(ctx, write, func(tx Tx) (err error) {
		if names, kept, err = e.open(tx, write, names); err != nil {
			return err
		}
		return fn(&sealedTx{tx: tx, names: names, keys: e.keys})
	})
	if err == nil && kept { // not before: what was read may come to nothing with what wrote it
		e.names.Store(names)
	}
	return err
}

// headName is the name under which the DB below keeps what names are sealed
// with. No sealed name is so short.
const headName = "walink"

// open returns what names are sealed with, and whether the DB keeps it. For an
// empty DB it makes it, which a transaction that only reads cannot keep. known
// is what it was before, if that is known.
func (e *Encrypted) open(tx Tx, write bool, known *namer) (names *namer, kept bool, err error) {
	value, err := tx.Get([]byte(headName))
	if err != nil {
		return nil, false, err
	}
	if value != nil {
		if len(value) > 0 && value[0] > sealVersion {
			return nil, false, fmt.Errorf("it is sealed as version %d and this program knows %d: %w", value[0], sealVersion, ErrNewer)
		}
		secret, err := unseal(e.keys, []byte(headName), value)
		switch {
		case errors.Is(err, errNoKey):
			return nil, false, ErrKey
		case err != nil:
			return nil, false, damaged([]byte(headName), err)
		case known != nil && !hmac.Equal(known.secret, secret):
			return nil, false, ErrEmptied
		case write && !e.keys[0].sealed(value):
			return nil, false, ErrNotCurrent
		}
		return newNamer(secret), true, nil
	}
	if known != nil {
		return nil, false, ErrEmptied
	}
	key, _, err := first(tx, nil)
	if err != nil {
		return nil, false, err
	} else if key != nil {
		return nil, false, ErrPlain
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // it never fails
	if write {
		err = tx.Set([]byte(headName), e.keys[0].seal([]byte(headName), secret))
	}
	return newNamer(secret), write, err
}

// A sealed value is the byte 1, the first bytes of the key's hash, the nonce,
// and the ciphertext with its tag.
const (
	sealVersion = 1
	keyIDSize   = 8
	nonceSize   = 12
)

// errNoKey says that a value was sealed with a key that is not here.
var errNoKey = errors.New("it is sealed with another key")

// seal is one key.
type seal struct {
	id   []byte
	aead cipher.AEAD
}

func newSeal(key Key) seal {
	block, err := aes.NewCipher(derive(key[:], "walink kv values"))
	if err != nil {
		panic(err) // not reached: it fails for other lengths only
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // not reached: AES has the right block
	}
	return seal{id: derive(key[:], "walink kv id")[:keyIDSize], aead: aead}
}

// derive makes a key for one purpose from another.
func derive(key []byte, purpose string) []byte {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte(purpose))
	return mac.Sum(nil)
}

// seal seals plain for the name under which it will be.
func (s seal) seal(name, plain []byte) []byte {
	out := make([]byte, 1+keyIDSize+nonceSize, 1+keyIDSize+nonceSize+len(plain)+s.aead.Overhead())
	out[0] = sealVersion
	copy(out[1:], s.id)
	nonce := out[1+keyIDSize:]
	_, _ = rand.Read(nonce) // it never fails
	return s.aead.Seal(out, nonce, plain, name)
}

// sealed reports whether value says that this key has sealed it.
func (s seal) sealed(value []byte) bool {
	return len(value) > keyIDSize && bytes.Equal(value[1:1+keyIDSize], s.id)
}

// unseal opens what is under name.
func unseal(keys []seal, name, value []byte) ([]byte, error) {
	const head = 1 + keyIDSize + nonceSize
	if len(value) < head || value[0] != sealVersion {
		return nil, errors.New("it is not sealed, or cut off")
	}
	for _, key := range keys {
		if key.sealed(value) {
			plain, err := key.aead.Open(nil, value[head-nonceSize:head], value[head:], name)
			if err != nil {
				return nil, errors.New("it does not open: it was changed, cut off or moved")
			}
			return plain, nil
		}
	}
	return nil, errNoKey
}
