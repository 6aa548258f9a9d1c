package walinktest

import (
	"strconv"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
)

// Stage is a point in a connection's life at which Script can make trouble.
type Stage string

// The stages, in the order in which a new link passes them. Those after
// StageHandshake at which the server sends a node take Twice and Overtaken, too.
const (
	// StageVersion is the request for the page that names the current client
	// revision. It takes Refuse (an HTTP status), Malformed (a page without it),
	// Silence, Drop.
	StageVersion Stage = "version"
	// StageUpgrade is the websocket's HTTP request: Refuse (an HTTP status),
	// Silence, Drop.
	StageUpgrade Stage = "upgrade"
	// StageHandshake is the answer to the Noise hello: Malformed,
	// BadSignature (certificates of another root), ExpiredCertificate, Silence,
	// Drop.
	StageHandshake Stage = "handshake"
	// StagePairDevice is the sending of the refs to an unlinked companion:
	// Failure, Refuse (the same), StreamError, Malformed (no refs), Silence, Drop.
	StagePairDevice Stage = "pair_device"
	// StageCompanionHello is the answer to the request for a pairing code:
	// Refuse, RateLimit, Malformed (no ref), StreamError, Silence, Drop.
	StageCompanionHello Stage = "companion_hello"
	// StagePrimaryHello is the first message of the phone to the companion:
	// Refuse (the phone is refused, the companion hears nothing), Malformed,
	// StreamError, Silence, Drop.
	StagePrimaryHello Stage = "primary_hello"
	// StageCompanionFinish is the answer to the companion's key bundle: Refuse,
	// RateLimit, StreamError, Silence, Drop. After any of them the phone does
	// not get the bundle.
	StageCompanionFinish Stage = "companion_finish"
	// StagePasskeyRequest is the passkey's challenge on its way to the
	// companion, in the notification and each time the companion asks for it
	// again: Refuse (the phone is refused; an IQ is), Malformed (not JSON),
	// StreamError, Failure, Silence, Drop.
	StagePasskeyRequest Stage = "passkey_request"
	// StagePasskeyRef is the answer to the request for the ref of the
	// companion's ephemeral identity: Refuse, RateLimit, Malformed (no ref),
	// StreamError, Failure, Silence, Drop.
	StagePasskeyRef Stage = "passkey_ref"
	// StagePasskeyPrologue is the answer to the assertion: Refuse, RateLimit,
	// StreamError, Failure, Silence, Drop. After any of them the assertion was
	// not looked at.
	StagePasskeyPrologue Stage = "passkey_prologue"
	// StagePasskeyContinuation is the phone's ephemeral identity on its way to
	// the companion: Refuse (the phone is refused), Malformed (a key that is too
	// short), StreamError, Failure, Silence, Drop.
	StagePasskeyContinuation Stage = "passkey_continuation"
	// StageCompanionNonce is the answer to the companion's nonce: Refuse,
	// RateLimit, StreamError, Failure, Silence, Drop. After any of them the phone does not
	// get it, and shows no code.
	StageCompanionNonce Stage = "companion_nonce"
	// StagePairingRequest is the answer to the companion's keys and new ADV
	// secret: Refuse, RateLimit, StreamError, Failure, Silence, Drop. After any of them
	// the phone does not get them.
	StagePairingRequest Stage = "pairing_request"
	// StagePairSuccess is the phone's signed identity on its way to the
	// companion: Refuse (the phone is refused), RefreshQR, BadHMAC, BadSignature,
	// Malformed (not a device identity), StreamError, Silence, Drop.
	StagePairSuccess Stage = "pair_success"
	// StagePairDeviceSign is the companion's own signature, before it counts:
	// StreamError, Failure, Silence, Drop, all of which leave the device unlinked.
	StagePairDeviceSign Stage = "pair_device_sign"
	// StageLoginReconnect is the stream error 515 after the link: StreamError
	// (another code), Failure, Silence, Drop.
	StageLoginReconnect Stage = "login_reconnect"
	// StageLogin is the answer to a linked device's login: Failure, Refuse (the
	// same), StreamError, Silence, Drop.
	StageLogin Stage = "login"
	// StageAfterLogin is each IQ of a logged-in device but pings: Refuse,
	// RateLimit, Malformed (an empty result), StreamError, Silence, Drop.
	StageAfterLogin Stage = "after_login"
)

// Action is what happens at a Stage instead of the right thing. It is a value;
// After, Times and Always return changed copies.
type Action struct {
	kind     actionKind
	code     int
	attrs    waBinary.Attrs
	conflict string
	delay    time.Duration
	times    int // 0 is once, negative for ever
}

type actionKind int

const (
	actionPass actionKind = iota
	actionRefuse
	actionFailure
	actionStreamError
	actionSilence
	actionDrop
	actionBadHMAC
	actionBadSignature
	actionMalformed
	actionRefreshQR
	actionExpired
	actionTwice
	actionOvertaken
)

// Pass is the right thing. It lets an occurrence go by before the next action.
func Pass() Action { return Action{} }

// Delay is the right thing after d. What else arrives on the connection is handled meanwhile.
func Delay(d time.Duration) Action { return Pass().After(d) }

// Refuse says no with a code: an HTTP status, the error of an IQ, or the reason
// of a failure node, whichever the stage knows.
func Refuse(code int) Action { return Action{kind: actionRefuse, code: code} }

// RateLimit is Refuse(429) that tells in its backoff attribute how many seconds to wait.
func RateLimit(backoff time.Duration) Action {
	action := Refuse(429)
	action.attrs = waBinary.Attrs{"backoff": strconv.Itoa(int(backoff / time.Second))}
	return action
}

// Failure sends a failure node and closes the connection. attrs are names and
// values in turn, such as "code", "101", "expire", "3600" for a temporary ban.
func Failure(reason int, attrs ...string) Action {
	action := Action{kind: actionFailure, code: reason, attrs: waBinary.Attrs{}}
	for i := 0; i+1 < len(attrs); i += 2 {
		action.attrs[attrs[i]] = attrs[i+1]
	}
	return action
}

// StreamError sends a stream error and closes the connection. A zero code and
// an empty conflict type are left out.
func StreamError(code int, conflict string) Action {
	return Action{kind: actionStreamError, code: code, conflict: conflict}
}

// Silence never answers; the connection stays open.
func Silence() Action { return Action{kind: actionSilence} }

// Drop closes the connection. As the answer to a client's payload it comes
// after an empty ib node, and so do Silence and what is delayed: whatsmeow
// has a data race where a connection ends before its first node.
func Drop() Action { return Action{kind: actionDrop} }

// BadHMAC spoils the HMAC of pair-success.
func BadHMAC() Action { return Action{kind: actionBadHMAC} }

// BadSignature spoils the account's signature in pair-success, or the server's certificate.
func BadSignature() Action { return Action{kind: actionBadSignature} }

// Malformed sends the right answer without what matters in it.
func Malformed() Action { return Action{kind: actionMalformed} }

// RefreshQR withdraws the QR code that was just scanned: the companion is told
// to replace its secret (companion_reg_refresh) and the phone is refused with
// ErrWithdrawnQR. It belongs to StagePairSuccess.
func RefreshQR() Action { return Action{kind: actionRefreshQR} }

// ExpiredCertificate shows a certificate that has run out. It belongs to StageHandshake.
func ExpiredCertificate() Action { return Action{kind: actionExpired} }

// Twice is the right thing, said twice: the same node, encrypted again, follows at once.
func Twice() Action { return Action{kind: actionTwice} }

// Overtaken is the right thing out of order: the next node of the connection
// comes first. Where none follows, it comes by itself after 3 seconds.
func Overtaken() Action { return Action{kind: actionOvertaken} }

// After returns the action put off by d.
func (a Action) After(d time.Duration) Action {
	a.delay = d
	return a
}

// Times returns the action repeated for n occurrences of its stage.
func (a Action) Times(n int) Action {
	a.times = max(n, 1)
	return a
}

// Always returns the action repeated for ever.
func (a Action) Always() Action {
	a.times = -1
	return a
}

// speaks reports whether the action sends a node, and at once.
func (a Action) speaks() bool {
	return a.delay <= 0 && a.kind != actionSilence && a.kind != actionDrop
}

// Script appends actions to the queue of a stage. Each occurrence of the stage,
// on whichever connection, takes the first; when none is left the right thing
// happens. Without actions Script empties the queue.
func (s *Server) Script(stage Stage, actions ...Action) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(actions) == 0 {
		delete(s.script, stage)
		return
	}
	s.script[stage] = append(s.script[stage], actions...)
}

// next takes the action for an occurrence of stage.
func (s *Server) next(stage Stage) Action {
	s.mu.Lock()
	defer s.mu.Unlock()
	queue := s.script[stage]
	if len(queue) == 0 {
		return Action{}
	}
	action := queue[0]
	switch {
	case action.times > 1:
		queue[0].times--
	case action.times >= 0:
		s.script[stage] = queue[1:]
	}
	return action
}
