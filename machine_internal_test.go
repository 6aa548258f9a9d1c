package walink

import (
	"fmt"
	"maps"
	"testing"
	"time"
)

// schedule drives a machine with inputs chosen by the bytes of plan, as a
// driver could give them, in any order and at any time, and checks after every
// step what must hold always.
type schedule struct {
	t       *testing.T
	m       *machine
	now     time.Time
	started bool

	requested int                  // epoch of the code request that is under way; 0 for none
	code, qr  bool                 // what is on the screen
	passkey   bool                 // is asked for
	compare   bool                 // the code of a passkey is on the screen
	automatic bool                 // and nobody has to compare it
	sent      int                  // the number of the assertion that is out; 0 for none
	refusals  int                  // of assertions, of the present challenge
	waiting   map[chan<- error]int // callers whose word is out: the number of the assertion, or a confirmation
	before    phase
	reached   map[string]int // phases, and steps of the ceremony
	codeDue   time.Time
	attempt   int // of the last Connecting
	announced int // attempt that the last Retrying announced
	terminal  int
}

func (s *schedule) step(in input) {
	s.t.Helper()
	wasDone := s.terminal > 0
	s.before = s.m.phase
	was, timeout := "", s.m.timeoutAt
	stale := in.socket() != 0 && in.socket() != s.m.epoch
	if stale {
		was = s.state()
	}
	s.told(in)
	effects := s.m.step(s.now, in)
	if stale && (len(effects) > 0 || s.state() != was) {
		s.t.Fatalf("%#v is about another socket, and has effects: %#v", in, effects)
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
	switch in.(type) {
	case inAnswer, inConfirm:
		// Whoever calls waits for exactly one answer.
		if n := replies(effects); n != 1 && !wasDone && s.terminal == 0 {
			s.t.Fatalf("%#v leads to %#v", in, effects)
		}
	}
	if _, start := in.(inStart); !start && !timeout.Equal(s.m.timeoutAt) && !s.m.cfg.patient && s.m.phase != phaseProbation {
		s.t.Fatalf("%#v extends a timeout that was set", in)
	}
	if s.refusals >= maxPasskeyRefusals {
		s.t.Fatalf("%d assertions were refused, and another may follow", s.refusals)
	}
	s.limits(in)
	if s.started && s.terminal == 0 && s.m.next().IsZero() {
		s.t.Fatalf("nothing is timed in phase %d after %#v", s.m.phase, in)
	}
}

func (s *schedule) effect(in input, e effect) {
	s.t.Helper()
	switch e := e.(type) {
	case doRequestCode:
		if s.code {
			s.t.Fatal("a code is requested while another is on the screen")
		}
		if !s.m.cfg.code {
			s.t.Fatal("a code is requested though none is wanted")
		}
		s.requested = e.epoch
	case doAnswer:
		if !s.passkey {
			s.t.Fatal("an assertion is sent that nobody asked for")
		}
		if s.sent != 0 {
			s.t.Fatal("an assertion is sent while another is out for the same challenge")
		}
		s.sent = e.answer
		s.waits(e.reply, e.answer)
	case doConfirm:
		_, byHand := in.(inConfirm)
		s.waits(e.reply, confirmation)
		if !s.compare {
			s.t.Fatal("a code is confirmed that nobody has seen")
		}
		if !byHand && (!s.automatic || s.m.cfg.checkCode) {
			s.t.Fatal("a code is confirmed that nobody has compared")
		}
		s.compare = false
	case doShut:
		s.requested, s.passkey, s.compare, s.sent, s.refusals = 0, false, false, 0, 0
		clear(s.waiting)
	case doEmit:
		s.event(in, e.event)
	case doReply:
		s.replied(in, e)
	case doLoad, doConnect, doRelogin, doRefreshVersion, doDrop, doAskPasskey:
	}
}

const confirmation = -1

// waits notes that a caller will hear of what is sent for it.
func (s *schedule) waits(reply chan<- error, answer int) {
	if reply != nil {
		s.waiting[reply] = answer
	}
}

// replied checks that a caller is told once: at once, or that it was accepted
// before the driver had the word.
func (s *schedule) replied(in input, e doReply) {
	s.t.Helper()
	switch in := in.(type) {
	case inAnswer:
		if in.reply == e.reply {
			return
		}
	case inConfirm:
		if in.reply == e.reply {
			return
		}
	}
	if _, waits := s.waiting[e.reply]; !waits || e.err != nil {
		s.t.Fatalf("%#v has a caller told %v, who waits: %t", in, e.err, waits)
	}
	s.reached["vouched"]++
	delete(s.waiting, e.reply)
}

func (s *schedule) event(in input, event Event) {
	s.t.Helper()
	switch e := event.(type) {
	case Connecting:
		if e.Attempt != s.attempt+1 {
			s.t.Fatalf("attempt %d follows %d", e.Attempt, s.attempt)
		}
		if s.announced != 0 && s.announced != e.Attempt {
			s.t.Fatalf("attempt %d was announced as %d", e.Attempt, s.announced)
		}
		if s.code || s.qr {
			s.t.Fatal("a new socket is opened under a code that is still on the screen")
		}
		s.attempt, s.announced, s.requested = e.Attempt, 0, 0
	case PairingCode:
		if c, ok := in.(inCode); !ok || c.epoch != s.requested || s.requested == 0 {
			s.t.Fatalf("a code is shown that the server has not confirmed, after %#v", in)
		}
		if s.code {
			s.t.Fatal("two live pairing codes")
		}
		if !e.Expires.After(s.now) {
			s.t.Fatal("a code is shown that has expired")
		}
		if e.Code == "" || e.Phone.IsZero() || !e.Expires.Equal(e.Issued.Add(codeLife)) {
			s.t.Fatalf("malformed %#v", e)
		}
		s.code, s.requested, s.codeDue = true, 0, e.Expires
	case QRCode:
		if !s.m.cfg.qr && e.Fallback == nil {
			s.t.Fatal("a QR code is shown without a reason")
		}
		if !s.m.cfg.qr && !s.m.cfg.fallback {
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
			if e.Reason == WithdrawnExpired && s.now.Before(s.codeDue) {
				s.t.Fatal("a code has expired before its time")
			}
			s.code = false
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
		if !e.Expires.Equal(s.now.Add(passkeyLife)) || !e.HandoffExpires.Equal(s.now.Add(handoffLife)) {
			s.t.Fatalf("malformed %#v", e)
		}
		s.code, s.qr, s.requested, s.refusals = false, false, 0, 0
		// An assertion for an earlier challenge may still be out: the driver sends this one's after it.
		s.passkey, s.compare, s.sent = true, false, 0
	case PasskeyConfirmation:
		if e.Automatic && s.m.cfg.checkCode {
			s.t.Fatal("a code is confirmed by itself that a person was to compare")
		}
		s.passkey, s.compare, s.automatic = false, true, e.Automatic
	case Paired:
		s.code, s.qr, s.requested = false, false, 0
	case Linked:
		s.terminal++
	case Failed:
		if e.Err == nil || e.Err.Remedy() == "" {
			s.t.Fatal("failed without a reason and a remedy")
		}
		s.terminal++
	}
}

// told notes what an input says of the assertion that is out.
func (s *schedule) told(in input) {
	if in, ok := in.(inConfirmed); ok && in.epoch == s.m.epoch {
		s.heard(confirmation)
	}
	sent, ok := in.(inPasskeySent)
	if !ok || sent.epoch != s.m.epoch || s.terminal > 0 {
		return
	}
	if s.m.at(stepSending) && sent.answer == s.sent && sent.err != nil && sent.err.Reason == ErrPasskey {
		s.refusals++
	}
	probe := *s.m
	probe.strikes = maps.Clone(s.m.strikes)
	probe.catchUp(s.now, in)
	if probe.at(stepSending) && sent.answer != s.sent {
		if probe.passkeySent(s.now, sent); !probe.at(stepSending) {
			s.t.Fatal("the answer to another assertion is taken for this one's")
		}
	}
	if sent.answer == s.sent {
		s.sent = 0
	}
	s.heard(sent.answer)
}

// heard notes that the driver has told whoever waited.
func (s *schedule) heard(answer int) {
	maps.DeleteFunc(s.waiting, func(_ chan<- error, number int) bool { return number == answer })
}

// state is all that a machine knows.
func (s *schedule) state() string {
	m := *s.m
	m.cfg, m.out = config{}, nil
	return fmt.Sprintf("%+v", m)
}

func replies(effects []effect) (n int) {
	for _, e := range effects {
		switch e.(type) {
		case doAnswer, doConfirm, doReply:
			n++
		default:
		}
	}
	return n
}

// limits holds the machine to the time that its stage has, and notes what was reached.
func (s *schedule) limits(in input) {
	s.t.Helper()
	if s.terminal > 0 || !s.started {
		return
	}
	limit, name := time.Duration(0), ""
	switch s.m.phase {
	case phaseWaiting:
		limit, name = longestWait, "waiting"
	case phaseOpening:
		limit, name = openLimit, "opening"
	case phaseOffering:
		limit, name = codeLife, "offering"
	case phasePasskey:
		limit, name = []time.Duration{passkeyLife, codeLimit, answerLimit, passkeyLife, codeLimit, answerLimit}[s.m.ceremony.step],
			fmt.Sprint("passkey ", s.m.ceremony.step)
	case phasePaired:
		limit, name = reconnectWait, "paired"
	case phaseLogin:
		limit, name = loginTryLimit, "login"
	case phaseProbation:
		limit, name = s.m.cfg.probation, "probation"
	case phaseRefreshing:
		limit, name = serviceLimit, "refreshing"
	case phaseDropping:
		limit, name = serviceLimit, "dropping"
	case phaseIdle, phaseDone:
	}
	s.reached[name]++
	if left := s.m.next().Sub(s.now); left > limit {
		s.t.Fatalf("%v until the next deadline in phase %s after %#v", left, name, in)
	}
}
