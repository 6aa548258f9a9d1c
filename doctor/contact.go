package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/queue"
	"github.com/walink/walink/internal/wire"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
)

// contact is the outcome of connecting a device that wants to be linked.
type contact struct {
	trail                 // its status is that of the answer to the request for a websocket
	spoke   bool          // WhatsApp said something in the encrypted connection
	refs    int           // what WhatsApp offers to link with
	err     *walink.Error // why there are no refs; nil if there are
	refused bool          // WhatsApp answered 405, now or before
}

// checkWebsocket connects a device that does not exist, as Link does, and says whether a
// websocket was opened. After a 405 it tries the current version, as Link does.
func (d *doctor) checkWebsocket(ctx context.Context) finding {
	const none = "no websocket to " + whatsappHost + " can be opened"
	if ctx.Err() != nil {
		return d.fail(ctx, none, walink.ErrCanceled, ctx.Err(), "")
	}
	page, c := d.page, d.contact(ctx, nil)
	refused := c.err != nil && c.err.Reason == walink.ErrClientOutdated
	if refused && !d.settings.DisableVersionRefresh && page.version != nil && d.version.LessThan(*page.version) && wire.Doubt(*page.version) == "" {
		c = d.contact(ctx, page.version)
	}
	c.refused = refused
	d.link = c
	if d.heard.date.IsZero() {
		d.heard = c.trail
	}
	switch {
	case c.spoke, c.status == http.StatusSwitchingProtocols:
		return good("a websocket to " + whatsappHost + " can be opened")
	case c.status != 0:
		reason, cause, remedy := judgeAnswer(c.status)
		f := d.fail(ctx, fmt.Sprintf("%s: the answer is HTTP status %d", none, c.status), reason, errors.New(cause), remedy)
		if reason == walink.ErrRateLimited {
			f.Err.RetryAfter = wire.RateLimitWait
		}
		return f
	case d.settings.HTTPClient != nil && page.status == 0 && page.err != nil && !isTimeout(page.err) && ctx.Err() == nil:
		d.found["tcp"] = d.fail(ctx, "Settings.HTTPClient reaches nothing at "+whatsappHost, c.err.Reason, page.err, remedyConnect)
		return d.because("tcp")
	}
	remedy := c.err.Remedy()
	if c.err.Reason == walink.ErrNetwork {
		remedy = capital(websocketsThrough)
	}
	return d.fail(ctx, none, c.err.Reason, c.err.Err, remedy)
}

const websocketsThrough = "let websockets to " + whatsappHost + " pass every firewall, filter and proxy on the way."

// judgeAnswer says what an answer to the request for a websocket means. A 5xx or a 429 is
// from WhatsApp; every other answer is from a machine on the way.
func judgeAnswer(status int) (reason walink.Reason, cause, remedy string) {
	switch status {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return walink.ErrServer, "WhatsApp has trouble", ""
	case http.StatusTooManyRequests:
		return walink.ErrRateLimited, "there were too many connections from this address",
			"Wait " + spoken(wire.RateLimitWait) + " without connecting; if it stays like this, use another network or proxy."
	case http.StatusProxyAuthRequired:
		return walink.ErrProxy, "a proxy asks for a user name and a password", "Put the user name and the password into the URL of the proxy."
	case http.StatusUnauthorized, http.StatusForbidden:
		return walink.ErrForbidden, "the websocket is forbidden", capital(websocketsThrough)
	}
	return walink.ErrNetwork, "a machine on the way answers in WhatsApp's place", "Log in to the network if it has a login page, or " + websocketsThrough
}

func (d *doctor) checkNoise(ctx context.Context) finding {
	c := d.link
	if c.spoke {
		return good("WhatsApp's server has proved who it is")
	} else if err := wire.Unfit(d.direct); err != nil {
		return d.fail(ctx, "WhatsApp's server cannot prove who it is", walink.ErrInvalidSettings, err, "")
	}
	remedy := "Look for a proxy or firewall that changes websocket traffic, and update walink and whatsmeow."
	// whatsmeow has these words in no exported error (checkCertValidity in its
	// handshake.go). Delete when whatsmeow exports errors for them.
	if text := c.err.Error(); strings.Contains(text, "certificate not valid yet") || strings.Contains(text, "certificate expired") {
		remedy = remedyClock
	}
	return d.fail(ctx, "the encrypted (Noise) connection cannot be made", c.err.Reason, c.err.Err, remedy)
}

// checkVersion compares the version that this build presents with the current one.
func (d *doctor) checkVersion(ctx context.Context) finding {
	const update = "Update walink and whatsmeow."
	page, c := d.page, d.link
	presents, current := "this build presents "+wire.BuiltIn(d.now()), "the current version is not known"
	if page.version != nil {
		current = cmp.Or(wire.Doubt(*page.version), "current is "+page.version.String())
	}
	switch refused := c != nil && c.refused; {
	case refused && c.err != nil && c.err.Reason == walink.ErrClientOutdated:
		return d.fail(context.WithoutCancel(ctx), presents+", which WhatsApp refuses; "+current, walink.ErrClientOutdated, c.err.Err, "")
	case refused:
		return warn(presents+", which WhatsApp refuses; "+current+", which Link presents in its place", walink.ErrClientOutdated,
			"this build is too old by itself", update)
	case page.version != nil && d.version.LessThan(*page.version):
		return warn(presents+"; "+current, walink.ErrClientOutdated, "this build is not the newest", update)
	case page.version != nil && *page.version != d.version: // WhatsApp does not give everybody a new version on the same day
		return good(presents + "; " + current)
	case page.version != nil:
		return good(presents + ", which is current")
	}
	f := d.fail(ctx, presents+"; the current version could not be fetched", walink.ErrNetwork, page.err,
		"Let this machine fetch https://"+whatsappHost+", so that walink can update its version by itself.")
	f.Status = CheckWarning
	return f
}

func (d *doctor) checkLinking(ctx context.Context) finding {
	c := d.link
	if c.refs > 0 {
		return good(fmt.Sprintf("WhatsApp offers %s to link a new device with", count(c.refs, "ref")))
	}
	f := d.fail(ctx, "WhatsApp does not offer a new device anything to link with", c.err.Reason, c.err.Err, c.err.Remedy())
	f.Err.RetryAfter = c.err.RetryAfter
	return f
}

// contact connects a device that does not exist, until WhatsApp offers it something.
func (d *doctor) contact(ctx context.Context, version *wastore.WAVersionContainer) *contact {
	device, err := kv.New(memory.New()).Device(context.WithoutCancel(ctx), "doctor")
	if err != nil {
		return &contact{err: said(walink.ErrStore, err.Error(), "")} // not reached: the memory is there
	}
	silence := time.NewTimer(stepLimit)
	defer silence.Stop()
	through := &probe{base: d.base, now: d.now, upgraded: func() { silence.Reset(stepLimit) }}
	// The page came through the proxy, so a failure from here on is not the proxy's.
	cfg := &wire.Config{
		Browser: wire.BrowserOf(string(d.settings.Browser)), DeviceName: cmp.Or(d.settings.DeviceName, "walink"),
		HTTP: d.client(through), Log: cmp.Or(d.settings.Logger, slog.New(slog.DiscardHandler)),
	}
	cfg.SetVersion(version)
	inbox := queue.New[machine.Input]()
	conn := wire.New(ctx, cfg, &wire.Pace{}, wire.Params{Epoch: 1, Device: device, Inbox: inbox, Held: func() bool { return true }})
	connected := make(chan struct{})
	go func() {
		defer close(connected)
		conn.Connect()
	}()
	c := follow(ctx, inbox, silence)
	_, _ = within(context.WithoutCancel(ctx), func(context.Context) (struct{}, error) {
		conn.Shut()
		<-connected
		return struct{}{}, nil
	})
	c.trail = through.note(nil)
	return c
}

// follow watches the connection until WhatsApp offers something, is silent, or refuses.
func follow(ctx context.Context, inbox *queue.Queue[machine.Input], silence *time.Timer) *contact {
	c := &contact{}
	for c.refs == 0 && c.err == nil {
		select {
		case <-inbox.Ready():
			for _, in := range inbox.Take() {
				c.take(in)
			}
			silence.Reset(stepLimit)
		case <-silence.C:
			c.err = said(walink.ErrStalled, "no answer within "+spoken(stepLimit),
				"Try again; if it stays like this, look for a proxy or firewall that holds websocket traffic back.")
		case <-ctx.Done():
			c.err = said(walink.ErrCanceled, ctx.Err().Error(), "")
		}
	}
	return c
}

// take notes what the connection says, until it is clear how it ends.
func (c *contact) take(in machine.Input) {
	if c.refs > 0 || c.err != nil {
		return
	}
	_, opened := in.(machine.Opened)
	c.spoke = c.spoke || opened
	if refs, ok := in.(machine.Refs); ok {
		c.spoke, c.refs = true, len(refs.Payloads)
		if c.refs == 0 {
			c.err = said(walink.ErrServer, "WhatsApp sent no refs", "")
		}
	}
	if lost, ok := in.(machine.Lost); ok { // at "connect" there was no encrypted connection
		c.spoke = c.spoke || lost.Err.Op != "connect"
		c.err = &walink.Error{Reason: walink.Reason(lost.Err.Reason), Op: lost.Err.Op, RetryAfter: lost.Err.RetryAfter, Err: lost.Err.Err}
	}
}
