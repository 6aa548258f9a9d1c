package machine

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// run feeds the plan, and then lets only time pass: the Link must end.
func (s *schedule) run(plan []byte) {
	s.t.Helper()
	s.step(Start{})
	s.started = true
	s.step(Tick{})
	for len(plan) >= 2 {
		in := s.input(plan[0], plan[1])
		if plan[1] >= 224 && s.terminal == 0 { // the tick of a deadline is late
			s.now = s.now.Add(max(s.m.Next().Sub(s.now), 0) + time.Duration(plan[1]-224)*time.Second)
		}
		if _, ok := in.(Tick); ok && s.terminal == 0 {
			// Time passes to the next deadline, or part of the way.
			gap := s.m.Next().Sub(s.now)
			if plan[1]%2 == 0 {
				gap = gap * time.Duration(plan[1]) / 256
			}
			s.now = s.now.Add(max(gap, 0))
		}
		s.step(in)
		plan = plan[2:]
	}
	if s.m.cfg.Timeout == 0 {
		s.step(Stop{&Failure{Reason: ReasonCanceled}})
	}
	for i := 0; s.terminal == 0; i++ {
		if i > 10_000 {
			s.t.Fatalf("the Link does not end: phase %d", s.m.phase)
		}
		s.now = s.now.Add(max(s.m.Next().Sub(s.now), 0))
		s.step(Tick{})
	}
	if s.terminal != 1 {
		s.t.Fatalf("%d terminal events", s.terminal)
	}
}

func newSchedule(t *testing.T, mode uint16) *schedule {
	t.Helper()
	return &schedule{
		t: t, m: New(testConfig(mode)), now: time.Unix(1_000_000, 0), reached: map[string]int{}, waiting: map[int]bool{},
	}
}

// seed is another one in each run. WALINK_SEED repeats one.
func seed(t *testing.T) uint64 {
	t.Helper()
	n := uint64(time.Now().UnixNano())
	if text := os.Getenv("WALINK_SEED"); text != "" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("WALINK_SEED=%d", n)
	return n
}

func TestMachineHoldsItsPropertiesForAnySchedule(t *testing.T) {
	t.Parallel()
	first := seed(t)
	for n := range uint64(3_000) {
		rng := rand.New(rand.NewPCG(first, n))
		plan := make([]byte, 2*rng.IntN(80))
		for i := range plan {
			plan[i] = byte(rng.Uint32())
		}
		newSchedule(t, uint16(rng.Uint32())).run(plan)
	}
}

// A plan that mostly goes forward reaches deeper than one at random.
func TestMachineHoldsItsPropertiesForLikelySchedules(t *testing.T) {
	t.Parallel()
	first := seed(t)
	ways := [][]byte{
		plan("device, lease, opened, refs, allowed, code, code, phone refuses, allowed, code, phone answers, pair-success, 515, opened, logged in"),
		plan("device, lease, opened, refs, allowed, code, phone refuses, tick, allowed, code, phone refuses, attended, allowed, code"),
		plan("lease, device, opened, allowed, refs, code, challenge, answer, answer sent, passkey code, confirm, confirm sent, pair-success, 515, logged in"),
		plan("device, opened, refs, lease, challenge, answer, answer sent, answer, answer sent, challenge, answer, answer sent, answer, answer sent"),
		plan("device, opened, lease, refs, challenge, answer, passkey code, pair-success, 515, opened, logged in"),
		plan("device, opened, lease, refs, challenge, answer, passkey code, confirm, pair-success, 515, opened, logged in"),
		plan("device, opened, lease, refs, lost, tick, device, opened, lost, version, tick, lease, device, opened, logged in, lost, dropped, tick, device"),
		plan("device, lease, opened, lost, dropped, tick, device, lease, opened, lost, dropped, tick, device, lease, opened, lost, dropped"),
		plan("lease, device, lost, dropped, device, opened, lost, tick, device, lost, dropped, device, opened, lost, tick, device, lost, dropped"),
	}
	reached := map[string]int{}
	for n := range uint64(9_000) {
		rng := rand.New(rand.NewPCG(first, n))
		var plan []byte
		for range 1 + rng.IntN(4) {
			for _, b := range ways[n%uint64(len(ways))] {
				if rng.IntN(12) == 0 {
					b = byte(rng.Uint32())
				}
				arg := byte(1 + rng.IntN(222))
				if rng.IntN(16) == 0 {
					arg = byte(224 + rng.IntN(30)) // late
				}
				plan = append(plan, b, arg)
			}
		}
		s := newSchedule(t, uint16(rng.Uint32()))
		s.run(plan)
		for name, times := range s.reached {
			reached[name] += times
		}
	}
	for _, name := range []string{
		"waiting", "opening", "offering", "passkey 0", "passkey 1", "passkey 2", "passkey 3", "passkey 4", "passkey 5",
		"paired", "login", "probation", "refreshing", "dropping", "vouched", "held",
	} {
		if reached[name] < 25 {
			t.Errorf("%q was reached %d times", name, reached[name])
		}
	}
}

func FuzzMachine(f *testing.F) {
	for _, names := range []string{
		"device, lease, opened, refs, tick, lost",
		"device, lease, opened, refs, allowed, code, phone answers, pair-success, 515, logged in",
		"device, opened, allowed, refs, lease, allowed, no code, tick, device, lease, opened, refs, no code",
		"device, lease, opened, refs, challenge, answer, answer sent, passkey code, confirm, confirm sent, pair-success",
		"device, lease, opened, refs, challenge, answer, answer sent, answer, challenge, answer sent, passkey code, confirm sent, pair-success",
	} {
		var bytes []byte
		for _, b := range plan(names) {
			bytes = append(bytes, b, 6)
		}
		f.Add(uint16(len(names)), bytes)
	}
	f.Fuzz(func(t *testing.T, mode uint16, plan []byte) {
		newSchedule(t, mode).run(plan[:min(len(plan), 2000)])
	})
}

// offering returns a schedule with a pairing code on the screen.
func offering(t *testing.T) *schedule {
	t.Helper()
	s := newSchedule(t, 3)
	for _, in := range []Input{
		Start{},
		DeviceLoaded{Epoch: 1},
		Leased{1, nil},
		Opened{1},
		CodeAllowed{},
		Refs{1, []string{"a,b,c,d,e"}},
		CodeConfirmed{1, "ABCD-EFGH"},
	} {
		s.step(in)
	}
	return s
}

// A failure that another attempt cures now and then may come so often and no more.
func TestStrikesEnd(t *testing.T) {
	t.Parallel()
	s := newSchedule(t, 0)
	s.step(Start{})
	s.started = true
	for range FewTries {
		s.step(Lost{s.m.epoch, &Failure{Reason: ReasonPairing}, FewTries})
		if s.terminal > 0 {
			t.Fatal("too early")
		}
		s.now = s.m.Next()
		s.step(Tick{})
	}
	if s.step(Lost{s.m.epoch, &Failure{Reason: ReasonPairing}, FewTries}); s.terminal != 1 {
		t.Error("there is no end")
	}
}

func TestFourthAnswerWithdrawsTheCode(t *testing.T) {
	t.Parallel()
	s := offering(t)
	for range 3 {
		s.step(PhoneAnswered{1})
	}
	if !s.code {
		t.Fatal("three answers are too many")
	}
	s.step(PhoneAnswered{1})
	s.step(CodeAllowed{})
	if s.code || s.requested != 1 {
		t.Errorf("on the screen %t, requested %d", s.code, s.requested)
	}
}

func TestAnswersKeepACodeForAMinuteAtMostAfterItsExpiry(t *testing.T) {
	t.Parallel()
	s := offering(t)
	expires := s.m.code.expires
	for _, late := range []time.Duration{-time.Second, answerLimit / 2} {
		s.now = expires.Add(late)
		s.step(PhoneAnswered{1})
	}
	if late := s.m.code.deadline().Sub(expires); late <= 0 || late > answerLimit {
		t.Errorf("the code ends %v after its expiry", late)
	}
}

// After a wrong code the person types again.
func TestEachAnswerHasAMinuteForPairSuccess(t *testing.T) {
	t.Parallel()
	s := offering(t)
	for range maxAnswers {
		s.step(PhoneAnswered{1})
		if got := s.m.code.deadline().Sub(s.now); got != answerLimit {
			t.Errorf("pair-success may take %v, want %v", got, answerLimit)
		}
		s.now = s.now.Add(answerLimit - time.Second)
	}
}
