package walink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"go.mau.fi/util/random"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/util/keys"
)

// contactStage is how far the connection of a new device came.
type contactStage int

const (
	atWebsocket contactStage = iota // none is open
	atNoise
	atLinking // connected, and nothing to link with yet
	offered
)

// contact is what came of a device that connected to be linked.
type contact struct {
	stage contactStage
	refs  int
	err   *Error // why it came no further
	heard probed
}

// checkSocket connects a device that does not exist, as Link does, and tells how
// far it came. After a 405 it does what Link does: it tries the current version.
func (d *doctor) checkSocket(ctx context.Context, base http.RoundTripper, page visit) {
	if !d.ready(ctx, onWebsocket, onProxy, onTLS) {
		d.ready(ctx, onNoise, onWebsocket)
		d.judgeVersion(ctx, page, nil, false)
		d.ready(ctx, onLinking, onNoise)
		return
	}
	c := d.contact(ctx, base, nil)
	refused := c.err != nil && c.err.Reason == ErrClientOutdated
	if refused && d.set.versionRefresh && page.version != nil && d.version.LessThan(*page.version) {
		c = d.contact(ctx, base, page.version)
	}
	if d.heard.date.IsZero() {
		d.heard = c.heard
	}
	if c.stage == atWebsocket {
		d.fail(ctx, onWebsocket, "no websocket to "+whatsappHost+" can be opened", d.hintWebsocket(c.err))
	} else {
		d.ok(onWebsocket, "a websocket to "+whatsappHost+" can be opened")
	}
	if d.ready(ctx, onNoise, onWebsocket) {
		d.judgeNoise(ctx, c)
	}
	d.judgeVersion(ctx, page, c, refused)
	if d.ready(ctx, onLinking, onNoise, onVersion) {
		if c.stage == offered {
			d.ok(onLinking, fmt.Sprintf("WhatsApp offers %s to link a new device with", count(c.refs, "ref")))
		} else {
			d.fail(ctx, onLinking, "WhatsApp does not offer a new device anything to link with", c.err)
		}
	}
}

// hintWebsocket gives the remedy of a refused upgrade, which is not the account's.
func (d *doctor) hintWebsocket(err *Error) *Error {
	switch err.Reason {
	case ErrNetwork, ErrForbidden:
		return trouble(err.Reason, err.Err, "Let websockets to "+whatsappHost+" through whatever stands between (a firewall, a proxy).")
	default:
		return err
	}
}

func (d *doctor) judgeNoise(ctx context.Context, c *contact) {
	if c.stage != atNoise {
		d.ok(onNoise, "WhatsApp's server has proved who it is")
		return
	}
	remedy := "Look for a proxy or firewall that changes websocket traffic, and update walink and whatsmeow."
	if text := c.err.Error(); strings.Contains(text, "certificate not valid yet") || strings.Contains(text, "certificate expired") {
		remedy = remedyClock // of whatsmeow's checkCertValidity
	}
	d.fail(ctx, onNoise, "the encrypted (Noise) connection cannot be made", trouble(c.err.Reason, c.err.Err, remedy))
}

// judgeVersion compares the version that this build presents with the current
// one. c is nil if WhatsApp could not be asked, and refused says that it
// answered 405.
func (d *doctor) judgeVersion(ctx context.Context, page visit, c *contact, refused bool) {
	const update = "Update walink and whatsmeow."
	presents := "this build presents " + d.version.String()
	current := "the current version is not known"
	if page.version != nil {
		current = "current is " + page.version.String()
	}
	switch {
	case refused && c.err != nil && c.err.Reason == ErrClientOutdated:
		d.fail(ctx, onVersion, presents+", which WhatsApp refuses; "+current, c.err)
	case refused:
		d.warn(onVersion, presents+", which WhatsApp refuses; "+current+", which Link presents in its place",
			trouble(ErrClientOutdated, errors.New("this build is too old by itself"), update))
	case page.version != nil && d.version.LessThan(*page.version):
		d.warn(onVersion, presents+"; "+current, trouble(ErrClientOutdated, errors.New("this build is not the newest"), update))
	case page.version != nil:
		d.ok(onVersion, presents+", which is current")
	case d.ready(ctx, onVersion, onProxy, onTLS):
		d.warn(onVersion, presents+"; the current version could not be fetched", trouble(ErrNetwork, errors.New(firstRunes(orNone(page.err).Error(), 200)),
			"Let this machine fetch https://"+whatsappHost+", so that walink can update its version by itself."))
	}
}

// contact connects a device that does not exist, waits until WhatsApp offers it
// something to link with, and disconnects.
func (d *doctor) contact(ctx context.Context, base http.RoundTripper, version *wastore.WAVersionContainer) *contact {
	set := d.set
	set.proxy, set.onClient = d.proxy, nil
	upgraded := make(chan struct{}, 1)
	through := &probe{base: base, now: d.now, upgraded: func() {
		select {
		case upgraded <- struct{}{}:
		default:
		}
	}}
	if transport, ok := base.(*http.Transport); ok {
		transport = transport.Clone()
		defer transport.CloseIdleConnections()
		through.base = transport
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx)) // shut ends it in order
	defer cancel()
	// An attempt that nobody runs: only its ways to make a client are used.
	a := &attempt{linker: &Linker{settings: &set}, settings: &set, life: life, http: d.client(through)}
	a.linker.version.Store(version)
	sock := &socket{epoch: 1, inbox: newInbox(), device: throwaway(), life: life, cancel: cancel}
	a.newClient(sock)
	connected := make(chan struct{})
	go func() {
		defer close(connected)
		sock.connect(a.connectLost(sock.epoch))
	}()
	c := follow(ctx, sock.inbox, upgraded)
	_, _ = within(context.WithoutCancel(ctx), stepLimit, func(context.Context) (struct{}, error) {
		sock.shut()
		<-connected
		return struct{}{}, nil
	})
	c.heard = through.last()
	return c
}

// follow watches the connection until it has come as far as it should, or no further.
func follow(ctx context.Context, box *inbox, upgraded <-chan struct{}) *contact {
	c := &contact{}
	timer := time.NewTimer(stepLimit)
	defer timer.Stop()
	advance := func(stage contactStage) {
		if stage > c.stage {
			c.stage = stage
			timer.Reset(stepLimit)
		}
	}
	for c.stage != offered && c.err == nil {
		select {
		case <-upgraded:
			advance(atNoise)
		case <-box.ready:
			for _, in := range box.take() {
				if c.stage != offered && c.err == nil {
					c.take(in, advance)
				}
			}
		case <-timer.C:
			c.err = &Error{Reason: ErrStalled, Op: "diagnose", Err: &hinted{
				fmt.Errorf("no answer within %s", stepLimit),
				"Try again; if it stays like this, look for a proxy or firewall that holds websocket traffic back.",
			}}
		case <-ctx.Done():
			c.err = stopped(ctx)
		}
	}
	select {
	case <-upgraded: // was ready together with what followed
		c.stage = max(c.stage, atNoise)
	default:
	}
	return c
}

// take notes what the connection tells.
func (c *contact) take(in input, advance func(contactStage)) {
	if _, ok := in.(inOpened); ok {
		advance(atLinking)
	}
	if refs, ok := in.(inRefs); ok {
		advance(atLinking)
		if c.refs = len(refs.payloads); c.refs == 0 {
			c.err = &Error{Reason: ErrServer, Op: "diagnose", Err: errEmptyRefs}
			return
		}
		advance(offered)
	}
	if lost, ok := in.(inLost); ok {
		if c.err = lost.err; c.err.Op != "connect" {
			advance(atLinking) // the server spoke on the connection, or ended it later
		}
	}
}

// throwaway is a device that can never be stored: what whatsmeow's sqlstore
// makes in NewDevice, without the store.
func throwaway() *wastore.Device {
	nowhere := &wastore.NoopStore{Error: errors.New("this device is the doctor's and is not kept")}
	device := &wastore.Device{
		NoiseKey: keys.NewKeyPair(), IdentityKey: keys.NewKeyPair(),
		RegistrationID: binary.BigEndian.Uint32(random.Bytes(4)), AdvSecretKey: random.Bytes(32),
		Container: nowhere, LIDs: nowhere,
	}
	device.SignedPreKey = device.IdentityKey.CreateSignedPreKey(1)
	device.SetAllStores(nowhere)
	return device
}
