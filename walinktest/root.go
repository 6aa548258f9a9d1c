package walinktest

import (
	"sync"
	"time"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waCert"
	"go.mau.fi/whatsmeow/util/keys"

	_ "github.com/walink/walink/internal/signallog" // makes libsignal's logger before a server signs its certificates
)

// certLife is how long before and after its creation a certificate is valid: longer than
// any test lets the clock run.
const certLife = 10 * 365 * 24 * time.Hour

// root returns the authority that signs the certificates of all servers, and makes
// whatsmeow trust it. The process has one authority because whatsmeow.WACertPubKey is one
// variable without a lock. root writes that variable once, before any server exists that
// a client could connect to. Only RemoteClient writes it later. Delete the sharing when
// whatsmeow has a root key for each Client.
//
//nolint:gochecknoglobals // it belongs to a global variable of whatsmeow
var root = sync.OnceValue(func() *keys.KeyPair {
	pair := keys.NewKeyPair()
	whatsmeow.WACertPubKey = *pair.Pub
	return pair
})

// trust makes whatsmeow trust another process's root key, or this process's again. If
// whatsmeow trusts the key already, trust does not write it, since clients may be reading
// the variable.
func trust(rootKey [32]byte) {
	root() // otherwise the first server would replace rootKey later
	if whatsmeow.WACertPubKey != rootKey {
		whatsmeow.WACertPubKey = rootKey
	}
}

// certify returns the certificate chain for a server's static key: an intermediate that
// authority signs, and a leaf. Serials and signatures are those that verifyServerCert of
// whatsmeow requires.
func certify(authority *keys.KeyPair, static *[32]byte, now time.Time) []byte {
	intermediate := keys.NewKeyPair()
	notBefore, notAfter := uint64(now.Add(-certLife).Unix()), uint64(now.Add(certLife).Unix())
	const intermediateSerial, leafSerial = 1, 2
	signed := func(signer *keys.KeyPair, serial, issuer uint32, key []byte) *waCert.CertChain_NoiseCertificate {
		details := encode(&waCert.CertChain_NoiseCertificate_Details{
			Serial:       &serial,
			IssuerSerial: &issuer,
			Key:          key,
			NotBefore:    &notBefore,
			NotAfter:     &notAfter,
		})
		signature := ecc.CalculateSignature(ecc.NewDjbECPrivateKey(*signer.Priv), details)
		return &waCert.CertChain_NoiseCertificate{Details: details, Signature: signature[:]}
	}
	return encode(&waCert.CertChain{
		Intermediate: signed(authority, intermediateSerial, whatsmeow.WACertIssuerSerial, intermediate.Pub[:]),
		Leaf:         signed(intermediate, leafSerial, intermediateSerial, static[:]),
	})
}
