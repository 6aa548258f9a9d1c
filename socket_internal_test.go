package walink

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"go.mau.fi/whatsmeow/util/keys"
)

// What a socket posts for that which the fake server cannot send.
func TestSocketTellsWhatArrives(t *testing.T) {
	t.Parallel()
	challenge := func(content any) *waBinary.Node {
		return &waBinary.Node{
			Tag: "notification", Attrs: waBinary.Attrs{"type": "passkey_prologue_request", "from": types.ServerJID},
			Content: []waBinary.Node{{Tag: "passkey_request_options", Content: content}},
		}
	}
	for name, c := range map[string]struct {
		arrives func(*socket)
		want    input
	}{
		"passkey": {
			func(s *socket) {
				s.recv(challenge([]byte(`{"challenge": "YWJj"}`)))
				s.handle(&events.PairPasskeyRequest{})
			},
			inPasskey{7, []byte(`{"challenge": "YWJj"}`), nil},
		},
		"passkey that cannot be parsed": {
			func(s *socket) {
				s.recv(challenge([]byte(`{"chal`)))
				s.handle(&events.PairPasskeyError{Error: errors.New("no JSON")})
			},
			inPasskey{7, []byte(`"{\"chal"`), &Error{Reason: ErrPasskey, Op: "read challenge", Err: errBadChallenge}},
		},
		"passkey that was fetched again": {
			func(s *socket) {
				s.recv(challenge([]byte(`{"chal`)))
				s.recv(&waBinary.Node{Tag: "iq", Content: []waBinary.Node{{Tag: "passkey_request_options", Content: []byte(`{}`)}}})
				s.handle(&events.PairPasskeyRequest{})
			},
			inPasskey{7, []byte(`{}`), nil},
		},
		"passkey confirmation": {
			func(s *socket) { s.handle(&events.PairPasskeyConfirmation{Code: "ABCD-EFGH", SkipHandoffUX: true}) },
			inPasskeyCode{7, "ABCD-EFGH", true},
		},
		"multidevice off": {
			func(s *socket) { s.handle(&events.QRScannedWithoutMultidevice{}) },
			inLost{7, &Error{Reason: ErrMultideviceOff, Op: "scan"}, fewTries},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &socket{epoch: 7, inbox: newInbox(), device: &wastore.Device{NoiseKey: keys.NewKeyPair()}}
			c.arrives(s)
			if diff := cmp.Diff([]input{c.want}, s.inbox.take(), cmp.AllowUnexported(inPasskey{}, inPasskeyCode{}, inLost{}), cmp.Comparer(sameError)); diff != "" {
				t.Errorf("posted (-want +got):\n%s", diff)
			}
		})
	}
}

func sameError(a, b *Error) bool {
	return a == b || a != nil && b != nil && a.Error() == b.Error()
}

func TestPains06PasskeyEndsTheCodesAndHoldsTheSocket(t *testing.T) {
	t.Parallel()
	s := newSchedule(t, 3)
	s.m.cfg.patient = true // the default timeout is no longer than the challenge's life
	s.step(inStart{})
	s.step(inDevice{epoch: 1})
	s.step(inOpened{1})
	s.step(inRefs{1, []string{"a,b,c,d,e", "f,b,c,d,e"}})
	s.step(inCode{1, "ABCD-EFGH"})
	effects := s.m.step(s.now, inPasskey{1, []byte(`{}`), nil})
	want := []effect{doEmit{PasskeyRequired{Challenge: []byte(`{}`), Expires: s.now.Add(passkeyLife), HandoffExpires: s.now.Add(handoffLife)}}}
	if diff := cmp.Diff(want, effects, cmp.AllowUnexported(doEmit{})); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
	// The refs and the code would run out now: nothing may happen to the socket.
	if effects := s.m.step(s.now.Add(codeLife), inTick{}); len(effects) != 0 {
		t.Errorf("the socket is not held: %v", effects)
	}
	effects = s.m.step(s.now.Add(passkeyLife), inTick{})
	if len(effects) != 2 {
		t.Fatalf("effects %v", effects)
	}
	if retrying, ok := effects[1].(doEmit).event.(Retrying); !ok || !errors.Is(retrying.Err, ErrPasskey) {
		t.Errorf("unexpected %v", effects[1])
	}
}

// whatsmeow handles what follows a pair-success in one goroutine and tells of
// pair-success in another, so either may come first.
func TestWhatOvertakesPairSuccessWaitsForIt(t *testing.T) {
	t.Parallel()
	pairSuccess := &waBinary.Node{Tag: "iq", Attrs: waBinary.Attrs{"from": types.ServerJID}, Content: []waBinary.Node{{Tag: "pair-success"}}}
	synctest.Test(t, func(t *testing.T) {
		s := &socket{epoch: 7, inbox: newInbox(), device: &wastore.Device{NoiseKey: keys.NewKeyPair()}}
		s.recv(pairSuccess)
		s.handle(&events.ManualLoginReconnect{})
		go s.recv(&waBinary.Node{Tag: "failure", Attrs: waBinary.Attrs{"reason": "401"}})
		synctest.Wait()
		if early := s.inbox.take(); len(early) > 0 {
			t.Errorf("posted too early: %v", early)
		}
		s.handle(&events.PairSuccess{})
		synctest.Wait()
		got := s.inbox.take()
		if len(got) != 3 {
			t.Fatalf("posted %v", got)
		}
		if _, ok := got[0].(inPaired); !ok || got[1] != (inReconnect{7}) {
			t.Errorf("posted %v", got)
		}
		if lost, ok := got[2].(inLost); !ok || lost.err.Reason != ErrLoggedOut {
			t.Errorf("posted %v", got[2])
		}
	})
	synctest.Test(t, func(t *testing.T) {
		// whatsmeow has dropped the pair-success.
		s := &socket{epoch: 7, inbox: newInbox(), device: &wastore.Device{NoiseKey: keys.NewKeyPair()}}
		s.recv(pairSuccess)
		s.handle(&events.Disconnected{})
		<-time.After(storeGrace + time.Second)
		if got := s.inbox.take(); len(got) != 1 {
			t.Errorf("posted %v", got)
		}
	})

	s := &socket{epoch: 7, inbox: newInbox(), device: &wastore.Device{NoiseKey: keys.NewKeyPair()}}
	s.recv(pairSuccess)
	s.handle(&events.Disconnected{})
	s.handle(&events.PairError{Error: whatsmeow.ErrPairInvalidDeviceSignature})
	got := s.inbox.take()
	if len(got) != 1 || got[0].(inLost).err.Reason != ErrPairing { //nolint:forcetypeassert,errcheck // it would be told
		t.Errorf("posted %v", got)
	}
}
