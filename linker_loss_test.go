package walink_test

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/walinktest"
)

// badNetwork is a transport between whatsmeow and the server. It fails in ways in
// which a server cannot.
type badNetwork struct {
	base http.RoundTripper

	frozen  atomic.Bool // nothing passes, in either direction
	cut     atomic.Bool // connections end when the client has sent its second frame
	instead string      // the client reads this in place of what the server sends, and then nothing
	ends    bool        // the connection ends after that
}

func (n *badNetwork) RoundTrip(req *http.Request) (*http.Response, error) {
	if n.frozen.Load() {
		return nil, io.ErrUnexpectedEOF
	}
	resp, err := n.base.RoundTrip(req)
	if err == nil && resp.StatusCode == http.StatusSwitchingProtocols {
		inner := resp.Body.(io.ReadWriteCloser) //nolint:errcheck // a body of that status is one
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
		time.Sleep(time.Millisecond)
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

// newBadRig is rig.New with a bad network.
func newBadRig(t *testing.T, settings walink.Settings) (*rig.Rig, *badNetwork) {
	t.Helper()
	network := &badNetwork{}
	r := rig.New(t, settings, rig.WithTransport(func(base http.RoundTripper) http.RoundTripper {
		network.base = base
		return network
	}))
	return r, network
}

// whatsmeow notices a silent network by its keepalives, and does not tell walink.
func TestSuperviseNoticesASilentNetwork(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r, network := newBadRig(t, walink.Settings{})
		r.SuperviseByQR()
		time.Sleep(time.Minute)
		network.frozen.Store(true)
		start := time.Now()
		rig.WantReason(t, rig.Await[walink.Disconnected](r).Err, walink.ErrNetwork)
		if took := time.Since(start); took > offlineLimit {
			t.Errorf("Disconnected comes after %v", took)
		}
		time.Sleep(time.Hour)
		network.frozen.Store(false)
		if linked := rig.Await[walink.Linked](r); !linked.Resumed {
			t.Error("the session is not resumed")
		}
		r.CheckUsable()
	})
}

// The connection ends in the middle of a reconnect, which whatsmeow makes.
func TestReconnectThatIsCutIsTriedAgain(t *testing.T) {
	t.Parallel()
	for range 2 {
		rig.Bubble(t, func(t *testing.T) {
			r, network := newBadRig(t, walink.Settings{})
			r.LinkByQR()
			network.cut.Store(true)
			r.Server.Restart()
			time.Sleep(10 * time.Minute)
			network.cut.Store(false)
			time.Sleep(30 * time.Minute)
			r.CheckUsable()
		})
	}
}

func TestHandshakeWithoutTheServersHelloDoesNotDelayTheEnd(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*badNetwork){
		"an end at once":      func(n *badNetwork) { n.ends = true },
		"a ping, and silence": func(n *badNetwork) { n.instead = "\x89\x00" },
		"a ping, and an end":  func(n *badNetwork) { n.instead, n.ends = "\x89\x00", true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				r, network := newBadRig(t, walink.Settings{})
				set(network)
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				start := time.Now()
				r.Link(ctx)
				rig.WantReason(t, r.Failed(), walink.ErrTimeout)
				if took := time.Since(start); took > 3*time.Second {
					t.Errorf("a Link with a deadline of two seconds ends after %v", took)
				}
			})
		})
	}
}

// For these failures whatsmeow calls a function that the program may not have set.
func TestFailuresThatAskForACATAreOvercome(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.Server.Script(walinktest.StagePairDevice, walinktest.Failure(413), walinktest.Failure(414))
		r.LinkByQR()
	})
}

// whatsmeow handles these stream errors under a lock that its Disconnect holds while it
// waits for the handler, for five seconds.
func TestStreamErrorOfTheCATIsHandledBeforeItsConnectionIsClosed(t *testing.T) {
	t.Parallel()
	for _, code := range []int{413, 414} {
		rig.Bubble(t, func(t *testing.T) {
			r := rig.New(t, walink.Settings{})
			r.LinkByQR()
			r = r.Again(walink.Settings{OnClient: func(client *whatsmeow.Client) {
				client.AddEventHandler(func(event any) {
					if _, ok := event.(*events.OfflineSyncPreview); ok {
						time.Sleep(100 * time.Millisecond) // the stream error arrives meanwhile
					}
				})
			}})
			r.Server.Script(walinktest.StageAfterLogin, walinktest.Send(
				waBinary.Node{Tag: "ib", Content: []waBinary.Node{{Tag: "offline_preview", Attrs: waBinary.Attrs{"count": "0"}}}},
				waBinary.Node{Tag: "stream:error", Attrs: waBinary.Attrs{"code": strconv.Itoa(code)}},
			))
			start := time.Now()
			r.Link(t.Context())
			r.Linked()
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("after %d the session is linked after %v", code, took)
			}
		})
	}
}

func TestLinkReplacesAConnectionThatDoesNotLogIn(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.LinkByQR()
		r.Server.Script(walinktest.StageLogin, walinktest.Silence())
		r.Server.Restart()
		time.Sleep(5 * time.Second)
		r.Link(t.Context())
		if first := r.Next(); first.Kind() != walink.KindConnecting {
			t.Errorf("the first event is %v", first)
		}
		r.Linked()
		r.CheckUsable()
	})
}

func TestSuperviseAfterALinkNoticesAReconnectThatFails(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.LinkByQR()
		r.Supervise(t.Context())
		rig.Await[walink.Linked](r)
		r.Server.Script(walinktest.StageAfterLogin, walinktest.StreamError(515, ""))
		r.Server.Script(walinktest.StageUpgrade, walinktest.Drop())
		client := r.Linker.Client()
		go func() { _ = client.SetPassive(t.Context(), false) }()
		rig.Await[walink.Disconnected](r)
		rig.Await[walink.Linked](r)
		r.CheckUsable()
	})
}

func TestSuperviseConnectsAnewAfterAFailureThatWhatsmeowDoesNotOvercome(t *testing.T) {
	t.Parallel()
	for code, limits := range map[int][2]time.Duration{
		400: {0, 10 * time.Second}, 501: {0, 10 * time.Second},
		429: {15 * time.Minute, 16 * time.Minute}, // as long as RetryAfter
	} {
		t.Run(http.StatusText(code), func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				r := rig.New(t, walink.Settings{})
				r.SuperviseByQR()
				time.Sleep(time.Hour)
				r.Server.Script(walinktest.StageLogin, walinktest.Failure(code))
				r.Server.Restart()
				start := time.Now()
				rig.Await[walink.Linked](r)
				if took := time.Since(start); took < limits[0] || took > limits[1] {
					t.Errorf("Linked comes after %v", took)
				}
			})
		})
	}
}

func TestSuperviseEndsWithAStoreThatHangs(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{}, rig.WithStore(hangingStore{Store: rig.MemoryStore(t), remove: true}))
		jid := r.SuperviseByQR().Account.JID
		time.Sleep(time.Hour)
		r.Phone.Remove(jid)
		rig.WantReason(t, r.Failed(), walink.ErrStore)
	})
}

// unheard is a Store whose devices whatsmeow cannot delete. So walink has to delete the
// session, as if whatsmeow had missed the removal.
type unheard struct {
	rig.Memory
	deleted chan error // gets what PeekLease says when walink deletes the session
}

func (u unheard) Device(ctx context.Context, session string) (*wastore.Device, error) {
	return kept(u.Memory.Device(ctx, session))
}

func (u unheard) Delete(ctx context.Context, session string) error {
	_, err := u.PeekLease(ctx, session)
	u.deleted <- err
	return u.Memory.Delete(ctx, session)
}

func TestRemovalThatWhatsmeowMissesDeletesTheSession(t *testing.T) {
	t.Parallel()
	for _, supervised := range []bool{false, true} {
		t.Run("supervised "+strconv.FormatBool(supervised), func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				st := unheard{Memory: rig.MemoryStore(t), deleted: make(chan error, 1)}
				first := rig.New(t, walink.Settings{}, rig.WithStore(st.Memory))
				first.LinkByQR()
				r := first.Again(walink.Settings{}, rig.WithStore(st))
				start := r.Link
				if supervised {
					start = r.Supervise
				}
				start(t.Context())
				r.Phone.Remove(rig.Await[walink.Linked](r).Account.JID)
				select {
				case err := <-st.deleted:
					if err != nil {
						t.Errorf("when the session is deleted, the lease is gone: %v", err)
					}
				case <-time.After(time.Minute):
				}
				synctest.Wait()
				if got := r.Sessions(); len(got) != 0 {
					t.Errorf("%v is still stored", got)
				}
			})
		})
	}
}

func TestRemovalInAStoreThatHangsDelaysNobodyForLong(t *testing.T) {
	t.Parallel()
	const limit = 5 * time.Second
	rig.Bubble(t, func(t *testing.T) {
		first := rig.New(t, walink.Settings{})
		first.LinkByQR()
		again := first.Again(walink.Settings{}, rig.WithStore(hangingStore{Store: first.Store, remove: true}))
		again.Link(t.Context())
		first.Phone.Remove(again.Linked().Account.JID)
		synctest.Wait()
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		again.Link(ctx)
		_ = again.Failed()
		again.Close()
		if took := time.Since(start); took > limit+time.Second {
			t.Errorf("the next Link and Close take %v", took)
		}
	})
	rig.Bubble(t, func(t *testing.T) {
		first := rig.New(t, walink.Settings{})
		first.LinkByQR()
		again := first.Again(walink.Settings{}, rig.WithStore(hangingStore{Store: first.Store, remove: true}))
		again.Supervise(t.Context())
		first.Phone.Remove(rig.Await[walink.Linked](again).Account.JID)
		synctest.Wait()
		start := time.Now()
		again.Close()
		if took := time.Since(start); took > limit {
			t.Errorf("Close takes %v", took)
		}
	})
}

// The session is kept, and the next login shows whether the device was removed.
func TestStreamErrorWithoutAConflictIsNoRemoval(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.LinkByQR()
		r.Server.Script(walinktest.StageAfterLogin, walinktest.StreamError(401, ""))
		_ = r.Linker.Client().SetPassive(t.Context(), false) // what follows is the stream error
		time.Sleep(time.Minute)
		if got := r.Sessions(); len(got) != 1 {
			t.Errorf("%v is stored", got)
		}
		r.CheckUsable()
	})
}
