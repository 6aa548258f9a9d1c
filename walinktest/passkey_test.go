package walinktest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/walink/walink/walinktest"
)

// scanned makes phone scan the QR code of a new client. It returns the client once that
// has a passkey challenge, with the challenge and a channel for the result of the scan.
func scanned(ctx context.Context, tb testing.TB, srv *walinktest.Server, phone *walinktest.Phone) (c *client, challenge []byte, said <-chan error) {
	tb.Helper()
	c, codes := connected(tb, srv)
	answer := make(chan error, 1)
	go func() { answer <- phone.ScanQR(ctx, codes[0]) }()
	challenge = c.challenge()
	return c, challenge, answer
}

// challenge returns the JSON of the next passkey request.
func (c *client) challenge() []byte {
	c.tb.Helper()
	await[*events.PairPasskeyRequest](c)
	for node := range c.nodes {
		if options, ok := node.GetOptionalChildByTag("passkey_request_options"); ok {
			content, _ := options.Content.([]byte)
			return content
		}
	}
	return nil
}

// assertion calls phone.Assert, which must succeed, and returns whatsmeow's form of the answer.
func assertion(tb testing.TB, phone *walinktest.Phone, challenge []byte, options ...walinktest.AssertOption) *types.WebAuthnResponse {
	tb.Helper()
	answer, err := phone.Assert(challenge, options...)
	if err != nil {
		tb.Fatal(err)
	}
	var response types.WebAuthnResponse
	if err := json.Unmarshal(answer, &response); err != nil {
		tb.Fatal(err)
	}
	return &response
}

// answer sends the right answer to a challenge. The phone's part has to come later than the
// server's.
func (c *client) answer(phone *walinktest.Phone, challenge []byte) *events.PairPasskeyConfirmation {
	c.tb.Helper()
	if err := c.SendPasskeyResponse(c.tb.Context(), assertion(c.tb, phone, challenge)); err != nil {
		c.tb.Fatal(err)
	}
	answered := time.Now()
	confirmation := await[*events.PairPasskeyConfirmation](c)
	if !time.Now().After(answered) {
		c.tb.Error("the phone's part comes together with the server's answer")
	}
	return confirmation
}

// confirm confirms the code on the companion.
func (c *client) confirm() {
	c.tb.Helper()
	if err := c.SendPasskeyConfirmation(c.tb.Context()); err != nil {
		c.tb.Fatal(err)
	}
}

// wantRefusals checks the server's reasons for refusing steps.
func wantRefusals(tb testing.TB, phone *walinktest.Phone, want ...walinktest.Refusal) {
	tb.Helper()
	if diff := cmp.Diff(want, phone.PasskeyRefusals()); diff != "" {
		tb.Errorf("refused (-want +got):\n%s", diff)
	}
}

func TestPains13PasskeyByQR(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		options    []walinktest.PhoneOption
		after      time.Duration
		handoff    bool // the companion sends the proof
		phoneFirst bool
		asks       bool // the phone asks the person
	}{
		{name: "with a hand-off proof", after: 5*time.Minute - time.Second, handoff: true},
		{name: "without a hand-off proof", after: 5 * time.Minute, asks: true},
		{name: "at the last moment, confirmed on the phone first", after: 10*time.Minute - time.Second, asks: true, phoneFirst: true},
		{
			name: "the phone always asks", options: []walinktest.PhoneOption{walinktest.WithCodeCheck()},
			handoff: true, asks: true,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, srv := t.Context(), walinktest.NewServer(t)
				phone := srv.NewPhone(number, append(test.options, walinktest.WithPasskey())...)
				c, challenge, said := scanned(ctx, t, srv, phone)
				pass(test.after)
				confirmation := c.answer(phone, challenge)
				if confirmation.SkipHandoffUX != test.handoff {
					t.Errorf("the companion may skip the code: %t", confirmation.SkipHandoffUX)
				}
				if !test.phoneFirst {
					c.confirm()
				}
				if test.asks {
					pass(50 * time.Second)
					if linked := len(phone.LinkedDevices()); linked != 0 {
						t.Error("linked before the phone had confirmed")
					}
					code, err := phone.PasskeyCode(ctx)
					if err != nil || code != confirmation.Code {
						t.Errorf("the phone shows %q, %v, the companion %q", code, err, confirmation.Code)
					}
					if err := phone.ConfirmPasskey(ctx); err != nil {
						t.Error(err)
					}
				}
				if test.phoneFirst {
					pass(50 * time.Second)
					c.confirm()
				}
				wantSays(t, <-said, nil)
				await[*events.Connected](c)
				if len(phone.LinkedDevices()) != 1 {
					t.Error("not linked")
				}
				wantRefusals(t, phone)
			})
		})
	}
}

func TestPasskeyByCode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		phone := srv.NewPhone(number, walinktest.WithPasskey())
		c, _ := connected(t, srv)
		code := c.code()
		said := make(chan error, 1)
		go func() { said <- phone.EnterCode(ctx, code) }()
		challenge := c.challenge()
		pass(4 * time.Minute) // the code has run out meanwhile
		if !c.answer(phone, challenge).SkipHandoffUX {
			t.Error("no hand-off proof")
		}
		c.confirm()
		wantSays(t, <-said, nil)
		await[*events.Connected](c)
		wantRefusals(t, phone)
	})
}

func TestPasskeyCodesDiffer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		phone := srv.NewPhone(number, walinktest.WithPasskey(), walinktest.WithCodeCheck())
		c, challenge, said := scanned(ctx, t, srv, phone)
		c.answer(phone, challenge)
		if err := phone.RefusePasskey(ctx); err != nil {
			t.Error(err)
		}
		wantSays(t, <-said, walinktest.ErrCodesDiffer)
		if err := c.SendPasskeyConfirmation(ctx); err == nil {
			t.Error("the companion may still confirm")
		}
		wantRefusals(t, phone, walinktest.ErrPasskeyTurn)
		if len(srv.Devices()) != 0 {
			t.Error("linked all the same")
		}
	})
}

func TestPhoneAsksOneAfterTheOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		phone := srv.NewPhone(number, walinktest.WithPasskey(), walinktest.WithCodeCheck())
		first, challenge, saidFirst := scanned(ctx, t, srv, phone)
		shown := make(chan string)
		go func() {
			code, _ := phone.PasskeyCode(ctx)
			shown <- code
		}()
		synctest.Wait() // PasskeyCode waits for the first code
		code := first.answer(phone, challenge).Code
		if got := <-shown; got != code {
			t.Errorf("the phone shows %q, want %q", got, code)
		}
		second, challenge, saidSecond := scanned(ctx, t, srv, phone)
		second.answer(phone, challenge)
		if got, err := phone.PasskeyCode(ctx); got != code || err != nil {
			t.Errorf("the phone shows %q, %v", got, err)
		}
		if err := phone.RefusePasskey(ctx); err != nil {
			t.Error(err)
		}
		wantSays(t, <-saidFirst, walinktest.ErrCodesDiffer)
		if err := phone.ConfirmPasskey(ctx); err != nil {
			t.Error(err)
		}
		second.confirm()
		wantSays(t, <-saidSecond, nil)
		await[*events.Connected](second)
	})
}

func TestPhoneAsksOnlyWhenThereIsACode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := walinktest.NewServer(t)
		phone := srv.NewPhone(number, walinktest.WithPasskey())
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c, challenge, said := scanned(t.Context(), t, srv, phone)
		c.answer(phone, challenge)
		if code, err := phone.PasskeyCode(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the phone shows %q, %v", code, err)
		}
		wantSays(t, <-said, walinktest.ErrLinkFailed) // the companion has not confirmed
	})
}

func TestPasskeyOfTheAccount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		phone := srv.NewPhone(number, walinktest.WithPasskey())
		passkey := phone.Passkey()
		key, err := x509.ParsePKCS8PrivateKey(passkey.PrivateKey)
		if _, ok := key.(*ecdsa.PrivateKey); !ok || err != nil {
			t.Errorf("private key %T, %v", key, err)
		}
		if passkey.RPID != "whatsapp.com" || len(passkey.CredentialID) == 0 || len(passkey.UserHandle) == 0 || passkey.SignCount != 0 {
			t.Errorf("for %q, credential of %d bytes, user of %d, used %d times",
				passkey.RPID, len(passkey.CredentialID), len(passkey.UserHandle), passkey.SignCount)
		}
		other, without := srv.NewPhone("+4915123456789", walinktest.WithPasskey()), srv.NewPhone("+4915123456780")
		if len(without.Passkey().CredentialID) != 0 {
			t.Error("a passkey from nowhere")
		}

		_, challenge, _ := scanned(ctx, t, srv, phone)
		var options types.WebAuthnPublicKey
		if err := json.Unmarshal(challenge, &options); err != nil {
			t.Fatal(err)
		}
		if len(options.Challenge) != 32 || options.Timeout != 600_000 || options.RelyingPartID != "whatsapp.com" ||
			options.UserVerification != "required" || len(options.AllowCredentials) != 1 ||
			string(options.AllowCredentials[0].ID) != string(passkey.CredentialID) {
			t.Errorf("challenge %s", challenge)
		}
		for _, wrong := range []struct {
			name      string
			phone     *walinktest.Phone
			challenge string
		}{
			{"no passkey", without, string(challenge)},
			{"another's challenge", other, string(challenge)},
			{"another site's challenge", phone, strings.ReplaceAll(string(challenge), "whatsapp.com", "example.com")},
			{"a long site's challenge", phone, strings.ReplaceAll(string(challenge), "whatsapp.com", strings.Repeat(`x\n`, 500))},
			{"not JSON", phone, "challenge"},
			{"empty", phone, "{}"},
		} {
			answer, err := wrong.phone.Assert([]byte(wrong.challenge))
			if err == nil || len(err.Error()) > 500 || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %s, %v, want an error of one line", wrong.name, answer, err)
			}
		}
	})
}
