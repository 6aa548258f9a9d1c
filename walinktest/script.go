package walinktest

import (
	"strconv"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
)

// Stage is a point in a connection's life at which Script can make trouble.
type Stage string

// The stages, in the order in which a new link passes them. Each comment lists the
// actions that the stage takes. Every stage also takes Pass and Delay. After StageHandshake
// every stage takes Send, and the stages at which the server sends a node also take Twice
// and Overtaken.
const (
	// StageVersion is the answer to the request for the page that names the current
	// client revision: Refuse (with an HTTP status), Malformed (a page without the
	// revision), Silence, Drop.
	StageVersion Stage = "version"
	// StageUpgrade is the answer to the websocket's HTTP request: Refuse (with an HTTP
	// status), Silence, Drop.
	StageUpgrade Stage = "upgrade"
	// StageHandshake is the answer to the Noise hello: Malformed,
	// BadSignature (certificates of another authority), ExpiredCertificate, Silence,
	// Drop.
	StageHandshake Stage = "handshake"
	// StagePairDevice is the sending of the refs to an unlinked companion:
	// Failure, Refuse (the same), StreamError, Malformed (no refs), Silence, Drop.
	StagePairDevice Stage = "pair_device"
	// StageCompanionHello is the answer to the request for a pairing code:
	// Refuse, RateLimit, Malformed (no ref), StreamError, Silence, Drop.
	StageCompanionHello Stage = "companion_hello"
	// StagePrimaryHello is the first message of the phone to the companion:
	// Refuse (the phone is refused, the companion gets nothing), Say (the same),
	// Malformed, StreamError, Silence, Drop.
	StagePrimaryHello Stage = "primary_hello"
	// StageCompanionFinish is the answer to the companion's key bundle: Refuse,
	// RateLimit, RefreshCode, StreamError, Silence, Drop. After any of them the phone
	// does not get the bundle.
	StageCompanionFinish Stage = "companion_finish"
	// StagePasskeyRequest is the passkey's challenge on its way to the companion, in
	// the notification and in the answer to each IQ that asks for the challenge
	// again: Refuse (in the first case the phone is refused, in the second the IQ),
	// Malformed (not JSON), StreamError, Failure, Silence, Drop.
	StagePasskeyRequest Stage = "passkey_request"
	// StagePasskeyRef is the answer to the request for the ref of the
	// companion's ephemeral identity: Refuse, RateLimit, Malformed (no ref),
	// StreamError, Failure, Silence, Drop.
	StagePasskeyRef Stage = "passkey_ref"
	// StagePasskeyPrologue is the answer to the assertion: Refuse, RateLimit,
	// StreamError, Failure, Silence, Drop. After any of them the server has not
	// checked the assertion.
	StagePasskeyPrologue Stage = "passkey_prologue"
	// StagePasskeyContinuation is the phone's ephemeral identity on its way to
	// the companion: Refuse (the phone is refused), Malformed (a key that is too
	// short), StreamError, Failure, Silence, Drop.
	StagePasskeyContinuation Stage = "passkey_continuation"
	// StageCompanionNonce is the answer to the companion's nonce: Refuse, RateLimit,
	// StreamError, Failure, Silence, Drop. After any of them the phone does not get
	// the nonce, and shows no code.
	StageCompanionNonce Stage = "companion_nonce"
	// StagePairingRequest is the answer to the companion's keys and new ADV secret:
	// Refuse, RateLimit, StreamError, Failure, Silence, Drop. After any of them the
	// phone does not get the keys.
	StagePairingRequest Stage = "pairing_request"
	// StagePairSuccess is the phone's signed identity on its way to the
	// companion: Refuse (the phone is refused), Say (the same), RefreshQR, BadHMAC,
	// BadSignature, Malformed (not a device identity), StreamError, Silence, Drop.
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
	// StageAfterLogin is the answer to each IQ of a logged-in device, except pings:
	// Refuse, RateLimit, Malformed (an empty result), StreamError, Silence, Drop.
	StageAfterLogin Stage = "after_login"
	// StageFirstMinute is what a new device gets a second after its first login: Failure,
	// Refuse (the same), StreamError, Silence, Drop. After any of them, the device gets it
	// after its next login.
	StageFirstMinute Stage = "first_minute"
	// StageRemoval is the stream error of a connected device that Phone.Remove or a new
	// installation has unlinked, 401 device_removed: StreamError (another one; WhatsApp Web
	// also knows 516), Failure, Silence, Drop.
	StageRemoval Stage = "removal"
)

// Action is what the server does at a Stage instead of the right thing. After, Times and
// Always return changed copies.
type Action struct {
	kind   actionKind
	code   int
	attrs  waBinary.Attrs
	nodes  []waBinary.Node
	said   Refusal
	manual bool
	delay  time.Duration
	times  int // 0 is once, negative is for ever
}

type actionKind int

const (
	actionPass actionKind = iota
	actionRefuse
	actionFailure
	actionSend
	actionSay
	actionSilence
	actionDrop
	actionBadHMAC
	actionBadSignature
	actionMalformed
	actionRefreshQR
	actionRefreshCode
	actionExpired
	actionTwice
	actionOvertaken
)

// Pass does the right thing. It lets one occurrence of a stage pass before the next action.
func Pass() Action { return Action{} }

// Delay does the right thing after d. Meanwhile the server handles other nodes of the connection.
func Delay(d time.Duration) Action { return Pass().After(d) }

// Refuse refuses with a code: an HTTP status, the error of an IQ, or the reason of a
// failure node, depending on the stage.
func Refuse(code int) Action { return Action{kind: actionRefuse, code: code} }

// RateLimit is Refuse(429) with the number of seconds to wait in its backoff attribute.
func RateLimit(backoff time.Duration) Action {
	action := Refuse(429)
	action.attrs = waBinary.Attrs{"backoff": strconv.Itoa(int(backoff / time.Second))}
	return action
}

// Failure sends a failure node and closes the connection. attrs are pairs of a name and a
// value, such as "code", "101", "expire", "3600" for a temporary ban. The location is filled in.
func Failure(reason int, attrs ...string) Action {
	action := Action{kind: actionFailure, code: reason, attrs: waBinary.Attrs{}}
	for i := 0; i+1 < len(attrs); i += 2 {
		action.attrs[attrs[i]] = attrs[i+1]
	}
	return action
}

// Send sends nodes, and then does the right thing. If a stream:error, a failure or an
// xmlstreamend is among them, it closes the connection instead. The server fills in from,
// id and t if a node needs them and lacks them. It acts on some nodes:
//
//   - An iq with a pair-device that has no refs gets new refs, which take the place of the
//     earlier ones.
//   - After a notification companion_reg_refresh a phone that scans the old QR code is
//     refused with ErrWithdrawnQR.
//   - A stream:error with code 516, or with a conflict device_removed, unlinks the device.
//
// Send panics if a node cannot be encoded.
func Send(nodes ...waBinary.Node) Action {
	for _, node := range nodes {
		_, _ = waBinary.Marshal(node) // panics here, and not when the server sends the node
	}
	return Action{kind: actionSend, nodes: nodes}
}

// Say has the phone stop with a refusal; the companion hears nothing. Say is for what a
// person sees on the phone alone: ErrSuspicious, ErrMakePasskey, ErrTryAgainAt. A person who
// goes on after a while is Delay.
func Say(refusal Refusal) Action { return Action{kind: actionSay, said: refusal} }

// StreamError sends a stream error and closes the connection. The node has no code if code
// is zero, and no conflict if conflict is empty. It is Send with that node.
func StreamError(code int, conflict string) Action { return Send(streamError(code, conflict)) }

// Silence never answers; the connection stays open.
func Silence() Action { return Action{kind: actionSilence} }

// Drop closes the connection. At StagePairDevice and StageLogin, Drop, Silence and delayed
// actions send an empty ib node first: whatsmeow has a data race if a connection ends
// before its first node.
func Drop() Action { return Action{kind: actionDrop} }

// BadHMAC spoils the HMAC of pair-success.
func BadHMAC() Action { return Action{kind: actionBadHMAC} }

// BadSignature spoils the account's signature in pair-success, or the server's certificate.
func BadSignature() Action { return Action{kind: actionBadSignature} }

// Malformed sends the right answer without the part that matters: see each Stage.
func Malformed() Action { return Action{kind: actionMalformed} }

// RefreshQR withdraws the QR code that a phone has just scanned: the companion gets
// companion_reg_refresh, which makes it replace its ADV secret, and the phone is refused
// with ErrWithdrawnQR. Only StagePairSuccess takes RefreshQR.
func RefreshQR() Action { return Action{kind: actionRefreshQR} }

// RefreshCode spends the pairing code, and has the companion request another: it gets the
// notification with stage="refresh_code", with manual only once the person asks for the
// next code (force_manual_refresh="true"). The phone is refused with ErrWrongCode. Only
// StageCompanionFinish takes RefreshCode.
func RefreshCode(manual bool) Action { return Action{kind: actionRefreshCode, manual: manual} }

// ExpiredCertificate sends a certificate that has expired. Only StageHandshake takes
// ExpiredCertificate.
func ExpiredCertificate() Action { return Action{kind: actionExpired} }

// Twice does the right thing twice: the same node, encrypted again, follows at once.
func Twice() Action { return Action{kind: actionTwice} }

// Overtaken does the right thing out of order: it holds a node back until the connection's
// next node has gone out, for at most 3 seconds.
func Overtaken() Action { return Action{kind: actionOvertaken} }

// After returns the action delayed by d.
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

// sendsNow reports whether the action sends a node at once.
func (a Action) sendsNow() bool {
	return a.delay <= 0 && a.kind != actionSilence && a.kind != actionDrop
}

// Script appends actions to the queue of a stage. Each occurrence of the stage, on any
// connection, takes the first action in the queue. While the queue is empty, the server
// does the right thing. A call without actions empties the queue.
func (s *Server) Script(stage Stage, actions ...Action) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(actions) == 0 {
		delete(s.script, stage)
		return
	}
	s.script[stage] = append(s.script[stage], actions...)
}

// next takes the next action from the queue of stage.
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
