package machine

import (
	"time"

	"github.com/walink/walink/internal/hint"
)

// codeOffer is the pairing code of the current connection.
type codeOffer struct {
	issued   time.Time // set while a code is awaited, shown or answered
	qrAt     time.Time // set while a code is awaited that a QR code replaces if it is late
	replyBy  time.Time // set while a code is awaited
	asked    bool      // the server has been asked for the code
	overdue  bool      // no longer awaited; if the answer still comes, it counts
	expires  time.Time // set while the code is on the screen
	answerBy time.Time // after the phone's answer, until pair-success
	shown    bool
	answers  int // how often the phone has answered this code

	// The fields below last for the whole Link.
	counting bool      // the ledger is being asked
	counted  bool      // the ledger has counted a code that was not requested yet
	denied   *Failure  // the ledger's refusal, until a code is wanted
	number   int       // of the last code that was shown
	requests int       // codes that the server was asked for
	came     bool      // the last request brought a code
	faults   int       // requests in a row without a usable answer
	held     time.Time // until then no code is requested, unless somebody attends; zero if none is held back
	off      *Failure  // why no more codes are requested; nil while they are
}

// clear takes the code off the screen, and forgets the request.
func (c *codeOffer) clear() {
	*c = codeOffer{
		counting: c.counting, counted: c.counted, denied: c.denied, number: c.number, requests: c.requests, came: c.came,
		faults: c.faults, held: c.held, off: c.off,
	}
}

// deadline returns the next deadline of the code. Once the phone has answered, the
// code's own expiry no longer matters.
func (c *codeOffer) deadline() time.Time {
	switch {
	case !c.answerBy.IsZero():
		return c.answerBy
	case !c.qrAt.IsZero():
		return c.qrAt
	case !c.replyBy.IsZero():
		return c.replyBy
	case !c.held.IsZero():
		return c.held
	default:
		return c.expires
	}
}

// awaited reports whether the phone has answered and pair-success is due.
func (c *codeOffer) awaited() bool { return !c.answerBy.IsZero() }

// pending reports whether a code is on its way, on the screen or answered.
func (c *codeOffer) pending() bool { return !c.issued.IsZero() && !c.overdue }

// wantsCode reports whether pairing codes are asked for.
func (m *Machine) wantsCode() bool { return m.cfg.Code && m.code.off == nil }

// allowCode counts the next code in the ledger once the connection is open, because
// by then WhatsApp can probably be asked for a code. If a counted code was not
// requested, the next attempt requests it.
func (m *Machine) allowCode() {
	if m.phase == phaseOpening && m.opened && m.leased && !m.resumed && m.wantsCode() && m.code.held.IsZero() {
		m.count()
	}
}

func (m *Machine) count() {
	if !m.code.counting && !m.code.counted && m.code.denied == nil {
		m.code.counting = true
		m.do(AllowCode{Alone: m.cfg.Codes > 0})
	}
}

// codeAllowed takes the ledger's answer.
func (m *Machine) codeAllowed(now time.Time, in CodeAllowed) {
	m.code.counting, m.code.counted, m.code.denied = false, in.Err == nil, in.Err
	if m.phase == phaseOffering && !m.code.replyBy.IsZero() {
		m.askForCode(now)
	}
}

// requestCode asks for a code on the current connection.
func (m *Machine) requestCode(now time.Time) {
	m.awaitCode(now)
	m.askForCode(now)
}

func (m *Machine) awaitCode(now time.Time) {
	m.code.clear()
	m.code.issued, m.code.replyBy, m.code.came = now, now.Add(codeLimit), false
	if m.cfg.Fallback && !m.showsQR() {
		m.code.qrAt = now.Add(qrAfter)
	}
}

// askForCode asks the server for a code once the ledger has counted it.
func (m *Machine) askForCode(now time.Time) {
	if m.cfg.Codes > 0 && m.code.requests >= m.cfg.Codes {
		m.withdrawAll(now, Expired, nil)
		m.untaken()
		return
	}
	m.count()
	switch err := m.code.denied; {
	case err != nil:
		m.code.denied = nil
		m.codeFailed(now, err)
	case m.code.counted:
		m.code.counted = false
		m.code.issued, m.code.asked = now, true
		m.code.requests++
		m.do(RequestCode{Epoch: m.epoch, Alone: m.cfg.Codes > 0})
	}
}

// codeReady shows a code that the server has confirmed.
func (m *Machine) codeReady(now time.Time, in CodeConfirmed) {
	expires := m.code.issued.Add(codeLife)
	if m.phase != phaseOffering || !m.code.asked || m.code.shown || !now.Before(expires) {
		return
	}
	m.code.qrAt, m.code.replyBy, m.code.overdue = time.Time{}, time.Time{}, false
	m.code.came, m.code.faults, m.code.off, m.lastErr = true, 0, nil, nil
	m.code.expires = expires
	m.code.shown = true
	m.code.number++
	m.do(Tell{PairingCode{Code: in.Code, Number: m.code.number, Issued: m.code.issued, Expires: m.code.expires}})
}

// codeFailed decides what follows a request that brought no code. After a refusal,
// such as a 429 or a 400, this Link requests no more codes: noMoreCodes says what
// follows. If there was no answer, or none that can be used, the next connection
// requests a code again, a few times.
func (m *Machine) codeFailed(now time.Time, err *Failure) {
	overdue := m.code.overdue
	if m.phase != phaseOffering || m.code.replyBy.IsZero() && !overdue {
		return
	}
	m.code.clear()
	m.lastErr = err
	switch err.Reason {
	case ReasonServer, ReasonStalled, ReasonNetwork, ReasonPairing:
		if overdue {
			return // the request counts as a fault already
		}
		m.code.faults++
		if m.code.faults < maxCodeFaults {
			if !m.qr.shown() {
				m.lost(now, Lost{Epoch: m.epoch, Err: err})
			} else {
				m.do(Tell{Withdrawn{Method: MethodPairing, Reason: whyOf(err.Reason), Err: err}})
			}
			return
		}
	case ReasonStore:
		m.fail(err)
		return
	default:
	}
	m.noMoreCodes(now, err)
}

// noMoreCodes goes on without pairing codes: with QR codes if the Settings allow them,
// and otherwise with Failed.
func (m *Machine) noMoreCodes(now time.Time, err *Failure) {
	m.code.clear()
	m.code.off = err
	if m.cfg.QR || m.qr.shown() || m.cfg.OtherForm && err.Reason == ReasonCodeRefused {
		m.do(Tell{Withdrawn{Method: MethodPairing, Reason: whyOf(err.Reason), Err: err}})
	}
	switch {
	case m.cfg.QR:
		if !m.qr.shown() {
			m.nextRound(now)
		}
	case m.cfg.Fallback:
		m.fallBack(now, err)
	default:
		m.fail(err)
	}
}

// fallBack shows QR codes though a pairing code was wanted.
func (m *Machine) fallBack(now time.Time, why *Failure) {
	m.qr.fallback = why
	if !m.qr.shown() {
		m.rotate(now)
	}
}

// phoneAnswered takes the phone's primary_hello: pair-success is due. After a wrong code
// there is none, and the person may type again: the next primary_hello has the whole time,
// too, unless the code has expired meanwhile.
func (m *Machine) phoneAnswered(now time.Time) {
	if m.phase != phaseOffering || !m.code.shown {
		return
	}
	m.attend(now)
	if m.code.answers++; m.code.answers > maxAnswers {
		m.phoneRefused(now, false)
		return
	}
	if now.Before(m.code.expires) {
		m.code.answerBy = now.Add(answerLimit)
	}
}

// phoneRefused takes the server's refresh_code: the phone did not accept the
// code. Another one follows on the same connection, as in WhatsApp Web. If the person has
// to ask for it, it follows when somebody attends, or after a pause.
func (m *Machine) phoneRefused(now time.Time, manual bool) {
	if m.phase != phaseOffering || !m.code.shown {
		return
	}
	m.attend(now)
	err := &Failure{Reason: ReasonCodeRefused, Op: opEnterCode, Err: errRefreshCode}
	if manual {
		err.RetryAfter = manualPause
		err.Err = hint.ForPerson(errManualRefresh, "Wait a minute for the next code, or ask for it, and enter it exactly as it is shown.")
		m.withdrawCode(Refused, err)
		m.code.clear()
		m.code.held, m.lastErr = now.Add(manualPause), err
		return
	}
	m.withdrawCode(Refused, err)
	m.lastErr = err
	m.requestCode(now)
}

// codeDeadline handles the deadline of the code.
func (m *Machine) codeDeadline(now time.Time) {
	switch {
	case m.code.awaited():
		m.lost(now, Lost{Epoch: m.epoch, Err: &Failure{Reason: ReasonStalled, Op: opEnterCode, Err: errPairStalled}})
	case !m.code.qrAt.IsZero():
		m.code.qrAt = time.Time{}
		m.fallBack(now, &Failure{Reason: ReasonStalled, Op: "request code", Err: hint.ForPerson(
			errCodeSlow, "Scan the QR code, or enter the pairing code if it still comes.",
		)})
	case !m.code.replyBy.IsZero():
		m.codeStalled(now)
	case !m.code.held.IsZero():
		m.unhold(now)
	case m.code.shown:
		// The server ends a connection at about this age, so the next code gets a new one.
		m.withdrawAll(now, Expired, nil)
		m.nextRound(now)
	}
}

// unhold requests a code that was held back.
func (m *Machine) unhold(now time.Time) {
	held := !m.code.held.IsZero()
	m.code.held = time.Time{}
	if held && m.phase == phaseOffering && m.wantsCode() && !m.code.pending() {
		m.requestCode(now)
	}
}

// codeStalled gives up waiting for a code. A QR code on the screen keeps the connection,
// so the code may still come.
func (m *Machine) codeStalled(now time.Time) {
	stalled := m.code
	m.codeFailed(now, &Failure{Reason: ReasonStalled, Op: "request code", Err: errCodeStalled})
	if m.phase == phaseOffering && m.qr.shown() && stalled.asked {
		m.code.issued, m.code.asked, m.code.overdue = stalled.issued, true, true
	}
}

func (m *Machine) withdrawCode(why Why, err *Failure) {
	m.do(Tell{Withdrawn{Method: MethodPairing, Number: m.code.number, Reason: why, Err: err}})
}

// withdrawAll takes everything off the screen. A pairing code that ends with its
// connection, before the code has expired, counts as replaced.
func (m *Machine) withdrawAll(now time.Time, why Why, err *Failure) {
	if m.code.shown {
		if why == Expired && now.Before(m.code.expires) {
			m.withdrawCode(Replaced, err)
		} else {
			m.withdrawCode(why, err)
		}
	}
	m.code.clear()
	if m.qr.shown() {
		if err != nil && err.Op == opEnterCode {
			why, err = Replaced, nil // the failure of a code that was entered does not say why the QR code has ended
		}
		m.do(Tell{Withdrawn{Method: MethodQR, Number: m.qr.number, Reason: why, Err: err}})
	}
	m.qr.clear()
}

// whyOf returns the reason of a Withdrawn for the failure that ends the code.
func whyOf(reason Reason) Why {
	switch reason {
	case ReasonStalled:
		return Stalled
	case ReasonCodeRefused, ReasonRateLimited, ReasonForbidden, ReasonServer, ReasonPairing, ReasonWrongAccount, ReasonMultideviceOff,
		ReasonBanned, ReasonTemporarilyBanned, ReasonClientOutdated:
		return Refused
	default:
		return Replaced
	}
}
