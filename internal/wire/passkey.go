package wire

import (
	"context"
	"errors"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/redact"
)

// AnswerPasskey sends an assertion, and blocks until WhatsApp's answer. whatsmeow
// would mix up the keys of two assertions at once, so the second one waits for the
// first. There may be two, because a new challenge may come while the answer to the
// old one is on its way.
func (c *Conn) AnswerPasskey(assertion *types.WebAuthnResponse) *machine.Failure {
	c.mu.Lock()
	ctx, client := c.life, c.client
	c.mu.Unlock()
	select {
	case c.answering <- struct{}{}:
		defer func() { <-c.answering }()
	case <-ctx.Done():
		return passkeyRefused("answer passkey", ctx.Err())
	}
	return passkeyRefused("answer passkey", client.SendPasskeyResponse(ctx, assertion))
}

// ConfirmPasskey sends the confirmation, and blocks until WhatsApp's answer.
func (c *Conn) ConfirmPasskey() *machine.Failure {
	c.mu.Lock()
	ctx, client := c.life, c.client
	c.mu.Unlock()
	return passkeyRefused("confirm passkey", client.SendPasskeyConfirmation(ctx))
}

// passkeyFailed posts what whatsmeow's PairPasskeyError means.
func (c *Conn) passkeyFailed(e *events.PairPasskeyError) {
	challenge := c.passkeyChallenge()
	switch {
	case e.Continuation && challenge == nil:
		// Nobody was asked for a passkey.
	case !e.Continuation && challenge != nil:
		c.post(machine.PasskeyWanted{Epoch: c.epoch, Challenge: challenge, Err: &machine.Failure{
			Reason: machine.ReasonPasskey, Op: "read challenge", Err: errBadChallenge,
		}})
	default:
		failure := passkeyRefused("passkey", e.Error)
		c.lost(failure, machine.PasskeyTries(failure))
	}
}

var errBadChallenge = errors.New("the passkey challenge cannot be parsed")

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
