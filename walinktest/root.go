package walinktest

import (
	"fmt"
	"sync"
	"time"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waCert"
	"go.mau.fi/whatsmeow/util/keys"
	"google.golang.org/protobuf/proto"

	_ "github.com/walink/walink/internal/signallog" // before any server signs its certificates
)

// certLife is how long before and after its making a certificate is valid:
// longer than any test lets the clock run.
const certLife = 10 * 365 * 24 * time.Hour

// root is the authority that signs the certificates of every server here, and
// that whatsmeow is made to trust. There is one for the process because
// whatsmeow.WACertPubKey is one for the process, unguarded: it is written once,
// before any server exists that a client could connect to, and by RemoteClient.
//
//nolint:gochecknoglobals // whatsmeow's trust is a global, so is its counterpart
var root = sync.OnceValue(func() *keys.KeyPair {
	pair := keys.NewKeyPair()
	whatsmeow.WACertPubKey = *pair.Pub
	return pair
})

// trust makes whatsmeow trust a root, another process's or this one's again.
// What it trusts already is not written again, for clients may be reading it.
func trust(rootKey [32]byte) {
	root() // which would replace rootKey later
	if whatsmeow.WACertPubKey != rootKey {
		whatsmeow.WACertPubKey = rootKey
	}
}

// certify returns the chain for a server's static key: an intermediate signed
// by authority, and a leaf. Serials and signatures are what whatsmeow's
// verifyServerCert asks for.
func certify(authority *keys.KeyPair, static *[32]byte, now time.Time) ([]byte, error) {
	intermediate := keys.NewKeyPair()
	notBefore, notAfter := uint64(now.Add(-certLife).Unix()), uint64(now.Add(certLife).Unix())
	const intermediateSerial, leafSerial = 1, 2
	signed := func(signer *keys.KeyPair, serial, issuer uint32, key []byte) (*waCert.CertChain_NoiseCertificate, error) {
		details, err := proto.Marshal(&waCert.CertChain_NoiseCertificate_Details{
			Serial:       &serial,
			IssuerSerial: &issuer,
			Key:          key,
			NotBefore:    &notBefore,
			NotAfter:     &notAfter,
		})
		if err != nil {
			return nil, fmt.Errorf("walinktest: certify: %w", err)
		}
		signature := ecc.CalculateSignature(ecc.NewDjbECPrivateKey(*signer.Priv), details)
		return &waCert.CertChain_NoiseCertificate{Details: details, Signature: signature[:]}, nil
	}
	middle, err := signed(authority, intermediateSerial, whatsmeow.WACertIssuerSerial, intermediate.Pub[:])
	if err != nil {
		return nil, err
	}
	leaf, err := signed(intermediate, leafSerial, intermediateSerial, static[:])
	if err != nil {
		return nil, err
	}
	chain, err := proto.Marshal(&waCert.CertChain{Intermediate: middle, Leaf: leaf})
	if err != nil {
		return nil, fmt.Errorf("walinktest: certify: %w", err)
	}
	return chain, nil
}
