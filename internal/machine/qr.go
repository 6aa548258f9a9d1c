package machine

import (
	"slices"
	"strings"
	"time"

	"github.com/walink/walink/internal/hint"
)

// qrOffer is the QR side of the current connection.
type qrOffer struct {
	payloads []string  // one for each ref
	index    int       // of the payload on the screen
	expires  time.Time // of the payload on the screen; zero if there is none

	// The fields below last for the whole Link.
	number   int      // of the last QR code that was shown
	scans    int      // in a row, that came to nothing
	scanned  bool     // somebody has scanned since the last round
	fallback *Failure // why a QR code is shown though a pairing code was wanted
}

func (q *qrOffer) clear() {
	*q = qrOffer{number: q.number, scans: q.scans, scanned: q.scanned, fallback: q.fallback}
}

func (q *qrOffer) shown() bool { return !q.expires.IsZero() }

// refsLife is how long n refs are good for, from their arrival: the first one is
// shown for 60 s and each of the others for 20 s.
func refsLife(n int) time.Duration {
	if n == 0 {
		return 0
	}
	return firstRefLife + time.Duration(n-1)*nextRefLife
}

// showsQR reports whether QR codes belong on the screen.
func (m *Machine) showsQR() bool { return m.cfg.QR || m.qr.fallback != nil }

// refs takes the server's pair-device: from now on codes can be offered. Other refs
// than before take the place of those, and the QR code on the screen is dead.
func (m *Machine) refs(now time.Time, in Refs) {
	again := m.qr.payloads != nil && slices.EqualFunc(m.qr.payloads, in.Payloads, sameRef)
	if m.phase != phaseOpening && m.phase != phaseOffering || m.resumed || again {
		return
	}
	m.refsAt = now
	m.qr.payloads, m.qr.index = append([]string{}, in.Payloads...), -1
	switch {
	case m.phase == phaseOpening:
		m.offer(now)
	case m.showsQR():
		m.rotate(now)
	}
}

// offer shows what the refs allow, once they are here and the session is leased.
func (m *Machine) offer(now time.Time) {
	if m.qr.payloads == nil || !m.leased || m.resumed {
		return
	}
	m.phase, m.stageAt = phaseOffering, time.Time{}
	if m.wantsCode() && m.code.held.IsZero() {
		m.awaitCode(now)
	}
	if m.showsQR() {
		m.rotate(now)
	}
	if m.code.pending() {
		m.askForCode(now)
	}
}

// rotate shows the QR code that is due by the age of the refs.
func (m *Machine) rotate(now time.Time) {
	for m.qr.index++; m.qr.index < len(m.qr.payloads); m.qr.index++ {
		if expires := m.refsAt.Add(refsLife(m.qr.index + 1)); now.Before(expires) {
			m.showQR(now, expires)
			return
		}
	}
	if m.qr.shown() {
		m.do(Tell{Withdrawn{Method: MethodQR, Number: m.qr.number, Reason: Expired}})
	}
	m.qr.expires = time.Time{}
	switch {
	case m.code.pending(): // the code outlives the refs; the next connection brings both anew
	case len(m.qr.payloads) == 0:
		m.lost(now, Lost{Epoch: m.epoch, Err: &Failure{Reason: ReasonPairing, Op: "pair device", Err: ErrEmptyRefs}, Tries: FewTries})
	default:
		m.nextRound(now)
	}
}

func (m *Machine) showQR(now, expires time.Time) {
	m.qr.expires = expires
	m.qr.number++
	if !m.code.pending() || m.code.shown {
		m.lastErr = nil
	}
	m.do(Tell{QRCode{
		Payload: m.qr.payloads[m.qr.index], Number: m.qr.number,
		Issued: now, Expires: expires, Fallback: m.qr.fallback,
	}})
}

// secretChanged puts the companion's new ADV secret into the payloads. It shows the
// current payload again at once, because a scan of the old one can no longer succeed.
func (m *Machine) secretChanged(now time.Time, in SecretChanged) {
	if m.phase != phaseOffering && m.phase != phaseOpening {
		return
	}
	if in.Scanned && m.qr.shown() {
		m.attend(now)
		m.qr.scans++
		m.qr.scanned = true
	}
	if m.qr.scans == maxScans {
		m.scansFailed(now)
		return
	}
	changed := false
	for i, p := range m.qr.payloads {
		m.qr.payloads[i] = withSecret(p, in.Secret)
		changed = changed || m.qr.payloads[i] != p
	}
	if changed && m.qr.shown() {
		m.showQR(now, m.qr.expires)
	}
}

// scansFailed begins a fresh connection, with fresh keys, after a few scans in a row that
// came to nothing. After a few more it ends the Link, because WhatsApp locks an account
// that goes on.
func (m *Machine) scansFailed(now time.Time) {
	m.qr.scans = 0
	remedy := "Update WhatsApp on the phone, and scan the next QR code once."
	if m.strikes[ReasonPairing] >= scanTries {
		remedy = "Wait some hours before another scan, and update WhatsApp on the phone: WhatsApp locks an account that scans on and on."
	}
	m.lost(now, Lost{Epoch: m.epoch, Tries: scanTries, Err: &Failure{
		Reason: ReasonPairing, Op: "scan", Err: hint.ForPerson(errScans, remedy),
	}})
}

// sameRef reports whether two QR payloads have the same ref.
func sameRef(a, b string) bool {
	a, _, _ = strings.Cut(a, ",")
	b, _, _ = strings.Cut(b, ",")
	return a == b
}

// withSecret returns the QR payload with its ADV secret replaced. The payload
// is "…#ref,noise,identity,adv,clientType", as makeQRData in whatsmeow's
// qrchan.go writes it.
func withSecret(payload, secret string) string {
	fields := strings.Split(payload, ",")
	if len(fields) < 4 {
		return payload
	}
	fields[3] = secret
	return strings.Join(fields, ",")
}
