package walink_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink"
	"github.com/walink/walink/walinktest"
)

// fault is something that goes wrong at a stage.
type fault struct {
	name   string
	within time.Duration // in which the Link ends; 0 is a minute

	action  walinktest.Action  // what the server does
	forever bool               // every time, and not once
	wire    tampering          // what happens to the stage's frame
	stray   *waBinary.Node     // what arrives besides, a second later
	end     walink.Reason      // the program ends it 3 s after its start: ErrCanceled, ErrClosed
	slow    bool               // each event is read 5 s after the one before
	store   func(*faultyStore) // what the store does
	staged  bool               // the action is done besides
	rest    time.Duration      // before the next Link
	removed bool               // the phone has removed the stored device
	timeout time.Duration      // Settings.Timeout
}

// flow is a way to a connected session, with the stages that it passes.
type flow struct {
	name, about string
	stages      []stage
	rows        []row
	settings    walink.Settings
	passkey     bool
	byHand      bool // the person answers the passkey, and compares the codes
	resume      bool
}

// stage is a point of a flow.
type stage struct {
	name  string
	at    walinktest.Stage
	skip  int    // occurrences of it that belong to an earlier part of the flow
	frame [2]int // connection and number of the server's frame; zero if the stage has none
}

// row is what the table demands for one fault: an outcome for each stage.
type row struct {
	fault fault
	want  []string
}

// cell is one run of a flow with one fault at one of its stages.
type cell struct {
	flow  *flow
	stage stage
	fault fault
	want  string
}

// faultRig is a rig whose wire and store can fail.
type faultRig struct {
	*rig
	cell   *cell
	wire   *wire
	faulty *faultyStore
	client atomic.Pointer[whatsmeow.Client] // the latest
	set    walink.Settings
	paired bool
}

func newFaultRig(t *testing.T, c *cell) *faultRig {
	t.Helper()
	srv := walinktest.NewServer(t)
	r := &faultRig{rig: &rig{t: t, srv: srv}, cell: c, wire: &wire{base: srv.HTTPClient().Transport}}
	r.faulty = &faultyStore{cheapStore: cheapStore{kvStore(t)}}
	if c.fault.store != nil || c.fault.end != "" { // here the store has a part in it
		r.faulty.fullStore = sqliteStore(t)
	}
	r.store = r.faulty
	var options []walinktest.PhoneOption
	r.set = c.flow.settings
	if c.flow.passkey {
		options = append(options, walinktest.WithPasskey())
	}
	if c.flow.byHand {
		r.set.ComparePasskeyCode = true
	} else if c.flow.passkey {
		r.set.Passkey = func(_ context.Context, challenge json.RawMessage) (json.RawMessage, error) {
			return r.phone.Assert(challenge)
		}
	}
	r.phone = srv.NewPhone(number, options...)
	r.set.CodeBudget = 20
	r.set.HTTPClient = &http.Client{Transport: r.wire}
	r.set.OnClient = r.client.Store
	return r
}

// renew puts another Linker in the place of the last one.
func (r *faultRig) renew(settings walink.Settings) {
	r.t.Helper()
	linker, err := walink.New(r.store, settings)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := linker.Close(); err != nil {
			r.t.Error(err)
		}
	})
	r.linker = linker
}

// run is the cell's test. It returns what a person would tell of it.
func (c *cell) run(t *testing.T) (outcome string) {
	t.Helper()
	r := newFaultRig(t, c)
	if c.flow.resume {
		first := r.set
		first.Phone, first.LinkingMode = "", ""
		r.renew(first)
		r.link(t.Context())
		r.readAll(t.Context(), 0)
		if err := r.linker.Close(); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute)
	}
	c.arm(r)
	settings := r.set
	settings.Timeout = c.fault.timeout
	r.renew(settings)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	switch c.fault.end {
	case walink.ErrCanceled:
		time.AfterFunc(3*time.Second, cancel)
	case walink.ErrClosed:
		linker := r.linker
		time.AfterFunc(3*time.Second, func() { _ = linker.Close() })
	default: // the program lets it run
	}
	start := time.Now()
	r.link(ctx)
	if c.fault.stray != nil {
		time.AfterFunc(time.Second, r.inject(*c.fault.stray))
	}
	pause := time.Duration(0)
	if c.fault.slow {
		pause = 5 * time.Second
	}
	r.readAll(t.Context(), pause)
	within := c.fault.within
	if within == 0 {
		within = time.Minute
	}
	if took := time.Since(start); took > within {
		t.Errorf("it took %v, and may take %v", took, within)
	}
	outcome = r.outcome()
	r.checkEnd()
	return outcome
}

// arm prepares the fault.
func (c *cell) arm(r *faultRig) {
	f := c.fault
	if c.fault.removed {
		for _, device := range r.phone.LinkedDevices() {
			r.phone.Remove(device.JID)
		}
	}
	if f.store != nil {
		f.store(r.faulty)
	}
	if f.wire != untouched {
		r.wire.arm(c.stage.frame[0], c.stage.frame[1], f.wire)
		return
	}
	if c.stage.at == "" {
		return
	}
	for range c.stage.skip {
		r.srv.Script(c.stage.at, walinktest.Pass())
	}
	if f.forever {
		f.action = f.action.Always()
	}
	r.srv.Script(c.stage.at, f.action)
}

// readAll is a person who takes every code that is shown, until the Link ends.
func (r *faultRig) readAll(ctx context.Context, pause time.Duration) {
	r.t.Helper()
	for event := range r.events {
		r.seen = append(r.seen, event)
		r.take(ctx, event)
		if r.cell.flow.byHand {
			r.passkeyByHand(ctx, event)
		}
		if pause > 0 {
			<-time.After(pause)
		}
	}
	terminal := 0
	for i, event := range r.seen {
		switch event.(type) {
		case walink.Linked, walink.Failed:
			if terminal++; i != len(r.seen)-1 {
				r.t.Errorf("an event follows the terminal one:\n%s", r.story())
			}
		}
	}
	if terminal != 1 {
		r.t.Fatalf("%d terminal events:\n%s", terminal, r.story())
	}
}

// passkeyByHand is a person who answers a challenge, up to three times, and
// finds that the codes are the same.
func (r *faultRig) passkeyByHand(ctx context.Context, event walink.Event) {
	linker := r.linker
	switch e := event.(type) {
	case walink.PasskeyRequired:
		go func() {
			for range 3 {
				answer, err := r.phone.Assert(e.Challenge)
				if err != nil || linker.AnswerPasskey(ctx, answer) == nil {
					return
				}
				select {
				case <-time.After(time.Second):
				case <-ctx.Done():
					return
				}
			}
		}()
	case walink.PasskeyConfirmation:
		if e.Automatic {
			r.t.Error("nobody compares the codes")
		}
		go func() { _ = linker.ConfirmPasskey(ctx) }()
	}
}

// checkEnd compares what is stored with what the phone lists, and has the next
// Link, with nothing in its way, end with a session that works.
func (r *faultRig) checkEnd() {
	r.t.Helper()
	r.heal()
	if rest := r.cell.fault.rest; rest > 0 {
		<-time.After(rest)
	}
	stored, err := r.store.Sessions(context.WithoutCancel(r.t.Context()))
	if err != nil {
		r.t.Fatal(err)
	}
	listed := false
	for _, s := range stored {
		listed = slices.ContainsFunc(r.phone.LinkedDevices(), func(d walinktest.Device) bool { return d.JID == s.JID })
	}
	story := r.story()
	if linked, ok := r.seen[len(r.seen)-1].(walink.Linked); ok {
		if len(stored) != 1 || !listed || stored[0].JID != linked.Account.JID {
			r.t.Errorf("linked, but %d sessions are stored, and the phone lists it: %t\n%s", len(stored), listed, story)
		}
		r.usable()
		return
	}
	want := "linked"
	switch {
	case len(stored) > 0 && listed:
		want = "resumed"
	case len(stored) > 0:
		// WhatsApp never heard of it, or has removed it: the next Link says so.
		want = "logged out, linked"
		if !r.paired && !strings.Contains(story, "retrying") && !r.wasStored() {
			r.t.Errorf("a session is stored that the phone does not list, and nobody was told of a link:\n%s", story)
		}
	case len(r.phone.LinkedDevices()) > 0 && !strings.Contains(story, "logged out") && !strings.Contains(story, "banned"):
		r.t.Errorf("the phone lists a device that is not stored, and nobody was told:\n%s", story)
	}
	if err := r.linker.Close(); err != nil {
		r.t.Error(err)
	}
	next := r.set
	next.Phone, next.LinkingMode = "", "" // codes are dear
	r.renew(next)
	r.link(r.t.Context())
	r.readAll(r.t.Context(), 0)
	if got := r.outcome(); got != want {
		r.t.Errorf("the next Link: %s, want %s:\n%s\nafter\n%s", got, want, r.story(), story)
	}
	r.usable()
}

// wasStored reports whether the session was there before the fault.
func (r *faultRig) wasStored() bool { return r.faulty.saves() == 1 }

// heal takes every fault away.
func (r *faultRig) heal() {
	for _, stage := range everyStage {
		r.srv.Script(stage)
	}
	r.wire.arm(0, 0, untouched)
	r.faulty.heal()
}

var everyStage = []walinktest.Stage{
	walinktest.StageVersion, walinktest.StageUpgrade, walinktest.StageHandshake, walinktest.StagePairDevice,
	walinktest.StageCompanionHello, walinktest.StagePrimaryHello, walinktest.StageCompanionFinish,
	walinktest.StagePasskeyRequest, walinktest.StagePasskeyRef, walinktest.StagePasskeyPrologue,
	walinktest.StagePasskeyContinuation, walinktest.StageCompanionNonce, walinktest.StagePairingRequest,
	walinktest.StagePairSuccess, walinktest.StagePairDeviceSign, walinktest.StageLoginReconnect,
	walinktest.StageLogin, walinktest.StageAfterLogin,
}

// inject returns a function that has the present client receive a node that
// its server did not send, as whatsmeow's reader hands on a frame that was decrypted.
func (r *faultRig) inject(node waBinary.Node) func() {
	return func() {
		data, err := waBinary.Marshal(node)
		if err != nil || r.client.Load() == nil {
			return
		}
		internals := r.client.Load().DangerousInternals() //nolint:staticcheck // nothing public takes a frame
		ctx, queue := context.WithoutCancel(r.t.Context()), make(chan *waBinary.Node, 1)
		internals.HandleFrame(ctx, data, queue)
		select {
		case node := <-queue:
			switch node.Tag {
			case "iq":
				internals.HandleIQ(ctx, node)
			case "notification":
				internals.HandleNotification(ctx, node)
			case "success":
				internals.HandleConnectSuccess(ctx, node)
			case "ib":
				internals.HandleIB(ctx, node)
			}
		default: // whatsmeow has no use for it
		}
	}
}

// wrongID is an answer to a question that nobody asked.
var wrongID = waBinary.Node{Tag: "iq", Attrs: waBinary.Attrs{"from": types.ServerJID, "type": "result", "id": "1.nobody-1"}}
