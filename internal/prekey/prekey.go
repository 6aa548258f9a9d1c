// Package prekey makes one-time prekeys, many of which a first login needs.
package prekey

import (
	"filippo.io/edwards25519"
	"go.mau.fi/util/random"
	"go.mau.fi/whatsmeow/util/keys"
)

// New makes a key that has no ID yet. It differs from keys.NewPreKey in how it
// multiplies the base point: by precomputed tables where crypto/ecdh climbs a
// ladder, which takes more than twice as long, and at a first login these
// multiplications are most of the work. By RFC 7748, section 4.1, both give
// the same point.
func New() *keys.PreKey {
	priv := [32]byte(random.Bytes(32))
	priv[0] &= 248
	priv[31] &= 127
	priv[31] |= 64
	scalar, err := edwards25519.NewScalar().SetBytesWithClamping(priv[:])
	if err != nil {
		return keys.NewPreKey(0) // not reached: it fails for other lengths only
	}
	pub := [32]byte(new(edwards25519.Point).ScalarBaseMult(scalar).BytesMontgomery())
	return &keys.PreKey{KeyPair: keys.KeyPair{Pub: &pub, Priv: &priv}}
}
