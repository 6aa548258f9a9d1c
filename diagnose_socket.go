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

	"github.com/walink/walink/internal/hint"
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
	stage   contactStage
	refs    int
	err     *Error // why it came no further
	heard   probed
	status  int  // of the answer to the request for a websocket; 0 if there was none
	refused bool // WhatsApp answered 405, now or before
}

// checkWebsocket connects a device that does not exist, as Link does, and tells how
// far it came. After a 405 it does what Link does: it tries the current version.
func (d *doctor) checkWebsocket(ctx context.Context) {
	page := d.page
	c := d.contact(ctx, nil)
	refused := c.err != nil && c.err.Reason == ErrClientOutdated
	if refused && d.set.versionRefresh && page.version != nil && d.version.LessThan(*page.version) {
		c = d.contact(ctx, page.version)
	}
	c.refused = refused
	d.link = c
	if d.heard.date.IsZero() {
		d.heard = c.heard
	}
	switch {
	case c.stage != atWebsocket:
		d.ok(onWebsocket, "a websocket to "+whatsappHost+" can be opened")
	case d.set.httpClient != nil && page.status == 0 && page.err != nil && !isTimeout(page.err) && c.status == 0 && ctx.Err() == nil:
		d.wrong(onTCP, "Settings.HTTPClient reaches nothing at "+whatsappHost, d.foreign(c.err.Reason, page.err, remedyConnect))
		d.blame(onWebsocket, onTCP)
	default:
		detail, failure := d.judgeUpgrade(c)
		d.fail(ctx, onWebsocket, detail, failure)
	}
}

// judgeUpgrade tells why there is no websocket. Whatever answers with anything but
// the trouble that WhatsApp's servers have stands between, or so it looks.
func (d *doctor) judgeUpgrade(c *contact) (detail string, failure *Error) {
	const let = "let websockets to " + whatsappHost + " through whatever stands between (a firewall, a filter, a proxy)."
	detail = fmt.Sprintf("no websocket to %s can be opened: the answer is HTTP status %d", whatsappHost, c.status)
	switch c.status {
	case 0:
		detail = "no websocket to " + whatsappHost + " can be opened"
		if c.err.Reason == ErrNetwork {
			return detail, d.foreign(ErrNetwork, c.err.Err, capital(let))
		}
		return detail, d.foreign(c.err.Reason, c.err.Err, c.err.Remedy())
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return detail, said(ErrServer, "WhatsApp has trouble", "")
	case http.StatusTooManyRequests:
		failure = said(ErrRateLimited, "there were too many connections from this address",
			"Wait "+spoken(rateLimitWait)+" without connecting; if it stays like this, use another network or proxy.")
		failure.RetryAfter = rateLimitWait
		return detail, failure
	case http.StatusProxyAuthRequired:
		return detail, said(ErrProxy, "a proxy asks for a user name and a password", "Put the user name and the password into the URL of the proxy.")
	case http.StatusUnauthorized, http.StatusForbidden:
		return detail, said(ErrForbidden, "the websocket is forbidden", capital(let))
	}
	return detail, said(ErrNetwork, "something between answers in WhatsApp's place", "Log in to the network if it has a login page, or "+let)
}

func (d *doctor) judgeNoise(ctx context.Context) {
	c := d.link
	if c.stage != atNoise {
		d.ok(onNoise, "WhatsApp's server has proved who it is")
		return
	}
	remedy := "Look for a proxy or firewall that changes websocket traffic, and update walink and whatsmeow."
	if text := c.err.Error(); strings.Contains(text, "certificate not valid yet") || strings.Contains(text, "certificate expired") {
		remedy = remedyClock // of whatsmeow's checkCertValidity
	}
	d.fail(ctx, onNoise, "the encrypted (Noise) connection cannot be made", d.foreign(c.err.Reason, c.err.Err, remedy))
}

// judgeVersion compares the version that this build presents with the current one.
func (d *doctor) judgeVersion(ctx context.Context) {
	const update = "Update walink and whatsmeow."
	page, c := d.page, d.link
	refused := c != nil && c.refused
	presents := "this build presents " + d.version.String()
	current := "the current version is not known"
	if page.version != nil {
		current = "current is " + page.version.String()
	}
	switch {
	case refused && c.err != nil && c.err.Reason == ErrClientOutdated:
		d.wrong(onVersion, presents+", which WhatsApp refuses; "+current, d.foreign(c.err.Reason, c.err.Err, ""))
	case refused:
		d.warn(onVersion, presents+", which WhatsApp refuses; "+current+", which Link presents in its place",
			said(ErrClientOutdated, "this build is too old by itself", update))
	case page.version != nil && d.version.LessThan(*page.version):
		d.warn(onVersion, presents+"; "+current, said(ErrClientOutdated, "this build is not the newest", update))
	case page.version != nil:
		d.ok(onVersion, presents+", which is current")
	case ctx.Err() != nil:
		d.cutShort(ctx, onVersion)
	default:
		d.warn(onVersion, presents+"; the current version could not be fetched", d.foreign(ErrNetwork, page.err,
			"Let this machine fetch https://"+whatsappHost+", so that walink can update its version by itself."))
	}
}

// judgeLinking tells whether a new device is offered something to link with.
func (d *doctor) judgeLinking(ctx context.Context) {
	c := d.link
	if c.stage == offered {
		d.ok(onLinking, fmt.Sprintf("WhatsApp offers %s to link a new device with", count(c.refs, "ref")))
		return
	}
	failure := d.foreign(c.err.Reason, c.err.Err, c.err.Remedy())
	failure.RetryAfter = c.err.RetryAfter
	d.fail(ctx, onLinking, "WhatsApp does not offer a new device anything to link with", failure)
}

// contact connects a device that does not exist, waits until WhatsApp offers it
// something to link with, and disconnects.
func (d *doctor) contact(ctx context.Context, version *wastore.WAVersionContainer) *contact {
	set := d.set
	set.proxy, set.onClient = nil, nil // the page came through the proxy, so what fails now is not its fault
	base := d.base()
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
	c.heard, c.status = through.last()
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
			c.err = &Error{Reason: ErrStalled, Op: "diagnose", Err: hint.New(
				errors.New("no answer within "+spoken(stepLimit)),
				"Try again; if it stays like this, look for a proxy or firewall that holds websocket traffic back.",
			)}
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
