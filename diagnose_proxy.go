package walink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	wasocket "go.mau.fi/whatsmeow/socket"
	"golang.org/x/net/http/httpproxy"
)

const ownWay = "Settings.HTTPClient connects in its own way"

// checkProxy finds the proxy, of the Settings, of their HTTPClient or of the
// environment, and looks whether WhatsApp can be reached through it.
func (d *doctor) checkProxy(ctx context.Context) {
	if d.unread || d.hasProxyFault() {
		d.blame(onProxy, onSettings) // without the proxy there must be no connection
		return
	}
	if !d.findProxy(ctx) {
		return
	}
	if d.proxy == nil {
		if d.set.httpClient != nil && !d.foreignFailure(ctx, onProxy) {
			d.skip(onProxy, ownWay)
		} else if d.set.httpClient == nil {
			d.judgeNoProxy()
		}
		return
	}
	if d.set.httpClient == nil {
		port := map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[d.proxy.Scheme]
		if err := d.dial(ctx, net.JoinHostPort(d.proxy.Hostname(), cmp.Or(d.proxy.Port(), port))); err != nil {
			d.fail(ctx, onProxy, d.proxyName()+" cannot be reached", d.foreign(ErrProxy, err, ""))
			return
		}
	}
	d.judgeProxy(ctx, d.see(ctx))
}

func (d *doctor) hasProxyFault() bool {
	for _, fault := range d.faults {
		for _, f := range settingsFaults(fault) {
			if f.field == "Proxy" {
				return true
			}
		}
	}
	return false
}

// findProxy sets d.proxy, and reports whether what it has found can be used.
func (d *doctor) findProxy(ctx context.Context) bool {
	find := d.transport.Proxy
	switch {
	case d.set.httpClient != nil:
		transport, ok := d.base().(*http.Transport)
		if !ok {
			return true
		}
		find = transport.Proxy
	case d.set.proxy != nil:
		d.proxy = d.set.proxy
		d.transport.Proxy = http.ProxyURL(d.proxy)
		return true
	}
	if find == nil {
		return true
	}
	found, err := within(ctx, stepLimit, func(ctx context.Context) (*url.URL, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, wasocket.Origin, nil)
		if err != nil {
			return nil, err
		}
		return find(req)
	})
	if err != nil { // whose text may hold a password
		d.fail(ctx, onProxy, "the proxy of this program cannot be understood", said(ErrProxy, "not a URL",
			"Write HTTPS_PROXY like http://host:8080, with special characters of the password escaped."))
		return false
	}
	if found == nil {
		return true
	}
	if shown, problem, remedy := proxyFault(found.String()); problem != "" {
		d.wrong(onProxy, "the proxy of this program cannot be used: "+shown, said(ErrProxy, problem, remedy))
		return false
	}
	d.proxy = found
	return true
}

// proxyFault is parseProxy for what net/http uses, which knows socks5h too.
func proxyFault(raw string) (shown, problem, remedy string) {
	_, shown, problem, remedy = parseProxy(strings.Replace(raw, "socks5h://", "socks5://", 1))
	return shown, problem, remedy
}

// judgeNoProxy tells what the environment has that is not used: net/http says
// nothing of a proxy that it cannot read.
func (d *doctor) judgeNoProxy() {
	const remedy = "Write the proxy into HTTPS_PROXY, or into Settings.Proxy."
	raw := d.environment("HTTPS_PROXY")
	some := httpproxy.Config{HTTPSProxy: "http://proxy.invalid", NoProxy: d.environment("NO_PROXY")}
	found, err := some.ProxyFunc()(&url.URL{Scheme: "https", Host: whatsappHost})
	exempt := err == nil && found == nil
	shown, problem, way := proxyFault(raw)
	if _, still, _ := proxyFault("http://" + raw); still == "" {
		problem = "" // net/http puts the scheme in front
	}
	switch {
	case raw == "":
		for _, other := range []string{"ALL_PROXY", "HTTP_PROXY"} {
			if d.environment(other) != "" && !exempt {
				d.warn(onProxy, "none is used: "+other+" is set, and is not read for connections to WhatsApp",
					said(ErrProxy, "HTTPS_PROXY is not set", remedy))
				return
			}
		}
		d.skip(onProxy, "none is set")
	case exempt:
		d.skip(onProxy, "HTTPS_PROXY is set, and NO_PROXY exempts "+whatsappHost)
	case problem != "":
		d.wrong(onProxy, "the proxy of this program's environment (HTTPS_PROXY) cannot be used: "+shown, said(ErrProxy, problem, way))
	default:
		d.skip(onProxy, "HTTPS_PROXY is set, and this program does not use it")
	}
}

// proxyName names the proxy without its credentials.
func (d *doctor) proxyName() string {
	name := d.proxy.Scheme + "://" + d.proxy.Host
	if d.proxy.Port() == "" {
		name += " (without a port, so the usual one)"
	}
	switch {
	case d.set.httpClient != nil:
		name += ", the proxy of Settings.HTTPClient,"
	case d.set.proxy == nil:
		name += ", the proxy of this program's environment (HTTPS_PROXY),"
	}
	return name
}

// judgeProxy tells what became of the request on the way through the proxy.
func (d *doctor) judgeProxy(ctx context.Context, page *visit) {
	socks := strings.HasPrefix(d.proxy.Scheme, "socks")
	reached := page.status != 0 || page.tlsBegan || page.connect == http.StatusOK
	switch {
	case page.err == nil || reached:
		d.ok(onProxy, d.proxyName()+" answers")
	case page.proxyErr != nil:
		d.judgeProxyCertificate(ctx, page)
	case page.connect == http.StatusProxyAuthRequired && d.proxy.User == nil:
		d.wrong(onProxy, d.proxyName()+" asks for a user name and a password (407)", said(ErrProxy, "no credentials are set",
			"Put the user name and the password into the URL of the proxy: "+d.proxy.Scheme+"://user:password@"+d.proxy.Host+"."))
	case page.connect == http.StatusProxyAuthRequired:
		d.wrong(onProxy, d.proxyName()+" does not accept the user name and the password (407)",
			said(ErrProxy, "the credentials are refused", "Correct the user name and the password in the URL of the proxy."))
	case page.connect != 0:
		d.wrong(onProxy, fmt.Sprintf("%s refuses to connect to %s (%d)", d.proxyName(), whatsappHost, page.connect),
			said(ErrProxy, "the proxy forbids it", "Let the proxy connect to "+whatsappHost+" on port 443."))
	default:
		detail, remedy := d.proxyName()+" does not let WhatsApp be reached", ""
		switch {
		case isTimeout(page.err):
			detail = d.proxyName() + " accepts connections and does not answer"
		case errors.Is(page.err, io.EOF), errors.Is(page.err, io.ErrUnexpectedEOF), strings.Contains(page.err.Error(), "reset"):
			detail = d.proxyName() + " accepts connections and breaks them off"
			remedy = "Check the scheme of the proxy (http or https) and its credentials, and let it connect to " + whatsappHost + " on port 443."
		}
		if socks {
			remedy = "Check that the proxy speaks SOCKS5: one for HTTP is written http://" + d.proxy.Host + "; then check its credentials."
		}
		d.fail(ctx, onProxy, detail, d.foreign(ErrProxy, page.err, remedy))
	}
}

// judgeProxyCertificate tells why the handshake with an https proxy failed.
func (d *doctor) judgeProxyCertificate(ctx context.Context, page *visit) {
	fault := diagnoseTLS(page.proxyErr, d.now(), d.proxyName())
	fault.exempt = "renew the certificate of the proxy"
	if fault.untrusted {
		fault.remedy = "Trust the root certificate of the proxy on this machine, or use the proxy by an http URL if it has one."
	}
	d.judgeCertificate(ctx, &fault)
	d.fail(ctx, onProxy, fault.detail, d.foreign(ErrProxy, fault.cause, fault.remedy))
}

// foreignFailure notes the failure of one check of the network where the error of a
// Settings.HTTPClient says that it is at fault, and reports whether it does.
func (d *doctor) foreignFailure(ctx context.Context, name string) bool {
	page := d.see(ctx)
	if page.err == nil || page.status != 0 || ctx.Err() != nil {
		return false
	}
	var lookup *net.DNSError
	var op *net.OpError
	at, reason := "", ErrNetwork
	detail := "Settings.HTTPClient cannot connect to " + whatsappHost
	var remedy string
	switch {
	case viaProxy(page.err):
		at, reason, detail = onProxy, ErrProxy, "the proxy of Settings.HTTPClient cannot be used"
	case errors.As(page.err, &lookup):
		at, detail, remedy = onDNS, whatsappHost+" cannot be resolved", remedyLookup(page.err)
	case errors.As(page.err, &op) && op.Op == "dial":
		at, remedy = onTCP, remedyConnect
	}
	if at != name {
		return false
	}
	d.wrong(name, detail, d.foreign(reason, page.err, remedy))
	return true
}
