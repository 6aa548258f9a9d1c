package walinktest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"slices"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waCompanionReg"
	"go.mau.fi/whatsmeow/util/gcmutil"
	"go.mau.fi/whatsmeow/util/hkdfutil"
	"golang.org/x/crypto/curve25519"
	"google.golang.org/protobuf/proto"
)

// takePrologue checks a companion's assertion and the prologue that comes with it
// (SendPasskeyResponse of whatsmeow sends them). The caller holds the server's mu, as it
// does for takeNonce and takeRequest.
func (l *passkeyLink) takePrologue(node *waBinary.Node, arrived time.Time) Refusal {
	passkey := l.ceremony.phone.passkey
	if reason := passkey.verify(l.challenge, content(node, "credential_id"), content(node, "webauthn_assertion")); reason != "" {
		return reason
	}
	payload := content(node, "prologue_payload")
	var prologue waCompanionReg.ProloguePayload
	var identity waCompanionReg.CompanionEphemeralIdentity
	if proto.Unmarshal(payload, &prologue) != nil ||
		proto.Unmarshal(prologue.GetCompanionEphemeralIdentity(), &identity) != nil {
		return ErrPairingPrologue
	}
	commitment := prologue.GetCommitment().GetHash()
	shared, err := curve25519.X25519(l.ephemeral.Priv[:], identity.GetPublicKey())
	if err != nil || len(commitment) != sha256.Size ||
		identity.DeviceType == nil || identity.GetDeviceType() != l.companion.props.GetPlatformType() ||
		identity.GetRef() == "" || identity.GetRef() != l.companion.ephemeralRef {
		return ErrPairingPrologue
	}
	if proof, ok := node.GetOptionalChildByTag("pairing_handoff_proof"); ok {
		mac := hmac.New(sha256.New, hkdfutil.SHA256(l.secret[:], nil, []byte("shortcake-passkey-handoff-v1"), 32))
		mac.Write(payload)
		switch {
		case !hmac.Equal(mac.Sum(nil), []byte(text(proof.Content))):
			return ErrHandoffProof
		case !arrived.Before(l.sent.Add(handoffTTL)):
			return ErrHandoffLate
		}
		l.trusted = true
	}
	l.identity, l.commitment = prologue.GetCompanionEphemeralIdentity(), commitment
	salt := fmt.Sprintf("Companion Pairing %d with ref %s", identity.GetDeviceType(), identity.GetRef())
	l.key = hkdfutil.SHA256(shared, []byte(salt), []byte("Pairing Information Encryption Key"), 32)
	return ""
}

// takeNonce checks a nonce against the companion's commitment, and derives the code that
// both sides show (handlePasskeyContinuationNotification of whatsmeow is the other side).
func (l *passkeyLink) takeNonce(nonce []byte) Refusal {
	const nonceSize = 32
	commitment := sha256.Sum256(slices.Concat(l.identity, nonce))
	if len(nonce) != nonceSize || !bytes.Equal(commitment[:], l.commitment) {
		return ErrPairingNonce
	}
	digest := sha256.Sum256(slices.Concat(nonce, l.ephemeral.Pub[:]))
	var code [5]byte
	for i := range code {
		code[i] = l.nonce[i] ^ digest[i]
	}
	shown := base32.NewEncoding(codeAlphabet).EncodeToString(code[:])
	l.code = shown[:4] + "-" + shown[4:]
	return ""
}

// takeRequest decrypts and checks a pairing request (SendPasskeyConfirmation of whatsmeow
// sends it).
func (l *passkeyLink) takeRequest(wrapped []byte) Refusal {
	const ivSize = 12
	var sealed waCompanionReg.EncryptedPairingRequest
	if err := proto.Unmarshal(wrapped, &sealed); err != nil || len(sealed.GetIV()) != ivSize {
		return ErrPairingRequest
	}
	opened, err := gcmutil.Decrypt(l.key, sealed.GetIV(), sealed.GetEncryptedPayload(), nil)
	if err != nil {
		return ErrPairingRequest
	}
	var request waCompanionReg.PairingRequest
	if err := proto.Unmarshal(opened, &request); err != nil ||
		!bytes.Equal(request.GetCompanionPublicKey(), l.companion.noise[:]) ||
		!bytes.Equal(request.GetCompanionIdentityKey(), l.companion.identity[:]) ||
		len(request.GetAdvSecret()) != len(l.agreed) {
		return ErrPairingRequest
	}
	copy(l.agreed[:], request.GetAdvSecret())
	return ""
}
