package fleet_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"

	"github.com/walink/walink"
	"github.com/walink/walink/fleet"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/store"
)

func TestNewRefusesWrongSettings(t *testing.T) {
	t.Parallel()
	st := rig.MemoryStore(t)
	for name, test := range map[string]struct {
		st  store.Store
		set fleet.Settings
	}{
		"no Store":               {nil, fleet.Settings{}},
		"a typed nil":            {(*rig.Memory)(nil), fleet.Settings{}},
		"a session":              {st, fleet.Settings{Defaults: walink.Settings{Session: "one"}}},
		"a wrong default":        {st, fleet.Settings{Defaults: walink.Settings{Browser: "netscape"}}},
		"negative Opening":       {st, fleet.Settings{Opening: -1}},
		"negative Capacity":      {st, fleet.Settings{Capacity: -1}},
		"a phone that is no one": {st, fleet.Settings{Defaults: walink.Settings{Phone: "12"}}},
	} {
		f, err := fleet.New(test.st, test.set)
		if f != nil {
			t.Errorf("%s: New returned a Fleet", name)
		}
		rig.WantReason(t, err, walink.ErrInvalidSettings)
	}
	if _, err := fleet.New(st, fleet.Settings{Defaults: walink.Settings{LinkingMode: walink.ModePairing}}); err != nil {
		t.Errorf("a default for what comes with a phone: %v", err)
	}
}

func TestLinkRefusesWrongSettings(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(fleet.Settings{})
		for name, test := range map[string]struct {
			session string
			set     walink.Settings
		}{
			"no name":                      {"", walink.Settings{}},
			"another name":                 {"one", walink.Settings{Session: "two"}},
			"an HTTPClient":                {"one", walink.Settings{HTTPClient: &http.Client{}}},
			"OnClient":                     {"one", walink.Settings{OnClient: func(*whatsmeow.Client) {}}},
			"Passkey":                      {"one", walink.Settings{Passkey: func(context.Context, json.RawMessage) (json.RawMessage, error) { return nil, nil }}},
			"no phone for a pairing code":  {"one", walink.Settings{LinkingMode: walink.ModePairing}},
			"a wrong mode":                 {"one", walink.Settings{LinkingMode: "smoke signals"}},
			"a name of control characters": {"\x01fleet", walink.Settings{}},
		} {
			err := p.Link(t.Context(), test.session, test.set)
			if err == nil {
				t.Errorf("%s: Link succeeded", name)
				continue
			}
			rig.WantReason(t, err, walink.ErrInvalidSettings)
		}
		if list, err := p.Sessions(t.Context()); err != nil || len(list) > 0 {
			t.Errorf("the sessions are %v, %v", list, err)
		}
		rig.WantReason(t, p.Stop(t.Context(), "\x01fleet"), walink.ErrInvalidSettings)
		_, err := p.Unlink(t.Context(), "\x01fleet")
		rig.WantReason(t, err, walink.ErrInvalidSettings)
		if err := p.Link(t.Context(), "one", walink.Settings{Session: "one"}); err != nil {
			t.Errorf("with its own name: %v", err)
		}
	})
}

func TestUnknownSessionsAreNotFound(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.running(fleet.Settings{})
		time.Sleep(time.Second)
		_, sessionErr := p.Session(t.Context(), "one")
		out, unlinkErr := p.Unlink(t.Context(), "one")
		for call, err := range map[string]error{
			"Session": sessionErr, "Unlink": unlinkErr, "Stop": p.Stop(t.Context(), "one"),
			"AnswerPasskey": p.AnswerPasskey(t.Context(), "one", nil), "ConfirmPasskey": p.ConfirmPasskey(t.Context(), "one"),
		} {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s: %v, want ErrNotFound", call, err)
			}
		}
		if out.Told || out.Forgotten || p.Client("one") != nil {
			t.Errorf("%+v, %v", out, p.Client("one"))
		}
		leaser, _ := p.store.(store.Leaser)
		if leases, err := leaser.Leases(t.Context()); err != nil || len(leases) != 1 { // that of Run
			t.Errorf("the leases are %v, %v", leases, err)
		}
		p.link("one")
		rig.WantReason(t, p.AnswerPasskey(t.Context(), "one", nil), walink.ErrPasskey)
		if err := p.Stop(t.Context(), "one"); err != nil {
			t.Fatal(err)
		}
		rig.WantReason(t, p.ConfirmPasskey(t.Context(), "one"), walink.ErrPasskey)
		if err := p.Stop(t.Context(), "one"); err != nil {
			t.Errorf("Stop of a stopped session: %v", err)
		}
		if out, err := p.Unlink(t.Context(), "one"); err != nil || !out.Told || !out.Forgotten {
			t.Errorf("Unlink of a stopped session: %+v, %v", out, err)
		}
	})
}

func TestAClosedFleetSaysSo(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.seed(1)
		p := w.running(fleet.Settings{})
		p.await("s000", walink.StateLinked)
		if err := p.Run(t.Context()); !errors.Is(err, fleet.ErrRunning) {
			t.Errorf("Run twice: %v", err)
		}
		p.close()
		p.close()
		_, sessionErr := p.Session(t.Context(), "s000")
		_, sessionsErr := p.Sessions(t.Context())
		_, unlinkErr := p.Unlink(t.Context(), "s000")
		for call, err := range map[string]error{
			"Run": p.Run(t.Context()), "Link": p.Link(t.Context(), "s000", walink.Settings{}), "Stop": p.Stop(t.Context(), "s000"),
			"Session": sessionErr, "Sessions": sessionsErr, "Unlink": unlinkErr,
			"AnswerPasskey": p.AnswerPasskey(t.Context(), "s000", nil), "ConfirmPasskey": p.ConfirmPasskey(t.Context(), "s000"),
		} {
			if !errors.Is(err, fleet.ErrClosed) {
				t.Errorf("%s: %v, want ErrClosed", call, err)
			}
		}
		if p.Client("s000") != nil {
			t.Error("there is a client")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.process(fleet.Settings{}).Run(ctx); err != nil {
			t.Errorf("Run with a ctx that has ended: %v", err)
		}
	})
}

func TestRunEndsWithItsStore(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		w := newWorld(t)
		names := w.seed(3)
		p := w.process(fleet.Settings{})
		ended := make(chan error, 1)
		go func() { ended <- p.Run(t.Context()) }()
		for _, name := range names {
			p.await(name, walink.StateLinked)
		}
		if err := p.store.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, fleet.ErrStoreClosed) {
			t.Errorf("Run: %v", err)
		}
		if err := p.Link(t.Context(), "one", walink.Settings{}); !errors.Is(err, fleet.ErrClosed) {
			t.Errorf("Link: %v", err)
		}
		w.failed()
		other := w.running(fleet.Settings{})
		time.Sleep(15 * time.Second)
		w.connected(names, other)
	})
}

func TestCapacityIsNeverExceeded(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		w := newWorld(t)
		names := w.seed(7)
		a := w.running(fleet.Settings{Holder: "a", Capacity: 3})
		time.Sleep(10 * time.Second)
		if shares := func() (n int) {
			for _, name := range names {
				if a.Client(name) != nil {
					n++
				}
			}
			return n
		}(); shares != 3 {
			t.Errorf("a has %d sessions", shares)
		}
		err := a.Link(t.Context(), "new", walink.Settings{})
		if !errors.Is(err, fleet.ErrFull) {
			t.Errorf("Link: %v, want ErrFull", err)
		}
		b := w.running(fleet.Settings{Holder: "b", Capacity: 5})
		time.Sleep(10 * time.Second)
		if shares := w.connected(names, a, b); shares[0] > 3 || shares[1] > 5 {
			t.Errorf("the shares are %v", shares)
		}
		b.link("new")
		if err := b.Link(t.Context(), "newer", walink.Settings{}); !errors.Is(err, fleet.ErrFull) {
			t.Errorf("Link: %v, want ErrFull", err)
		}
		// With the capacities reached nothing moves, for as long as it is so.
		time.Sleep(10 * time.Second)
		w.forget()
		time.Sleep(time.Hour)
		if seen := w.seen(); len(seen) > 0 {
			t.Errorf("updates: %v", seen)
		}
		// Many people at once.
		if err := b.Stop(t.Context(), "new"); err != nil {
			t.Fatal(err)
		}
		results := make(chan error, 10)
		for _, name := range []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"} {
			go func() { results <- b.Link(t.Context(), name, walink.Settings{}) }()
		}
		linked := 0
		for range 10 {
			if err := <-results; err == nil {
				linked++
			} else if !errors.Is(err, fleet.ErrFull) {
				t.Error(err)
			}
		}
		if linked != 1 {
			t.Errorf("%d were linked next to 4 sessions, and the capacity is 5", linked)
		}
		// Stop and Unlink need no room.
		if out, err := b.Unlink(t.Context(), "new"); err != nil || !out.Forgotten {
			t.Errorf("Unlink: %+v, %v", out, err)
		}
	})
}

func TestASessionHasOneNumber(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.seed(1)
		p := w.process(fleet.Settings{})
		other := "+" + w.phone("other").JID().User
		refused := func() {
			t.Helper()
			rig.WantReason(t, p.Link(t.Context(), "s000", walink.Settings{Phone: other}), walink.ErrWrongAccount)
		}
		refused()
		leaser, _ := p.store.(store.Leaser)
		if leases, err := leaser.Leases(t.Context()); err != nil || len(leases) > 0 {
			t.Errorf("the leases are %v, %v", leases, err)
		}
		p.run()
		p.await("s000", walink.StateLinked)
		refused()
		time.Sleep(time.Minute)
		w.connected([]string{"s000"}, p)
	})
}

func TestLinkThatMayOnlyResumeLeavesWhatIsNotStoredAlone(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.running(fleet.Settings{})
		resume := walink.Settings{ResumeOnly: true}
		if err := p.Link(t.Context(), "one", resume); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		given := map[string]string{"customer": "7"}
		if err := p.Link(t.Context(), "one", walink.Settings{Timeout: time.Minute}, fleet.WithMetadata(given)); err != nil {
			t.Fatal(err)
		}
		p.await("one", walink.StateFailed)
		if err := p.Link(t.Context(), "one", resume); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		if s := p.get("one"); !maps.Equal(s.Metadata, given) || !s.Wanted {
			t.Errorf("%+v", s)
		}
	})
}

func TestSessionThatWasRemovedOnThePhoneIsNotWanted(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.running(fleet.Settings{})
		p.link("one")
		w.phone("one").Remove(w.phone("one").LinkedDevices()[0].JID)
		removed := p.await("one", walink.StateFailed)
		if text := fmt.Sprint(removed); !strings.Contains(text, "The session has ended") {
			t.Error(text)
		}
		if s := p.get("one"); s.Wanted || s.Status.State != walink.StateFailed {
			t.Errorf("%+v", s)
		}
		time.Sleep(time.Minute)
		p.gone("one")
	})
}
