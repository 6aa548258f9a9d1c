// Package keypair makes key pairs of X25519 faster than whatsmeow's keys does:
// by precomputed tables where that climbs a ladder, which takes more than twice
// as long. Of loading a device, and of a first login with its 812 prekeys, these
// multiplications are most of the work. By RFC 7748, section 4.1, both give the
// same points.
package keypair

import (
	"filippo.io/edwards25519"
	"go.mau.fi/util/random"
	"go.mau.fi/whatsmeow/util/keys"
)

// Of returns the pair of a private key.
func Of(priv [32]byte) *keys.KeyPair {
	scalar, err := edwards25519.NewScalar().SetBytesWithClamping(priv[:])
	if err != nil {
		return keys.NewKeyPairFromPrivateKey(priv) // not reached: it fails for other lengths only
	}
	pub := [32]byte(new(edwards25519.Point).ScalarBaseMult(scalar).BytesMontgomery())
	return &keys.KeyPair{Pub: &pub, Priv: &priv}
}

// NewPreKey makes a key that has no ID yet.
func NewPreKey() *keys.PreKey {
	priv := [32]byte(random.Bytes(32))
	priv[0] &= 248
	priv[31] &= 127
	priv[31] |= 64
	return &keys.PreKey{KeyPair: *Of(priv)}
}
