package fleet_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/fleet"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/store"
)

func TestRule5ProcessesShareTheSessionsEvenly(t *testing.T) {
	t.Parallel()
	for _, n := range []int{30, 31, 32} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				w := newWorld(t)
				names := w.seed(n)
				a := w.running(fleet.Settings{Holder: "a"})
				time.Sleep(10 * time.Second)
				w.connected(names, a)

				// Others join.
				b := w.running(fleet.Settings{Holder: "b"})
				time.Sleep(10 * time.Second)
				w.even(w.connected(names, a, b))
				c := w.running(fleet.Settings{Holder: "c"})
				time.Sleep(10 * time.Second)
				w.even(w.connected(names, a, b, c))

				// One ends.
				b.close()
				time.Sleep(2 * time.Second)
				w.even(w.connected(names, a, c))

				// One dies: its calls of the Store hang from now on.
				b = w.running(fleet.Settings{Holder: "b"})
				time.Sleep(10 * time.Second)
				w.even(w.connected(names, a, b, c))
				c.line.cut(true)
				time.Sleep(12 * time.Second)
				w.even(w.connected(names, a, b))
				w.connected(names, a, b, c) // c knows that it has lost them
				w.failed()

				// It was not dead.
				c.line.restore()
				time.Sleep(30 * time.Second)
				w.even(w.connected(names, a, b, c))
			})
		})
	}
}

func TestRule5ASessionThatIsBeingLinkedStays(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.running(fleet.Settings{Holder: "a"})
		names := []string{"one", "two", "three", "four"}
		for _, name := range names {
			if err := a.Link(t.Context(), name, walink.Settings{}); err != nil {
				t.Fatal(err)
			}
		}
		b := w.running(fleet.Settings{Holder: "b"})
		time.Sleep(30 * time.Second)
		w.forget()
		for _, name := range names {
			if s := b.get(name); s.Status.State != walink.StateStandby || s.Status.Holder != "a" || s.Holder != "a" {
				t.Errorf("session %s is %+v", name, s)
			}
			code := a.get(name).Status.QRCode
			if code == nil {
				t.Fatalf("session %s has no code", name)
			}
			if err := w.phone(name).ScanQR(t.Context(), code.Payload); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Minute)
		w.connected(names, a) // their phones may be sending the history
		time.Sleep(2 * time.Minute)
		w.even(w.connected(names, a, b))
	})
}

func TestRule5TwoFleetsOfOneProcessHaveTheirOwnNames(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.process(fleet.Settings{Holder: "a"})
		b := &process{world: w, line: a.line, store: a.store}
		b.open(a.store, fleet.Settings{Holder: "b"})
		a.link("one")
		b.link("two")
		for other, name := range map[*process]string{a: "two", b: "one"} {
			busy, ok := errors.AsType[*store.BusyError](other.Link(t.Context(), name, walink.Settings{}))
			holder := map[string]string{"one": "a", "two": "b"}[name]
			if !ok || busy.Lease.Holder != holder || other.get(name).Holder != holder {
				t.Errorf("session %s is with %s: %v, %+v", name, holder, busy, other.get(name))
			}
		}
		b.close()
		if err := a.Link(t.Context(), "two", walink.Settings{}); err != nil {
			t.Error(err)
		}
		if s := a.get("two"); s.Holder != "a" {
			t.Errorf("%+v", s)
		}
	})
}

func TestRule5StandingByIsSilentAndNamesTheHolder(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		w := newWorld(t)
		names := w.seed(3)
		a := w.running(fleet.Settings{Holder: "a"})
		time.Sleep(5 * time.Second)
		b := w.running(fleet.Settings{Holder: "b", Capacity: 1})
		time.Sleep(10 * time.Second)
		w.forget()
		watched := b.Watch(t.Context(), names[0])
		time.Sleep(10 * time.Minute)
		if seen := w.seen(); len(seen) > 0 || len(watched) != 1 {
			t.Errorf("%v was reported, and the watcher has %d updates", seen, len(watched))
		}
		w.connected(names, a, b)
		for _, name := range names {
			at, other, holder := a, b, "a"
			if b.Client(name) != nil {
				at, other, holder = b, a, "b"
			}
			if s := at.get(name); s.Status.State != walink.StateLinked || s.Holder != holder || !s.Wanted {
				t.Errorf("at its holder: %+v", s)
			}
			if s := other.get(name); s.Status.State != walink.StateStandby || s.Holder != holder || s.Status.Holder != holder {
				t.Errorf("elsewhere: %+v", s)
			}
			_, unlinkErr := other.Unlink(t.Context(), name)
			for call, err := range map[string]error{
				"Link": other.Link(t.Context(), name, walink.Settings{}), "Stop": other.Stop(t.Context(), name), "Unlink": unlinkErr,
				"AnswerPasskey": other.AnswerPasskey(t.Context(), name, nil), "ConfirmPasskey": other.ConfirmPasskey(t.Context(), name),
			} {
				if busy, ok := errors.AsType[*store.BusyError](err); !ok || busy.Lease.Holder != holder {
					t.Errorf("%s: %v, want a BusyError for %s", call, err, holder)
				}
			}
		}
	})
}

func TestRule6NobodyLinksWhatWasUnlinked(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		w := newWorld(t)
		names := w.seed(6)
		a := w.running(fleet.Settings{Holder: "a"})
		b := w.running(fleet.Settings{Holder: "b"})
		time.Sleep(10 * time.Second)
		at := map[string]*process{}
		for _, name := range names {
			if at[name] = a; b.Client(name) != nil {
				at[name] = b
			}
		}
		w.forget()
		out, err := at[names[0]].Unlink(t.Context(), names[0])
		if err != nil || !out.Told || !out.Forgotten {
			t.Errorf("Unlink: %+v, %v", out, err)
		}
		if devices := w.phone(names[0]).LinkedDevices(); len(devices) > 0 {
			t.Errorf("the phone lists %v", devices)
		}
		before := w.server.Stats()
		time.Sleep(time.Hour)
		if after := w.server.Stats(); after != before {
			t.Errorf("%+v, and then %+v", before, after)
		}
		a.gone(names[0])
		b.gone(names[0])
		w.failed()
		for _, u := range w.seen() {
			if u.Session == names[0] && u.Status.State != walink.StateIdle {
				t.Errorf("an update of the session that was unlinked: %v", u)
			}
		}
		a.close()
		time.Sleep(2 * time.Second)
		w.connected(names[1:], b)
		b.gone(names[0])
	})
}

func TestRule6CloseIsNoFailure(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		w := newWorld(t)
		names := w.seed(40)
		a := w.running(fleet.Settings{Holder: "a"})
		b := w.running(fleet.Settings{Holder: "b"})
		time.Sleep(10 * time.Second)
		if err := a.Link(t.Context(), "new", walink.Settings{}); err != nil {
			t.Fatal(err)
		}
		a.await("new", walink.StateAwaitingPhone)
		var watched []<-chan fleet.Update
		for _, name := range append(names, "new", "unknown") {
			watched = append(watched, a.Watch(t.Context(), name))
		}
		w.forget()
		a.close()
		for i, updates := range watched {
			for u := range updates { // until it closes
				if u.Status.State == walink.StateFailed {
					t.Errorf("watcher %d: %v", i, u)
				}
			}
		}
		time.Sleep(2 * time.Second)
		w.connected(names, b)
		w.failed()
		if waiting := w.server.Companions(); len(waiting) > 0 {
			t.Errorf("%v is still being linked", waiting)
		}
		for u := range a.Watch(t.Context(), names[0]) { // a watcher who comes late
			if u.Event != nil || u.Status.State == walink.StateFailed {
				t.Errorf("after Close: %v", u)
			}
		}
		for range a.Watch(t.Context(), "another") {
		}
	})
}
