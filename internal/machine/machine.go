// Package machine decides what happens next in a Link. It has two doors: Step
// takes an input and returns effects, and Next says when the next Tick is due.
//
// The package does no I/O, reads no clock, and starts no goroutine, so that tests can
// check all of its behaviour by tables and properties. Package wire posts most of the
// inputs; the attempt in package walink turns the effects into calls.
package machine

import (
	"time"

	"github.com/walink/walink/internal/hint"
)

// Config is what a Machine needs to know of the Settings.
type Config struct {
	OtherForm      bool           // WhatsApp may know the number in another form
	Code           bool           // ask for pairing codes
	QR             bool           // show QR codes from the start
	Fallback       bool           // show QR codes when no pairing code can be had
	VersionRefresh bool           // fetch the current version after a 405
	Proxy          string         // the proxy without its credentials; "" is none
	ResumeOnly     bool           // log a stored session in, and never link
	Codes          int            // nobody is known to be there: how many pairing codes may be requested; 0: somebody is there
	Brief          bool           // nobody is there: one connection, unless it pairs
	Timeout        time.Duration  // of the Link as a whole; 0 is none
	Patient        bool           // Timeout is the default, which a passkey's challenge extends
	Hook           bool           // the program answers passkeys by itself
	CompareCode    bool           // a person compares the passkey's code in any case
	Probation      time.Duration  // hold Linked back this long after the first login
	Jitter         func() float64 // in [0, 1)
}

// phase is the state of a Machine; the diagram above Step shows how one leads to
// another.
type phase int

const (
	phaseIdle       phase = iota
	phaseWaiting          // between two attempts
	phaseOpening          // the device is being loaded and the connection opened
	phaseOffering         // refs are here: codes are on the screen, or on their way there
	phasePasskey          // the account wants a passkey
	phasePaired           // pair-success has come, and the 515 has not
	phaseLogin            // reconnected after pair-success
	phaseProbation        // logged in, and watched for a while before that counts
	phaseRefreshing       // the current version is being fetched
	phaseDropping         // the stored session is being deleted
	phaseDone
)

// Machine is the state of one Link. The same inputs at the same times give the
// same effects. It belongs to one goroutine.
//
// Every attempt has an epoch, which is its number and that of its connection. An
// input of another epoch than the current one is about a connection that is gone,
// and is ignored.
type Machine struct {
	cfg   Config
	phase phase
	epoch int

	timeoutAt time.Time // the end of the Link
	stageAt   time.Time // the end of the phase; zero if it has none
	loginBy   time.Time // the end of all tries to log in after pairing
	trialBy   time.Time // the end of the probation of a new link

	account Account // of the link on probation
	last    bool    // no attempt follows the drop of the session

	resumed bool     // this attempt logs a session in that was stored before the Link
	paired  bool     // pair-success has come in this Link, and its session is stored
	loaded  bool     // the device of this attempt is here
	leased  bool     // the lease of the session is here
	opened  bool     // the connection of this attempt is open
	lastErr *Failure // the last failure, until something works again

	refsAt    time.Time
	faults    int            // attempts in a row that failed
	strikes   map[Reason]int // failures by reason; Lost.Tries limits them
	refreshed bool           // the version has been fetched
	retryErr  *Failure       // the failure that the fetched version or the drop of the session should cure

	code     codeOffer
	qr       qrOffer
	ceremony ceremony
	owed     []int // the calls of AnswerPasskey and ConfirmPasskey that wait for a Reply

	out []Effect
}

// New returns a Machine that waits for Start.
func New(cfg Config) *Machine {
	return &Machine{cfg: cfg}
}

// Step takes an input and returns the effects to carry out, in order. Afterwards
// [Machine.Next] returns the next deadline.
//
//	Start
//	  │      refs           challenge
//	  ▼   ┌───────▶ offering ───────▶ passkey
//	opening ◀────────┘   │               │
//	  │   ▲   refs over  │ pair-success  │
//	  │   │              ▼               │
//	  │   │ time      paired ◀───────────┘
//	  │   │              │ 515, or 5 s without it
//	  │   │              ▼
//	  │ waiting ◀───── login            a failure in any phase leads to waiting;
//	  │   ▲              │ logged in    after a 405 by way of refreshing (the version),
//	  │   │              ▼              after a removed device by way of dropping (the
//	  │   └───────── probation          stored session); or to Failed, if no attempt
//	  │ a stored         │ time         can cure it
//	  │ session logs in  ▼
//	  └───────────────▶ Linked
func (m *Machine) Step(now time.Time, in Input) []Effect {
	m.out = nil
	if m.phase == phaseDone {
		return nil
	}
	m.owe(in)
	m.catchUp(now, in)
	if e := in.attempt(); m.phase == phaseDone || e != 0 && e != m.epoch {
		return m.out
	}
	switch in := in.(type) {
	case Start:
		if m.cfg.Timeout > 0 {
			m.timeoutAt = now.Add(m.cfg.Timeout)
		}
		m.open(now)
	case Tick:
		m.tick(now)
	case Stop:
		m.fail(m.withLast(in.Err))
	case DeviceLoaded:
		m.deviceLoaded(now, in)
	case Leased:
		m.lease(now, in)
	case Opened:
		m.opened = true
		m.allowCode()
	case Refs:
		m.refs(now, in)
	case CodeAllowed:
		m.codeAllowed(now, in)
	case CodeConfirmed:
		m.codeReady(now, in)
	case CodeFailed:
		if m.code.asked {
			m.codeFailed(now, in.Err)
		}
	case PhoneAnswered:
		m.phoneAnswered(now)
	case PhoneRefused:
		m.phoneRefused(now, in.Manual)
	case SecretChanged:
		m.secretChanged(now, in)
	case PasskeyWanted:
		m.passkeyWanted(now, in)
	case Answer:
		m.answer(now, in)
	case HookAnswered:
		m.hookAnswered(now, in)
	case HookFailed:
		m.hookFailed(now, in)
	case AnswerSent:
		m.answerSent(now, in)
	case PasskeyCode:
		m.passkeyCode(now, in)
	case Attended:
		m.attend(now)
		if m.phase == phaseWaiting {
			m.open(now)
		}
		m.unhold(now)
	case Confirm:
		m.confirm(now, in)
	case ConfirmSent:
		m.confirmSent(now, in)
	case PairSuccess:
		m.pairSuccess(now, in)
	case RestartWanted:
		if m.phase == phasePaired {
			m.relogin(now)
		}
	case LoggedIn:
		m.loggedIn(now, in)
	case Lost:
		m.lost(now, in)
	case VersionRefreshed:
		m.versionRefreshed(now, in)
	case SessionDropped:
		m.sessionDropped(now, in)
	}
	return m.out
}

// catchUp handles the deadlines that have passed before an input, if their Tick is
// still on its way: a code that has expired must not be shown again. A success that
// the person has achieved still counts.
func (m *Machine) catchUp(now time.Time, in Input) {
	if e := in.attempt(); e != 0 && e != m.epoch {
		return
	}
	_, tick := in.(Tick)
	_, stop := in.(Stop)
	_, paired := in.(PairSuccess)
	_, loggedIn := in.(LoggedIn)
	if tick || stop || paired || loggedIn {
		return
	}
	for passed(now, m.Next()) {
		m.tick(now)
	}
}

// Next returns the time of the earliest deadline. It is zero only before Start
// and after the end.
func (m *Machine) Next() time.Time {
	if m.phase == phaseDone || m.phase == phaseIdle {
		return time.Time{}
	}
	var first time.Time
	for _, t := range []time.Time{m.timeoutAt, m.stageAt, m.loginBy, m.code.deadline(), m.qr.expires} {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// passed reports whether the deadline t is set and has come.
func passed(now, t time.Time) bool { return !t.IsZero() && !now.Before(t) }

// tick handles the deadlines that have passed.
func (m *Machine) tick(now time.Time) {
	switch {
	case m.phase == phaseIdle:
	case passed(now, m.timeoutAt):
		m.fail(m.withLast(&Failure{Reason: ReasonTimeout, Op: "link"}))
	case passed(now, m.loginBy):
		m.fail(m.withLast(&Failure{Reason: ReasonStalled, Op: "log in", Err: hint.ForPerson(
			errLoginStalled, "Start again: the device is linked and stored, so no new code is needed.",
		)}))
	case passed(now, m.stageAt):
		m.stageOver(now)
	case passed(now, m.code.deadline()):
		m.codeDeadline(now)
	case passed(now, m.qr.expires):
		m.rotate(now)
	}
}

// stageOver handles the deadline of a phase.
func (m *Machine) stageOver(now time.Time) {
	switch m.phase {
	case phaseWaiting:
		m.open(now)
	case phaseOpening, phaseLogin:
		m.lost(now, Lost{Epoch: m.epoch, Err: m.openingStalled()})
	case phasePasskey:
		m.passkeyStalled(now)
	case phasePaired:
		m.relogin(now)
	case phaseProbation:
		m.link(m.account)
	case phaseRefreshing:
		m.versionRefreshed(now, VersionRefreshed{Epoch: m.epoch, Err: versionStalled(m.cfg.Proxy)})
	case phaseDropping:
		m.sessionDropped(now, SessionDropped{Epoch: m.epoch, Err: &Failure{Reason: ReasonStore, Op: "drop session", Err: ErrStoreStalled}})
	case phaseIdle, phaseOffering, phaseDone:
		m.stageAt = time.Time{}
	}
}

// open starts the next attempt.
func (m *Machine) open(now time.Time) {
	m.epoch++
	m.phase, m.loaded, m.leased, m.opened, m.resumed = phaseOpening, false, false, false, false
	m.stageAt = now.Add(OpenLimit)
	m.code.clear()
	m.code.denied = nil
	m.qr.clear()
	if m.code.came {
		m.qr.fallback = nil // codes can be had again
	}
	m.ceremony = ceremony{}
	m.do(Tell{Connecting{Attempt: m.epoch}}, Load{m.epoch})
}

// deviceLoaded takes the store's answer for this attempt. A fresh device connects at
// once, while the lease is being taken.
func (m *Machine) deviceLoaded(now time.Time, in DeviceLoaded) {
	again := m.loaded
	m.loaded = true
	switch {
	case m.phase != phaseOpening:
	case in.Err != nil:
		m.fail(in.Err)
	case !in.Linked && m.cfg.ResumeOnly:
		m.fail(&Failure{Reason: ReasonLoggedOut, Op: "log in", Err: ErrNotStored})
	case in.Linked && again:
		m.reopen(now) // another program has linked the session before the lease was ours
	case in.Linked:
		m.resumed = true
		if m.paired {
			m.stageAt = now.Add(LoginTryLimit)
		}
		m.do(Connect{Epoch: m.epoch, Device: in.Device, Resume: !m.paired})
	default:
		m.unpair() // the store no longer has a session
		m.do(Connect{Epoch: m.epoch, Device: in.Device})
	}
}

// lease notes that the session is leased: codes may be shown from now on.
func (m *Machine) lease(now time.Time, in Leased) {
	switch {
	case in.Err != nil: // also if the connection has failed meanwhile
		m.fail(in.Err)
	case m.phase == phaseOpening:
		m.leased = true
		m.allowCode()
		m.offer(now)
	}
}

// pairSuccess takes the phone's consent. The device is stored by now.
func (m *Machine) pairSuccess(now time.Time, in PairSuccess) {
	if m.phase != phaseOffering && m.phase != phasePasskey {
		return
	}
	m.attend(now)
	m.accepted()
	m.code.clear()
	m.qr.clear()
	m.phase, m.paired, m.lastErr = phasePaired, true, nil
	m.loginBy = now.Add(loginLimit)
	m.stageAt = now.Add(reconnectWait)
	m.extend(m.loginBy.Add(ShortestWait))
	m.do(Tell{Paired{Account: in.Account}})
}

// relogin reconnects after pair-success, as the 515 asks for.
func (m *Machine) relogin(now time.Time) {
	m.phase, m.opened = phaseLogin, false
	m.stageAt = now.Add(LoginTryLimit)
	m.do(Relogin{m.epoch})
}

// loggedIn ends the Link, unless a new link is on probation first.
func (m *Machine) loggedIn(now time.Time, in LoggedIn) {
	if m.phase != phaseLogin && (m.phase != phaseOpening || !m.resumed) {
		return
	}
	if m.paired && m.trialBy.IsZero() {
		m.trialBy = now.Add(m.cfg.Probation)
	}
	if !m.paired || !now.Before(m.trialBy) {
		m.link(in.Account)
		return
	}
	m.phase, m.account, m.lastErr = phaseProbation, in.Account, nil
	m.stageAt, m.loginBy = m.trialBy, time.Time{}
	if latest := m.trialBy.Add(loginLimit); !m.timeoutAt.IsZero() && m.timeoutAt.Before(latest) {
		m.timeoutAt = latest // the person has done all they can
	}
}

func (m *Machine) link(account Account) {
	unheard := &Failure{Reason: ReasonPasskey, Op: "answer passkey", Err: errPasskeyAnswered}
	m.end(unheard, Linked{Account: account, Resumed: !m.paired})
}

// fail ends the Link.
func (m *Machine) fail(err *Failure) { m.end(err, Failed{Err: err}) }

// end ends the Link with the terminal fact. Calls that still wait get err.
func (m *Machine) end(err *Failure, terminal Fact) {
	m.settle(err)
	m.phase = phaseDone
	m.do(Tell{terminal})
}

// withLast returns err together with the last failure, unless something has worked
// since that failure.
func (m *Machine) withLast(err *Failure) *Failure {
	if m.lastErr == nil {
		return err
	}
	out := *err
	out.Last = m.lastErr
	return &out
}

func (m *Machine) do(effects ...Effect) { m.out = append(m.out, effects...) }
