package walink

import (
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/types"
)

// schedule drives a machine with inputs chosen by the bytes of plan, as a
// driver could give them, in any order and at any time, and checks after every
// step what must hold always.
type schedule struct {
	t       *testing.T
	m       *machine
	now     time.Time
	started bool

	requested int  // epoch of the code request that is under way; 0 for none
	code, qr  bool // what is on the screen
	passkey   bool // is asked for
	compare   bool // the code of a passkey is on the screen
	codeDue   time.Time
	attempt   int // of the last Connecting
	announced int // attempt that the last Retrying announced
	terminal  int
}

func testConfig(mode byte) config {
	c := config{
		phone: phoneFromDigits("5511987654321"), versionRefresh: mode&16 != 0,
		timeout: 10 * time.Minute, jitter: func() float64 { return 0.5 },
	}
	switch mode % 5 {
	case 0:
		c.qr = true
	case 1:
		c.code = true
	case 2:
		c.code, c.fallback = true, true
	case 3:
		c.code, c.qr = true, true
	case 4:
		c.resumeOnly, c.qr = true, true
	}
	if mode&32 != 0 {
		c.timeout = 0
	}
	if mode&128 != 0 {
		c.passkeyHook, c.patient = true, true
	}
	if mode&64 != 0 {
		c.probation = 20 * time.Second
	}
	return c
}

// input chooses what to feed next.
func (s *schedule) input(b, arg byte) input {
	epoch := s.m.epoch
	if arg%16 == 0 && epoch > 1 {
		epoch-- // late news of a socket that is gone
	}
	reasons := []*Error{
		{Reason: ErrNetwork},
		{Reason: ErrServer},
		{Reason: ErrStalled},
		{Reason: ErrPairing},
		{Reason: ErrWrongAccount},
		{Reason: ErrClientOutdated},
		{Reason: ErrLoggedOut},
		{Reason: ErrBanned},
		{Reason: ErrForbidden},
		{Reason: ErrRateLimited, RetryAfter: time.Minute},
		{Reason: ErrCodeRefused},
		{Reason: ErrStore},
		{Reason: ErrProxy},
	}
	fault := reasons[int(arg)%len(reasons)]
	account := Account{JID: types.NewADJID("5511987654321", 0, 1), Phone: phoneFromDigits("5511987654321")}
	switch b % 24 {
	case 0, 1:
		return inTick{}
	case 2:
		return inDevice{epoch: epoch, linked: arg%8 == 1, account: account}
	case 3:
		return inOpened{epoch}
	case 4:
		return inRefs{epoch, slices.Clone([]string{"a,b,c,d,e", "f,b,c,d,e", "g,b,c,d,e", "h,b,c,d,e", "i,b,c,d,e", "j,b,c,d,e"}[:arg%7])}
	case 5:
		return inCode{epoch, "ABCD-EFGH"}
	case 6:
		return inCodeFailed{epoch, fault}
	case 7:
		return inAnswered{epoch}
	case 8:
		return inRefused{epoch}
	case 9:
		return inSecret{epoch, string(rune('a' + arg%26))}
	case 10:
		return inPasskey{epoch, []byte(`{}`), nil}
	case 11:
		return inPaired{epoch, account}
	case 12:
		return inReconnect{epoch}
	case 13:
		return inLoggedIn{epoch, account}
	case 14:
		return inLost{epoch, fault, int(arg%5) - 1}
	case 15:
		var err error
		if arg%2 == 0 {
			err = errors.New("no version")
		}
		return inVersion{epoch, err}
	case 16:
		if arg%4 == 0 {
			return inDropped{epoch, &Error{Reason: ErrStore}}
		}
		return inDropped{epoch, nil}
	case 17:
		return inPasskeyCode{epoch, "ABCD-EFGH", arg%2 == 0}
	case 18:
		if arg%4 == 0 {
			return inAnswer{[]byte("{}"), nil}
		}
		return inAnswer{goodAssertion, nil}
	case 19:
		return inPasskeySent{epoch, s.m.ceremony.answer - int(arg%2), or(arg, &Error{Reason: ErrPasskey})}
	case 20:
		return inConfirm{nil}
	case 21:
		return inConfirmed{epoch, or(arg, fault)}
	case 22:
		number := s.m.ceremony.number - int(arg%2)
		if arg%4 < 2 {
			return inPasskeyGiven{epoch, number, goodAssertion}
		}
		return inPasskeyFailed{epoch, number, &Error{Reason: ErrPasskey}}
	}
	if arg > 240 {
		return inStop{&Error{Reason: ErrCanceled}}
	}
	return inTick{}
}

// goodAssertion is one for a challenge that says nothing.
var goodAssertion = []byte(`{"id":"YQ","rawId":"YQ","type":"public-key","response":{"clientDataJSON":"` +
	base64.RawURLEncoding.EncodeToString([]byte(`{"type":"webauthn.get"}`)) + `","authenticatorData":"YQ","signature":"YQ"}}`)

// or is the error in every third case.
func or(arg byte, err *Error) *Error {
	if arg%3 == 0 {
		return err
	}
	return nil
}

func (s *schedule) step(in input) {
	s.t.Helper()
	wasDone := s.terminal > 0
	effects := s.m.step(s.now, in)
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
		if len(effects) != 1 && !wasDone {
			s.t.Fatalf("%#v leads to %#v", in, effects)
		}
	}
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
	case doConfirm:
		if !s.compare {
			s.t.Fatal("a code is confirmed that nobody has seen")
		}
		s.compare = false
	case doShut:
		s.requested, s.passkey, s.compare = 0, false, false
	case doEmit:
		s.event(in, e.event)
	case doLoad, doConnect, doRelogin, doRefreshVersion, doDrop, doAskPasskey, doReply:
	}
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
		s.code, s.qr, s.requested = false, false, 0
		s.passkey, s.compare = true, false
	case PasskeyConfirmation:
		s.passkey, s.compare = false, true
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

// run feeds the plan, and then lets only time pass: the Link must end.
func (s *schedule) run(plan []byte) {
	s.t.Helper()
	s.step(inStart{})
	s.started = true
	s.step(inTick{})
	for len(plan) >= 2 {
		in := s.input(plan[0], plan[1])
		if _, ok := in.(inTick); ok && s.terminal == 0 {
			// Time passes to the next deadline, or part of the way.
			gap := s.m.next().Sub(s.now)
			if plan[1]%2 == 0 {
				gap = gap * time.Duration(plan[1]) / 256
			}
			s.now = s.now.Add(max(gap, 0))
		}
		s.step(in)
		plan = plan[2:]
	}
	if s.m.cfg.timeout == 0 {
		s.step(inStop{&Error{Reason: ErrCanceled}})
	}
	for i := 0; s.terminal == 0; i++ {
		if i > 10_000 {
			s.t.Fatalf("the Link does not end: phase %d", s.m.phase)
		}
		s.now = s.now.Add(max(s.m.next().Sub(s.now), 0))
		s.step(inTick{})
	}
	if s.terminal != 1 {
		s.t.Fatalf("%d terminal events", s.terminal)
	}
}

func newSchedule(t *testing.T, mode byte) *schedule {
	t.Helper()
	return &schedule{t: t, m: newMachine(testConfig(mode)), now: time.Unix(1_000_000, 0)}
}

func TestMachineHoldsItsPropertiesForAnySchedule(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2_000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		plan := make([]byte, 2*rng.IntN(80))
		for i := range plan {
			plan[i] = byte(rng.Uint32())
		}
		newSchedule(t, byte(rng.Uint32())).run(plan)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// A plan that mostly goes forward reaches deeper than one at random.
func TestMachineHoldsItsPropertiesForLikelySchedules(t *testing.T) {
	t.Parallel()
	forward := []byte{2, 3, 4, 5, 5, 8, 5, 7, 11, 12, 3, 13}
	linked := 0
	for seed := range uint64(2_000) {
		rng := rand.New(rand.NewPCG(seed, 2))
		var plan []byte
		for range 1 + rng.IntN(4) {
			for _, b := range forward {
				if rng.IntN(12) == 0 {
					b = byte(rng.Uint32())
				}
				plan = append(plan, b, byte(2+rng.IntN(13)))
			}
		}
		s := newSchedule(t, byte(rng.Uint32()))
		s.run(plan)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		if s.m.paired {
			linked++
		}
	}
	if linked < 100 {
		t.Fatalf("only %d schedules got as far as pair-success", linked)
	}
}

func FuzzMachine(f *testing.F) {
	f.Add(byte(0), []byte{2, 2, 3, 3, 4, 6, 0, 255, 14, 1})
	f.Add(byte(3), []byte{2, 2, 3, 3, 4, 6, 5, 1, 7, 1, 11, 1, 12, 1, 13, 1})
	f.Add(byte(2), []byte{2, 2, 3, 3, 4, 6, 6, 1, 0, 1, 2, 2, 3, 3, 4, 6, 6, 9})
	f.Fuzz(func(t *testing.T, mode byte, plan []byte) {
		newSchedule(t, mode).run(plan[:min(len(plan), 2000)])
	})
}

func TestFourthAnswerWithdrawsTheCode(t *testing.T) {
	t.Parallel()
	s := newSchedule(t, 3)
	for _, in := range []input{
		inStart{},
		inDevice{epoch: 1},
		inOpened{1},
		inRefs{1, []string{"a,b,c,d,e"}},
		inCode{1, "ABCD-EFGH"},
		inAnswered{1},
		inAnswered{1},
		inAnswered{1},
	} {
		s.step(in)
	}
	if !s.code {
		t.Fatal("three answers are too many")
	}
	s.step(inAnswered{1})
	if s.code || s.requested != 1 {
		t.Errorf("on the screen %t, requested %d", s.code, s.requested)
	}
}
