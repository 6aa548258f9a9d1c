package fleet_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/fleet"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/store"
)

// thin is a Store without any optional interface.
type thin struct{ store.Store }

// unregistered is a Store without a Registry.
type unregistered struct {
	store.Store
	store.Leaser
}

func TestAStoreWithoutLeasesServesOneFleet(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		w := newWorld(t)
		names := w.seed(3)
		a := w.process(fleet.Settings{})
		st := thin{a.store}
		a.open(st, fleet.Settings{Capacity: 3})
		b := w.process(fleet.Settings{})
		b.open(st, fleet.Settings{})
		a.run()
		time.Sleep(10 * time.Second)
		w.connected(names, a)
		if err := b.Run(t.Context()); !errors.Is(err, fleet.ErrShared) {
			t.Errorf("Run: %v", err)
		}
		if err := a.Link(t.Context(), "new", walink.Settings{}); !errors.Is(err, fleet.ErrFull) {
			t.Errorf("Link: %v", err)
		}
		if s := a.get(names[0]); s.Holder != "" || s.Status.State != walink.StateLinked {
			t.Errorf("%+v", s)
		}
		if err := a.Stop(t.Context(), names[0]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if s := a.get(names[0]); s.Wanted || s.Status.State != walink.StateIdle {
			t.Errorf("after Stop: %+v", s)
		}
		a.close()
		c := w.process(fleet.Settings{})
		c.open(st, fleet.Settings{})
		c.run()
		time.Sleep(10 * time.Second)
		w.connected(names, c) // what was stopped is forgotten with the process
	})
}

func TestAStoreWithoutARegistryForgetsWithTheProcess(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		w := newWorld(t)
		open := func() *process {
			p := w.process(fleet.Settings{})
			leaser, _ := p.store.(store.Leaser)
			p.open(unregistered{p.store, leaser}, fleet.Settings{})
			return p.run()
		}
		a := open()
		metadata := map[string]string{"customer": "7"}
		a.link("one", fleet.WithMetadata(metadata))
		a.link("two")
		if err := a.Stop(t.Context(), "two"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if s := a.get("one"); !maps.Equal(s.Metadata, metadata) || !s.Wanted || s.Status.State != walink.StateLinked {
			t.Errorf("%+v", s)
		}
		if s := a.get("two"); s.Wanted || s.Status.State != walink.StateIdle {
			t.Errorf("%+v", s)
		}
		a.close()
		b := open()
		time.Sleep(10 * time.Second)
		w.connected([]string{"one", "two"}, b)
		if s := b.get("one"); s.Metadata != nil {
			t.Errorf("%+v", s)
		}
		if out, err := b.Unlink(t.Context(), "one"); err != nil || !out.Told || !out.Forgotten {
			t.Errorf("Unlink: %+v, %v", out, err)
		}
		b.gone("one")
	})
}

func TestADamagedEntryCanBeReplaced(t *testing.T) {
	t.Parallel()
	for _, replace := range []string{"Link", "Stop", "Unlink"} {
		rig.Bubble(t, func(t *testing.T) {
			w := newWorld(t)
			names := w.seed(2)
			p := w.process(fleet.Settings{})
			registry, _ := p.store.(store.Registry)
			if err := registry.PutEntry(t.Context(), store.Entry{Session: names[0], Value: []byte("{")}); err != nil {
				t.Fatal(err)
			}
			p.run()
			time.Sleep(10 * time.Minute)
			if p.Client(names[0]) != nil || p.Client(names[1]) == nil {
				t.Error("the session with the damaged entry is connected, or the other one is not")
			}
			if s := p.get(names[0]); s.Status.State != walink.StateRetrying || s.Status.Err == nil || s.Status.Err.Remedy() == "" {
				t.Errorf("%+v", s)
			}
			if list, err := p.Sessions(t.Context()); err != nil || len(list) != 2 {
				t.Errorf("the sessions are %v, %v", list, err)
			}
			w.failed()
			switch replace {
			case "Link":
				if err := p.Link(t.Context(), names[0], walink.Settings{}); err != nil {
					t.Fatal(err)
				}
				p.await(names[0], walink.StateLinked)
			case "Stop":
				if err := p.Stop(t.Context(), names[0]); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Minute)
				if s := p.get(names[0]); s.Wanted || s.Status.State != walink.StateIdle {
					t.Errorf("%+v", s)
				}
			case "Unlink":
				if out, err := p.Unlink(t.Context(), names[0]); err != nil || !out.Told || !out.Forgotten {
					t.Errorf("%+v, %v", out, err)
				}
				p.gone(names[0])
			}
		})
	}
}

func TestWhatWasStoredDoesNotContradictTheDefaults(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		w := newWorld(t)
		names := w.seed(2)
		p := w.process(fleet.Settings{Defaults: walink.Settings{LinkingMode: walink.ModeQR}})
		registry, _ := p.store.(store.Registry)
		for i, value := range []string{`{"settings":{"preferPairingCode":true}}`, `{"settings":{"proxy":"http://10.0.0.1:8080"}}`} {
			if err := registry.PutEntry(t.Context(), store.Entry{Session: names[i], Value: []byte(value)}); err != nil {
				t.Fatal(err)
			}
		}
		p.run()
		time.Sleep(10 * time.Minute)
		if p.Client(names[0]) == nil {
			t.Error("how the session was linked keeps it from being connected")
		}
		// The world has an HTTPClient, which a Proxy contradicts. That is said once.
		if kinds := p.kinds(names[1]); !slices.Equal(kinds, []string{"failed"}) {
			t.Errorf("the session with the proxy has the updates %v", kinds)
		}
	})
}

func TestDamageOfOneRowKeepsNoOtherSessionAway(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		w := newWorld(t)
		names := w.seed(2)
		p := w.process(fleet.Settings{})
		st, _ := p.store.(rig.Memory)
		p.open(damagedEntries{st}, fleet.Settings{})
		p.run()
		time.Sleep(time.Minute)
		w.connected(names, p)
		if list, err := p.Sessions(t.Context()); err != nil || len(list) != 2 {
			t.Errorf("the sessions are %v, %v", list, err)
		}
	})
}

// damagedEntries has one entry, which cannot be read.
type damagedEntries struct{ rig.Memory }

func (damagedEntries) Entries(context.Context) ([]store.Entry, error) { return nil, store.ErrDamaged }
