package wire

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

	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/queue"
)

// newConn is a Conn without a client.
// posted takes what the Conn has posted.
func posted(c *Conn) []machine.Input { return c.inbox.(*queue.Queue[machine.Input]).Take() } //nolint:errcheck // newConn makes it

func newConn() *Conn {
	return &Conn{cfg: &Config{}, transport: &transport{}, epoch: 7, inbox: queue.New[machine.Input](), device: &wastore.Device{NoiseKey: keys.NewKeyPair()}, gone: make(chan struct{})}
}

// These are events that the fake server cannot cause.
func TestConnPostsWhatArrives(t *testing.T) {
	t.Parallel()
	challenge := func(content any) *waBinary.Node {
		return &waBinary.Node{
			Tag: "notification", Attrs: waBinary.Attrs{"type": "passkey_prologue_request", "from": types.ServerJID},
			Content: []waBinary.Node{{Tag: "passkey_request_options", Content: content}},
		}
	}
	for name, test := range map[string]struct {
		arrives func(*Conn)
		want    machine.Input
	}{
		"passkey": {
			func(c *Conn) {
				c.received(challenge([]byte(`{"challenge": "YWJj"}`)))
				c.handle(&events.PairPasskeyRequest{})
			},
			machine.PasskeyWanted{Epoch: 7, Challenge: []byte(`{"challenge": "YWJj"}`)},
		},
		"passkey that cannot be parsed": {
			func(c *Conn) {
				c.received(challenge([]byte(`{"chal`)))
				c.handle(&events.PairPasskeyError{Error: errors.New("no JSON")})
			},
			machine.PasskeyWanted{Epoch: 7, Challenge: []byte(`"{\"chal"`), Err: &machine.Failure{
				Reason: machine.ReasonPasskey, Op: "read challenge", Err: errBadChallenge,
			}},
		},
		"passkey that was fetched again": {
			func(c *Conn) {
				c.received(challenge([]byte(`{"chal`)))
				c.received(&waBinary.Node{Tag: "iq", Content: []waBinary.Node{{Tag: "passkey_request_options", Content: []byte(`{}`)}}})
				c.handle(&events.PairPasskeyRequest{})
			},
			machine.PasskeyWanted{Epoch: 7, Challenge: []byte(`{}`)},
		},
		"passkey confirmation": {
			func(c *Conn) {
				c.ceremony = ceremony{nonceID: "8", code: "ABCD-EFGH", proven: true}
				c.received(&waBinary.Node{Tag: "iq", Attrs: waBinary.Attrs{"id": "8", "type": "result"}})
			},
			machine.PasskeyCode{Epoch: 7, Code: "ABCD-EFGH", Automatic: true},
		},
		"multidevice off": {
			func(c *Conn) { c.handle(&events.QRScannedWithoutMultidevice{}) },
			machine.Lost{Epoch: 7, Err: &machine.Failure{Reason: machine.ReasonMultideviceOff, Op: "scan"}, Tries: machine.FewTries},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newConn()
			test.arrives(c)
			if diff := cmp.Diff([]machine.Input{test.want}, posted(c), cmp.Comparer(errors.Is)); diff != "" {
				t.Errorf("posted (-want +got):\n%s", diff)
			}
		})
	}
}

func removal() *waBinary.Node {
	return &waBinary.Node{
		Tag: "stream:error", Attrs: waBinary.Attrs{"code": "401"},
		Content: []waBinary.Node{{Tag: "conflict", Attrs: waBinary.Attrs{"type": "device_removed"}}},
	}
}

func TestLogoutSucceedsIfTheTapSeesTheRemoval(t *testing.T) {
	t.Parallel()
	closed := &machine.Failure{Reason: machine.ReasonNetwork, Err: errClosed}
	for name, test := range map[string]struct {
		arrives func(*Conn)
		want    *machine.Failure
	}{
		"before the request": {func(c *Conn) { c.received(removal()) }, nil},
		"after the end": {func(c *Conn) {
			time.AfterFunc(closeGrace/2, func() { c.received(removal()) })
		}, nil},
		"never": {func(*Conn) {}, closed},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newConn()
			c.linked = true
			test.arrives(c)
			if got := c.unlessGone(closed); got != test.want {
				t.Errorf("with a removal %s Logout returns %v", name, got)
			}
		})
	}
}

// A Logout that WhatsApp has refused says nothing about a later removal.
func TestRemovalIsTheProgramsOwnOnlyIfWhatsAppHasNotRefusedIt(t *testing.T) {
	t.Parallel()
	for answer, own := range map[string]bool{"result": true, "error": false} {
		c := newConn()
		c.linked = true
		c.sending(&waBinary.Node{
			Tag: "iq", Attrs: waBinary.Attrs{"id": "7", "type": "set"}, Content: []waBinary.Node{{Tag: "remove-companion-device"}},
		})
		c.received(&waBinary.Node{Tag: "iq", Attrs: waBinary.Attrs{"id": "7", "type": answer}})
		c.received(removal())
		got := posted(c)
		if len(got) != 1 || errors.Is(got[0].(machine.Lost).Err.Err, ErrLeft) != own { //nolint:errcheck // it would be told
			t.Errorf("after %s the inputs are %v", answer, got)
		}
	}
}

// whatsmeow handles what follows a pair-success in one goroutine and reports
// pair-success in another, so either may come first.
func TestWhatOvertakesPairSuccessWaitsForIt(t *testing.T) {
	t.Parallel()
	pairSuccess := &waBinary.Node{Tag: "iq", Attrs: waBinary.Attrs{"from": types.ServerJID}, Content: []waBinary.Node{{Tag: "pair-success"}}}
	synctest.Test(t, func(t *testing.T) {
		c := newConn()
		c.received(pairSuccess)
		c.handle(&events.ManualLoginReconnect{})
		go c.received(&waBinary.Node{Tag: "failure", Attrs: waBinary.Attrs{"reason": "401"}})
		synctest.Wait()
		if early := posted(c); len(early) > 0 {
			t.Errorf("posted too early: %v", early)
		}
		c.handle(&events.PairSuccess{})
		synctest.Wait()
		got := posted(c)
		if len(got) != 3 {
			t.Fatalf("posted %v", got)
		}
		if _, ok := got[0].(machine.PairSuccess); !ok || got[1] != (machine.RestartWanted{Epoch: 7}) {
			t.Errorf("posted %v", got)
		}
		if lost, ok := got[2].(machine.Lost); !ok || lost.Err.Reason != machine.ReasonLoggedOut {
			t.Errorf("posted %v", got[2])
		}
	})
	synctest.Test(t, func(t *testing.T) {
		// whatsmeow has dropped the pair-success.
		c := newConn()
		c.received(pairSuccess)
		c.handle(&events.Disconnected{})
		time.Sleep(storeGrace + time.Second)
		if got := posted(c); len(got) != 1 {
			t.Errorf("posted %v", got)
		}
	})

	c := newConn()
	c.received(pairSuccess)
	c.handle(&events.Disconnected{})
	c.handle(&events.PairError{Error: whatsmeow.ErrPairInvalidDeviceSignature})
	got := posted(c)
	if len(got) != 1 || got[0].(machine.Lost).Err.Reason != machine.ReasonPairing { //nolint:errcheck // it would be told
		t.Errorf("posted %v", got)
	}
}
