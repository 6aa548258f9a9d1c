package walink

import (
	"errors"
	"strings"
	"time"

	"github.com/walink/walink/internal/hint"
)

// The times of the design, in one place.
const (
	firstRefLife  = 60 * time.Second  // whatsmeow's qrchan.go: the first ref is shown for a minute
	nextRefLife   = 20 * time.Second  // and the others for 20 s
	codeLife      = 180 * time.Second // counted from before the request
	openLimit     = 30 * time.Second  // until the socket is open and the refs are here
	codeLimit     = 30 * time.Second  // until the code request is answered
	ledgerLimit   = 20 * time.Second  // of which for the ledger
	answerLimit   = 60 * time.Second  // from the phone's answer to pair-success
	passkeyLife   = 10 * time.Minute  // of the challenge
	handoffLife   = 5 * time.Minute   // of the hand-off proof, as in whatsmeow's pair-passkey.go
	reconnectWait = 5 * time.Second   // for the 515 after pair-success; without it we reconnect all the same
	loginTryLimit = 10 * time.Second  // one of the tries to log in after pairing
	loginLimit    = 30 * time.Second  // all of them
	serviceLimit  = 30 * time.Second  // for the store and for the version request
	shortestWait  = 1 * time.Second
	longestWait   = 30 * time.Second
	stableAfter   = 20 * time.Second // a socket that lived this long was a good one
	maxAnswers    = 3                // of the phone to one code
	maxCodeFaults = 3                // code requests in a row that may fail for want of an answer
)

// config is what a machine needs to know of the Settings.
type config struct {
	phone          Phone
	code           bool // ask for pairing codes
	qr             bool // show QR codes from the start
	fallback       bool // show QR codes when no pairing code can be had
	versionRefresh bool
	resumeOnly     bool // log a stored session in, and never link
	timeout        time.Duration
	patient        bool           // the timeout is the default, and gives way to a passkey's
	passkeyHook    bool           // the program answers passkeys by itself
	checkCode      bool           // a person compares the passkey's code in any case
	probation      time.Duration  // hold Linked back this long after the first login
	jitter         func() float64 // in [0, 1)
}

// phase is where a machine stands.
type phase int

const (
	phaseIdle       phase = iota
	phaseWaiting          // between two attempts
	phaseOpening          // the device is loaded and the socket opened; ends with the refs or the login
	phaseOffering         // refs are here: codes are on the screen, or on their way there
	phasePasskey          // a passkey is asked for
	phasePaired           // pair-success; the 515 is awaited
	phaseLogin            // reconnected after pair-success
	phaseProbation        // logged in, and watched for a while before it counts
	phaseRefreshing       // the current version is being asked for
	phaseDropping         // the stored session is being deleted
	phaseDone
)

// machine decides what happens next in one Link. It is pure: the same inputs
// at the same times give the same effects. It does no I/O, reads no clock and
// starts no goroutine.
//
// Every socket has an epoch, which is the number of its attempt; inputs of
// another epoch than the current one are about a socket that is gone, and are
// ignored.
type machine struct {
	cfg   config
	phase phase
	epoch int

	timeoutAt time.Time // the end of the Link
	stageAt   time.Time // the end of the phase, where it has one
	loginBy   time.Time // the end of all tries to log in after pairing

	trialBy time.Time // the end of the probation of a new link
	account Account   // of the link on probation
	last    bool      // no attempt follows the drop of the session

	resumed bool   // this attempt logs a session in that was stored before the Link
	paired  bool   // pair-success has come in this Link, and its session is stored
	loaded  bool   // the device of this attempt is here
	opened  bool   // its socket is open
	lastErr *Error // the last failure, until something works again

	refsAt    time.Time
	faults    int            // attempts in a row that failed
	strikes   map[Reason]int // failures by reason, for those that may only repeat so often
	refreshed bool           // the version has been refreshed
	retryErr  *Error         // what a refresh or a drop of the session is meant to mend

	code     codeOffer
	qr       qrOffer
	ceremony ceremony

	out []effect
}

// newMachine returns a machine that waits for its start.
func newMachine(cfg config) *machine {
	return &machine{cfg: cfg, strikes: map[Reason]int{}}
}

// step takes an input and returns what is to be done, in order. After it the
// next deadline is that of [machine.next].
func (m *machine) step(now time.Time, in input) []effect {
	m.out = nil
	if m.phase == phaseDone {
		return nil
	}
	m.catchUp(now, in)
	if e := in.socket(); m.phase == phaseDone || e != 0 && e != m.epoch {
		return m.out
	}
	switch in := in.(type) {
	case inStart:
		if m.cfg.timeout > 0 {
			m.timeoutAt = now.Add(m.cfg.timeout)
		}
		m.open(now)
	case inTick:
		m.tick(now)
	case inStop:
		m.fail(m.withLast(in.err))
	case inDevice:
		m.device(now, in)
	case inOpened:
		m.opened = true
	case inRefs:
		m.refs(now, in)
	case inCode:
		m.codeReady(now, in)
	case inCodeFailed:
		m.codeFailed(now, in.err)
	case inAnswered:
		m.answered(now)
	case inRefused:
		m.codeRefused(now)
	case inSecret:
		m.secret(now, in)
	case inPasskey:
		m.passkey(now, in)
	case inAnswer:
		m.answerPasskey(now, in)
	case inPasskeyGiven:
		m.passkeyGiven(now, in)
	case inPasskeyFailed:
		m.passkeyFailed(now, in)
	case inPasskeySent:
		m.passkeySent(now, in)
	case inPasskeyCode:
		m.passkeyCode(now, in)
	case inConfirm:
		m.confirmPasskey(now, in)
	case inConfirmed:
		m.passkeyConfirmed(now, in)
	case inPaired:
		m.pairSuccess(now, in)
	case inReconnect:
		if m.phase == phasePaired {
			m.relogin(now)
		}
	case inLoggedIn:
		m.loggedIn(now, in)
	case inLost:
		m.lost(now, in)
	case inVersion:
		m.versionReady(now, in)
	case inDropped:
		m.dropped(now, in)
	}
	return m.out
}

// catchUp does first what is overdue, where an input comes after a deadline whose
// tick is still on its way: a code that has expired must not be shown again.
// What the person has achieved counts all the same.
func (m *machine) catchUp(now time.Time, in input) {
	if e := in.socket(); e != 0 && e != m.epoch {
		return
	}
	_, tick := in.(inTick)
	_, stop := in.(inStop)
	_, paired := in.(inPaired)
	_, loggedIn := in.(inLoggedIn)
	if tick || stop || paired || loggedIn {
		return
	}
	for passed(now, m.next()) {
		m.tick(now)
	}
}

// next returns the time of the earliest deadline; zero only when done or
// before the start.
func (m *machine) next() time.Time {
	var first time.Time
	for _, t := range []time.Time{m.timeoutAt, m.stageAt, m.loginBy, m.code.deadline(), m.qr.deadline()} {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	if m.phase == phaseDone || m.phase == phaseIdle {
		return time.Time{}
	}
	return first
}

// passed reports whether the deadline t is set and has come.
func passed(now, t time.Time) bool { return !t.IsZero() && !now.Before(t) }

// tick handles the deadlines that have passed.
func (m *machine) tick(now time.Time) {
	switch {
	case m.phase == phaseIdle:
	case passed(now, m.timeoutAt):
		m.fail(m.withLast(&Error{Reason: ErrTimeout, Op: "link"}))
	case passed(now, m.loginBy):
		m.fail(m.withLast(&Error{Reason: ErrStalled, Op: "log in", Err: hint.New(
			errLoginStalled, "Start again: the device is linked and stored, so no new code is needed.",
		)}))
	case passed(now, m.stageAt):
		m.stageOver(now)
	case passed(now, m.code.deadline()):
		m.codeDeadline(now)
	case passed(now, m.qr.deadline()):
		m.rotate(now)
	}
}

// stageOver handles the end of the time that a phase has.
func (m *machine) stageOver(now time.Time) {
	switch m.phase {
	case phaseWaiting:
		m.open(now)
	case phaseOpening, phaseLogin:
		m.lost(now, inLost{epoch: m.epoch, err: m.openingStalled()})
	case phasePasskey:
		m.passkeyStalled(now)
	case phasePaired:
		m.relogin(now)
	case phaseProbation:
		m.link(m.account)
	case phaseRefreshing:
		m.versionReady(now, inVersion{epoch: m.epoch, err: errVersionStalled})
	case phaseDropping:
		m.dropped(now, inDropped{epoch: m.epoch, err: &Error{Reason: ErrStore, Op: "drop session", Err: errStoreStalled}})
	case phaseIdle, phaseOffering, phaseDone:
		m.stageAt = time.Time{}
	}
}

// openingStalled says what an attempt was waiting for.
func (m *machine) openingStalled() *Error {
	switch {
	case !m.loaded:
		return &Error{Reason: ErrStore, Op: "load session", Err: errStoreStalled}
	case !m.opened:
		return &Error{Reason: ErrNetwork, Op: "connect", Err: errNoSocket}
	case m.resumed || m.paired:
		return &Error{Reason: ErrStalled, Op: "log in", Err: errLoginStalled}
	}
	return &Error{Reason: ErrStalled, Op: "connect", Err: errNoRefs}
}

// open starts the next attempt.
func (m *machine) open(now time.Time) {
	m.epoch++
	m.phase, m.loaded, m.opened, m.resumed = phaseOpening, false, false, false
	m.stageAt = now.Add(openLimit)
	m.code.clear()
	m.qr.clear()
	m.ceremony = ceremony{}
	m.do(doEmit{Connecting{Attempt: m.epoch}}, doLoad{m.epoch})
}

// device takes what the store gave for this attempt.
func (m *machine) device(now time.Time, in inDevice) {
	m.loaded = true
	switch {
	case m.phase != phaseOpening:
	case in.err != nil:
		m.fail(in.err)
	case !in.linked && m.cfg.resumeOnly:
		m.fail(&Error{Reason: ErrLoggedOut, Op: "log in", Err: errNotStored})
	case in.linked && !m.cfg.resumeOnly && !m.cfg.phone.IsZero() && !m.cfg.phone.SameAccount(in.account.Phone):
		m.fail(&Error{Reason: ErrWrongAccount, Op: "resume", Err: &wrongStored{want: m.cfg.phone, have: in.account.Phone}})
	case in.linked:
		m.resumed = true
		if m.paired {
			m.stageAt = now.Add(loginTryLimit)
		}
		m.do(doConnect{m.epoch})
	default:
		m.unpair() // the store knows better
		m.do(doConnect{m.epoch})
	}
}

// pairSuccess takes the phone's consent: the device is stored.
func (m *machine) pairSuccess(now time.Time, in inPaired) {
	if m.phase != phaseOffering && m.phase != phasePasskey {
		return
	}
	m.accepted()
	m.code.clear()
	m.qr.clear()
	m.phase, m.paired, m.lastErr = phasePaired, true, nil
	m.loginBy = now.Add(loginLimit)
	m.stageAt = now.Add(reconnectWait)
	m.allow(m.loginBy.Add(shortestWait))
	m.do(doEmit{Paired{Account: in.account}})
}

// relogin reconnects after pair-success, as the 515 asks for.
func (m *machine) relogin(now time.Time) {
	m.phase, m.opened = phaseLogin, false
	m.stageAt = now.Add(loginTryLimit)
	m.do(doRelogin{m.epoch})
}

// loggedIn ends the Link, unless a new link is on probation first.
func (m *machine) loggedIn(now time.Time, in inLoggedIn) {
	if m.phase != phaseLogin && (m.phase != phaseOpening || !m.resumed) {
		return
	}
	if m.paired && m.trialBy.IsZero() {
		m.trialBy = now.Add(m.cfg.probation)
	}
	if !m.paired || !now.Before(m.trialBy) {
		m.link(in.account)
		return
	}
	m.phase, m.account, m.lastErr = phaseProbation, in.account, nil
	m.stageAt, m.loginBy = m.trialBy, time.Time{}
	if latest := m.trialBy.Add(loginLimit); !m.timeoutAt.IsZero() && m.timeoutAt.Before(latest) {
		m.timeoutAt = latest // the person has done all they can
	}
}

func (m *machine) link(account Account) {
	m.phase = phaseDone
	m.do(doEmit{Linked{Account: account, Resumed: !m.paired}})
}

// fail ends the Link.
func (m *machine) fail(err *Error) {
	m.phase = phaseDone
	m.do(doEmit{Failed{Err: err}})
}

// withLast returns err with the last failure as its cause, where there is one
// that has not been overcome.
func (m *machine) withLast(err *Error) *Error {
	if m.lastErr == nil {
		return err
	}
	out := *err
	out.Err = m.lastErr
	if err.Err != nil {
		out.Err = &renamed{errors.Join(err.Err, m.lastErr), err.Err.Error() + ": " + strings.TrimPrefix(m.lastErr.Error(), "walink: ")}
	}
	return &out
}

func (m *machine) do(effects ...effect) { m.out = append(m.out, effects...) }
