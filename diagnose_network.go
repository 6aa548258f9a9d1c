package walink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	wasocket "go.mau.fi/whatsmeow/socket"
)

// whatsappHost is the host of whatsmeow's socket.URL and socket.Origin.
const whatsappHost = "web.whatsapp.com"

// checkNetwork goes from the outside in: what leads to WhatsApp, its page, and
// the socket on which a device is linked. The connection of a program with a
// Settings.HTTPClient is its own affair, so only what comes through it is seen.
func (d *doctor) checkNetwork(ctx context.Context) {
	for _, fault := range d.faults {
		if fault.field == "Proxy" {
			d.because[onProxy] = onSettings // without the proxy there must be no connection
		}
	}
	base := http.RoundTripper(d.transport)
	switch {
	case d.because[onProxy] != "":
		d.skip(onProxy, "because "+onSettings+" failed")
	case d.set.httpClient != nil:
		if base = d.set.httpClient.Transport; base == nil {
			base = http.DefaultTransport
		}
		for _, name := range []string{onProxy, onDNS, onTCP} {
			d.skip(name, "Settings.HTTPClient connects in its own way")
		}
	default:
		d.checkProxy(ctx)
	}
	if d.set.httpClient == nil || d.because[onProxy] != "" {
		d.checkDNS(ctx)
		d.checkTCP(ctx)
	}
	d.checkPage(ctx, base)
}

// checkProxy finds the proxy, of the Settings or of the environment, and looks
// whether it can be reached. What it answers is seen with the page.
func (d *doctor) checkProxy(ctx context.Context) {
	if !d.ready(ctx, onProxy) {
		return
	}
	if d.proxy = d.set.proxy; d.proxy != nil {
		d.transport.Proxy = http.ProxyURL(d.proxy)
	} else if d.transport.Proxy != nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, wasocket.Origin, nil)
		if err == nil {
			d.proxy, err = d.transport.Proxy(req)
		}
		if err != nil { // whose text may hold a password
			d.fail(ctx, onProxy, "the proxy in this program's environment cannot be understood", trouble(ErrProxy,
				errors.New("not a URL"), "Write HTTPS_PROXY like http://host:8080, with special characters of the password escaped."))
			return
		}
	}
	if d.proxy == nil {
		d.skip(onProxy, "none is set")
		return
	}
	port := map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[d.proxy.Scheme]
	address := net.JoinHostPort(d.proxy.Hostname(), cmp.Or(d.proxy.Port(), port))
	if err := d.dial(ctx, address); err != nil {
		d.fail(ctx, onProxy, d.proxyName()+" cannot be reached", trouble(ErrProxy, err, ""))
		return
	}
	d.ok(onProxy, d.proxyName()+" answers")
}

// proxyName names the proxy without its credentials.
func (d *doctor) proxyName() string {
	name := d.proxy.Scheme + "://" + d.proxy.Host
	if d.set.proxy == nil {
		name += ", the proxy of this program's environment (HTTPS_PROXY),"
	}
	return name
}

func (d *doctor) dial(ctx context.Context, address string) error {
	_, err := within(ctx, stepLimit, func(ctx context.Context) (struct{}, error) {
		conn, err := d.transport.DialContext(ctx, "tcp", address)
		if err == nil {
			err = conn.Close()
		}
		return struct{}{}, err
	})
	return err
}

func (d *doctor) checkDNS(ctx context.Context) {
	const remedy = "Check this machine's DNS server, and that nothing filters " + whatsappHost + "."
	if !d.ready(ctx, onDNS, onProxy) {
		return
	}
	if d.proxy != nil {
		d.skip(onDNS, "the proxy resolves "+whatsappHost)
		return
	}
	addresses, err := within(ctx, stepLimit, func(ctx context.Context) ([]string, error) { return d.resolve(ctx, whatsappHost) })
	if err == nil && len(addresses) == 0 {
		err = errors.New("the name has no address")
	}
	if err != nil {
		d.fail(ctx, onDNS, whatsappHost+" cannot be resolved", trouble(ErrNetwork, err, remedy))
		return
	}
	detail := whatsappHost + " is " + strings.Join(addresses[:min(len(addresses), 4)], ", ")
	for _, address := range addresses {
		ip, err := netip.ParseAddr(address)
		if err == nil && (ip.IsLoopback() || ip.IsPrivate() || ip.IsUnspecified()) {
			d.warn(onDNS, detail, trouble(ErrNetwork, errors.New("that is no address of WhatsApp's"), remedy))
			return
		}
	}
	d.ok(onDNS, detail)
}

func (d *doctor) checkTCP(ctx context.Context) {
	if !d.ready(ctx, onTCP, onProxy, onDNS) {
		return
	}
	if d.proxy != nil {
		d.skip(onTCP, "the proxy connects to "+whatsappHost)
		return
	}
	if err := d.dial(ctx, net.JoinHostPort(whatsappHost, "443")); err != nil {
		d.fail(ctx, onTCP, "no connection to "+whatsappHost+" on port 443", trouble(ErrNetwork, err,
			"Let this machine connect to "+whatsappHost+" on port 443: a firewall in between may forbid it."))
		return
	}
	d.ok(onTCP, whatsappHost+" answers on port 443")
}

// checkPage asks for WhatsApp Web's page, which shows the proxy's answer, TLS,
// the clock and the current version, and then opens a socket.
func (d *doctor) checkPage(ctx context.Context, base http.RoundTripper) {
	if !d.ready(ctx, onTLS, onProxy, onDNS, onTCP) {
		for _, name := range []string{onClock, onWebsocket, onNoise, onVersion, onLinking} {
			d.ready(ctx, name, onTLS)
		}
		return
	}
	page := d.visit(ctx, base, time.Time{})
	d.judgeProxy(ctx, page)
	d.judgeTLS(ctx, base, page)
	d.checkSocket(ctx, base, page)
	d.judgeClock(ctx)
}

// judgeProxy tells what became of the request on the way through the proxy.
func (d *doctor) judgeProxy(ctx context.Context, page visit) {
	if d.proxy == nil || page.err == nil || page.tlsBegan {
		return
	}
	cause, detail, remedy := page.err, d.proxyName()+" does not let WhatsApp be reached", ""
	switch {
	case page.connect == http.StatusProxyAuthRequired && d.proxy.User == nil:
		detail = d.proxyName() + " asks for a user name and a password (407)"
		remedy = "Put the user name and the password into the URL of the proxy: " + d.proxy.Scheme + "://user:password@" + d.proxy.Host + "."
	case page.connect == http.StatusProxyAuthRequired:
		detail = d.proxyName() + " does not accept the user name and the password (407)"
		remedy = "Correct the user name and the password in the URL of the proxy."
	case page.connect != 0:
		detail = fmt.Sprintf("%s refuses to connect to %s (%d)", d.proxyName(), whatsappHost, page.connect)
		remedy = "Let the proxy connect to " + whatsappHost + " on port 443."
	case errors.Is(page.err, context.DeadlineExceeded):
		detail = d.proxyName() + " accepts connections and does not answer"
	}
	d.fail(ctx, onProxy, detail, trouble(ErrProxy, cause, remedy))
}

// judgeTLS tells how the handshake went. A certificate that is not valid at
// this machine's time is looked at again as of its own time: where that works,
// WhatsApp itself says what time it is.
func (d *doctor) judgeTLS(ctx context.Context, base http.RoundTripper, page visit) {
	d.heard = page.heard
	if !d.ready(ctx, onTLS, onProxy) {
		return
	}
	switch {
	case page.tlsErr == nil && page.tlsDone:
		d.ok(onTLS, "the certificate of "+whatsappHost+" is valid")
		return
	case d.set.httpClient != nil && page.tlsErr == nil:
		d.skip(onTLS, "Settings.HTTPClient connects in its own way")
		return
	}
	fault := diagnoseTLS(cmp.Or(page.tlsErr, page.err), d.now())
	if !fault.at.IsZero() {
		d.heard = d.visit(ctx, base, fault.at).heard
	}
	if offset := d.heard.offset(); offset.Abs() > clockTolerance {
		fault.detail += ": the clock is to blame"
		fault.remedy = remedyClock
	}
	d.fail(ctx, onTLS, fault.detail, trouble(ErrNetwork, fault.cause, fault.remedy))
}

const (
	// clockTolerance is how far off a clock may be; more than clockLimit is an error.
	clockTolerance = time.Minute
	clockLimit     = 5 * time.Minute

	remedyClock = "Set this machine's clock, and let it be set automatically (NTP)."
)

// judgeClock compares this machine's clock with WhatsApp's.
func (d *doctor) judgeClock(ctx context.Context) {
	if d.heard.date.IsZero() {
		if d.ready(ctx, onClock, onProxy, onTLS, onWebsocket) {
			d.skip(onClock, "WhatsApp did not say what time it is")
		}
		return
	}
	offset := d.heard.offset()
	direction := "ahead of"
	if offset < 0 {
		direction = "behind"
	}
	detail := fmt.Sprintf("this machine's clock is %s %s WhatsApp's", offset.Abs().Round(time.Second), direction)
	failure := trouble(ErrNetwork, errors.New("the clock is wrong"), remedyClock)
	switch {
	case offset.Abs() > clockLimit:
		d.fail(ctx, onClock, detail, failure)
	case offset.Abs() > clockTolerance:
		d.warn(onClock, detail, failure)
	default:
		d.ok(onClock, "this machine's clock agrees with WhatsApp's")
	}
}
