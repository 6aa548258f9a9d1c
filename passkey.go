package walink

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"strings"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/internal/hint"
)

// AnswerPasskey gives the answer to a [PasskeyRequired]: the JSON of
// PublicKeyCredential.toJSON(), as a browser or another authenticator made it
// for the challenge. It returns nil once WhatsApp has accepted it; a
// [PasskeyConfirmation] follows.
//
// It returns [ErrPasskey] if no passkey is asked for, if it was answered
// before, if the assertion is not one or is for another challenge, which is
// found out before anything is sent, and if WhatsApp refuses it. After any of
// these the challenge stands and may be answered again, until it expires or
// three answers were refused, those of Settings.Passkey included. Any other
// error is one that ends the attempt: [ErrRateLimited], [ErrServer],
// [ErrNetwork] and [ErrStalled]. When ctx ends it returns [ErrCanceled] or
// [ErrTimeout]; what was sent may then still be accepted.
func (l *Linker) AnswerPasskey(ctx context.Context, assertion []byte) error {
	assertion = bytes.Clone(assertion)
	return l.ask(ctx, "answer passkey", errNoPasskey, func(reply chan<- error) input {
		return inAnswer{assertion, reply}
	})
}

// ConfirmPasskey tells that the code of a [PasskeyConfirmation] is the one on
// the phone. It returns nil once WhatsApp has taken the confirmation, and
// [ErrPasskey] if there is nothing to confirm, or WhatsApp refuses.
func (l *Linker) ConfirmPasskey(ctx context.Context) error {
	return l.ask(ctx, "confirm passkey", errNoConfirmation, func(reply chan<- error) input {
		return inConfirm{reply}
	})
}

// ask posts an input to the running Link and waits for the reply. idle is the
// answer where no Link is running.
func (l *Linker) ask(ctx context.Context, op string, idle error, in func(chan<- error) input) error {
	l.mu.Lock()
	box, done := l.inbox, l.done
	l.mu.Unlock()
	if box == nil {
		return &Error{Reason: ErrPasskey, Op: op, Err: idle}
	}
	reply := make(chan error, 1)
	box.post(in(reply))
	select {
	case err := <-reply:
		return err
	case <-done:
		select {
		case err := <-reply: // it came first
			return err
		default:
		}
		return &Error{Reason: ErrPasskey, Op: op, Err: idle}
	case <-ctx.Done():
		select {
		case err := <-reply: // it came as well
			return err
		default:
		}
		err := stopped(ctx)
		err.Op = op
		return err
	}
}

// askPasskey lets Settings.Passkey answer, and hands on what it gives.
func (a *attempt) askPasskey(ctx context.Context, e doAskPasskey) {
	assertion, err := a.settings.passkey(ctx, bytes.Clone(e.challenge))
	switch {
	case err == nil:
		a.inbox.post(inPasskeyGiven{e.epoch, e.number, bytes.Clone(assertion)})
	case ctx.Err() == nil: // otherwise the machine has a deadline of its own, or goes on already
		a.inbox.post(inPasskeyFailed{e.epoch, e.number, passkeyFailed(err)})
	}
}

// passkeyFailed is the error of a Settings.Passkey that gave no usable answer.
func passkeyFailed(err error) *Error {
	if own, ok := errors.AsType[*Error](err); ok && own != nil {
		return own
	}
	return &Error{Reason: ErrPasskey, Op: "answer passkey", Err: err}
}

// tell gives the caller of AnswerPasskey or ConfirmPasskey its result, for
// which reply has room. The first word counts.
func tell(reply chan<- error, err *Error) {
	var result error
	if err != nil {
		result = err
	}
	select {
	case reply <- result:
	default: // nobody asked, or it was told before
	}
}

// answerPasskey sends an assertion. It blocks until WhatsApp's answer. Two at
// once would mix up their keys inside whatsmeow, so the second waits, which it
// has to where a new challenge comes while the old one's answer is on its way.
func (s *socket) answerPasskey(assertion *types.WebAuthnResponse) *Error {
	s.mu.Lock()
	ctx, client := s.life, s.client
	s.mu.Unlock()
	select {
	case s.answering <- struct{}{}:
		defer func() { <-s.answering }()
	case <-ctx.Done():
		return passkeyRefusal("answer passkey", ctx.Err())
	}
	return passkeyRefusal("answer passkey", client.SendPasskeyResponse(ctx, assertion))
}

// confirmPasskey sends the confirmation. It blocks until WhatsApp's answer.
func (s *socket) confirmPasskey() *Error {
	s.mu.Lock()
	ctx, client := s.life, s.client
	s.mu.Unlock()
	return passkeyRefusal("confirm passkey", client.SendPasskeyConfirmation(ctx))
}

// passkeyRefusal tells what a failed request of the ceremony means.
func passkeyRefusal(op string, err error) *Error {
	var (
		iq   *whatsmeow.IQError
		lost *whatsmeow.DisconnectedError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &lost), errors.Is(err, whatsmeow.ErrNotConnected), errors.Is(err, context.Canceled):
		return &Error{Reason: ErrNetwork, Op: op, Err: errConnectionClosed}
	case errors.Is(err, whatsmeow.ErrIQTimedOut):
		return &Error{Reason: ErrStalled, Op: op, Err: errPasskeyNoReply}
	case errors.As(err, &iq):
		refusal := refused(op, ErrPasskey, iq)
		if refusal.Reason == ErrRateLimited { // whose own remedy is about pairing codes
			refusal.Err = hint.New(refusal.Err, "Wait as long as the error says, then try again.")
		}
		return refusal
	}
	return &Error{Reason: ErrPasskey, Op: op, Err: errors.New(mask(err.Error()))}
}

// passkeyTries is how many attempts may follow a failed request of the ceremony.
func passkeyTries(err *Error) int {
	switch err.Reason {
	case ErrRateLimited:
		return noTries
	case ErrNetwork, ErrServer:
		return 0
	default:
		return fewTries
	}
}

// passkeyOptions is what is checked of a challenge
// (PublicKeyCredentialRequestOptionsJSON of WebAuthn, section 5.4).
type passkeyOptions struct {
	Challenge string `json:"challenge"`
	RPID      string `json:"rpId"`
	Allow     []struct {
		ID string `json:"id"`
	} `json:"allowCredentials"`
}

// parseAssertion reads the JSON of PublicKeyCredential.toJSON(), and checks
// whatever can be checked without the credential's public key, so that a
// mistake is told here and not by a refusal without a reason. A challenge that
// cannot be parsed is not compared.
func parseAssertion(challenge json.RawMessage, data []byte) (*types.WebAuthnResponse, *Error) {
	var a types.WebAuthnResponse
	if err := json.Unmarshal(data, &a); err != nil {
		// The decoder's error may quote what it has read.
		return nil, badAssertion("it is not the JSON of PublicKeyCredential.toJSON()")
	}
	for _, field := range []struct {
		name  string
		empty bool
	}{
		{"id", a.ID == ""},
		{"rawId", len(a.RawID) == 0},
		{"response.clientDataJSON", len(a.Response.ClientDataJSON) == 0},
		{"response.authenticatorData", len(a.Response.AuthenticatorData) == 0},
		{"response.signature", len(a.Response.Signature) == 0},
	} {
		if field.empty {
			return nil, badAssertion("it lacks " + field.name)
		}
	}
	if a.Type != "public-key" {
		return nil, badAssertion(`its type is not "public-key"`)
	}
	var client struct {
		Type      string `json:"type"`
		Challenge string `json:"challenge"`
		Origin    string `json:"origin"`
	}
	if err := json.Unmarshal(a.Response.ClientDataJSON, &client); err != nil {
		return nil, badAssertion("its clientDataJSON is not JSON")
	}
	if client.Type != "webauthn.get" {
		return nil, badAssertion("it is not the answer of navigator.credentials.get")
	}
	var want passkeyOptions
	if err := json.Unmarshal(challenge, &want); err == nil && want.Challenge != "" {
		if why := mismatch(&a, want, client.Challenge, client.Origin); why != "" {
			return nil, badAssertion(why)
		}
	}
	return &a, nil
}

// mismatch says how an assertion and the challenge do not go together; "" if they do.
func mismatch(a *types.WebAuthnResponse, want passkeyOptions, challenge, origin string) string {
	if unpadded(challenge) != unpadded(want.Challenge) {
		return "it is for another challenge"
	}
	allowed := len(want.Allow) == 0
	for _, credential := range want.Allow {
		allowed = allowed || unpadded(credential.ID) == base64.RawURLEncoding.EncodeToString(a.RawID)
	}
	if !allowed {
		return "it is from a credential that the account does not have"
	}
	if want.RPID == "" {
		return ""
	}
	page, err := url.Parse(origin)
	if err != nil || page.Scheme != "https" ||
		page.Hostname() != want.RPID && !strings.HasSuffix(page.Hostname(), "."+want.RPID) {
		return "it was not made on a page of " + want.RPID
	}
	rp := sha256.Sum256([]byte(want.RPID))
	if !bytes.HasPrefix(a.Response.AuthenticatorData, rp[:]) {
		return "it was not made for " + want.RPID
	}
	return ""
}

func unpadded(s string) string { return strings.TrimRight(s, "=") }

func badAssertion(why string) *Error {
	return &Error{Reason: ErrPasskey, Op: "answer passkey", Err: hint.New(
		errors.New("the assertion is not usable: "+why),
		"Run navigator.credentials.get on a page of web.whatsapp.com with the challenge, and give the toJSON() of its result.",
	)}
}
