package walink

import (
	"encoding/base64"
	"errors"
	"slices"
	"time"

	"go.mau.fi/whatsmeow/types"
)

// testConfig is a configuration for each mode.
func testConfig(mode uint16) config {
	has := func(bit int) bool { return mode>>(4+bit)&1 != 0 }
	c := config{
		phone: phoneFromDigits("5511987654321"), versionRefresh: has(0), patient: has(2),
		passkeyHook: has(3), checkCode: has(4),
		timeout: 10 * time.Minute, jitter: func() float64 { return 0.5 },
	}
	switch mode % 16 % 5 {
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
	if has(1) {
		c.timeout = 0
	}
	if has(5) {
		c.probation = 20 * time.Second
	}
	return c
}

// testReasons are the reasons that a failure may have.
func testReasons() []*Error {
	list := []*Error{{Reason: ErrRateLimited, RetryAfter: time.Minute}, {Reason: ErrTemporarilyBanned, RetryAfter: time.Hour}}
	for _, reason := range []Reason{
		ErrNetwork, ErrServer, ErrStalled, ErrPairing, ErrWrongAccount, ErrClientOutdated, ErrLoggedOut, ErrBanned, ErrForbidden,
		ErrCodeRefused, ErrStore, ErrProxy, ErrRemoved, ErrReplaced, ErrMultideviceOff, ErrPasskey, ErrSessionBusy, ErrTimeout, ErrClosed,
	} {
		list = append(list, &Error{Reason: reason})
	}
	return list
}

// input chooses what to feed next.
func (s *schedule) input(b, arg byte) input {
	epoch := s.m.epoch
	switch {
	case arg == 0 && epoch > 1:
		epoch-- // late news of a socket that is gone
	case arg == 255:
		epoch++
	case arg == 254:
		epoch += 7
	}
	reasons := testReasons()
	fault := reasons[int(arg)%len(reasons)]
	account := Account{JID: types.NewADJID("5511987654321", 0, 1), Phone: phoneFromDigits("5511987654321")}
	if arg%32 == 9 {
		account.Phone = phoneFromDigits("5511900000000")
	}
	switch b % 24 {
	case 0, 1:
		return inTick{}
	case 2:
		var err *Error
		if arg%8 == 7 {
			err = fault
		}
		return inDevice{epoch, arg%8 == 1, account, err}
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
		challenge := []string{"{}", testChallenge, `"not a challenge"`}[arg%3]
		return inPasskey{epoch, []byte(challenge), or(arg/3, fault)}
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
		return inAnswer{s.assertion(arg), make(chan<- error, 1)}
	case 19:
		if s.sent == 0 || arg%8 == 5 {
			return inPasskeySent{epoch, s.m.ceremony.answer - 1, or(arg, fault)}
		}
		return inPasskeySent{epoch, s.sent, or(arg, &Error{Reason: ErrPasskey})}
	case 20:
		return inConfirm{make(chan<- error, 1)}
	case 21:
		return inConfirmed{epoch, or(arg, fault)}
	case 22:
		number := s.m.ceremony.number - int(arg%2)
		if arg%4 < 2 {
			return inPasskeyGiven{epoch, number, s.assertion(arg / 4)}
		}
		return inPasskeyFailed{epoch, number, &Error{Reason: ErrPasskey}}
	}
	if arg > 240 {
		return inStop{fault}
	}
	return inTick{}
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
func or(arg byte, err *Error) *Error {
	if arg%3 == 0 {
		return err
	}
	return nil
}
