package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/walink/walink"
)

func (d *doctor) checkProxy(ctx context.Context) finding {
	if d.unread || (walink.Settings{Proxy: d.settings.Proxy, HTTPClient: d.settings.HTTPClient}).Check() != nil {
		return d.because("settings") // without the proxy there must be no connection
	}
	proxy, err := d.findProxy(ctx)
	if err != nil { // its text may hold a password
		return d.fail(ctx, "the proxy of this program cannot be understood", walink.ErrProxy, errors.New("not a URL"),
			"Write HTTPS_PROXY like http://host:8080, with special characters of the password escaped.")
	}
	switch d.proxy = proxy; {
	case proxy != nil:
		// net/http knows socks5h as well.
		known := walink.Settings{Proxy: strings.Replace(proxy.String(), "socks5h://", "socks5://", 1)}
		if fault, ok := errors.AsType[*walink.SettingError](known.Check()); ok {
			return wrong("the proxy of this program cannot be used: "+fault.Value, walink.ErrProxy, fault.Problem, fault.Fix)
		}
		return d.judgeProxy(ctx, d.see(ctx))
	case d.settings.HTTPClient == nil:
		return d.judgeEnvironment()
	case atProxy(d.see(ctx).err):
		return d.fail(ctx, "the proxy of Settings.HTTPClient cannot be used", walink.ErrProxy, d.page.err, "")
	}
	return skip(ownWay)
}

// findProxy returns the proxy between this program and WhatsApp; nil if there is none.
func (d *doctor) findProxy(ctx context.Context) (*url.URL, error) {
	if d.settings.Proxy != "" {
		d.transport.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(d.settings.Proxy) }
	}
	transport, ok := d.base.(*http.Transport)
	if !ok || transport.Proxy == nil {
		return nil, nil
	}
	return within(ctx, func(ctx context.Context) (*url.URL, error) {
		req := &http.Request{URL: &url.URL{Scheme: "https", Host: whatsappHost}, Header: http.Header{}}
		return transport.Proxy(req.WithContext(ctx))
	})
}

func (d *doctor) judgeEnvironment() finding {
	for _, name := range []string{"HTTPS_PROXY", "ALL_PROXY", "HTTP_PROXY"} {
		if d.environment(name) != "" {
			return warn("none is used, though "+name+" is set: only HTTPS_PROXY counts, with a URL in it, and NO_PROXY may exempt "+whatsappHost,
				walink.ErrProxy, "the environment names a proxy that is not used", "Write the proxy into HTTPS_PROXY like http://host:8080, or into Settings.Proxy.")
		}
	}
	return skip("none is set")
}

func (d *doctor) proxyName() string {
	name := d.proxy.Scheme + "://" + d.proxy.Host
	if d.proxy.Port() == "" {
		name += " (without a port, so the usual one)"
	}
	switch {
	case d.settings.HTTPClient != nil:
		name += ", the proxy of Settings.HTTPClient,"
	case d.settings.Proxy == "":
		name += ", the proxy of this program's environment (HTTPS_PROXY),"
	}
	return name
}

// judgeProxy says whether the proxy passed the request for the page on.
func (d *doctor) judgeProxy(ctx context.Context, page *visit) finding {
	name, socks := d.proxyName(), strings.HasPrefix(d.proxy.Scheme, "socks")
	switch {
	case page.err == nil, page.status != 0, page.connect == http.StatusOK, socks && page.began:
		return good(name + " answers")
	case page.connect == http.StatusProxyAuthRequired && d.proxy.User == nil:
		return wrong(name+" asks for a user name and a password (407)", walink.ErrProxy, "no credentials are set",
			"Put the user name and the password into the URL of the proxy: "+d.proxy.Scheme+"://user:password@"+d.proxy.Host+".")
	case page.connect == http.StatusProxyAuthRequired:
		return wrong(name+" does not accept the user name and the password (407)", walink.ErrProxy, "the credentials are refused",
			"Correct the user name and the password in the URL of the proxy.")
	case page.connect != 0:
		return wrong(name+fmt.Sprintf(" refuses to connect to %s (%d)", whatsappHost, page.connect), walink.ErrProxy, "the proxy forbids it",
			"Let the proxy connect to "+whatsappHost+" on port 443.")
	case atProxy(page.err) && !page.began:
		return d.fail(ctx, name+" cannot be reached", walink.ErrProxy, page.err, "")
	case atProxy(page.err):
		detail, remedy, cause := d.judgeHandshake(page.err, name, "renew the certificate of the proxy",
			"Trust the root certificate of the proxy on this machine, or use the proxy by an http URL if it has one.")
		return d.fail(ctx, detail, walink.ErrProxy, cause, remedy)
	}
	detail, remedy := " does not let WhatsApp be reached", ""
	if isTimeout(page.err) {
		detail = " does not answer"
	} else if isClosing(page.err) {
		detail = " accepts connections and breaks them off"
		remedy = "Check the scheme of the proxy (http or https) and its credentials, and let it connect to " + whatsappHost + " on port 443."
	}
	if socks {
		remedy = "Check that the proxy speaks SOCKS5: one for HTTP is written http://" + d.proxy.Host + "; then check its credentials."
	}
	return d.fail(ctx, name+detail, walink.ErrProxy, page.err, remedy)
}

// atProxy reports whether net/http could not connect to an HTTP proxy, or shake hands
// with an https one.
func atProxy(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "proxyconnect"
}
