package machine

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// asked steps a machine with a hook up to its first challenge.
func asked(t *testing.T) *schedule {
	t.Helper()
	s := newSchedule(t, 128)
	for _, in := range []Input{
		Start{}, DeviceLoaded{Epoch: 1}, Leased{1, nil}, Opened{1}, Refs{1, []string{"a,b,c,d,e"}}, PasskeyWanted{1, []byte(`{}`), nil},
	} {
		s.step(in)
	}
	return s
}

// effects steps the machine, and returns what it wants done.
func (s *schedule) effects(in Input) []Effect {
	s.t.Helper()
	s.told(in)
	effects := s.m.Step(s.now, in)
	for _, e := range effects {
		s.effect(in, e)
	}
	return effects
}

// A hook that was asked for a challenge that another has replaced says nothing
// about that one.
func TestHookOfAnEarlierChallengeIsNotHeard(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]Input{
		"fails":   HookFailed{1, 1, &Failure{Reason: ReasonPasskey, Err: errors.New("cancelled")}},
		"answers": HookAnswered{1, 1, 9, goodAssertion},
		"refused": HookAnswered{1, 1, 9, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := asked(t)
			s.step(PasskeyWanted{1, []byte(`{"timeout":1}`), nil})
			if effects := s.effects(late); len(effects) != 0 || !s.m.at(stepAnswer) {
				t.Errorf("leads to %#v", effects)
			}
			if effects := s.effects(HookAnswered{1, 2, 10, goodAssertion}); len(effects) != 1 || !s.m.at(stepSending) {
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
	s.step(Answer{1, goodAssertion})
	s.step(PasskeyWanted{1, []byte(`{"timeout":1}`), nil})
	effects := s.effects(Answer{2, goodAssertion})
	if answer, ok := effects[0].(SendAnswer); !ok || answer.Answer != 2 {
		t.Fatalf("leads to %#v", effects)
	}
	wantReply(t, s.effects(AnswerSent{1, 1, &Failure{Reason: ReasonPasskey}}), 1, ReasonPasskey)
	if !s.m.at(stepSending) {
		t.Error("the first answer's refusal was taken for the second's")
	}
	wantReply(t, s.effects(AnswerSent{1, 2, nil}), 2, "")
	if !s.m.at(stepPhone) {
		t.Error("the second answer's success does not count")
	}
}

// wantReply fails the test unless the call gets exactly one reply, with the
// reason; "" is none.
func wantReply(t *testing.T, effects []Effect, call int, want Reason) {
	t.Helper()
	replies := 0
	for _, e := range effects {
		reply, ok := e.(Reply)
		if !ok || reply.Answer != call {
			continue
		}
		replies++
		if got := reply.Err; (got == nil) != (want == "") || got != nil && got.Reason != want {
			t.Errorf("the call %d is told %+v, want %q", call, got, want)
		}
	}
	if replies != 1 {
		t.Errorf("the call %d is told %d times in %#v", call, replies, effects)
	}
}

// A hook that has given up meanwhile is asked again if a person's answer is refused.
func TestHookIsAskedAgainAfterAnothersAnswer(t *testing.T) {
	t.Parallel()
	s := asked(t)
	s.step(Answer{1, goodAssertion})
	if effects := s.effects(HookFailed{1, 1, &Failure{Reason: ReasonPasskey}}); len(effects) != 0 {
		t.Errorf("an attempt that is being answered leads to %#v", effects)
	}
	effects := s.effects(AnswerSent{1, 1, &Failure{Reason: ReasonPasskey}})
	wantReply(t, effects, 1, ReasonPasskey)
	if again, ok := effects[len(effects)-1].(AskHook); !ok || again.Number != 1 {
		t.Errorf("a refusal leads to %#v", effects)
	}
}

// A challenge that comes twice, as it may when it is fetched again, is one.
func TestSameChallengeAgainChangesNothing(t *testing.T) {
	t.Parallel()
	s := asked(t)
	s.step(Answer{1, goodAssertion})
	if effects := s.effects(PasskeyWanted{1, []byte(`{}`), nil}); len(effects) != 0 || !s.m.at(stepSending) {
		t.Errorf("leads to %#v", effects)
	}
}

// WhatsApp goes on with what it has accepted, so the caller is told that, and not
// the end of the connection, which was faster than the answer.
func TestGoingOnIsAccepted(t *testing.T) {
	t.Parallel()
	s := asked(t)
	closed := &Failure{Reason: ReasonNetwork}
	for _, step := range []struct {
		call              int
		begin, goOn, late Input
	}{
		{1, Answer{1, goodAssertion}, PasskeyCode{1, "ABCD-EFGH", false}, AnswerSent{1, 1, closed}},
		{2, Confirm{2}, PairSuccess{1, Account{}}, ConfirmSent{1, 1, 2, closed}},
	} {
		s.step(step.begin)
		wantReply(t, s.effects(step.goOn), step.call, "")
		if effects := s.effects(step.late); len(effects) != 0 {
			t.Errorf("the late answer leads to %#v", effects)
		}
	}
}

// WhatsApp may have gone on with the answer to an earlier challenge, while the one
// to the second has not been sent.
func TestGoingOnIsNotTakenForAnAnswerThatWaits(t *testing.T) {
	t.Parallel()
	s := asked(t)
	s.step(Answer{1, goodAssertion})
	s.step(PasskeyWanted{1, []byte(`{"timeout":1}`), nil})
	s.step(Answer{2, goodAssertion})
	for _, e := range s.effects(PasskeyCode{1, "ABCD-EFGH", false}) {
		if reply, ok := e.(Reply); ok {
			t.Errorf("the call %d is told %v", reply.Answer, reply.Err)
		}
	}
}

// A confirmation whose challenge another one has replaced still gets WhatsApp's word,
// and the one to the new challenge does not get it.
func TestConfirmationOfAnEarlierChallengeIsAnswered(t *testing.T) {
	t.Parallel()
	s := asked(t)
	for _, in := range []Input{
		Answer{1, goodAssertion},
		PasskeyCode{1, "ABCD-EFGH", false},
		Confirm{2},
		PasskeyWanted{1, []byte(`{"timeout":1}`), nil},
		AnswerSent{1, 1, nil},
		Answer{3, goodAssertion},
		PasskeyCode{1, "ABCD-EFGH", false},
		Confirm{4},
	} {
		s.step(in)
	}
	effects := s.effects(ConfirmSent{1, 1, 2, &Failure{Reason: ReasonPasskey}})
	wantReply(t, effects, 2, ReasonPasskey)
	if len(effects) != 1 || !s.m.at(stepConfirm) {
		t.Errorf("leads to %#v", effects)
	}
	wantReply(t, s.effects(ConfirmSent{1, 2, 4, nil}), 4, "")
}

// A lease that is refused ends the Link, although the connection that was opened
// meanwhile has failed.
func TestRefusedLeaseEndsTheLinkAfterALostConnection(t *testing.T) {
	t.Parallel()
	s := newSchedule(t, 0)
	for _, in := range []Input{Start{}, DeviceLoaded{Epoch: 1}, Lost{1, &Failure{Reason: ReasonNetwork}, 0}} {
		s.step(in)
	}
	if s.step(Leased{1, &Failure{Reason: ReasonSessionBusy}}); s.terminal != 1 {
		t.Error("the Link goes on")
	}
}

// A connection that ends under an answer tells its caller why.
func TestEndOfTheConnectionIsTheAnswer(t *testing.T) {
	t.Parallel()
	s := asked(t)
	s.step(Answer{1, goodAssertion})
	wantReply(t, s.effects(Lost{1, &Failure{Reason: ReasonServer}, 0}), 1, ReasonServer)
}

// A refusal is not why a Link ended once WhatsApp has accepted a later answer.
func TestRefusalIsForgottenWhenTheCeremonyGoesOn(t *testing.T) {
	t.Parallel()
	s := asked(t)
	s.step(Answer{1, goodAssertion})
	s.step(AnswerSent{1, 1, &Failure{Reason: ReasonPasskey}})
	s.step(Answer{2, goodAssertion})
	s.step(PasskeyCode{1, "ABCD-EFGH", false})
	for _, e := range s.effects(Stop{&Failure{Reason: ReasonCanceled, Op: "link"}}) {
		if tell, ok := e.(Tell); ok {
			if failed, ok := tell.Fact.(Failed); ok && failed.Err.Last != nil {
				t.Errorf("the Link ends with %+v", failed.Err.Last)
			}
		}
	}
}

func TestPains06PasskeyEndsTheCodesAndHoldsTheSocket(t *testing.T) {
	t.Parallel()
	s := newSchedule(t, 3)
	s.m.cfg.Patient = true // the default timeout is no longer than the challenge's life
	for _, in := range []Input{
		Start{},
		DeviceLoaded{Epoch: 1},
		Leased{1, nil},
		Opened{1},
		CodeAllowed{},
		Refs{1, []string{"a,b,c,d,e", "f,b,c,d,e"}},
		CodeConfirmed{1, "ABCD-EFGH"},
	} {
		s.step(in)
	}
	effects := s.m.Step(s.now, PasskeyWanted{1, []byte(`{}`), nil})
	want := []Effect{Tell{PasskeyRequired{Challenge: []byte(`{}`), Expires: s.now.Add(passkeyLife), HandoffExpires: s.now.Add(HandoffLife)}}}
	if diff := cmp.Diff(want, effects); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
	// The refs and the code would run out now: nothing may happen to the connection.
	if effects := s.m.Step(s.now.Add(codeLife), Tick{}); len(effects) != 0 {
		t.Errorf("the connection is not held: %v", effects)
	}
	effects = s.m.Step(s.now.Add(passkeyLife), Tick{})
	if len(effects) != 2 {
		t.Fatalf("effects %v", effects)
	}
	tell, _ := effects[1].(Tell)
	if retrying, ok := tell.Fact.(Retrying); !ok || retrying.Err.Reason != ReasonPasskey {
		t.Errorf("unexpected %v", effects[1])
	}
}
