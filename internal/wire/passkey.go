package wire

import (
	"context"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waCompanionReg"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"go.mau.fi/whatsmeow/util/gcmutil"
	"go.mau.fi/whatsmeow/util/hkdfutil"
	"go.mau.fi/whatsmeow/util/keys"
	"google.golang.org/protobuf/proto"

	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/redact"
)

// ceremony is what a Conn knows of its passkey ceremony.
//
// The steps are those of whatsmeow's pair-passkey.go. whatsmeow puts the platform of
// store.DeviceProps into the device's identity, which is the same for every client of the
// process, and not the one that the client has registered with. So walink takes the steps
// itself, and leaves to whatsmeow only the challenge. Delete when a client of whatsmeow
// has its own platform.
type ceremony struct {
	handoff []byte    // the key of the hand-off proof; nil if there is none, or the proof has served
	until   time.Time // the end of the hand-off

	own    *keys.KeyPair // the ephemeral keys of the last answer; nil without one
	nonce  []byte        // that the last answer commits to
	ref    string        // of the last answer
	proven bool          // the last answer had a hand-off proof

	primary []byte // the phone's identity, as it arrived last
	nonceID string // of the companion_nonce that is on its way
	code    string // that both sides show
	key     []byte // of the pairing request; nil before the phone's identity
}

// challenged begins a ceremony. whatsmeow has just made another ADV secret; the one
// before is the key of the hand-off proof.
func (c *Conn) challenged() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ceremony.handoff = hkdfutil.SHA256(c.secret, nil, []byte("shortcake-passkey-handoff-v1"), 32)
	c.ceremony.until = time.Now().Add(machine.HandoffLife)
	c.secret, c.agreed, c.renewed = c.device.AdvSecretKey, false, nil
}

// AnswerPasskey sends an assertion, and blocks until WhatsApp's answer. The keys of the
// ceremony are those of the last assertion, so a second one waits for the first. There
// may be two, because a new challenge may come while the answer to the old one is on its
// way.
func (c *Conn) AnswerPasskey(assertion *types.WebAuthnResponse) *machine.Failure {
	c.mu.Lock()
	ctx := c.life
	c.mu.Unlock()
	select {
	case c.answering <- struct{}{}:
		defer func() { <-c.answering }()
	case <-ctx.Done():
		return passkeyRefused("answer passkey", ctx.Err())
	}
	return passkeyRefused("answer passkey", c.sendPrologue(ctx, assertion))
}

// sendPrologue is SendPasskeyResponse of whatsmeow, with the platform of the client.
func (c *Conn) sendPrologue(ctx context.Context, assertion *types.WebAuthnResponse) error {
	answer, err := json.Marshal(assertion)
	if err != nil {
		return err
	}
	ref, err := c.Client().DangerousInternals().GetCompanionRef(ctx) //nolint:staticcheck // see Logout
	if err != nil {
		return err
	}
	own, nonce := keys.NewKeyPair(), make([]byte, 32)
	_, _ = rand.Read(nonce)
	identity, err := proto.Marshal(&waCompanionReg.CompanionEphemeralIdentity{
		PublicKey: own.Pub[:], DeviceType: c.cfg.Browser.Platform.Enum(), Ref: &ref,
	})
	if err != nil {
		return err
	}
	commitment := sha256.Sum256(slices.Concat(identity, nonce))
	payload, err := proto.Marshal(&waCompanionReg.ProloguePayload{
		CompanionEphemeralIdentity: identity,
		Commitment:                 &waCompanionReg.CompanionCommitment{Hash: commitment[:]},
	})
	if err != nil {
		return err
	}
	content := []waBinary.Node{
		{Tag: "credential_id", Content: []byte(assertion.RawID)},
		{Tag: "webauthn_assertion", Content: answer},
		{Tag: "prologue_payload", Content: payload},
	}
	c.mu.Lock()
	handoff := c.ceremony.handoff
	proven := handoff != nil && time.Now().Before(c.ceremony.until)
	c.ceremony.own, c.ceremony.nonce, c.ceremony.ref, c.ceremony.proven, c.ceremony.key = own, nonce, ref, proven, nil
	c.mu.Unlock()
	if proven {
		mac := hmac.New(sha256.New, handoff)
		mac.Write(payload)
		content = append(content, waBinary.Node{Tag: "pairing_handoff_proof", Content: mac.Sum(nil)})
	}
	if err := c.request(ctx, waBinary.Node{Tag: "passkey_prologue", Content: content}); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ceremony.handoff = nil
	return nil
}

// request sends an IQ of the ceremony, and blocks until the answer.
func (c *Conn) request(ctx context.Context, node waBinary.Node) error {
	_, err := c.Client().DangerousInternals().SendIQ(ctx, whatsmeow.DangerousInfoQuery{ //nolint:staticcheck // see Logout
		Namespace: "md", Type: "set", To: types.ServerJID, Content: []waBinary.Node{node},
	})
	return err
}

// goOn takes the phone's identity, and reveals the nonce to the phone. receivedIQ posts the
// code once WhatsApp has taken the nonce. goOn runs in a goroutine of whatsmeow, which
// has no ceremony and calls that an error.
func (c *Conn) goOn() {
	nonce, err := c.reveal()
	if err == nil {
		err = c.Client().DangerousInternals().SendNode(c.base, nonce) //nolint:staticcheck // see Logout
	}
	if err != nil {
		failure := passkeyRefused("passkey", err)
		c.lost(failure, machine.PasskeyTries(failure))
	}
}

// reveal makes the code and the key of the pairing request, and returns the node with the
// nonce.
func (c *Conn) reveal() (waBinary.Node, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := &c.ceremony
	var primary waCompanionReg.PrimaryEphemeralIdentity
	if err := proto.Unmarshal(k.primary, &primary); err != nil || len(primary.GetNonce()) != 32 {
		return waBinary.Node{}, errBadIdentity
	}
	if k.own == nil {
		return waBinary.Node{}, errNoAnswer
	}
	public, err := ecdh.X25519().NewPublicKey(primary.GetPublicKey())
	if err != nil {
		return waBinary.Node{}, errBadIdentity
	}
	private, err := ecdh.X25519().NewPrivateKey(k.own.Priv[:])
	if err != nil {
		return waBinary.Node{}, err
	}
	shared, err := private.ECDH(public)
	if err != nil {
		return waBinary.Node{}, errBadIdentity
	}
	salt := fmt.Sprintf("Companion Pairing %d with ref %s", c.cfg.Browser.Platform, k.ref)
	k.key = hkdfutil.SHA256(shared, []byte(salt), []byte("Pairing Information Encryption Key"), 32)
	digest := sha256.Sum256(slices.Concat(k.nonce, primary.GetPublicKey()))
	code := make([]byte, 5)
	for i := range code {
		code[i] = primary.GetNonce()[i] ^ digest[i]
	}
	shown := base32.NewEncoding("123456789ABCDEFGHJKLMNPQRSTVWXYZ").EncodeToString(code)
	k.code = shown[:4] + "-" + shown[4:]
	k.nonceID = c.client.DangerousInternals().GenerateRequestID() //nolint:staticcheck // see Logout
	return waBinary.Node{
		Tag:     "iq",
		Attrs:   waBinary.Attrs{"id": k.nonceID, "xmlns": "md", "type": "set", "to": types.ServerJID},
		Content: []waBinary.Node{{Tag: "companion_nonce", Content: k.nonce}},
	}, nil
}

// revealed takes WhatsApp's answer to the nonce.
func (c *Conn) revealed(node *waBinary.Node) {
	if node.Attrs["type"] != "result" {
		failure := passkeyRefused("passkey", iqError(node))
		c.lost(failure, machine.PasskeyTries(failure))
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(machine.PasskeyCode{Epoch: c.epoch, Code: c.ceremony.code, Automatic: c.ceremony.proven})
}

// ConfirmPasskey sends the keys of the device and its ADV secret, encrypted, and blocks
// until WhatsApp's answer.
func (c *Conn) ConfirmPasskey() *machine.Failure {
	c.mu.Lock()
	ctx, key, secret := c.life, c.ceremony.key, c.secret
	c.agreed = true
	c.mu.Unlock()
	return passkeyRefused("confirm passkey", c.sendKeys(ctx, key, secret))
}

func (c *Conn) sendKeys(ctx context.Context, key, secret []byte) error {
	request, err := proto.Marshal(&waCompanionReg.PairingRequest{
		CompanionPublicKey: c.device.NoiseKey.Pub[:], CompanionIdentityKey: c.device.IdentityKey.Pub[:], AdvSecret: secret,
	})
	if err != nil {
		return err
	}
	iv := make([]byte, 12)
	_, _ = rand.Read(iv)
	sealed, err := gcmutil.Encrypt(key, iv, request, nil)
	if err != nil {
		return err
	}
	wrapped, err := proto.Marshal(&waCompanionReg.EncryptedPairingRequest{EncryptedPayload: sealed, IV: iv})
	if err != nil {
		return err
	}
	return c.request(ctx, waBinary.Node{Tag: "encrypted_pairing_request", Content: wrapped})
}

// passkeyFailed posts what whatsmeow's PairPasskeyError means.
func (c *Conn) passkeyFailed(e *events.PairPasskeyError) {
	challenge := c.passkeyChallenge()
	switch {
	case e.Continuation && challenge == nil:
		// Nobody was asked for a passkey.
	case e.Continuation:
		c.goOn()
	case challenge != nil:
		c.post(machine.PasskeyWanted{Epoch: c.epoch, Challenge: challenge, Err: &machine.Failure{
			Reason: machine.ReasonPasskey, Op: "read challenge", Err: errBadChallenge,
		}})
	default:
		failure := passkeyRefused("passkey", e.Error)
		c.lost(failure, machine.PasskeyTries(failure))
	}
}

var (
	errBadChallenge = errors.New("the passkey challenge cannot be parsed")
	errBadIdentity  = errors.New("the phone's answer to the passkey cannot be parsed")
	errNoAnswer     = errors.New("the phone goes on with a passkey that was not sent")
)

// passkeyRefused says what a failed request of the ceremony means.
func passkeyRefused(op string, err error) *machine.Failure {
	var (
		iq   *whatsmeow.IQError
		lost *whatsmeow.DisconnectedError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &lost), errors.Is(err, whatsmeow.ErrNotConnected), errors.Is(err, context.Canceled):
		return &machine.Failure{Reason: machine.ReasonNetwork, Op: op, Err: errClosed}
	case errors.Is(err, whatsmeow.ErrIQTimedOut):
		return &machine.Failure{Reason: machine.ReasonStalled, Op: op, Err: machine.ErrNoReply}
	case errors.As(err, &iq):
		return refused(op, machine.ReasonPasskey, iq)
	}
	return &machine.Failure{Reason: machine.ReasonPasskey, Op: op, Err: errors.New(redact.Text(err.Error()))}
}
