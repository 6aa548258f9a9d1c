package faults_test

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

	"github.com/walink/walink"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/walinktest"
)

// trial is one run of a cell, on a Rig whose wire and Store can fail.
type trial struct {
	*rig.Rig
	t        *testing.T
	cell     *cell
	settings walink.Settings
	wire     *wire
	store    *faultyStore
	client   atomic.Pointer[whatsmeow.Client] // the latest
	paired   bool                             // a Paired was among the events
}

// run tries a cell, in a bubble that ends only if no goroutine is left.
func (c *cell) run(t *testing.T) {
	t.Helper()
	rig.Bubble(t, func(t *testing.T) {
		tr := newTrial(t, c)
		tr.link()
		outcome := tr.outcome()
		tr.checkEnd()
		if !c.allows(outcome) {
			t.Errorf("the outcome is %q, the table demands %q\n%s", outcome, c.want, tr.Story())
		}
	})
}

func newTrial(t *testing.T, c *cell) *trial {
	t.Helper()
	tr := &trial{t: t, cell: c, settings: c.flow.settings, store: &faultyStore{fullStore: rig.MemoryStore(t)}}
	if c.fault.store != nil || c.fault.end != "" { // what SQLite does matters to these
		tr.store.fullStore = rig.SQLiteStore(t)
	}
	tr.settings.CodeBudget = 20
	tr.settings.OnClient = tr.client.Store
	var phone []walinktest.PhoneOption
	if c.flow.passkey {
		phone = append(phone, walinktest.WithPasskey())
	}
	switch {
	case c.flow.byHand:
		tr.settings.ComparePasskeyCode = true
	case c.flow.passkey:
		tr.settings.Passkey = func(_ context.Context, challenge json.RawMessage) (json.RawMessage, error) {
			return tr.Phone.Assert(challenge)
		}
	}
	tr.Rig = rig.New(t, tr.settings, rig.WithStore(tr.store), rig.WithPhone(phone...),
		rig.WithTransport(func(base http.RoundTripper) http.RoundTripper {
			tr.wire = &wire{base: base}
			return tr.wire
		}))
	return tr
}

// byQR returns the settings for a Link that is not the one under trial: pairing
// codes take much time to compute.
func (tr *trial) byQR() walink.Settings {
	settings := tr.settings
	settings.Phone, settings.LinkingMode = "", ""
	return settings
}

// link is the Link under trial.
func (tr *trial) link() {
	tr.t.Helper()
	f := tr.cell.fault
	if tr.cell.flow.resume {
		tr.Rig = tr.Again(tr.byQR())
		tr.Link(tr.t.Context())
		tr.takeAll(0)
		tr.Close()
		time.Sleep(time.Minute)
	}
	tr.arm()
	settings := tr.settings
	settings.Timeout = f.timeout
	tr.Rig = tr.Again(settings)
	ctx, cancel := context.WithCancel(tr.t.Context())
	defer cancel()
	switch f.end {
	case walink.ErrCanceled:
		time.AfterFunc(3*time.Second, cancel)
	case walink.ErrClosed:
		linker := tr.Linker
		time.AfterFunc(3*time.Second, func() { _ = linker.Close() })
	default: // the program lets it run
	}
	start := time.Now()
	tr.Link(ctx)
	if f.stray != nil {
		time.AfterFunc(time.Second, func() { tr.inject(*f.stray) })
	}
	if f.server != nil {
		time.AfterFunc(time.Second, func() { f.server(tr.Server) })
	}
	pause := time.Duration(0)
	if f.slow {
		pause = 5 * time.Second
	}
	tr.takeAll(pause)
	within := f.within
	if within == 0 {
		within = time.Minute
	}
	if took := time.Since(start); took > within {
		tr.t.Errorf("the Link took %v, and may take %v", took, within)
	}
}

// arm prepares the fault.
func (tr *trial) arm() {
	f, stage := tr.cell.fault, tr.cell.stage
	if f.removed {
		for _, device := range tr.Phone.LinkedDevices() {
			tr.Phone.Remove(device.JID)
		}
	}
	if f.store != nil {
		f.store(tr.store)
	}
	if f.frame != untouched {
		tr.wire.tamper(stage.frame, f.frame)
	}
	for range stage.skip {
		tr.Server.Script(stage.at, walinktest.Pass())
	}
	action := f.action
	if f.forever {
		action = action.Always()
	}
	tr.Server.Script(stage.at, action)
}

// takeAll is a person who takes every code until the Link ends, and a program
// that takes as long as pause for each event.
func (tr *trial) takeAll(pause time.Duration) {
	tr.t.Helper()
	for event := range tr.Rest() {
		tr.Take(tr.t.Context(), event)
		if tr.cell.flow.byHand {
			tr.passkeyByHand(event)
		}
		if pause > 0 {
			time.Sleep(pause)
		}
	}
	terminal := 0
	for i, event := range tr.Seen {
		switch event.(type) {
		case walink.Linked, walink.Failed:
			if terminal++; i != len(tr.Seen)-1 {
				tr.t.Errorf("an event follows the terminal one:\n%s", tr.Story())
			}
		}
	}
	if terminal != 1 {
		tr.t.Fatalf("%d terminal events:\n%s", terminal, tr.Story())
	}
}

// passkeyByHand is a person who answers a challenge, up to three times, and
// finds that the two codes are the same.
func (tr *trial) passkeyByHand(event walink.Event) {
	ctx, linker := tr.t.Context(), tr.Linker
	switch e := event.(type) {
	case walink.PasskeyRequired:
		go func() {
			for range 3 {
				answer, err := tr.Phone.Assert(e.Challenge)
				if err != nil || linker.AnswerPasskey(ctx, answer) == nil {
					return
				}
				select {
				case <-time.After(time.Second):
				case <-ctx.Done(): // at the end of the test, after which no time passes in a bubble
					return
				}
			}
		}()
	case walink.PasskeyConfirmation:
		if e.Automatic {
			tr.t.Error("the person does not compare the codes")
		}
		go func() { _ = linker.ConfirmPasskey(ctx) }()
	}
}

// checkEnd compares what is stored with what the phone lists. After a Failed it
// demands that the next Link, without a fault, ends with a client that works.
func (tr *trial) checkEnd() {
	tr.t.Helper()
	tr.heal()
	time.Sleep(tr.cell.fault.rest)
	stored, err := tr.Store.Sessions(context.WithoutCancel(tr.t.Context()))
	if err != nil {
		tr.t.Fatal(err)
	}
	devices := tr.Phone.LinkedDevices()
	listed := false
	for _, s := range stored {
		listed = slices.ContainsFunc(devices, func(d walinktest.Device) bool { return d.JID == s.JID })
	}
	story := tr.Story()
	if linked, ok := tr.Seen[len(tr.Seen)-1].(walink.Linked); ok {
		if len(stored) != 1 || !listed || stored[0].JID != linked.Account.JID {
			tr.t.Errorf("linked, with %d sessions in the Store, and the phone lists the device: %t\n%s", len(stored), listed, story)
		}
		tr.CheckUsable()
		return
	}
	want := "linked"
	switch {
	case len(stored) > 0 && listed:
		want = "resumed"
	case len(stored) > 0:
		// WhatsApp never heard of the device, or has removed it: the next Link says so.
		want = "logged out, linked"
		storedBefore := tr.store.saves() == 1
		if !tr.paired && !strings.Contains(story, "retrying") && !storedBefore {
			tr.t.Errorf("a session is stored that the phone does not list, and no event reports it:\n%s", story)
		}
	case len(devices) > 0 && !strings.Contains(story, "logged out") && !strings.Contains(story, "banned"):
		tr.t.Errorf("the phone lists a device that is not stored, and no event reports it:\n%s", story)
	}
	tr.Rig = tr.Again(tr.byQR())
	tr.Link(tr.t.Context())
	tr.takeAll(0)
	if got := tr.outcome(); got != want {
		tr.t.Errorf("the outcome of the next Link is %q, want %q:\n%s\nafter\n%s", got, want, tr.Story(), story)
	}
	tr.CheckUsable()
}

// heal takes every fault away.
func (tr *trial) heal() {
	for _, stage := range everyStage {
		tr.Server.Script(stage)
	}
	tr.wire.tamper(frame{}, untouched)
	tr.store.heal()
}

var everyStage = []walinktest.Stage{
	walinktest.StageVersion, walinktest.StageUpgrade, walinktest.StageHandshake, walinktest.StagePairDevice,
	walinktest.StageCompanionHello, walinktest.StagePrimaryHello, walinktest.StageCompanionFinish,
	walinktest.StagePasskeyRequest, walinktest.StagePasskeyRef, walinktest.StagePasskeyPrologue,
	walinktest.StagePasskeyContinuation, walinktest.StageCompanionNonce, walinktest.StagePairingRequest,
	walinktest.StagePairSuccess, walinktest.StagePairDeviceSign, walinktest.StageLoginReconnect,
	walinktest.StageLogin, walinktest.StageAfterLogin, walinktest.StageRemoval,
}

// inject has the latest client receive a node that its server did not send, in
// the way in which whatsmeow's reader hands over a decrypted frame.
func (tr *trial) inject(node waBinary.Node) {
	data, err := waBinary.Marshal(node)
	client := tr.client.Load()
	if err != nil || client == nil {
		return
	}
	internals := client.DangerousInternals() //nolint:staticcheck // nothing public takes a frame
	ctx, queue := context.WithoutCancel(tr.t.Context()), make(chan *waBinary.Node, 1)
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
