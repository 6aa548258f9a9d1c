package keypair_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"testing"

	"go.mau.fi/whatsmeow/util/keys"

	"github.com/walink/walink/internal/keypair"
)

func TestOf(t *testing.T) {
	t.Parallel()
	private := [][32]byte{{}, {1}, {31: 0x80}, [32]byte(bytes.Repeat([]byte{0xff}, 32))} // some that nobody would make
	for range 200 {
		var priv [32]byte
		_, _ = rand.Read(priv[:])
		private = append(private, priv)
	}
	for _, priv := range private {
		got, want := keypair.Of(priv), keys.NewKeyPairFromPrivateKey(priv)
		if *got.Pub != *want.Pub || *got.Priv != priv {
			t.Errorf("the pair of %x is %x, %x; whatsmeow's is %x, %x", priv, *got.Pub, *got.Priv, *want.Pub, *want.Priv)
		}
	}
}

func TestNewPreKey(t *testing.T) {
	t.Parallel()
	key, other := keypair.NewPreKey(), keypair.NewPreKey()
	if *key.Priv == *other.Priv || key.KeyID != 0 || key.Signature != nil {
		t.Errorf("two new prekeys: %v, %v", key, other)
	}
	priv, err := ecdh.X25519().NewPrivateKey(key.Priv[:])
	if err != nil {
		t.Fatal(err)
	}
	if want := priv.PublicKey().Bytes(); !bytes.Equal(key.Pub[:], want) {
		t.Errorf("the public key is %x, want %x", *key.Pub, want)
	}
}
