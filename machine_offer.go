package walink

import (
	"strings"
	"time"
)

// codeOffer is the pairing code of the current socket.
type codeOffer struct {
	issued   time.Time // set while a code is requested, shown or answered
	replyBy  time.Time // while the request is under way
	expires  time.Time // while the code is on the screen
	answerBy time.Time // after the phone's answer, until pair-success
	shown    bool
	answers  int    // of the phone
	number   int    // of the last code shown in this Link
	faults   int    // requests in a row that failed for want of an answer
	off      *Error // no more codes are asked for in this Link, and why
}

// clear takes the code off the screen, and forgets the request.
func (c *codeOffer) clear() {
	*c = codeOffer{number: c.number, faults: c.faults, off: c.off}
}

// deadline is the next thing that time does to the code. Once the phone has
// answered, the code's own life no longer matters.
func (c *codeOffer) deadline() time.Time {
	switch {
	case !c.answerBy.IsZero():
		return c.answerBy
	case !c.replyBy.IsZero():
		return c.replyBy
	default:
		return c.expires
	}
}

// awaited reports whether the phone has answered and pair-success is due.
func (c *codeOffer) awaited() bool { return !c.answerBy.IsZero() }

// pending reports whether a code is on its way, on the screen or answered.
func (c *codeOffer) pending() bool { return !c.issued.IsZero() }

// qrOffer is the QR side of the current socket.
type qrOffer struct {
	payloads []string  // one for each ref
	index    int       // of the one on the screen
	expires  time.Time // while one is on the screen
	number   int       // of the last one shown in this Link
	fallback *Error    // why a QR code is shown though a pairing code was wanted
}

func (q *qrOffer) clear() {
	*q = qrOffer{number: q.number, fallback: q.fallback}
}

func (q *qrOffer) deadline() time.Time { return q.expires }
func (q *qrOffer) shown() bool         { return !q.expires.IsZero() }
func (q *qrOffer) count() int          { return len(q.payloads) }

// refsLife is how long n refs are good for, from their arrival.
func refsLife(n int) time.Duration {
	if n == 0 {
		return 0
	}
	return firstRefLife + time.Duration(n-1)*nextRefLife
}

// showsQR reports whether QR codes belong on the screen.
func (m *machine) showsQR() bool { return m.cfg.qr || m.qr.fallback != nil }

// wantsCode reports whether a pairing code is to be asked for.
func (m *machine) wantsCode() bool { return m.cfg.code && m.code.off == nil }

// refs takes the server's pair-device: from now on codes can be offered.
func (m *machine) refs(now time.Time, in inRefs) {
	if m.phase != phaseOpening || m.resumed {
		return
	}
	m.phase, m.stageAt, m.refsAt = phaseOffering, time.Time{}, now
	m.qr.payloads, m.qr.index = in.payloads, -1
	if m.wantsCode() {
		m.requestCode(now)
	}
	if m.showsQR() {
		m.rotate(now)
	}
}

// requestCode asks for a code on the current socket.
func (m *machine) requestCode(now time.Time) {
	m.code.clear()
	m.code.issued, m.code.replyBy = now, now.Add(codeLimit)
	m.do(doRequestCode{m.epoch})
}

// codeReady shows a code that the server has confirmed.
func (m *machine) codeReady(now time.Time, in inCode) {
	if m.phase != phaseOffering || m.code.replyBy.IsZero() {
		return
	}
	m.code.replyBy, m.code.faults, m.lastErr = time.Time{}, 0, nil
	m.code.expires = m.code.issued.Add(codeLife)
	m.code.shown = true
	m.code.number++
	m.do(doEmit{PairingCode{
		Code: in.code, Phone: m.cfg.phone, Number: m.code.number,
		Issued: m.code.issued, Expires: m.code.expires,
	}})
}

// codeFailed decides what follows when no code was given.
func (m *machine) codeFailed(now time.Time, err *Error) {
	if m.phase != phaseOffering || m.code.replyBy.IsZero() {
		return
	}
	m.code.clear()
	m.lastErr = err
	switch err.Reason {
	case ErrServer, ErrStalled, ErrNetwork, ErrPairing:
		// Another socket may do better, a few times.
		m.code.faults++
		if m.code.faults < maxCodeFaults {
			if !m.qr.shown() {
				m.lost(now, inLost{epoch: m.epoch, err: err})
			} else {
				m.do(doEmit{Withdrawn{Method: MethodPairing, Reason: withdrawnFor(err.Reason), Err: err}})
			}
			return
		}
	case ErrStore:
		m.fail(err)
		return
	default:
	}
	m.noMoreCodes(now, err)
}

// noMoreCodes goes on without pairing codes, as the Settings say.
func (m *machine) noMoreCodes(now time.Time, err *Error) {
	m.code.clear()
	m.code.off = err
	others := alternativesFor(err, m.cfg.phone)
	if m.cfg.qr || len(others) > 0 {
		m.do(doEmit{Withdrawn{Method: MethodPairing, Reason: withdrawnFor(err.Reason), Err: err, Alternatives: others}})
	}
	switch {
	case m.cfg.qr:
		if !m.qr.shown() {
			m.reopen(now)
		}
	case m.cfg.fallback:
		m.qr.fallback = err
		if m.phase == phaseOffering && !m.qr.shown() {
			m.rotate(now)
		}
	default:
		m.fail(err)
	}
}

// answered takes the phone's primary_hello: pair-success is due. A code gets three
// of them and no more: after that somebody is guessing.
func (m *machine) answered(now time.Time) {
	if m.phase != phaseOffering || !m.code.shown {
		return
	}
	if m.code.answers++; m.code.answers > maxAnswers {
		m.codeRefused(now)
		return
	}
	if !m.code.awaited() {
		m.code.answerBy = now.Add(answerLimit)
	}
}

// codeRefused takes the server's refresh_code: the phone did not accept the
// code. Another one follows on the same socket, as in WhatsApp Web.
func (m *machine) codeRefused(now time.Time) {
	if m.phase != phaseOffering || !m.code.shown {
		return
	}
	err := &Error{Reason: ErrCodeRefused, Op: "enter code", Err: errRefreshCode}
	m.withdrawCode(WithdrawnRefused, err)
	m.lastErr = err
	m.requestCode(now)
}

// codeDeadline handles what time does to the code.
func (m *machine) codeDeadline(now time.Time) {
	switch {
	case m.code.awaited():
		m.lost(now, inLost{epoch: m.epoch, err: &Error{Reason: ErrStalled, Op: "pair", Err: errPairStalled}})
	case !m.code.replyBy.IsZero():
		m.codeFailed(now, &Error{Reason: ErrStalled, Op: "request code", Err: errCodeStalled})
	case m.code.shown:
		// The server ends a socket at about this age, so the next code gets a new one.
		m.withdrawAll(now, WithdrawnExpired, nil)
		m.reopen(now)
	}
}

// rotate shows the QR code that is due by the age of the refs.
func (m *machine) rotate(now time.Time) {
	for m.qr.index++; m.qr.index < m.qr.count(); m.qr.index++ {
		if expires := m.refsAt.Add(refsLife(m.qr.index + 1)); now.Before(expires) {
			m.showQR(now, expires)
			return
		}
	}
	if m.qr.shown() {
		m.do(doEmit{Withdrawn{Method: MethodQR, Number: m.qr.number, Reason: WithdrawnExpired}})
	}
	m.qr.expires = time.Time{}
	switch {
	case m.code.pending(): // it outlives the refs; the next socket brings both anew
	case m.qr.count() == 0:
		m.lost(now, inLost{epoch: m.epoch, err: &Error{Reason: ErrPairing, Op: "pair device", Err: errEmptyRefs}, tries: 3})
	default:
		m.reopen(now)
	}
}

func (m *machine) showQR(now, expires time.Time) {
	m.qr.expires = expires
	m.qr.number++
	if !m.code.pending() || m.code.shown {
		m.lastErr = nil
	}
	m.do(doEmit{QRCode{
		Payload: m.qr.payloads[m.qr.index], Number: m.qr.number,
		Issued: now, Expires: expires, Fallback: m.qr.fallback,
	}})
}

// secret puts the companion's new ADV secret into the payloads, and shows the
// current one again at once, since the one on the screen can no longer succeed.
func (m *machine) secret(now time.Time, in inSecret) {
	if m.phase != phaseOffering {
		return
	}
	changed := false
	for i, p := range m.qr.payloads {
		m.qr.payloads[i] = withSecret(p, in.secret)
		changed = changed || m.qr.payloads[i] != p
	}
	if changed && m.qr.shown() {
		m.showQR(now, m.qr.expires)
	}
}

// withSecret returns the QR payload with its ADV secret replaced. The payload
// is "…#ref,noise,identity,adv,clientType", as whatsmeow's makeQRData writes it.
func withSecret(payload, secret string) string {
	fields := strings.Split(payload, ",")
	if len(fields) < 4 {
		return payload
	}
	fields[3] = secret
	return strings.Join(fields, ",")
}

// withdrawAll takes everything off the screen. A code that goes with its
// socket, before its time, has not expired: it is replaced.
func (m *machine) withdrawAll(now time.Time, reason WithdrawnReason, err *Error) {
	if m.code.shown {
		if reason == WithdrawnExpired && now.Before(m.code.expires) {
			m.withdrawCode(WithdrawnReplaced, err)
		} else {
			m.withdrawCode(reason, err)
		}
	}
	m.code.clear()
	if m.qr.shown() {
		m.do(doEmit{Withdrawn{Method: MethodQR, Number: m.qr.number, Reason: reason, Err: err}})
	}
	m.qr.clear()
}

func (m *machine) withdrawCode(reason WithdrawnReason, err *Error) {
	m.do(doEmit{Withdrawn{
		Method: MethodPairing, Number: m.code.number, Reason: reason, Err: err,
		Alternatives: alternativesFor(err, m.cfg.phone),
	}})
}

// alternativesFor proposes the number's other forms where one may be the mend.
func alternativesFor(err *Error, phone Phone) []Phone {
	if err == nil || err.Reason != ErrCodeRefused {
		return nil
	}
	return phone.Alternatives()
}

// withdrawnFor is the reason that a failure gives to a code that it ends.
func withdrawnFor(reason Reason) WithdrawnReason {
	switch reason {
	case ErrStalled:
		return WithdrawnStalled
	case ErrCodeRefused, ErrRateLimited, ErrForbidden, ErrServer, ErrPairing, ErrWrongAccount, ErrMultideviceOff,
		ErrBanned, ErrTemporarilyBanned, ErrClientOutdated:
		return WithdrawnRefused
	default:
		return WithdrawnReplaced
	}
}
