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

	"github.com/walink/walink/internal/hint"
)

// ErrKey is in the chain of the error about an encrypted DB that none of the
// keys opens, or about a value that a rotation has not reached and none of the keys
// opens. Nothing in the DB was changed.
var ErrKey error = hint.New(
	errors.New("none of the keys opens it: give the key, and the identity if it has one, with which it was encrypted"),
	"Give the key with which this database was encrypted, and the same identity if it has one (Key.For), or open the right database: "+
		"without the key the data cannot be read.",
)

// ErrPlain is in the chain of the error about a DB that has data which is not
// encrypted. Nothing in the DB was changed.
var ErrPlain error = hint.New(
	errors.New("it has data that is not encrypted: begin with an empty database, or use it without Encrypt"),
	"Begin with an empty database, or use this one without Encrypt.",
)

// ErrZeroKey is in the chain of the error about a key that is all zero, which
// is a variable that was not set. The DB was not used.
var ErrZeroKey error = hint.New(
	errors.New("a key is all zero, like a variable that was not set"),
	"Give the key with which the database was encrypted, or a new one for an empty database.",
)

// Key is a key for [Encrypt]: 32 bytes from [NewKey], or from a key service. It
// is not a password. A Key does not print its bytes, with two exceptions, for
// which package fmt does not call its methods: the verb %p, and an unexported
// field of a struct.
type Key [32]byte

// NewKey returns a random key.
func NewKey() Key {
	var key Key
	_, _ = rand.Read(key[:]) // it never fails
	return key
}

// For returns the key of one database: another key, made from k and an identity
// of the database, such as "support bot". With it, one key serves many
// databases, and nobody can put one of them in the place of another: for a
// database with another identity, or with none, the error wraps [ErrKey]. The
// identity is no secret, and must stay the same. An empty identity is none, and
// For returns k.
//
// [Encrypted.Rotate] gives a database an identity, or another one:
//
//	err := kv.Encrypt(db, key.For("support bot"), key).Rotate(ctx)
func (k Key) For(identity string) Key {
	if identity == "" || k == (Key{}) { // which Encrypt refuses
		return k
	}
	return Key(derive(k[:], "walink kv database "+identity))
}

// Format implements [fmt.Formatter], and prints nothing of the key.
func (Key) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, "kv.Key") }

// MarshalText implements [encoding.TextMarshaler] with an error, so that no log
// and no settings file gets a key that is in a struct.
func (Key) MarshalText() ([]byte, error) {
	return nil, errMarshal
}

// MarshalBinary implements [encoding.BinaryMarshaler], which package gob calls,
// with an error.
func (Key) MarshalBinary() ([]byte, error) { return nil, errMarshal }

var errMarshal = errors.New("kv: a key is not marshaled: store it where the program finds keys, and not with other data")

// Encrypted is a [DB] that encrypts its data and keeps it in another DB. It is
// safe for concurrent use. Use [Encrypt].
type Encrypted struct {
	db    DB
	keys  []seal
	unset bool // a key is all zero
	// names encrypts names. Its secret is made with the DB and kept in it,
	// encrypted. names is nil before the first transaction.
	names atomic.Pointer[namer]
}

var (
	_ DB        = (*Encrypted)(nil)
	_ Clock     = (*Encrypted)(nil)
	_ Checker   = (*Encrypted)(nil)
	_ io.Closer = (*Encrypted)(nil)
)

// Encrypt returns a DB that keeps everything in db, encrypted with AES-256-GCM
// under key, with a random nonce for each value. A value is bound to its name:
// under another name it cannot be decrypted. Names are encrypted too, part by
// part, so that a part looks the same wherever it follows the same parts.
//
// Whoever steals the data in db sees the sizes of values and of the parts of
// names, how many there are, and over time which of them change. Whoever can
// also write to db can do three things that Encrypt cannot see: bring back an
// old state of everything or of single values; delete single values, as if they
// had never been stored; and put a whole database in the place of db that is
// encrypted under the same key. So use one key for each database, or
// [Key.For]. Everything else needs a key. Do not keep keys where the data is.
// Without the key the data is lost.
//
// The first key encrypts. Older keys decrypt what they have encrypted, until
// [Encrypted.Rotate] has encrypted all values again. Before Rotate nothing can
// be stored with a new first key, see [ErrNotCurrent]. A key should encrypt no
// more than 2^32 values, which are 100 a second for a year: call Rotate before
// that.
//
// Encrypt does no I/O. If the key is wrong or the data is not encrypted, the
// first transaction fails, and changes nothing: see [ErrKey] and [ErrPlain]. If
// a key is all zero, every transaction fails: see [ErrZeroKey].
func Encrypt(db DB, key Key, older ...Key) *Encrypted {
	e := &Encrypted{db: given(db)}
	for _, k := range append([]Key{key}, older...) {
		e.keys = append(e.keys, newSeal(k))
		e.unset = e.unset || k == Key{}
	}
	return e
}

// String names the DB below.
func (e *Encrypted) String() string { return title(e.db) }

// Close closes the DB below if it is an [io.Closer].
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
	known := e.names.Load()
	if known != nil && !write {
		return e.db.Txn(ctx, write, func(tx Tx) error { return fn(&sealedTx{tx: tx, names: known, keys: e.keys}) })
	}
	var names *namer
	var kept bool
	err := e.db.Txn(ctx, write, func(tx Tx) (err error) {
		if names, kept, err = e.open(tx, write, known); err != nil {
			return err
		}
		return fn(&sealedTx{tx: tx, names: names, keys: e.keys})
	})
	if err == nil && kept { // only now: fn may have read what its own transaction wrote, which can still fail
		e.names.Store(names)
	}
	return err
}

// headName is the name under which the DB below keeps the secret that encrypts
// names. No sealed name is so short.
const headName = "walink"

// open returns what encrypts names, and whether the DB below has its secret.
// For an empty DB open makes a new secret, and stores it if the transaction may
// write. known is the result of an earlier transaction, or nil.
func (e *Encrypted) open(tx Tx, write bool, known *namer) (names *namer, kept bool, err error) {
	value, err := tx.Get([]byte(headName))
	if err != nil {
		return nil, false, err
	}
	if value != nil {
		if len(value) > 0 && value[0] > sealVersion {
			return nil, false, fmt.Errorf("it is encrypted as version %d, and this program knows %d: %w", value[0], sealVersion, ErrNewer)
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

// errNoKey is the error of a value that another key has encrypted.
var errNoKey = errors.New("the value is encrypted with another key")

// seal encrypts and decrypts with one key.
type seal struct {
	id   []byte
	aead cipher.AEAD
}

func newSeal(key Key) seal {
	block, err := aes.NewCipher(derive(key[:], "walink kv values"))
	if err != nil {
		panic(err) // not reached: only other lengths fail
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // not reached: AES has the right block size
	}
	return seal{id: derive(key[:], "walink kv id")[:keyIDSize], aead: aead}
}

// derive makes a key for one purpose from another key.
func derive(key []byte, purpose string) []byte {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte(purpose))
	return mac.Sum(nil)
}

// seal encrypts plain, bound to its name.
func (s seal) seal(name, plain []byte) []byte {
	out := make([]byte, 1+keyIDSize+nonceSize, 1+keyIDSize+nonceSize+len(plain)+s.aead.Overhead())
	out[0] = sealVersion
	copy(out[1:], s.id)
	nonce := out[1+keyIDSize:]
	_, _ = rand.Read(nonce) // it never fails
	return s.aead.Seal(out, nonce, plain, name)
}

// sealed reports whether this key has encrypted value.
func (s seal) sealed(value []byte) bool {
	return len(value) > keyIDSize && bytes.Equal(value[1:1+keyIDSize], s.id)
}

// unseal decrypts the value under name.
func unseal(keys []seal, name, value []byte) ([]byte, error) {
	const head = 1 + keyIDSize + nonceSize
	if len(value) < head || value[0] != sealVersion {
		return nil, errors.New("the value is not encrypted, or is cut off")
	}
	for _, key := range keys {
		if key.sealed(value) {
			plain, err := key.aead.Open(nil, value[head-nonceSize:head], value[head:], name)
			if err != nil {
				return nil, errors.New("the value cannot be decrypted: it was changed, cut off or moved")
			}
			return plain, nil
		}
	}
	return nil, errNoKey
}
