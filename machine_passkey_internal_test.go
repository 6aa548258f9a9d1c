package walink

import (
	"errors"
	"testing"
)

// asked steps a machine with a hook up to its first challenge.
func asked(t *testing.T) *schedule {
	t.Helper()
	s := newSchedule(t, 128)
	for _, in := range []input{
		inStart{}, inDevice{epoch: 1}, inOpened{1}, inRefs{1, []string{"a,b,c,d,e"}}, inPasskey{1, []byte(`{}`), nil},
	} {
		s.step(in)
	}
	return s
}

// effects steps the machine, and returns what it wants done.
func (s *schedule) effects(in input) []effect {
	s.t.Helper()
	effects := s.m.step(s.now, in)
	for _, e := range effects {
		s.effect(in, e)
	}
	return effects
}

// A hook that was asked for a challenge that another has replaced says nothing
// about that one.
func TestHookOfAnEarlierChallengeIsNotHeard(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]input{
		"fails":   inPasskeyFailed{1, 1, &Error{Reason: ErrPasskey, Err: errors.New("cancelled")}},
		"answers": inPasskeyGiven{1, 1, goodAssertion},
		"refused": inPasskeyGiven{1, 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := asked(t)
			s.step(inPasskey{1, []byte(`{"timeout":1}`), nil})
			if effects := s.effects(late); len(effects) != 0 || !s.m.at(stepAnswer) {
				t.Errorf("leads to %#v", effects)
			}
			if effects := s.effects(inPasskeyGiven{1, 2, goodAssertion}); len(effects) != 1 || !s.m.at(stepSending) {
				t.Errorf("the answer to the second leads to %#v", effects)
			}
		})
	}
}

// While an answer is on its way to a challenge that another has replaced, the
// new challenge can be answered.
func TestAnswerUnderAnEarlierOne(t *testing.T) {
	t.Parallel()
	s := asked(t)
	s.step(inAnswer{goodAssertion, nil})
	s.step(inPasskey{1, []byte(`{"timeout":1}`), nil})
	effects := s.effects(inAnswer{goodAssertion, nil})
	if answer, ok := effects[0].(doAnswer); !ok || answer.answer != 2 {
		t.Fatalf("leads to %#v", effects)
	}
	s.step(inPasskeySent{1, 1, &Error{Reason: ErrPasskey}})
	if !s.m.at(stepSending) {
		t.Error("the first answer's refusal was taken for the second's")
	}
	s.step(inPasskeySent{1, 2, nil})
	if !s.m.at(stepPhone) {
		t.Error("the second answer's success does not count")
	}
}

// A hook that has given up meanwhile is asked again where a person's answer is refused.
func TestHookIsAskedAgainAfterAnothersAnswer(t *testing.T) {
	t.Parallel()
	s := asked(t)
	s.step(inAnswer{goodAssertion, nil})
	if effects := s.effects(inPasskeyFailed{1, 1, &Error{Reason: ErrPasskey}}); len(effects) != 0 {
		t.Errorf("an attempt that is being answered leads to %#v", effects)
	}
	effects := s.effects(inPasskeySent{1, 1, &Error{Reason: ErrPasskey}})
	if len(effects) != 1 {
		t.Fatalf("a refusal leads to %#v", effects)
	}
	if again, ok := effects[0].(doAskPasskey); !ok || again.number != 1 {
		t.Errorf("a refusal leads to %#v", effects)
	}
}

// A challenge that comes twice, as it may when it is fetched again, is one.
func TestSameChallengeAgainChangesNothing(t *testing.T) {
	t.Parallel()
	s := asked(t)
	s.step(inAnswer{goodAssertion, nil})
	if effects := s.effects(inPasskey{1, []byte(`{}`), nil}); len(effects) != 0 || !s.m.at(stepSending) {
		t.Errorf("leads to %#v", effects)
	}
}

// WhatsApp goes on with what it has accepted, so whoever waits hears that, and
// not of the connection whose end was faster than the answer.
func TestGoingOnIsAccepted(t *testing.T) {
	t.Parallel()
	s := asked(t)
	answered, confirmed := make(chan error, 1), make(chan error, 1)
	closed := &Error{Reason: ErrNetwork, Err: errConnectionClosed}
	for _, step := range []struct {
		reply             chan error
		begin, goOn, late input
	}{
		{answered, inAnswer{goodAssertion, answered}, inPasskeyCode{1, "ABCD-EFGH", false}, inPasskeySent{1, 1, closed}},
		{confirmed, inConfirm{confirmed}, inPaired{1, Account{}}, inConfirmed{1, closed}},
	} {
		s.step(step.begin)
		said := false
		for _, e := range s.effects(step.goOn) {
			if reply, ok := e.(doReply); ok {
				tell(reply.reply, reply.err)
				said = true
			}
		}
		tell(step.reply, closed)
		if err := <-step.reply; !said || err != nil {
			t.Errorf("after %T the caller hears %v", step.goOn, err)
		}
		if effects := s.effects(step.late); len(effects) != 0 {
			t.Errorf("the late answer leads to %#v", effects)
		}
	}
}

// What goes on may be the answer to an earlier challenge, while that to the
// second has not been sent.
func TestGoingOnIsNotTakenForAnAnswerThatWaits(t *testing.T) {
	t.Parallel()
	s := asked(t)
	s.step(inAnswer{goodAssertion, make(chan<- error, 1)})
	s.step(inPasskey{1, []byte(`{"timeout":1}`), nil})
	s.step(inAnswer{goodAssertion, make(chan<- error, 1)})
	for _, e := range s.effects(inPasskeyCode{1, "ABCD-EFGH", false}) {
		if reply, ok := e.(doReply); ok {
			t.Errorf("the second caller hears %v", reply.err)
		}
	}
}

// What WhatsApp refused before is not what went wrong once it has accepted.
func TestRefusalIsForgottenWhenTheCeremonyGoesOn(t *testing.T) {
	t.Parallel()
	s := asked(t)
	s.step(inAnswer{goodAssertion, nil})
	s.step(inPasskeySent{1, 1, &Error{Reason: ErrPasskey}})
	s.step(inAnswer{goodAssertion, nil})
	s.step(inPasskeyCode{1, "ABCD-EFGH", false})
	for _, e := range s.effects(inStop{&Error{Reason: ErrCanceled, Op: "link"}}) {
		if emit, ok := e.(doEmit); ok {
			if failed, ok := emit.event.(Failed); ok && errors.Is(failed.Err, ErrPasskey) {
				t.Errorf("the Link ends with %v", failed.Err)
			}
		}
	}
}

// A hook that hands on a nil *Error has failed all the same.
func TestHookThatFailsWithNil(t *testing.T) {
	t.Parallel()
	var none *Error
	err := passkeyFailed(none)
	if err == nil || err.Reason != ErrPasskey || err.Remedy() != ErrPasskey.remedy() {
		t.Errorf("the failure is %v", err)
	}
}
