package walinktest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"time"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waAdv"
	"go.mau.fi/whatsmeow/util/gcmutil"
	"go.mau.fi/whatsmeow/util/hkdfutil"
	"google.golang.org/protobuf/proto"
)

// WithHosted makes the account HOSTED: a business's provider has access to its messages. The
// HMAC in pair-success then covers a prefix. With devices the phone calls its companions
// HOSTED as well, and signs their identities with another prefix (handlePair of whatsmeow
// reads both types).
func WithHosted(devices bool) PhoneOption {
	return func(p *Phone) {
		p.accountType = waAdv.ADVEncryptionType_HOSTED
		if devices {
			p.deviceType = waAdv.ADVEncryptionType_HOSTED
		}
	}
}

// encode encodes a message that has no strings. Nothing else could be an error.
func encode(message proto.Message) []byte {
	encoded, _ := proto.Marshal(message)
	return encoded
}

// sign signs a message with the account's identity key.
func (p *Phone) sign(message ...[]byte) []byte {
	signature := ecc.CalculateSignature(ecc.NewDjbECPrivateKey(*p.identity.Priv), slices.Concat(message...))
	return signature[:]
}

// accountPrefix returns what is in front of the details that an account signs for a device of
// a type (verifyAccountSignature of whatsmeow).
func accountPrefix(device waAdv.ADVEncryptionType) []byte {
	if device == waAdv.ADVEncryptionType_HOSTED {
		return whatsmeow.AdvHostedAccountSignaturePrefix
	}
	return whatsmeow.AdvAccountSignaturePrefix
}

// metadataFor returns what a phone gives a companion for a token of the account, which walinktest
// does not issue. It is sealed under the ADV secret and the companion's Noise key. WhatsApp Web
// requires encrypted_key, and does not read it (WASmaxInMdAESEncryptionMetadataMixin,
// WAWebHandleCanonicalRegistration).
func metadataFor(d *device, secret [32]byte) waBinary.Node {
	payload, _ := json.Marshal(map[string]any{"nonce": random(32), "fbid": d.lid.User, "timestamp": time.Now().Unix()})
	key := hkdfutil.SHA256(secret[:], d.noise[:], []byte("Canonical Ent Companion Nonce Encrypt"), 32)
	nonce := random(12)
	sealed, _ := gcmutil.Encrypt(key, nonce, payload, nil)
	end := len(sealed) - 16
	return waBinary.Node{
		Tag: "encryption-metadata", Attrs: waBinary.Attrs{"version": "1", "algorithm": "aes-256-gcm"},
		Content: []waBinary.Node{
			{Tag: "encrypted_key", Content: random(32)},
			{Tag: "nonce", Content: nonce},
			{Tag: "encrypted_data", Content: sealed[:end]},
			{Tag: "auth_tag", Content: sealed[end:]},
		},
	}
}

// identityOf returns the identity that the phone has signed for a companion (handlePair of
// whatsmeow reads it), and the part of it that the companion signs in turn.
func (p *Phone) identityOf(d *device, secret [32]byte, action Action) (identity, details []byte) {
	details = encode(&waAdv.ADVDeviceIdentity{
		RawID:       &p.rawID,
		Timestamp:   new(uint64(time.Now().Unix())),
		KeyIndex:    &d.keyIndex,
		AccountType: &p.accountType,
		DeviceType:  &p.deviceType,
	})
	signature := p.sign(accountPrefix(p.deviceType), details, d.identity[:])
	if action.kind == actionBadSignature {
		signature[7] ^= 1
	}
	signed := encode(&waAdv.ADVSignedDeviceIdentity{
		Details:             details,
		AccountSignatureKey: p.identity.Pub[:],
		AccountSignature:    signature,
	})
	mac := hmac.New(sha256.New, secret[:])
	if p.accountType == waAdv.ADVEncryptionType_HOSTED {
		mac.Write(whatsmeow.AdvHostedAccountSignaturePrefix)
	}
	mac.Write(signed)
	sum := mac.Sum(nil)
	if action.kind == actionBadHMAC {
		sum[7] ^= 1
	}
	return encode(&waAdv.ADVSignedDeviceIdentityHMAC{Details: signed, HMAC: sum, AccountType: &p.accountType}), details
}

// keyIndexList returns the key-index-list of the account as the phone signs it: the key
// indexes of the linked devices, and the latest that the phone has given out. Others keep a
// device only if its index is in the list, or newer (AdvDeviceNotificationApi of WhatsApp
// Web). The caller holds the server's mu.
func (p *Phone) keyIndexList() []byte {
	var valid []uint32
	for _, e := range p.srv.endpoints(p)[1:] { // without the phone
		valid = append(valid, p.srv.devices[deviceID{p.number, e.device}].keyIndex)
	}
	slices.Sort(valid)
	details := encode(&waAdv.ADVKeyIndexList{
		RawID:        &p.rawID,
		Timestamp:    new(uint64(time.Now().Unix())),
		CurrentIndex: &p.lastKeyIndex,
		ValidIndexes: valid,
		AccountType:  &p.accountType,
	})
	return encode(&waAdv.ADVSignedKeyIndexList{
		Details:             details,
		AccountSignature:    p.sign([]byte{6, 2}, details), // WAWebAdvSignatureConstants of WhatsApp Web
		AccountSignatureKey: p.identity.Pub[:],
	})
}
