package walinktest_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waCompanionReg"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"go.mau.fi/whatsmeow/util/hkdfutil"
	"go.mau.fi/whatsmeow/util/keys"
	"google.golang.org/protobuf/proto"

	"github.com/walink/walink/walinktest"
)

func TestBadAssertions(t *testing.T) {
	t.Parallel()
	with := func(options ...walinktest.AssertOption) func(*testing.T, *walinktest.Phone, []byte) *types.WebAuthnResponse {
		return func(t *testing.T, phone *walinktest.Phone, challenge []byte) *types.WebAuthnResponse {
			t.Helper()
			return assertion(t, phone, challenge, options...)
		}
	}
	for _, test := range []struct {
		name string
		bad  func(*testing.T, *walinktest.Phone, []byte) *types.WebAuthnResponse
		want walinktest.Refusal
		code error
	}{
		{"wrong origin", with(walinktest.FromOrigin("https://example.com")), walinktest.ErrPasskeyOrigin, whatsmeow.ErrIQForbidden},
		{"another page of the site", with(walinktest.FromOrigin("https://www.whatsapp.com")), walinktest.ErrPasskeyOrigin, whatsmeow.ErrIQForbidden},
		{"another passkey", with(walinktest.ByAnotherPasskey()), walinktest.ErrPasskeyUnknown, whatsmeow.ErrIQNotFound},
		{"bad signature", with(walinktest.WronglySigned()), walinktest.ErrPasskeySignature, whatsmeow.ErrIQNotAuthorized},
		{"another challenge", func(t *testing.T, phone *walinktest.Phone, challenge []byte) *types.WebAuthnResponse {
			t.Helper()
			var options types.WebAuthnPublicKey
			if err := json.Unmarshal(challenge, &options); err != nil {
				t.Fatal(err)
			}
			options.Challenge[0] ^= 1
			another, err := json.Marshal(options)
			if err != nil {
				t.Fatal(err)
			}
			return assertion(t, phone, another)
		}, walinktest.ErrPasskeyChallenge, whatsmeow.ErrIQNotAcceptable},
		{"no authenticator data", func(t *testing.T, phone *walinktest.Phone, challenge []byte) *types.WebAuthnResponse {
			t.Helper()
			answer := assertion(t, phone, challenge)
			answer.Response.AuthenticatorData = nil
			return answer
		}, walinktest.ErrPasskeyFormat, whatsmeow.ErrIQBadRequest},
		{"user not verified", func(t *testing.T, phone *walinktest.Phone, challenge []byte) *types.WebAuthnResponse {
			t.Helper()
			answer := assertion(t, phone, challenge)
			answer.Response.AuthenticatorData[32] &^= 1 << 2
			return answer
		}, walinktest.ErrPasskeyFormat, whatsmeow.ErrIQBadRequest},
		{"another account's", func(t *testing.T, phone *walinktest.Phone, challenge []byte) *types.WebAuthnResponse {
			t.Helper()
			answer := assertion(t, phone, challenge)
			(*answer.Response.UserHandle)[0] ^= 1
			return answer
		}, walinktest.ErrPasskeyUnknown, whatsmeow.ErrIQNotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, srv := t.Context(), walinktest.NewServer(t)
				phone := srv.NewPhone(number, walinktest.WithPasskey())
				c, challenge, said := scanned(ctx, t, srv, phone)
				if err := c.SendPasskeyResponse(ctx, test.bad(t, phone, challenge)); !errors.Is(err, test.code) {
					t.Errorf("refused with %v, want %v", err, test.code)
				}
				wantRefusals(t, phone, test.want)
				c.answer(phone, challenge) // the challenge can still be answered
				c.confirm()
				wantSays(t, <-said, nil)
				await[*events.Connected](c)
			})
		})
	}
}

func TestReplayedAssertion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		phone := srv.NewPhone(number, walinktest.WithPasskey())
		c, challenge, said := scanned(ctx, t, srv, phone)
		good := assertion(t, phone, challenge)
		if err := c.SendPasskeyResponse(ctx, good); err != nil {
			t.Fatal(err)
		}
		await[*events.PairPasskeyConfirmation](c)
		if err := c.SendPasskeyResponse(ctx, good); !errors.Is(err, whatsmeow.ErrIQNotAllowed) {
			t.Errorf("a second answer: %v", err)
		}
		wantRefusals(t, phone, walinktest.ErrPasskeyAnswered)
		wantSays(t, <-said, walinktest.ErrLinkFailed) // whatsmeow has forgotten its first answer

		other, _, _ := scanned(ctx, t, srv, phone)
		if err := other.SendPasskeyResponse(ctx, good); !errors.Is(err, whatsmeow.ErrIQNotAcceptable) {
			t.Errorf("an answer to another companion's challenge: %v", err)
		}
		wantRefusals(t, phone, walinktest.ErrPasskeyAnswered, walinktest.ErrPasskeyChallenge)
	})
}

func TestLateAssertion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		phone := srv.NewPhone(number, walinktest.WithPasskey())
		c, challenge, said := scanned(ctx, t, srv, phone)
		began := time.Now()
		pass(10 * time.Minute)
		if err := c.SendPasskeyResponse(ctx, assertion(t, phone, challenge)); !errors.Is(err, whatsmeow.ErrIQGone) {
			t.Errorf("a late answer: %v", err)
		}
		wantRefusals(t, phone, walinktest.ErrPasskeyLate)
		wantSays(t, <-said, walinktest.ErrLinkFailed)
		await[*events.Disconnected](c)
		if lasted := time.Since(began); lasted != 11*time.Minute {
			t.Errorf("the socket lasted %s", lasted)
		}
	})
}

func TestPasskeyWithoutThePhone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		phone := srv.NewPhone(number, walinktest.WithPasskey())
		short, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		c, challenge, said := scanned(short, t, srv, phone)
		wantSays(t, <-said, context.DeadlineExceeded)
		if err := c.SendPasskeyResponse(ctx, assertion(t, phone, challenge)); !errors.Is(err, whatsmeow.ErrIQNotAllowed) {
			t.Errorf("an answer to nobody: %v", err)
		}
		wantRefusals(t, phone, walinktest.ErrPasskeyTurn)

		plain, _ := connected(t, srv)
		for _, request := range []struct {
			kind whatsmeow.DangerousInfoQueryType
			tag  string
			want error
		}{
			{"get", "passkey_request_options", whatsmeow.ErrIQNotFound},
			{"set", "companion_nonce", whatsmeow.ErrIQNotAllowed},
			{"set", "encrypted_pairing_request", whatsmeow.ErrIQNotAllowed},
		} {
			if err := plain.md(request.kind, waBinary.Node{Tag: request.tag}); !errors.Is(err, request.want) {
				t.Errorf("%s without a passkey request: %v", request.tag, err)
			}
		}
	})
}

// md sends an IQ that whatsmeow would not.
func (c *client) md(kind whatsmeow.DangerousInfoQueryType, child waBinary.Node) error {
	_, err := c.ask(kind, child)
	return err
}

func (c *client) ask(kind whatsmeow.DangerousInfoQueryType, child waBinary.Node) (*waBinary.Node, error) {
	//nolint:staticcheck // deprecated as dangerous, and the only way to send a wrong IQ
	return c.DangerousInternals().SendIQ(c.tb.Context(), whatsmeow.DangerousInfoQuery{
		Namespace: "md", Type: kind, To: types.ServerJID, Content: []waBinary.Node{child},
	})
}

// forgery is a companion's prologue that a test makes itself.
type forgery struct {
	nonce, commitment []byte
	identity          *waCompanionReg.CompanionEphemeralIdentity
	handoff           []byte // the key of the hand-off proof; nil for none
}

// forge returns a prologue without a fault.
func (c *client) forge() *forgery {
	c.tb.Helper()
	answer, err := c.ask("get", waBinary.Node{Tag: "ref"})
	if err != nil {
		c.tb.Fatal(err)
	}
	ref, ok := answer.GetChildByTag("ref").Content.([]byte)
	if !ok {
		c.tb.Fatal("no ref")
	}
	return &forgery{
		nonce: make([]byte, 32),
		identity: &waCompanionReg.CompanionEphemeralIdentity{
			PublicKey: keys.NewKeyPair().Pub[:], DeviceType: store.DeviceProps.GetPlatformType().Enum(), Ref: new(string(ref)),
		},
	}
}

func (f *forgery) send(c *client, answer *types.WebAuthnResponse) error {
	c.tb.Helper()
	must := func(data []byte, err error) []byte {
		if err != nil {
			c.tb.Fatal(err)
		}
		return data
	}
	identity := must(proto.Marshal(f.identity))
	if f.commitment == nil {
		hash := sha256.Sum256(slices.Concat(identity, f.nonce))
		f.commitment = hash[:]
	}
	payload := must(proto.Marshal(&waCompanionReg.ProloguePayload{
		CompanionEphemeralIdentity: identity, Commitment: &waCompanionReg.CompanionCommitment{Hash: f.commitment},
	}))
	children := []waBinary.Node{
		{Tag: "credential_id", Content: []byte(answer.RawID)},
		{Tag: "webauthn_assertion", Content: must(json.Marshal(answer))},
		{Tag: "prologue_payload", Content: payload},
	}
	if f.handoff != nil {
		mac := hmac.New(sha256.New, f.handoff)
		mac.Write(payload)
		children = append(children, waBinary.Node{Tag: "pairing_handoff_proof", Content: mac.Sum(nil)})
	}
	return c.md("set", waBinary.Node{Tag: "passkey_prologue", Content: children})
}

func TestBadPrologue(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		spoil func(f *forgery, handoff []byte)
		after time.Duration
		want  walinktest.Refusal
		code  error
	}{
		{"no public key", func(f *forgery, _ []byte) { f.identity.PublicKey = nil }, 0, walinktest.ErrPairingPrologue, whatsmeow.ErrIQBadRequest},
		{"no device type", func(f *forgery, _ []byte) { f.identity.DeviceType = nil }, 0, walinktest.ErrPairingPrologue, whatsmeow.ErrIQBadRequest},
		{
			"another device type than that of the registration",
			func(f *forgery, _ []byte) { f.identity.DeviceType = new(waCompanionReg.DeviceProps_CHROME) },
			0, walinktest.ErrPairingPrologue, whatsmeow.ErrIQBadRequest,
		},
		{"another ref", func(f *forgery, _ []byte) { f.identity.Ref = new("2@") }, 0, walinktest.ErrPairingPrologue, whatsmeow.ErrIQBadRequest},
		{"short commitment", func(f *forgery, _ []byte) { f.commitment = make([]byte, 31) }, 0, walinktest.ErrPairingPrologue, whatsmeow.ErrIQBadRequest},
		{"wrong hand-off proof", func(f *forgery, _ []byte) { f.handoff = make([]byte, 32) }, 0, walinktest.ErrHandoffProof, whatsmeow.ErrIQNotAuthorized},
		{"late hand-off proof", func(f *forgery, handoff []byte) { f.handoff = handoff }, 5 * time.Minute, walinktest.ErrHandoffLate, whatsmeow.ErrIQGone},
		{"hand-off proof in time", func(f *forgery, handoff []byte) { f.handoff = handoff }, 5*time.Minute - time.Second, "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, srv := t.Context(), walinktest.NewServer(t)
				phone := srv.NewPhone(number, walinktest.WithPasskey())
				c, codes := connected(t, srv)
				qr, err := walinktest.ParseQR(codes[0])
				if err != nil {
					t.Fatal(err)
				}
				said := make(chan error, 1)
				go func() { said <- phone.ScanQR(ctx, codes[0]) }()
				answer := assertion(t, phone, c.challenge())
				pass(test.after)
				f := c.forge()
				test.spoil(f, hkdfutil.SHA256(qr.ADVSecret[:], nil, []byte("shortcake-passkey-handoff-v1"), 32))
				if err := f.send(c, answer); !errors.Is(err, test.code) {
					t.Errorf("refused with %v, want %v", err, test.code)
				}
				if test.want == "" {
					wantRefusals(t, phone)
					return
				}
				wantRefusals(t, phone, test.want)
			})
		})
	}
}

func TestBadPairingMessages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		phone := srv.NewPhone(number, walinktest.WithPasskey())
		c, challenge, _ := scanned(ctx, t, srv, phone)
		f := c.forge()
		if err := f.send(c, assertion(t, phone, challenge)); err != nil {
			t.Fatal(err)
		}
		if failure := await[*events.PairPasskeyError](c); !failure.Continuation { // whatsmeow knows nothing of the forgery
			t.Errorf("the companion fails with %v", failure.Error)
		}
		nonce := waBinary.Node{Tag: "companion_nonce", Content: slices.Repeat([]byte{1}, 32)}
		if err := c.md("set", nonce); !errors.Is(err, whatsmeow.ErrIQNotAcceptable) {
			t.Errorf("another nonce: %v", err)
		}
		nonce.Content = f.nonce
		if err := c.md("set", nonce); err != nil {
			t.Errorf("the nonce: %v", err)
		}
		for _, request := range []*waCompanionReg.EncryptedPairingRequest{
			nil,
			{EncryptedPayload: make([]byte, 64), IV: make([]byte, 8)},
			{EncryptedPayload: make([]byte, 64), IV: make([]byte, 12)},
		} {
			wrapped, err := proto.Marshal(request)
			if err != nil {
				t.Fatal(err)
			}
			err = c.md("set", waBinary.Node{Tag: "encrypted_pairing_request", Content: wrapped})
			if !errors.Is(err, whatsmeow.ErrIQBadRequest) {
				t.Errorf("%v: %v", request, err)
			}
		}
		wantRefusals(t, phone, walinktest.ErrPairingNonce,
			walinktest.ErrPairingRequest, walinktest.ErrPairingRequest, walinktest.ErrPairingRequest)
	})
}

func TestPairingRequestOfAnotherDevice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		phone := srv.NewPhone(number, walinktest.WithPasskey())
		c, challenge, said := scanned(ctx, t, srv, phone)
		c.answer(phone, challenge)
		own := c.Store.NoiseKey
		c.Store.NoiseKey = keys.NewKeyPair()
		if err := c.SendPasskeyConfirmation(ctx); !errors.Is(err, whatsmeow.ErrIQBadRequest) {
			t.Errorf("a stranger's keys: %v", err)
		}
		wantRefusals(t, phone, walinktest.ErrPairingRequest)
		c.Store.NoiseKey = own
		c.confirm()
		wantSays(t, <-said, nil)
		await[*events.Connected](c)
	})
}
