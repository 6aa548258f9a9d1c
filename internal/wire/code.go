package wire

import (
	"errors"
	"net/http"
	"time"

	"go.mau.fi/whatsmeow"

	"github.com/walink/walink/internal/machine"
)

// refusalWait is how long to wait after a first 400.
const refusalWait = time.Minute

// codesNotAvailable is WhatsApp's feature-not-available: the account cannot be linked by
// pairing code, and WhatsApp Web offers the QR code (WASmaxInMdIqMixinErrors).
const codesNotAvailable = 452

// RequestCode asks the server for a pairing code for the number, and blocks until the
// answer. It returns neither a code nor a failure if the connection was lost meanwhile:
// the Conn posts that loss itself.
func (c *Conn) RequestCode(number string) (string, *machine.Failure) {
	c.mu.Lock()
	ctx, client := c.life, c.client
	c.mu.Unlock()
	code, err := client.PairPhone(ctx, number, c.cfg.Push, c.cfg.Browser.Client, c.cfg.displayName())
	if err != nil {
		return "", codeRefused(err)
	}
	return code, nil
}

// codeRefused says what a failed code request means. It returns nil if the connection
// was lost meanwhile.
func codeRefused(err error) *machine.Failure {
	const op = "request code"
	var (
		iq      *whatsmeow.IQError
		lost    *whatsmeow.DisconnectedError
		missing *whatsmeow.ElementMissingError
	)
	switch {
	case errors.As(err, &lost), errors.Is(err, whatsmeow.ErrNotConnected):
		return nil
	case errors.Is(err, whatsmeow.ErrIQTimedOut):
		return &machine.Failure{Reason: machine.ReasonStalled, Op: op, Err: err}
	case errors.As(err, &missing):
		return &machine.Failure{Reason: machine.ReasonPairing, Op: op, Err: err}
	case !errors.As(err, &iq) || iq.Code == 0:
		return &machine.Failure{Reason: machine.ReasonPairing, Op: op, Err: errors.New("the answer is malformed")}
	}
	refusal := refused(op, machine.ReasonCodeRefused, iq)
	switch iq.Code {
	case http.StatusUnauthorized, http.StatusForbidden, codesNotAvailable:
		refusal.Reason = machine.ReasonForbidden
	case http.StatusBadRequest:
		// The display name cannot be at fault, so either the number is, or this is a
		// rate limit that says so in no other way (docs/pains.md, row 11).
		refusal.RetryAfter = refusalWait
	}
	return refusal
}
