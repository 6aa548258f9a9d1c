package fleet_test

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"

	"github.com/walink/walink"
	"github.com/walink/walink/fleet"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/walinktest"
)

func TestRule1RunResumesWhatIsWantedSoManyAtOnce(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		w := newWorld(t)
		names := w.seed(21)
		stopped := names[20]
		if err := w.process(fleet.Settings{}).Stop(t.Context(), stopped); err != nil {
			t.Fatal(err)
		}
		w.server.Script(walinktest.StageLogin, walinktest.Delay(2*time.Second).Always())
		var opening atomic.Int64
		p := w.running(fleet.Settings{
			Opening: 4,
			OnClient: func(string, *whatsmeow.Client) {
				opening.Add(1)
			},
			OnUpdate: func(u fleet.Update) {
				if u.Status.State == walink.StateLinked {
					opening.Add(-1)
				}
			},
		})
		var most int64
		for range 125 {
			time.Sleep(100 * time.Millisecond)
			most = max(most, opening.Load())
		}
		w.connected(names[:20], p)
		if most != 4 {
			t.Errorf("%d sessions were opened at once, want 4", most)
		}
		if s := p.get(stopped); s.Wanted || s.Status.State != walink.StateIdle || s.Account == nil || p.Client(stopped) != nil {
			t.Errorf("the stopped session is %+v", s)
		}
		for _, name := range names[:20] {
			if s := p.get(name); !s.Wanted || s.Status.State != walink.StateLinked || s.LinkedAt.IsZero() {
				t.Errorf("session %s is %+v", name, s)
			}
		}
	})
}

func TestRule1ASessionThatIsRefusedIsPutAside(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		stage  walinktest.Stage
		action walinktest.Action
		long   time.Duration
		want   []time.Duration // the pauses
	}{
		"by WhatsApp": {
			walinktest.StageLogin, walinktest.Failure(503), 5 * time.Hour,
			[]time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour},
		},
		"by the network": {
			walinktest.StageUpgrade, walinktest.Drop(), time.Hour, slices.Repeat([]time.Duration{time.Minute}, 20),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				w := newWorld(t)
				session := w.seed(1)[0]
				w.server.Script(test.stage, test.action.Always())
				p := w.running(fleet.Settings{})
				time.Sleep(test.long)
				var pauses []time.Duration
				for _, u := range w.seen() {
					if e, ok := u.Event.(walink.Retrying); ok && u.by == p && e.At.Sub(u.At) >= time.Second*30 {
						pauses = append(pauses, e.At.Sub(u.At))
					}
				}
				if len(pauses) < len(test.want) {
					t.Fatalf("the pauses are %v", pauses)
				}
				for i, want := range test.want {
					if name == "by the network" && pauses[i] <= want {
						continue
					}
					if pauses[i] > want || pauses[i] < want*9/10 {
						t.Errorf("the pauses are %v, want %v", pauses, test.want)
						break
					}
				}
				w.failed()

				// A person does not wait.
				w.server.Script(test.stage)
				time.Sleep(time.Second)
				began := time.Now()
				if err := p.Link(t.Context(), session, walink.Settings{}); err != nil {
					t.Fatal(err)
				}
				p.await(session, walink.StateLinked)
				if passed := time.Since(began); passed > 5*time.Second {
					t.Errorf("Link took %v", passed)
				}
			})
		})
	}
}

func TestRule1TheStoreKeepsNobodyAwayForLong(t *testing.T) {
	t.Parallel()
	for _, hang := range []bool{true, false} {
		rig.Bubble(t, func(t *testing.T) {
			w := newWorld(t)
			names := w.seed(12)
			a, b := w.running(fleet.Settings{}), w.running(fleet.Settings{})
			time.Sleep(10 * time.Second)
			before := w.connected(names, a, b)

			// For 8 seconds nobody notices.
			w.forget()
			cut := func(d time.Duration) {
				a.line.cut(hang)
				b.line.cut(hang)
				time.Sleep(d)
				a.line.restore()
				b.line.restore()
			}
			cut(8 * time.Second)
			time.Sleep(time.Minute)
			if seen := w.seen(); len(seen) > 0 {
				t.Errorf("reported after 8 seconds: %v", seen)
			}
			w.connected(names, a, b)

			// For longer the sessions come back, most of them where they were.
			cut(3 * time.Minute)
			time.Sleep(10 * time.Second)
			if after := w.connected(names, a, b); !slices.Equal(before, after) {
				t.Errorf("the shares were %v, and are %v", before, after)
			}
			w.failed()
		})
	}
}

func TestRule2NobodyIsAskedForACodeWithoutALink(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		set walink.Settings
		end func(w *world, p *process) error
	}{
		"its Timeout has passed": {walink.Settings{Timeout: 2 * time.Minute}, func(*world, *process) error {
			time.Sleep(3 * time.Minute)
			return nil
		}},
		"Stop": {walink.Settings{}, func(w *world, p *process) error { return p.Stop(w.Context(), "one") }},
		"Unlink": {walink.Settings{}, func(w *world, p *process) error {
			_, err := p.Unlink(w.Context(), "one")
			return err
		}},
		"the session is linked": {walink.Settings{}, func(w *world, p *process) error {
			p.link("one")
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				w := newWorld(t)
				w.phone("one")
				a, b := w.running(fleet.Settings{}), w.running(fleet.Settings{})
				time.Sleep(5 * time.Second)
				for _, mode := range []walink.LinkingMode{walink.ModeQR, walink.ModePairing} {
					if test.set.LinkingMode = mode; mode == walink.ModePairing {
						test.set.Phone = "+" + w.phone("one").JID().User
					}
					linked := name == "the session is linked"
					if linked && mode == walink.ModePairing {
						break
					}
					if err := a.Link(t.Context(), "one", test.set); err != nil {
						t.Fatal(err)
					}
					a.await("one", walink.StateAwaitingPhone)
					if err := test.end(w, a); err != nil {
						t.Fatal(err)
					}
					time.Sleep(10 * time.Second)
					before := w.server.Stats()
					if n := len(w.server.Companions()); n > 0 {
						t.Errorf("%d companions wait", n)
					}
					w.forget()
					time.Sleep(15 * time.Minute)
					c := w.running(fleet.Settings{})
					time.Sleep(15 * time.Minute)
					c.close()
					after := w.server.Stats()
					if !linked && after != before || after.CodeRequests != before.CodeRequests {
						t.Errorf("%+v, and then %+v", before, after)
					}
					for _, u := range w.seen() {
						if !linked || u.Status.State == walink.StateAwaitingPhone {
							t.Errorf("%v was reported", u)
						}
					}
				}
				b.close()
			})
		})
	}
}

func TestRule2ADeviceThatIsRemovedOnThePhoneIsForgotten(t *testing.T) {
	t.Parallel()
	for _, online := range []bool{true, false} {
		rig.Bubble(t, func(t *testing.T) {
			w := newWorld(t)
			a := w.running(fleet.Settings{})
			a.link("one", fleet.WithMetadata(map[string]string{"customer": "7"}))
			b := w.running(fleet.Settings{})
			time.Sleep(5 * time.Second)
			w.forget()
			if !online {
				b.close()
				a.close()
				b, a = w.process(fleet.Settings{}), w.process(fleet.Settings{})
			}
			updates := a.Watch(t.Context(), "one")
			if !w.phone("one").Remove(w.phone("one").LinkedDevices()[0].JID) {
				t.Fatal("the phone lists no device")
			}
			if !online {
				a.run()
			}
			for u := range updates {
				if failed, ok := u.Event.(walink.Failed); ok {
					if !errors.Is(failed.Err, walink.ErrLoggedOut) && !errors.Is(failed.Err, walink.ErrRemoved) {
						t.Errorf("the watchers hear %v", failed)
					}
					if u.Metadata["customer"] != "7" {
						t.Errorf("the update has the metadata %v", u.Metadata)
					}
					break
				}
			}
			time.Sleep(time.Second)
			w.forget()
			before := w.server.Stats()
			if !online {
				b.run()
			}
			time.Sleep(time.Hour)
			if after := w.server.Stats(); before != after {
				t.Errorf("%+v, and then %+v", before, after)
			}
			a.gone("one")
			b.gone("one")
			for _, u := range w.seen() {
				if u.Status.State != walink.StateIdle && u.Status.State != walink.StateFailed {
					t.Errorf("reported afterwards: %v", u)
				}
			}
			list, err := b.store.Sessions(t.Context())
			if err != nil || len(list) > 0 {
				t.Errorf("the Store has %v, %v", list, err)
			}
			// Nothing is left of it: a new Link begins anew.
			a.link("one")
			if s := a.get("one"); s.Metadata != nil {
				t.Errorf("the new session has the metadata %v", s.Metadata)
			}
		})
	}
}
