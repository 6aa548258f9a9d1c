package walink

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
	s.step(inStart{})
	s.started = true
	s.step(inTick{})
	for len(plan) >= 2 {
		in := s.input(plan[0], plan[1])
		if plan[1] >= 224 && s.terminal == 0 { // the tick of a deadline is late
			s.now = s.now.Add(max(s.m.next().Sub(s.now), 0) + time.Duration(plan[1]-224)*time.Second)
		}
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

func newSchedule(t *testing.T, mode uint16) *schedule {
	t.Helper()
	return &schedule{
		t: t, m: newMachine(testConfig(mode)), now: time.Unix(1_000_000, 0), reached: map[string]int{}, waiting: map[chan<- error]int{},
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
		{2, 3, 4, 5, 5, 8, 5, 7, 11, 12, 3, 13},
		{2, 3, 4, 5, 10, 18, 19, 17, 20, 21, 11, 12, 3, 13},          // with a passkey
		{2, 3, 4, 10, 18, 19, 18, 19, 10, 18, 19, 18, 19, 18, 19},    // that is refused, and asked for again
		{2, 3, 4, 10, 18, 17, 11, 12, 3, 13},                         // where WhatsApp's word comes late
		{2, 3, 4, 10, 18, 17, 20, 11, 12, 3, 13},                     // likewise
		{2, 3, 4, 14, 0, 2, 3, 14, 15, 0, 2, 3, 13, 14, 16, 0, 2, 3}, // with failures
	}
	reached := map[string]int{}
	for n := range uint64(6_000) {
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
		"paired", "login", "probation", "refreshing", "dropping", "vouched",
	} {
		if reached[name] < 25 {
			t.Errorf("%q was reached %d times", name, reached[name])
		}
	}
}

func FuzzMachine(f *testing.F) {
	f.Add(uint16(0), []byte{2, 2, 3, 3, 4, 6, 0, 255, 14, 1})
	f.Add(uint16(3), []byte{2, 2, 3, 3, 4, 6, 5, 1, 7, 1, 11, 1, 12, 1, 13, 1})
	f.Add(uint16(2), []byte{2, 2, 3, 3, 4, 6, 6, 1, 0, 1, 2, 2, 3, 3, 4, 6, 6, 9})
	f.Add(uint16(0), []byte{2, 2, 3, 3, 4, 6, 10, 1, 18, 1, 19, 1, 17, 1, 20, 1, 21, 1, 11, 1})
	f.Add(uint16(0x1f0), []byte{2, 2, 3, 3, 4, 6, 10, 3, 18, 1, 19, 3, 18, 1, 10, 1, 19, 1, 17, 2, 21, 1, 11, 1})
	f.Fuzz(func(t *testing.T, mode uint16, plan []byte) {
		newSchedule(t, mode).run(plan[:min(len(plan), 2000)])
	})
}

// A failure that another attempt cures now and then may come so often and no more.
func TestStrikesEnd(t *testing.T) {
	t.Parallel()
	s := newSchedule(t, 0)
	s.step(inStart{})
	s.started = true
	for range fewTries {
		s.step(inLost{s.m.epoch, &Error{Reason: ErrPairing}, fewTries})
		if s.terminal > 0 {
			t.Fatal("too early")
		}
		s.now = s.m.next()
		s.step(inTick{})
	}
	if s.step(inLost{s.m.epoch, &Error{Reason: ErrPairing}, fewTries}); s.terminal != 1 {
		t.Error("there is no end")
	}
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
