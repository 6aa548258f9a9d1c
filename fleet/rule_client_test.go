package fleet_test

import (
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.mau.fi/whatsmeow"

	"github.com/walink/walink"
	"github.com/walink/walink/fleet"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/walinktest"
)

func TestRule7TheProgramsOwnLogoutAndDisconnectAreNoticed(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		w := newWorld(t)
		p, other := w.process(fleet.Settings{}), w.process(fleet.Settings{})
		p.link("one")
		other.run()
		time.Sleep(time.Minute)
		w.forget()
		p.Client("one").Disconnect()
		p.until("one", func(u fleet.Update) bool { return u.Status.State != walink.StateLinked })
		p.await("one", walink.StateLinked)
		if client := p.Client("one"); client == nil || !client.IsLoggedIn() {
			t.Error("after Disconnect there is no client")
		}
		time.Sleep(time.Minute)
		w.failed()
		updates := p.Watch(t.Context(), "one")
		if err := p.Client("one").Logout(t.Context()); err != nil {
			t.Fatal(err)
		}
		for u := range updates {
			if failed, ok := u.Event.(walink.Failed); ok {
				rig.WantReason(t, failed.Err, walink.ErrLoggedOut)
				break
			}
		}
		before := w.server.Stats()
		time.Sleep(time.Hour)
		if after := w.server.Stats(); after != before {
			t.Errorf("%+v, and then %+v", before, after)
		}
		p.gone("one")
		other.gone("one")
		if p.Client("one") != nil {
			t.Error("there is a client")
		}
	})
}

func TestRule7AStormIsDamped(t *testing.T) {
	t.Parallel()
	for name, storm := range map[string]func(w *world, p *process){
		"the server ends each connection": func(w *world, _ *process) {
			w.server.Script(walinktest.StageAfterLogin, walinktest.Drop().Always())
			w.server.Restart()
			time.Sleep(40 * time.Minute)
		},
		"the program disconnects again and again": func(_ *world, p *process) {
			for range 40 * 60 {
				p.disconnect("s000")
				time.Sleep(time.Second)
			}
		},
		"people stop and link again and again": func(w *world, p *process) {
			for i := range 2 * 120 {
				if err := p.Stop(w.Context(), "s000"); err != nil {
					w.Error(err)
				}
				if err := p.Link(w.Context(), "s000", walink.Settings{}); err != nil {
					w.Error(err)
				}
				// A Stop at the moment of a login would meet a data race of whatsmeow.
				time.Sleep(time.Duration(3+i%17)*time.Second + time.Duration(i*i)*37*time.Microsecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				w := newWorld(t)
				w.seed(1)
				p := w.running(fleet.Settings{})
				p.await("s000", walink.StateLinked)
				time.Sleep(time.Hour)
				stop, done := make(chan struct{}), make(chan struct{})
				var opened []time.Time
				go func() {
					defer close(done)
					for last := w.server.Stats().Logins; ; time.Sleep(time.Second / 10) {
						now := w.server.Stats().Logins
						opened = append(opened, slices.Repeat([]time.Time{time.Now()}, now-last)...)
						last = now
						select {
						case <-stop:
							return
						default:
						}
					}
				}()
				storm(w, p)
				w.server.Script(walinktest.StageAfterLogin)
				close(stop)
				<-done
				for i := range opened {
					if i >= 60 && opened[i].Sub(opened[i-60]) < 15*time.Minute {
						t.Errorf("60 logins in %v", opened[i].Sub(opened[i-60]))
						break
					}
				}
				if len(opened) < 60 {
					t.Errorf("there were %d logins: no storm", len(opened))
				}
				time.Sleep(10 * time.Minute)
				p.await("s000", walink.StateLinked)
			})
		})
	}
}

//nolint:paralleltest // it counts the goroutines of the process
func TestRule8ASessionCostsOneGoroutine(t *testing.T) {
	const n = 40
	count := func(connect func(w *world, names []string)) (goroutines int) {
		rig.Bubble(t, func(t *testing.T) {
			w := newWorld(t)
			names := w.seed(n)
			synctest.Wait()
			before := runtime.NumGoroutine()
			connect(w, names)
			time.Sleep(30 * time.Second)
			synctest.Wait()
			goroutines = runtime.NumGoroutine() - before
		})
		return goroutines
	}
	ours := count(func(w *world, names []string) {
		p := w.running(fleet.Settings{})
		for _, name := range names {
			p.await(name, walink.StateLinked)
		}
	})
	plain := count(func(w *world, names []string) {
		st := w.process(fleet.Settings{}).store
		for _, name := range names {
			device, err := st.Device(w.Context(), name)
			if err != nil {
				w.Fatal(err)
			}
			client := whatsmeow.NewClient(device, nil)
			client.SetPreLoginHTTPClient(w.server.HTTPClient())
			client.SetWebsocketHTTPClient(w.server.HTTPClient())
			if err := client.Connect(); err != nil {
				w.Fatal(err)
			}
			w.Cleanup(func() {
				client.Disconnect()
				synctest.Wait()
			})
		}
	})
	const few = 10
	if ours > plain+n+few {
		t.Errorf("%d sessions have %d goroutines, and %d without a Fleet", n, ours, plain)
	}
	t.Logf("%d sessions: %d goroutines, %d without a Fleet", n, ours, plain)
}

func TestRule8AProcessWritesOnceIn1250Milliseconds(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 20} {
		rig.Bubble(t, func(t *testing.T) {
			w := newWorld(t)
			names := w.seed(n)
			a, b := w.running(fleet.Settings{}), w.running(fleet.Settings{})
			time.Sleep(time.Minute)
			w.connected(names, a, b)
			before := [2]int{a.line.written(), b.line.written()}
			const idle = 3 * time.Minute
			time.Sleep(idle)
			for i, p := range []*process{a, b} {
				if writes, most := p.line.written()-before[i], int(idle/(1250*time.Millisecond)); writes > most+1 || writes < most/2 {
					t.Errorf("%d sessions: %d writes in %v, want %d", n, writes, idle, most)
				}
			}
		})
	}
}
