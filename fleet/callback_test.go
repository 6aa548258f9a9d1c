package fleet_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"

	"github.com/walink/walink"
	"github.com/walink/walink/fleet"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/walinktest"
)

func TestACallbackThatPanicsHurtsItsSessionOnly(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		w := newWorld(t)
		names := w.seed(10)
		var mu sync.Mutex
		angry := true
		p := w.running(fleet.Settings{
			OnClient: func(session string, _ *whatsmeow.Client) {
				mu.Lock()
				defer mu.Unlock()
				if angry && session == names[0] {
					panic("OnClient")
				}
			},
			OnUpdate: func(u fleet.Update) {
				if u.Session == names[1] {
					panic("OnUpdate")
				}
			},
		})
		time.Sleep(10 * time.Second)
		w.connected(names[1:], p)
		s := p.get(names[0])
		if s.Status.State != walink.StateFailed {
			t.Fatalf("%+v", s)
		}
		rig.WantReason(t, s.Status.Err, walink.ErrInvalidSettings)
		if err := p.Link(t.Context(), "new", walink.Settings{}); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		angry = false
		mu.Unlock()
		if err := p.Link(t.Context(), names[0], walink.Settings{}); err != nil {
			t.Fatal(err)
		}
		p.await(names[0], walink.StateLinked)
	})
}

func TestAPasskeyThatPanicsHurtsItsSessionOnly(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		w := newWorld(t)
		names := w.seed(2)
		p := w.running(fleet.Settings{Defaults: walink.Settings{
			Passkey: func(context.Context, json.RawMessage) (json.RawMessage, error) { panic("Passkey") },
		}})
		phone := w.server.NewPhone("+5511987654321", walinktest.WithPasskey())
		if err := p.Link(t.Context(), "new", walink.Settings{}); err != nil {
			t.Fatal(err)
		}
		code := p.until("new", func(u fleet.Update) bool { return u.Status.QRCode != nil })
		if err := phone.ScanQR(t.Context(), code.Status.QRCode.Payload); err == nil {
			t.Fatal("the phone says that it is linked")
		}
		failed := p.until("new", func(u fleet.Update) bool { return u.Status.Err != nil })
		rig.WantReason(t, failed.Status.Err, walink.ErrPasskey)
		if err := failed.Status.Err.Error(); !strings.Contains(err, "Passkey has panicked") {
			t.Error(err)
		}
		w.connected(names, p)
	})
}

func TestACallbackThatHangsHurtsItsSessionOnly(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		w := newWorld(t)
		names := w.seed(20)
		release := make(chan struct{})
		p := w.running(fleet.Settings{
			Opening: 2,
			OnClient: func(session string, _ *whatsmeow.Client) {
				if session == names[0] || session == names[1] {
					<-release
				}
			},
			OnUpdate: func(u fleet.Update) {
				if u.Session == names[2] {
					<-release
				}
			},
		})
		time.Sleep(2 * time.Minute)
		w.connected(names[2:], p)
		began := time.Now()
		if err := p.Stop(t.Context(), names[0]); err != nil {
			t.Error(err)
		}
		if passed := time.Since(began); passed > 15*time.Second {
			t.Errorf("Stop took %v", passed)
		}
		other := w.running(fleet.Settings{})
		began = time.Now()
		p.close()
		if passed := time.Since(began); passed > 15*time.Second {
			t.Errorf("Close took %v", passed)
		}
		time.Sleep(15 * time.Second)
		w.connected(names[1:], other)
		close(release)
		time.Sleep(time.Minute)
		w.connected(names[1:], other)
	})
}

func TestCallbacksMayCallTheFleet(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		w := newWorld(t)
		names := w.seed(4)
		var p *process
		call := func(session string) {
			if p.Client(session); session == "" {
				return
			}
			if _, err := p.Session(t.Context(), session); err != nil {
				t.Error(err)
			}
			if _, err := p.Sessions(t.Context()); err != nil {
				t.Error(err)
			}
			<-p.Watch(t.Context(), session)
		}
		var once [3]sync.Once
		closed := make(chan struct{})
		p = w.process(fleet.Settings{
			OnClient: func(session string, _ *whatsmeow.Client) { call(session) },
			OnUpdate: func(u fleet.Update) {
				if u.Status.State != walink.StateLinked {
					return
				}
				switch u.Session {
				case names[0]:
					once[0].Do(func() {
						if err := p.Stop(t.Context(), u.Session); err != nil {
							t.Error(err)
						}
						if err := p.Link(t.Context(), u.Session, walink.Settings{}); err != nil {
							t.Error(err)
						}
					})
				case names[1]:
					once[1].Do(func() {
						if _, err := p.Unlink(t.Context(), u.Session); err != nil {
							t.Error(err)
						}
					})
				case "last":
					once[2].Do(func() {
						began := time.Now()
						p.close()
						if passed := time.Since(began); passed > 6*time.Second {
							t.Errorf("Close took %v", passed)
						}
						close(closed)
					})
				}
			},
		})
		p.run()
		time.Sleep(10 * time.Second)
		w.connected([]string{names[0], names[2], names[3]}, p)
		p.gone(names[1])
		w.phone("last")
		if err := p.Link(t.Context(), "last", walink.Settings{}); err != nil {
			t.Fatal(err)
		}
		for u := range p.Watch(t.Context(), "last") {
			if code := u.Status.QRCode; code != nil {
				if err := w.phone("last").ScanQR(t.Context(), code.Payload); err != nil {
					t.Error(err)
				}
			}
		}
		<-closed
	})
}

func TestOnClientMayCallStopAndClose(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"Stop", "Close"} {
		rig.Bubble(t, func(t *testing.T) {
			w := newWorld(t)
			w.seed(1)
			var p *process
			var once sync.Once
			ended := make(chan time.Duration, 1)
			p = w.process(fleet.Settings{OnClient: func(session string, _ *whatsmeow.Client) {
				once.Do(func() {
					began := time.Now()
					if end == "Close" {
						p.close()
					} else if err := p.Stop(t.Context(), session); err != nil {
						t.Error(err)
					}
					ended <- time.Since(began)
				})
			}})
			p.run()
			if passed := <-ended; passed > 15*time.Second {
				t.Errorf("%s took %v", end, passed)
			}
			time.Sleep(time.Hour)
			if client := p.Client("s000"); client != nil {
				t.Errorf("after %s there is a client", end)
			}
		})
	}
}

func TestASlowOnUpdateMissesTheOldestUpdates(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.seed(1)
		release := make(chan struct{})
		var p *process
		var last atomic.Pointer[fleet.Update]
		dropped := make(chan int, 10)
		p = w.process(fleet.Settings{
			Defaults: walink.Settings{Logger: slog.New(dropLog{t, func() *process { return p }, dropped})},
			OnUpdate: func(u fleet.Update) {
				<-release
				last.Store(&u)
			},
		})
		p.lossy = true
		for range 200 { // each sends two updates at least
			if err := p.Link(t.Context(), "s000", walink.Settings{}); err != nil {
				t.Fatal(err)
			}
			if err := p.Stop(t.Context(), "s000"); err != nil {
				t.Fatal(err)
			}
		}
		watched := <-p.Watch(t.Context(), "s000")
		close(release)
		time.Sleep(time.Second)
		if u := last.Load(); u.Epoch != watched.Epoch || u.Sequence != watched.Sequence {
			t.Errorf("the last update is %d-%d, want %d-%d", u.Epoch, u.Sequence, watched.Epoch, watched.Sequence)
		}
		if len(dropped) != 1 {
			t.Errorf("the log has %d lines about it", len(dropped))
		}
	})
}

// dropLog is a handler that calls the Fleet.
type dropLog struct {
	t       *testing.T
	process func() *process
	dropped chan int
}

func (dropLog) Enabled(context.Context, slog.Level) bool { return true }
func (l dropLog) WithAttrs([]slog.Attr) slog.Handler     { return l }
func (l dropLog) WithGroup(string) slog.Handler          { return l }
func (l dropLog) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "dropped") {
		if _, err := l.process().Session(ctx, "s000"); err != nil {
			l.t.Error(err)
		}
		l.dropped <- 1
	}
	return nil
}
