package machine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// schedule drives a machine with inputs chosen by the bytes of plan, as a
// driver could give them, in any order and at any time, and checks after every
// step what must hold always.
type schedule struct {
	t       *testing.T
	m       *Machine
	now     time.Time
	started bool

	leased    bool          // the session is, in this attempt
	counting  bool          // the ledger is being asked
	counted   bool          // the ledger has allowed a code
	requested int           // epoch of the code request that is under way; 0 for none
	code, qr  bool          // what is on the screen
	passkey   bool          // is asked for
	compare   bool          // the code of a passkey is on the screen
	automatic bool          // and nobody has to compare it
	calls     int           // of AnswerPasskey and ConfirmPasskey
	sent      int           // the number of the assertion that is out for the present challenge; 0 for none
	earlier   int           // the number of one that was out for an earlier challenge
	confirms  []SendConfirm // that are out, oldest first
	refusals  int           // of assertions, of the present challenge
	waiting   map[int]bool  // the calls that wait for a Reply
	before    phase
	reached   map[string]int // phases, and steps of the ceremony
	codeDue   time.Time
	held      time.Time // until then only somebody who attends gets a code
	attempt   int       // of the last Connecting
	announced int       // attempt that the last Retrying announced
	terminal  int
}

func (s *schedule) step(in Input) {
	s.t.Helper()
	wasDone := s.terminal > 0
	s.before = s.m.phase
	was, timeout := "", s.m.timeoutAt
	stale := in.attempt() != 0 && in.attempt() != s.m.epoch
	if stale {
		was = s.state()
	}
	s.told(in)
	effects := s.m.Step(s.now, in)
	if stale && (len(effects) > 0 || s.state() != was) {
		s.t.Fatalf("%#v is about another connection, and has effects: %#v", in, effects)
	}
	if wasDone && len(effects) > 0 {
		s.t.Fatalf("effects after the end: %#v", effects)
	}
	for _, e := range effects {
		if s.terminal > 0 {
			s.t.Fatalf("%#v follows the terminal event", e)
		}
		s.effect(in, e)
	}
	if len(s.waiting) > 0 && s.terminal > 0 && !wasDone {
		s.t.Fatalf("the Link has ended, and the calls %v have no reply", s.waiting)
	}
	if _, start := in.(Start); !start && !timeout.Equal(s.m.timeoutAt) && !s.m.cfg.Patient && s.m.phase != phaseProbation {
		s.t.Fatalf("%#v extends a timeout that was set", in)
	}
	if s.refusals >= maxPasskeyRefusals {
		s.t.Fatalf("%d assertions were refused, and another may follow", s.refusals)
	}
	s.limits(in)
	if s.started && s.terminal == 0 && s.m.Next().IsZero() {
		s.t.Fatalf("nothing is timed in phase %d after %#v", s.m.phase, in)
	}
}

func (s *schedule) effect(in Input, e Effect) {
	s.t.Helper()
	switch e := e.(type) {
	case AllowCode:
		if s.counting || s.counted {
			s.t.Fatal("a code is counted that nobody needs")
		}
		s.counting = true
	case RequestCode:
		if s.code {
			s.t.Fatal("a code is requested while another is on the screen")
		}
		if !s.m.cfg.Code {
			s.t.Fatal("a code is requested though none is wanted")
		}
		if !s.counted {
			s.t.Fatal("a code is requested that the ledger has not counted")
		}
		if s.now.Before(s.held) {
			s.t.Fatal("a code is requested that the person has to ask for")
		}
		if !s.leased {
			s.t.Fatal("a code is requested for a session that is not leased")
		}
		s.requested, s.counted = e.Epoch, false
	case SendAnswer:
		if !s.passkey {
			s.t.Fatal("an assertion is sent that nobody asked for")
		}
		if s.sent != 0 {
			s.t.Fatal("an assertion is sent while another is out for the same challenge")
		}
		s.sent = e.Answer
	case SendConfirm:
		s.confirms = append(s.confirms, e)
		_, byHand := in.(Confirm)
		if !s.compare {
			s.t.Fatal("a code is confirmed that nobody has seen")
		}
		if !byHand && (!s.automatic || s.m.cfg.CompareCode) {
			s.t.Fatal("a code is confirmed that nobody has compared")
		}
		s.compare = false
	case Shut:
		s.requested, s.passkey, s.compare, s.sent, s.earlier, s.refusals = 0, false, false, 0, 0, 0
		s.confirms = nil
		for call := range s.waiting {
			if !isCall(in, call) {
				s.t.Fatalf("the connection is shut, and the call %d has no reply", call)
			}
		}
	case Tell:
		s.fact(in, e.Fact)
	case Reply:
		s.replied(in, e)
	case Load, Connect, Relogin, RefreshVersion, DropSession, AskHook:
	}
}

// isCall reports whether the input is that call itself.
func isCall(in Input, call int) bool {
	switch in := in.(type) {
	case Answer:
		return in.Answer == call
	case Confirm:
		return in.Answer == call
	default:
		return false
	}
}

// replied checks that a call gets one reply, and that only WhatsApp's own answer,
// its going on, and the end of the attempt make one.
func (s *schedule) replied(in Input, e Reply) {
	s.t.Helper()
	if !s.waiting[e.Answer] {
		s.t.Fatalf("after %#v the call %d is answered, which does not wait", in, e.Answer)
	}
	delete(s.waiting, e.Answer)
	switch in := in.(type) {
	case Answer:
		if in.Answer == e.Answer && e.Err == nil {
			s.t.Fatal("an assertion is accepted before it was sent")
		}
	case AnswerSent, ConfirmSent:
	case PasskeyCode, PairSuccess:
		if e.Err == nil {
			s.reached["vouched"]++
		}
	default:
		if e.Err == nil && s.terminal == 0 && s.m.phase != phaseDone {
			s.t.Fatalf("%#v has a caller told that WhatsApp accepts", in)
		}
	}
}

func (s *schedule) fact(in Input, fact Fact) {
	s.t.Helper()
	switch e := fact.(type) {
	case Connecting:
		if e.Attempt != s.attempt+1 {
			s.t.Fatalf("attempt %d follows %d", e.Attempt, s.attempt)
		}
		if s.announced != 0 && s.announced != e.Attempt {
			s.t.Fatalf("attempt %d was announced as %d", e.Attempt, s.announced)
		}
		if s.code || s.qr {
			s.t.Fatal("a new connection is opened under a code that is still on the screen")
		}
		s.attempt, s.announced, s.requested, s.leased = e.Attempt, 0, 0, false
	case PairingCode:
		if c, ok := in.(CodeConfirmed); !ok || c.Epoch != s.requested || s.requested == 0 {
			s.t.Fatalf("a code is shown that the server has not confirmed, after %#v", in)
		}
		if s.code {
			s.t.Fatal("two live pairing codes")
		}
		if !e.Expires.After(s.now) {
			s.t.Fatal("a code is shown that has expired")
		}
		if e.Code == "" || !e.Expires.Equal(e.Issued.Add(codeLife)) {
			s.t.Fatalf("malformed %#v", e)
		}
		s.code, s.requested, s.codeDue = true, 0, e.Expires
	case QRCode:
		if !s.leased {
			s.t.Fatal("a QR code is shown for a session that is not leased")
		}
		if !s.m.cfg.QR && e.Fallback == nil {
			s.t.Fatal("a QR code is shown without a reason")
		}
		if !s.m.cfg.QR && !s.m.cfg.Fallback {
			s.t.Fatal("a QR code is shown though it is not allowed")
		}
		if !e.Expires.After(s.now) {
			s.t.Fatal("a QR code is shown that has expired")
		}
		s.qr = true
	case Withdrawn:
		switch e.Method {
		case MethodPairing:
			if e.Number != 0 && !s.code {
				s.t.Fatal("a code is withdrawn that is not on the screen")
			}
			if e.Reason == Expired && s.now.Before(s.codeDue) {
				s.t.Fatal("a code has expired before its time")
			}
			s.code = false
			if refused, ok := in.(PhoneRefused); ok && refused.Manual && e.Number != 0 && e.Reason == Refused {
				s.held = s.now.Add(manualPause)
				s.reached["held"]++
			}
		case MethodQR:
			if !s.qr {
				s.t.Fatal("a QR code is withdrawn that is not on the screen")
			}
			s.qr = false
		}
	case Retrying:
		if s.code || s.qr {
			s.t.Fatal("a retry is announced under a code that is still on the screen")
		}
		if e.Err == nil || e.At.Before(s.now) || e.At.Sub(s.now) > longestWait {
			s.t.Fatalf("malformed %#v", e)
		}
		s.announced = e.Attempt
	case PasskeyRequired:
		if s.before != phaseOffering && s.before != phasePasskey {
			s.t.Fatalf("a passkey is asked for in phase %d", s.before)
		}
		if !e.Expires.Equal(s.now.Add(passkeyLife)) || !e.HandoffExpires.Equal(s.now.Add(HandoffLife)) {
			s.t.Fatalf("malformed %#v", e)
		}
		s.code, s.qr, s.requested, s.refusals = false, false, 0, 0
		// An assertion for an earlier challenge may still be out: the connection sends this one's after it.
		s.passkey, s.compare, s.sent, s.earlier = true, false, 0, max(s.sent, s.earlier)
	case PasskeyConfirmation:
		if e.Automatic && s.m.cfg.CompareCode {
			s.t.Fatal("a code is confirmed by itself that a person was to compare")
		}
		s.passkey, s.compare, s.automatic = false, true, e.Automatic
	case Paired:
		s.code, s.qr, s.requested = false, false, 0
	case Linked:
		s.terminal++
	case Failed:
		if e.Err == nil || e.Err.Reason == "" {
			s.t.Fatal("failed without a reason")
		}
		s.terminal++
	}
}

// told notes what an input says.
func (s *schedule) told(in Input) {
	s.t.Helper()
	current := in.attempt() == 0 || in.attempt() == s.m.epoch
	if s.terminal > 0 || !current {
		return
	}
	switch in := in.(type) {
	case Leased:
		s.leased = s.leased || in.Err == nil && s.m.phase == phaseOpening
	case CodeAllowed:
		s.counting, s.counted = false, in.Err == nil
	case Attended:
		s.held = time.Time{}
	case Answer:
		s.waiting[in.Answer] = true
	case Confirm:
		s.waiting[in.Answer] = true
	case AnswerSent:
		s.answerSent(in)
	case ConfirmSent:
		s.confirms = s.confirms[1:]
	default:
	}
}

func (s *schedule) answerSent(in AnswerSent) {
	s.t.Helper()
	if s.m.at(stepSending) && in.Answer == s.sent && in.Err != nil && in.Err.Reason == ReasonPasskey {
		s.refusals++
	}
	probe := *s.m
	probe.strikes, probe.owed = maps.Clone(s.m.strikes), slices.Clone(s.m.owed)
	probe.catchUp(s.now, in)
	if probe.at(stepSending) && in.Answer != s.sent {
		if probe.answerSent(s.now, in); !probe.at(stepSending) {
			s.t.Fatal("the answer to another assertion is taken for this one's")
		}
	}
	switch in.Answer {
	case s.sent:
		s.sent = 0
	case s.earlier:
		s.earlier = 0
	}
}

// state is all that a machine knows.
func (s *schedule) state() string {
	m := *s.m
	m.cfg, m.out = Config{}, nil
	return fmt.Sprintf("%+v", m)
}

// limits holds the machine to the time that its stage has, and notes what was reached.
func (s *schedule) limits(in Input) {
	s.t.Helper()
	if s.terminal > 0 || !s.started {
		return
	}
	limit, name := time.Duration(0), ""
	switch s.m.phase {
	case phaseWaiting:
		limit, name = longestWait, "waiting"
	case phaseOpening:
		limit, name = OpenLimit, "opening"
	case phaseOffering:
		limit, name = codeLife, "offering"
	case phasePasskey:
		limit, name = []time.Duration{passkeyLife, codeLimit, answerLimit, passkeyLife, codeLimit, answerLimit}[s.m.ceremony.step],
			fmt.Sprint("passkey ", s.m.ceremony.step)
	case phasePaired:
		limit, name = reconnectWait, "paired"
	case phaseLogin:
		limit, name = LoginTryLimit, "login"
	case phaseProbation:
		limit, name = s.m.cfg.Probation, "probation"
	case phaseRefreshing:
		limit, name = ServiceLimit, "refreshing"
	case phaseDropping:
		limit, name = ServiceLimit, "dropping"
	case phaseIdle, phaseDone:
	}
	s.reached[name]++
	if left := s.m.Next().Sub(s.now); left > limit {
		s.t.Fatalf("%v until the next deadline in phase %s after %#v", left, name, in)
	}
}

// A proxy may accept a connection and then say nothing.
func TestPains36SilenceBehindAProxyIsBlamedOnTheProxy(t *testing.T) {
	t.Parallel()
	for _, proxy := range []string{"", "http://proxy.example:8080"} {
		now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
		m := New(Config{QR: true, Proxy: proxy, Jitter: func() float64 { return 0 }})
		m.Step(now, Start{})
		m.Step(now, DeviceLoaded{Epoch: 1})
		m.Step(now, Leased{Epoch: 1})
		var failure *Failure
		for _, effect := range m.Step(now.Add(OpenLimit), Tick{}) {
			if tell, ok := effect.(Tell); ok {
				if retrying, ok := tell.Fact.(Retrying); ok {
					failure = retrying.Err
				}
			}
		}
		switch {
		case failure == nil:
			t.Error("no attempt follows")
		case proxy == "" && failure.Reason != ReasonNetwork,
			proxy != "" && (failure.Reason != ReasonProxy || !strings.Contains(failure.Err.Error(), proxy)):
			t.Errorf("with the proxy %q the failure is %s: %v", proxy, failure.Reason, failure.Err)
		}
	}
}
