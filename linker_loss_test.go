package walink_test

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/walinktest"
)

// badNetwork is a transport between walink and the server that fails in ways
// which a server cannot.
type badNetwork struct {
	base http.RoundTripper

	frozen  atomic.Bool // nothing passes any more, in either direction
	cut     atomic.Bool // connections end when the client has sent its second frame
	instead string      // what the client reads, before silence, or an end if ends is set
	ends    bool
}

func (n *badNetwork) RoundTrip(req *http.Request) (*http.Response, error) {
	if n.frozen.Load() {
		return nil, io.ErrUnexpectedEOF
	}
	resp, err := n.base.RoundTrip(req)
	if err == nil && resp.StatusCode == http.StatusSwitchingProtocols {
		inner := resp.Body.(io.ReadWriteCloser) //nolint:forcetypeassert,errcheck // so it is for that status
		resp.Body = &badConn{ReadWriteCloser: inner, network: n, instead: n.instead, done: make(chan struct{})}
	}
	return resp, err
}

type badConn struct {
	io.ReadWriteCloser
	network *badNetwork
	instead string
	writes  atomic.Int32
	done    chan struct{}
	once    sync.Once
}

func (c *badConn) Read(p []byte) (int, error) {
	if c.network.instead != "" || c.network.ends {
		n := copy(p, c.instead)
		if c.instead = c.instead[n:]; n > 0 {
			return n, nil
		}
		if !c.network.ends {
			<-c.done
		}
		return 0, io.EOF
	}
	n, err := c.ReadWriteCloser.Read(p)
	if c.network.frozen.Load() {
		<-c.done
		return 0, io.EOF
	}
	return n, err
}

func (c *badConn) Write(p []byte) (int, error) {
	switch {
	case c.network.instead != "" || c.network.ends:
		return len(p), nil
	case c.network.frozen.Load():
		<-time.After(time.Millisecond)
		return len(p), nil
	case c.network.cut.Load() && c.writes.Add(1) == 2:
		return len(p), c.ReadWriteCloser.Close()
	}
	return c.ReadWriteCloser.Write(p)
}

func (c *badConn) Close() error {
	c.once.Do(func() { close(c.done) })
	return c.ReadWriteCloser.Close()
}

// newBadRig is newRig behind a bad network.
func newBadRig(t *testing.T, settings walink.Settings) (*rig, *badNetwork) {
	t.Helper()
	srv := walinktest.NewServer(t)
	network := &badNetwork{base: srv.HTTPClient().Transport}
	settings.HTTPClient = &http.Client{Transport: network}
	st := memoryStore(t)
	linker, err := walink.New(st, settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = linker.Close() })
	return &rig{t: t, srv: srv, store: st, linker: linker, phone: srv.NewPhone(number)}, network
}

// whatsmeow notices a silent network by its keepalives, and does not tell.
func TestSuperviseNoticesASilentNetwork(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r, network := newBadRig(t, walink.Settings{})
		r.supervised()
		<-time.After(time.Minute)
		network.frozen.Store(true)
		start := time.Now()
		wantReason(t, reach[walink.Disconnected](r).Err, walink.ErrNetwork)
		if took := time.Since(start); took > 10*time.Minute {
			t.Errorf("told after %v", took)
		}
		<-time.After(time.Hour)
		network.frozen.Store(false)
		if linked := reach[walink.Linked](r); !linked.Resumed {
			t.Error("not resumed")
		}
		r.usable()
	})
}

// A connection that ends in the middle of a reconnect of whatsmeow's own.
func TestReconnectThatIsCutIsTriedAgain(t *testing.T) {
	t.Parallel()
	for range 2 {
		bubble(t, func(t *testing.T) {
			r, network := newBadRig(t, walink.Settings{})
			r.linkByQR()
			network.cut.Store(true)
			r.srv.Restart()
			<-time.After(10 * time.Minute)
			network.cut.Store(false)
			<-time.After(30 * time.Minute)
			r.usable()
		})
	}
}

// What comes before the server's hello, or in place of it, holds nobody up.
func TestHandshakeThatEndsEarly(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*badNetwork){
		"an end at once":      func(n *badNetwork) { n.ends = true },
		"a ping, and silence": func(n *badNetwork) { n.instead = "\x89\x00" },
		"a ping, and an end":  func(n *badNetwork) { n.instead, n.ends = "\x89\x00", true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				r, network := newBadRig(t, walink.Settings{})
				set(network)
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				start := time.Now()
				r.link(ctx)
				wantReason(t, r.failed(), walink.ErrTimeout)
				if took := time.Since(start); took > 3*time.Second {
					t.Errorf("a Link with two seconds ends after %v", took)
				}
			})
		})
	}
}

// whatsmeow calls a function for these that nobody has set.
func TestFailuresThatAskForACAT(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		r.srv.Script(walinktest.StagePairDevice, walinktest.Failure(413), walinktest.Failure(414))
		r.linkByQR()
	})
}

// A connection that came back without a login is none.
func TestLinkOnAConnectionThatDoesNotLogIn(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		r.linkByQR()
		r.srv.Script(walinktest.StageLogin, walinktest.Silence())
		r.srv.Restart()
		<-time.After(5 * time.Second)
		r.link(t.Context())
		if first := r.next(); first.Kind() != walink.KindConnecting {
			t.Errorf("the first event is %v", first)
		}
		r.linked()
		r.usable()
	})
}

func TestSuperviseAfterALinkNoticesAReconnectThatFails(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		r.linkByQR()
		r.supervise(t.Context())
		reach[walink.Linked](r)
		r.srv.Script(walinktest.StageAfterLogin, walinktest.StreamError(515, ""))
		r.srv.Script(walinktest.StageUpgrade, walinktest.Drop())
		client := r.linker.Client()
		go func() { _ = client.SetPassive(t.Context(), false) }()
		reach[walink.Disconnected](r)
		reach[walink.Linked](r)
		r.usable()
	})
}

func TestSuperviseDoesNotWaitForWhatDoesNotReturn(t *testing.T) {
	t.Parallel()
	for code, limits := range map[int][2]time.Duration{
		400: {0, 10 * time.Second}, 501: {0, 10 * time.Second},
		429: {15 * time.Minute, 16 * time.Minute}, // as long as it says
	} {
		t.Run(http.StatusText(code), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				r := newRig(t, walink.Settings{})
				r.supervised()
				<-time.After(time.Hour)
				r.srv.Script(walinktest.StageLogin, walinktest.Failure(code))
				r.srv.Restart()
				start := time.Now()
				reach[walink.Linked](r)
				if took := time.Since(start); took < limits[0] || took > limits[1] {
					t.Errorf("back after %v", took)
				}
			})
		})
	}
}

func TestSuperviseWithAStoreThatHangs(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRigOver(t, hangingStore{Store: memoryStore(t), remove: true}, walink.Settings{})
		jid := r.supervised().Account.JID
		<-time.After(time.Hour)
		r.phone.Remove(jid)
		wantReason(t, r.failed(), walink.ErrStore)
	})
}
