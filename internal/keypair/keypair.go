// Package keypair makes X25519 key pairs twice as fast as whatsmeow's keys
// package. It uses precomputed tables; whatsmeow (util/keys/keypair.go) climbs
// a Montgomery ladder. These multiplications are most of the work of loading a
// device, and of a first login with its 812 prekeys. Both ways give the same
// points (RFC 7748, section 4.1). Delete when whatsmeow is as fast.
package keypair

import (
	"filippo.io/edwards25519"
	"go.mau.fi/util/random"
	"go.mau.fi/whatsmeow/util/keys"
)

// Of returns the key pair of a private key.
func Of(priv [32]byte) *keys.KeyPair {
	scalar, err := edwards25519.NewScalar().SetBytesWithClamping(priv[:])
	if err != nil {
		return keys.NewKeyPairFromPrivateKey(priv) // not reached: only other lengths fail
	}
	pub := [32]byte(new(edwards25519.Point).ScalarBaseMult(scalar).BytesMontgomery())
	return &keys.KeyPair{Pub: &pub, Priv: &priv}
}

// NewPreKey returns a new prekey without an ID.
func NewPreKey() *keys.PreKey {
	priv := [32]byte(random.Bytes(32))
	priv[0] &= 248
	priv[31] &= 127
	priv[31] |= 64
	return &keys.PreKey{KeyPair: *Of(priv)}
}
