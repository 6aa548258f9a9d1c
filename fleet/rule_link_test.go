package fleet_test

import (
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/fleet"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/store"
)

func TestRule3LinkMayBeRepeated(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.running(fleet.Settings{})
		link := func(set walink.Settings) {
			t.Helper()
			var group sync.WaitGroup
			for range 5 {
				group.Go(func() {
					if err := p.Link(t.Context(), "one", set); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
		}
		first, second := w.phone("one"), w.phone("two")

		// While it runs, it is the same one.
		byFirst := walink.Settings{Phone: "+" + first.JID().User, LinkingMode: walink.ModePairing}
		link(byFirst)
		code := p.until("one", func(u fleet.Update) bool { return u.Status.PairingCode != nil }).Status.PairingCode
		w.forget()
		link(byFirst)
		time.Sleep(time.Second)
		if again := p.get("one").Status.PairingCode; again == nil || again.Code != code.Code {
			t.Errorf("the code was %v, and is %v", code, again)
		}
		p.wantKinds("one")
		if stats := w.server.Stats(); stats.Connections != 1 || stats.CodeRequests != 1 {
			t.Errorf("%+v", stats)
		}

		// With another phone it is another one.
		link(walink.Settings{Phone: "+" + second.JID().User, LinkingMode: walink.ModePairing})
		other := p.until("one", func(u fleet.Update) bool { return u.Status.PairingCode != nil }).Status.PairingCode
		if other.Code == code.Code {
			t.Error("the other phone gets the same code")
		}
		if waiting := w.server.Companions(); len(waiting) != 1 || waiting[0].Number != second.JID().User {
			t.Errorf("%+v waits", waiting)
		}
		w.failed()
		if err := second.EnterCode(t.Context(), other.Code); err != nil {
			t.Fatal(err)
		}
		p.await("one", walink.StateLinked)

		// On a linked session it changes nothing, whatever the settings.
		time.Sleep(time.Minute)
		w.forget()
		before, client := w.server.Stats(), p.Client("one")
		link(walink.Settings{})
		link(walink.Settings{Phone: "+" + second.JID().User})
		time.Sleep(time.Minute)
		p.wantKinds("one")
		if after := w.server.Stats(); after != before || p.Client("one") != client {
			t.Errorf("%+v, and then %+v", before, after)
		}
		rig.WantReason(t, p.Link(t.Context(), "one", byFirst), walink.ErrWrongAccount)
		time.Sleep(time.Minute)
		p.wantKinds("one")
	})
}

// A Link that has just ended is not the one that the person sees next.
func TestRule3LinkAfterTheEndBeginsAnew(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(fleet.Settings{})
		for range 20 {
			set := walink.Settings{Timeout: time.Minute}
			if err := p.Link(t.Context(), "one", set); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute) // it ends at this very moment
			if err := p.Link(t.Context(), "one", set); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if state := p.get("one").Status.State; state != walink.StateAwaitingPhone && state != walink.StateFailed {
				t.Errorf("it is %s", state)
			}
			if err := p.Stop(t.Context(), "one"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestRule4WhatLinkWasGivenIsKept(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.process(fleet.Settings{Defaults: walink.Settings{DeviceName: "Support desk"}})
		given := map[string]string{"customer": "7"}
		want := maps.Clone(given)
		set := walink.Settings{Phone: "+" + w.phone("one").JID().User, LinkingMode: walink.ModePairing, Timeout: 5 * time.Minute}
		if err := a.Link(t.Context(), "one", set, fleet.WithMetadata(given)); err != nil {
			t.Fatal(err)
		}
		given["customer"] = "8"
		code := a.until("one", func(u fleet.Update) bool { return u.Status.PairingCode != nil })
		if err := w.phone("one").EnterCode(t.Context(), code.Status.PairingCode.Code); err != nil {
			t.Fatal(err)
		}
		if linked := a.await("one", walink.StateLinked); !maps.Equal(linked.Metadata, want) {
			t.Errorf("the update has %v", linked.Metadata)
		}
		if err := a.Link(t.Context(), "two", walink.Settings{}, fleet.WithMetadata(want)); err != nil { // it is never linked
			t.Fatal(err)
		}
		b := w.running(fleet.Settings{})
		if s := b.get("one"); !maps.Equal(s.Metadata, want) || s.Status.State != walink.StateStandby {
			t.Errorf("another process: %+v", s)
		}
		a.close()
		resumed := b.await("one", walink.StateLinked)
		if !maps.Equal(resumed.Metadata, want) || !maps.Equal(b.get("two").Metadata, want) {
			t.Errorf("after a restart: %v, %v", resumed.Metadata, b.get("two"))
		}
		// The settings came along: a Link for the same ones, and a Stop, keep them.
		if err := b.Link(t.Context(), "one", walink.Settings{}); err != nil {
			t.Fatal(err)
		}
		if err := b.Stop(t.Context(), "one"); err != nil {
			t.Fatal(err)
		}
		registry, _ := b.store.(store.Registry)
		kept, err := registry.Entry(t.Context(), "one")
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{set.Phone, `"customer":"7"`, string(walink.ModePairing), `"unwanted":true`} {
			if !strings.Contains(string(kept.Value), part) {
				t.Errorf("the entry is %s, want %s in it", kept.Value, part)
			}
		}
		// Another Link may change the metadata alone.
		b.link("one", fleet.WithMetadata(map[string]string{"customer": "9"}))
		if s := b.get("one"); s.Metadata["customer"] != "9" || !s.Wanted {
			t.Errorf("after another Link: %+v", s)
		}
		out, err := b.Unlink(t.Context(), "one")
		if err != nil || !out.Forgotten {
			t.Errorf("Unlink: %+v, %v", out, err)
		}
		if kept, err := registry.Entry(t.Context(), "one"); err == nil {
			t.Errorf("after Unlink there is %s", kept.Value)
		}
	})
}
