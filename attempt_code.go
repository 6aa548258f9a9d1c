package walink

import (
	"context"
	"errors"
	"time"
)

// requestCode asks the ledger, and then the server, for a pairing code.
func (a *attempt) requestCode(sock *socket, now time.Time) {
	set := a.settings
	next, err := bounded(a.work, ledgerLimit, func(ctx context.Context) (time.Time, error) {
		return a.linker.ledger.TakeCode(ctx, set.phone.Digits(), now, set.codeBudget, codeWindow)
	})
	switch {
	case err != nil:
		a.inbox.post(inCodeFailed{sock.epoch, storeFailed("count pairing codes", set.session, err)})
		return
	case !next.IsZero():
		a.inbox.post(inCodeFailed{sock.epoch, &Error{
			Reason: ErrRateLimited, Op: "request code", RetryAfter: next.Sub(now), Err: errHeldBack,
		}})
		return
	}
	code, err := sock.requestCode(set.push, set.browser.clientType(), displayName(set.browser, set.os))
	if err == nil {
		a.inbox.post(inCode{sock.epoch, code})
	} else if failure := codeRefusal(err); failure != nil {
		if failure.RetryAfter > 0 {
			a.refused(failure)
		}
		a.inbox.post(inCodeFailed{sock.epoch, failure})
	}
}

// refused records a refusal: the next one is in force for longer.
func (a *attempt) refused(failure *Error) {
	now := time.Now()
	until, err := bounded(a.work, refusalLimit, func(ctx context.Context) (time.Time, error) {
		return a.linker.ledger.RefuseCode(ctx, a.settings.phone.Digits(), now, failure.RetryAfter)
	})
	if err != nil {
		a.settings.logger.WarnContext(a.life, "a refusal was not recorded", "error", storeFailed("record refusal", a.settings.session, err))
		return
	}
	failure.RetryAfter = until.Sub(now)
}

var errHeldBack = errors.New("too many pairing codes were asked for, or WhatsApp has refused one, a short while ago")
