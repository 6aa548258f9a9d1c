package walink

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
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
			func(s *socket) { s.recv(challenge([]byte(`{"challenge": "YWJj"}`))) },
			inPasskey{7, []byte(`{"challenge": "YWJj"}`)},
		},
		"passkey that cannot be parsed": {
			func(s *socket) { s.recv(challenge([]byte(`{"chal`))) },
			inPasskey{7, []byte(`"{\"chal"`)},
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
			var got []input
			s := &socket{epoch: 7, post: func(in input) { got = append(got, in) }, device: &wastore.Device{NoiseKey: keys.NewKeyPair()}}
			c.arrives(s)
			if diff := cmp.Diff([]input{c.want}, got, cmp.AllowUnexported(inPasskey{}, inPasskeyCode{}, inLost{})); diff != "" {
				t.Errorf("posted (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPasskeyEndsTheCodesAndHoldsTheSocket(t *testing.T) {
	t.Parallel()
	s := newSchedule(t, 3)
	s.step(inStart{})
	s.step(inDevice{epoch: 1})
	s.step(inOpened{1})
	s.step(inRefs{1, []string{"a,b,c,d,e", "f,b,c,d,e"}})
	s.step(inCode{1, "ABCD-EFGH"})
	effects := s.m.step(s.now, inPasskey{1, []byte(`{}`)})
	want := []effect{doEmit{PasskeyRequired{Challenge: []byte(`{}`), Expires: s.now.Add(passkeyLife), HandoffExpires: s.now.Add(handoffLife)}}}
	if diff := cmp.Diff(want, effects, cmp.AllowUnexported(doEmit{})); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
	// The refs and the code would run out now: nothing may happen to the socket.
	if effects := s.m.step(s.now.Add(codeLife), inTick{}); len(effects) != 0 {
		t.Errorf("the socket is not held: %v", effects)
	}
	effects = s.m.step(s.now.Add(passkeyLife), inTick{})
	if len(effects) != 1 {
		t.Fatalf("effects %v", effects)
	}
	if failed, ok := effects[0].(doEmit).event.(Failed); !ok || !errors.Is(failed.Err, ErrPasskey) {
		t.Errorf("unexpected %v", effects[0])
	}
}

// whatsmeow handles the 515 in one goroutine and tells of pair-success in
// another, so either may come first.
func TestReconnectThatComesBeforePairSuccessIsNotLost(t *testing.T) {
	t.Parallel()
	s := newSchedule(t, 0)
	s.step(inStart{})
	s.step(inDevice{epoch: 1})
	s.step(inOpened{1})
	s.step(inRefs{1, []string{"a,b,c,d,e"}})
	s.step(inReconnect{1})
	want := []effect{doEmit{Paired{}}, doRelogin{1}}
	if diff := cmp.Diff(want, s.m.step(s.now, inPaired{epoch: 1}), cmp.AllowUnexported(doEmit{}, doRelogin{}, Phone{})); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
}
