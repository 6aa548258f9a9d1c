package walink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// whatsappHost is the host of whatsmeow's socket.URL and socket.Origin.
const whatsappHost = "web.whatsapp.com"

const remedyConnect = "Let this machine connect to " + whatsappHost + " on port 443: a firewall in between may forbid it."

// base is the transport of the program.
func (d *doctor) base() http.RoundTripper {
	switch {
	case d.set.httpClient == nil:
		return d.transport
	case d.set.httpClient.Transport == nil:
		return http.DefaultTransport
	}
	return d.set.httpClient.Transport
}

// see asks for WhatsApp Web's page, once.
func (d *doctor) see(ctx context.Context) *visit {
	if d.page == nil {
		d.page = d.visit(ctx, false)
		d.heard = d.page.heard
	}
	return d.page
}

func (d *doctor) dial(ctx context.Context, address string) error {
	dial := d.transport.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	_, err := within(ctx, stepLimit, func(ctx context.Context) (struct{}, error) {
		conn, err := dial(ctx, "tcp", address)
		if err == nil {
			err = conn.Close()
		}
		return struct{}{}, err
	})
	return err
}

func (d *doctor) checkDNS(ctx context.Context) {
	switch {
	case d.proxy != nil:
		d.skip(onDNS, "the proxy resolves "+whatsappHost)
		return
	case d.set.httpClient != nil:
		if !d.foreignFailure(ctx, onDNS) {
			d.skip(onDNS, ownWay)
		}
		return
	}
	addresses, err := within(ctx, stepLimit, func(ctx context.Context) ([]string, error) { return d.resolve(ctx, whatsappHost) })
	if err == nil && len(addresses) == 0 {
		err = errors.New("the name has no address")
	}
	if err != nil {
		d.fail(ctx, onDNS, whatsappHost+" cannot be resolved", d.foreign(ErrNetwork, err, remedyLookup(err)))
		return
	}
	detail := whatsappHost + " is " + strings.Join(addresses[:min(len(addresses), 4)], ", ")
	null, odd := 0, 0
	for _, address := range addresses {
		ip, err := netip.ParseAddr(address)
		switch {
		case err != nil:
		case ip.IsUnspecified():
			null++
		case ip.IsLoopback(), ip.IsPrivate(), ip.IsLinkLocalUnicast():
			odd++
		}
	}
	filter := said(ErrNetwork, "that is no address of WhatsApp's", "Let the DNS server or filter of this network (a blocklist, a hosts file) resolve "+whatsappHost+".")
	switch {
	case null == len(addresses):
		d.wrong(onDNS, detail+", which leads nowhere", filter)
	case null+odd > 0:
		d.warn(onDNS, detail, filter)
	default:
		d.ok(onDNS, detail)
	}
}

// remedyLookup tells a name that is said not to exist from a lookup that failed.
func remedyLookup(err error) string {
	if lookup, ok := errors.AsType[*net.DNSError](err); ok && lookup.IsNotFound {
		return "Check that this machine is online, and that nothing filters " + whatsappHost + ": this machine's DNS server says that there is no such name."
	}
	return "Check that this machine is online, and then that its DNS server answers."
}

// blameDNS makes a failure of an address that is hardly WhatsApp's, once what lies
// behind it has failed.
func (d *doctor) blameDNS() {
	if c := d.found[onDNS]; c.Status == CheckWarning {
		d.wrong(onDNS, c.Detail, c.Err)
	}
}

func (d *doctor) checkTCP(ctx context.Context) {
	switch {
	case d.proxy != nil:
		d.skip(onTCP, "the proxy connects to "+whatsappHost)
	case d.set.httpClient != nil:
		if !d.foreignFailure(ctx, onTCP) {
			d.skip(onTCP, ownWay)
		}
	default:
		err := d.dial(ctx, net.JoinHostPort(whatsappHost, "443"))
		if err == nil {
			d.ok(onTCP, whatsappHost+" answers on port 443")
			return
		}
		if ctx.Err() == nil {
			d.blameDNS()
		}
		d.fail(ctx, onTCP, "no connection to "+whatsappHost+" on port 443", d.foreign(ErrNetwork, err, remedyConnect))
	}
}

// checkTLS tells how the handshake with WhatsApp went.
func (d *doctor) checkTLS(ctx context.Context) {
	if ctx.Err() != nil && d.page == nil {
		d.cutShort(ctx, onTLS)
		return
	}
	page := d.see(ctx)
	switch {
	case page.tlsDone && page.tlsErr == nil:
		d.ok(onTLS, "the certificate of "+whatsappHost+" is valid")
		return
	case page.tlsErr == nil && d.set.httpClient != nil && !isTLS(page.err):
		d.skip(onTLS, ownWay)
		return
	}
	err := page.tlsErr
	if err == nil {
		err = page.err
	}
	if err == nil {
		err = errors.New("there was no TLS handshake")
	}
	fault := diagnoseTLS(err, d.now(), whatsappHost)
	d.judgeCertificate(ctx, &fault)
	failure := d.foreign(ErrNetwork, fault.cause, fault.remedy)
	if page.tlsErr != nil && !isTimeout(page.tlsErr) && !errors.Is(page.tlsErr, context.Canceled) {
		d.blameDNS()
		d.wrong(onTLS, fault.detail, failure)
		return
	}
	if ctx.Err() == nil {
		d.blameDNS()
	}
	d.fail(ctx, onTLS, fault.detail, failure)
}

const (
	// clockTolerance is how far off a clock may be; more than clockLimit is an error.
	clockTolerance = time.Minute
	clockLimit     = 5 * time.Minute

	remedyClock = "Set this machine's clock, and let it be set automatically (NTP)."
)

// judgeCertificate looks again where a certificate is not valid at this machine's
// time: each is then taken as of its own time, and where that works WhatsApp itself
// says what time it is.
func (d *doctor) judgeCertificate(ctx context.Context, fault *tlsFault) {
	if !fault.outdated {
		return
	}
	if d.heard.date.IsZero() && ctx.Err() == nil {
		d.heard = d.visit(ctx, true).heard
	}
	switch offset := d.heard.offset(); {
	case d.heard.date.IsZero():
		fault.remedy = "Set this machine's clock; if it is right, " + fault.exempt + "."
	case offset.Abs() > clockTolerance:
		fault.detail += ": the clock is to blame"
		fault.remedy = remedyClock
	default:
		fault.detail += ", which is right"
		fault.remedy = capital(fault.exempt) + "."
	}
}

// judgeClock compares this machine's clock with WhatsApp's.
func (d *doctor) judgeClock(context.Context) {
	if d.heard.date.IsZero() {
		if culprit := d.culprit(onProxy, onDNS, onTCP, onTLS, onWebsocket); culprit != "" {
			d.blame(onClock, culprit)
			return
		}
		d.skip(onClock, "WhatsApp did not say what time it is")
		return
	}
	offset := d.heard.offset()
	direction := "ahead of"
	if offset < 0 {
		direction = "behind"
	}
	detail := fmt.Sprintf("this machine's clock is %s %s WhatsApp's", spoken(offset.Abs().Round(time.Second)), direction)
	failure := said(ErrNetwork, "the clock is wrong", remedyClock)
	switch {
	case offset.Abs() > clockLimit:
		d.wrong(onClock, detail, failure)
	case offset.Abs() > clockTolerance:
		d.warn(onClock, detail, failure)
	default:
		d.ok(onClock, "this machine's clock agrees with WhatsApp's")
	}
}
