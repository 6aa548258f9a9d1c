package machine

import (
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"go.mau.fi/whatsmeow/types"
)

// testConfig is a configuration for each mode.
func testConfig(mode uint16) Config {
	has := func(bit int) bool { return mode>>(4+bit)&1 != 0 }
	c := Config{
		OtherForm: has(6), VersionRefresh: has(0), Patient: has(2), Hook: has(3), CompareCode: has(4),
		Timeout: 10 * time.Minute, Jitter: func() float64 { return 0.5 },
	}
	switch mode % 16 % 5 {
	case 0:
		c.QR = true
	case 1:
		c.Code = true
	case 2:
		c.Code, c.Fallback = true, true
	case 3:
		c.Code, c.QR = true, true
	case 4:
		c.ResumeOnly, c.QR = true, true
	}
	if has(1) {
		c.Timeout = 0
	}
	if has(5) {
		c.Probation = 20 * time.Second
	}
	return c
}

// testReasons are failures, one for each reason.
func testReasons() []*Failure {
	list := []*Failure{{Reason: ReasonRateLimited, RetryAfter: time.Minute}, {Reason: ReasonTemporarilyBanned, RetryAfter: time.Hour}}
	for _, reason := range []Reason{
		ReasonNetwork, ReasonServer, ReasonStalled, ReasonPairing, ReasonWrongAccount, ReasonClientOutdated, ReasonLoggedOut, ReasonBanned, ReasonForbidden,
		ReasonCodeRefused, ReasonStore, ReasonProxy, ReasonRemoved, ReasonReplaced, ReasonMultideviceOff, ReasonPasskey, ReasonSessionBusy, ReasonTimeout, ReasonClosed,
	} {
		list = append(list, &Failure{Reason: reason})
	}
	return list
}

// choice is one kind of input: arg decides its details.
type choice struct {
	name string
	make func(s *schedule, epoch int, arg byte) Input
}

// choices are the inputs that a plan can have, in the order of their bytes.
func choices() []choice {
	fault := func(arg byte) *Failure {
		reasons := testReasons()
		return reasons[int(arg)%len(reasons)]
	}
	account := func(arg byte) Account {
		if arg%32 == 9 {
			return Account{JID: types.NewADJID("5511900000000", 0, 1)}
		}
		return Account{JID: types.NewADJID("5511987654321", 0, 1)}
	}
	tick := func(*schedule, int, byte) Input { return Tick{} }
	return []choice{
		{"tick", tick},
		{"pass", tick},
		{"device", func(_ *schedule, epoch int, arg byte) Input {
			if arg%8 == 7 {
				return DeviceLoaded{Epoch: epoch, Err: fault(arg)}
			}
			return DeviceLoaded{Epoch: epoch, Linked: arg%8 == 1}
		}},
		{"lease", func(_ *schedule, epoch int, arg byte) Input {
			if arg%8 == 7 {
				return Leased{epoch, fault(arg)}
			}
			return Leased{epoch, nil}
		}},
		{"opened", func(_ *schedule, epoch int, _ byte) Input { return Opened{epoch} }},
		{"refs", func(_ *schedule, epoch int, arg byte) Input {
			all := []string{"a,b,c,d,e", "f,b,c,d,e", "g,b,c,d,e", "h,b,c,d,e", "i,b,c,d,e", "j,b,c,d,e"}
			return Refs{epoch, slices.Clone(all[:arg%7])}
		}},
		{"allowed", func(s *schedule, _ int, arg byte) Input {
			if !s.counting { // the ledger answers nobody who has not asked
				return Tick{}
			}
			if arg%8 == 7 {
				return CodeAllowed{&Failure{Reason: []Reason{ReasonRateLimited, ReasonStore}[arg/8%2]}}
			}
			return CodeAllowed{}
		}},
		{"code", func(_ *schedule, epoch int, _ byte) Input { return CodeConfirmed{epoch, "ABCD-EFGH"} }},
		{"no code", func(_ *schedule, epoch int, arg byte) Input { return CodeFailed{epoch, fault(arg)} }},
		{"phone answers", func(_ *schedule, epoch int, _ byte) Input { return PhoneAnswered{epoch} }},
		{"phone refuses", func(_ *schedule, epoch int, arg byte) Input { return PhoneRefused{epoch, arg%2 == 0} }},
		{"attended", func(*schedule, int, byte) Input { return Attended{} }},
		{"secret", func(_ *schedule, epoch int, arg byte) Input {
			return SecretChanged{epoch, string(rune('a' + arg%26)), arg%2 == 0}
		}},
		{"challenge", func(_ *schedule, epoch int, arg byte) Input {
			challenge := []string{"{}", testChallenge, `"not a challenge"`}[arg%3]
			return PasskeyWanted{epoch, []byte(challenge), or(arg/3, fault(arg))}
		}},
		{"pair-success", func(_ *schedule, epoch int, arg byte) Input { return PairSuccess{epoch, account(arg)} }},
		{"515", func(_ *schedule, epoch int, _ byte) Input { return RestartWanted{epoch} }},
		{"logged in", func(_ *schedule, epoch int, arg byte) Input { return LoggedIn{epoch, account(arg)} }},
		{"lost", func(_ *schedule, epoch int, arg byte) Input { return Lost{epoch, fault(arg), int(arg%5) - 1} }},
		{"version", func(_ *schedule, epoch int, arg byte) Input {
			if arg%2 == 0 {
				return VersionRefreshed{epoch, fault(arg / 2)}
			}
			return VersionRefreshed{epoch, nil}
		}},
		{"dropped", func(_ *schedule, epoch int, arg byte) Input {
			if arg%4 == 0 {
				return SessionDropped{epoch, &Failure{Reason: ReasonStore}}
			}
			return SessionDropped{epoch, nil}
		}},
		{"passkey code", func(_ *schedule, epoch int, arg byte) Input { return PasskeyCode{epoch, "ABCD-EFGH", arg%2 == 0} }},
		{"answer", func(s *schedule, _ int, arg byte) Input { return Answer{s.call(), s.assertion(arg)} }},
		{"answer sent", func(s *schedule, epoch int, arg byte) Input {
			if s.sent == 0 || arg%8 == 5 {
				return AnswerSent{epoch, s.earlier, or(arg, fault(arg))}
			}
			return AnswerSent{epoch, s.sent, or(arg, &Failure{Reason: ReasonPasskey})}
		}},
		{"confirm", func(s *schedule, _ int, _ byte) Input { return Confirm{s.call()} }},
		{"confirm sent", func(s *schedule, epoch int, arg byte) Input {
			if len(s.confirms) == 0 { // WhatsApp answers no confirmation that was not sent
				return Tick{}
			}
			sent := s.confirms[0]
			return ConfirmSent{epoch, sent.Challenge, sent.Answer, or(arg, fault(arg))}
		}},
		{"hook", func(s *schedule, epoch int, arg byte) Input {
			number := s.m.ceremony.number - int(arg%2)
			if arg%4 < 2 {
				return HookAnswered{epoch, number, s.call(), s.assertion(arg / 4)}
			}
			return HookFailed{epoch, number, &Failure{Reason: ReasonPasskey}}
		}},
		{"stop", func(_ *schedule, _ int, arg byte) Input {
			if arg > 240 {
				return Stop{fault(arg)}
			}
			return Tick{}
		}},
	}
}

// input chooses what to feed next. Some arguments make it late news of an earlier
// connection, or early news of one that does not exist.
func (s *schedule) input(b, arg byte) Input {
	epoch := s.m.epoch
	switch {
	case arg == 0 && epoch > 1:
		epoch--
	case arg == 255:
		epoch++
	case arg == 254:
		epoch += 7
	}
	all := choices()
	return all[int(b)%len(all)].make(s, epoch, arg)
}

// plan is the bytes of inputs that are given by their names, separated by commas.
func plan(names string) []byte {
	all := choices()
	var bytes []byte
	for name := range strings.SplitSeq(names, ", ") {
		i := slices.IndexFunc(all, func(c choice) bool { return c.name == name })
		if i < 0 {
			panic("no input is called " + name)
		}
		bytes = append(bytes, byte(i))
	}
	return bytes
}

// call returns the number of another call of AnswerPasskey or ConfirmPasskey.
func (s *schedule) call() int {
	s.calls++
	return s.calls
}

// assertion answers the challenge that was asked last, mostly.
func (s *schedule) assertion(arg byte) []byte {
	switch {
	case arg%8 == 0:
		return []byte("{}")
	case string(s.m.ceremony.challenge) == testChallenge:
		return assertionJSON(func(_, _, _ map[string]any) {})
	}
	return goodAssertion
}

// goodAssertion is one for a challenge that says nothing.
var goodAssertion = []byte(`{"id":"YQ","rawId":"YQ","type":"public-key","response":{"clientDataJSON":"` +
	base64.RawURLEncoding.EncodeToString([]byte(`{"type":"webauthn.get"}`)) + `","authenticatorData":"YQ","signature":"YQ"}}`)

// or is the error in every third case.
func or(arg byte, err *Failure) *Failure {
	if arg%3 == 0 {
		return err
	}
	return nil
}
