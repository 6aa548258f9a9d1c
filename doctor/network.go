package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"
	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/redact"
)

// whatsappHost is the host of whatsmeow's socket.URL and socket.Origin.
const whatsappHost = "web.whatsapp.com"

const (
	ownWay = "Settings.HTTPClient connects in its own way"

	remedyConnect = "Let this machine connect to " + whatsappHost + " on port 443: a firewall in between may forbid it."
	remedyClock   = "Set this machine's clock, and let it be set automatically (NTP)."
	exemption     = "exempt " + whatsappHost + " from every firewall, antivirus or proxy that inspects this machine's connections"
)

func (d *doctor) checkDNS(ctx context.Context) finding {
	if d.proxy != nil {
		return skip("the proxy resolves " + whatsappHost)
	}
	if d.settings.HTTPClient != nil {
		if _, ok := errors.AsType[*net.DNSError](d.see(ctx).err); ok {
			return d.unresolved(ctx, d.page.err)
		}
		return skip(ownWay)
	}
	addresses, err := within(ctx, func(ctx context.Context) ([]string, error) { return d.resolve(ctx, whatsappHost) })
	if err == nil && len(addresses) == 0 {
		err = errors.New("the name has no address")
	}
	if err != nil {
		return d.unresolved(ctx, err)
	}
	detail := whatsappHost + " is " + strings.Join(addresses[:min(len(addresses), 4)], ", ")
	null, odd := 0, 0
	for _, address := range addresses {
		ip, _ := netip.ParseAddr(address) // zero if it is none
		if ip.IsUnspecified() {
			null++
		} else if ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() {
			odd++
		}
	}
	const (
		cause  = "that is no address of WhatsApp's"
		remedy = "Let the DNS server or filter of this network (a blocklist, a hosts file) resolve " + whatsappHost + "."
	)
	switch {
	case null == len(addresses):
		return wrong(detail+", which leads nowhere", walink.ErrNetwork, cause, remedy)
	case null+odd > 0:
		return warn(detail, walink.ErrNetwork, cause, remedy)
	}
	return good(detail)
}

func (d *doctor) unresolved(ctx context.Context, err error) finding {
	remedy := "Check that this machine is online, and then that its DNS server answers."
	if lookup, ok := errors.AsType[*net.DNSError](err); ok && lookup.IsNotFound {
		remedy = "Check that this machine is online, and that nothing filters " + whatsappHost + ": this machine's DNS server says that there is no such name."
	}
	return d.fail(ctx, whatsappHost+" cannot be resolved", walink.ErrNetwork, err, remedy)
}

func (d *doctor) checkTCP(ctx context.Context) finding {
	if d.proxy != nil {
		return skip("the proxy connects to " + whatsappHost)
	}
	page, detail := d.see(ctx), "no connection to "+whatsappHost+" on port 443"
	if d.settings.HTTPClient != nil {
		op, ok := errors.AsType[*net.OpError](page.err)
		if !ok || op.Op != "dial" {
			return skip(ownWay)
		}
		detail = "Settings.HTTPClient cannot connect to " + whatsappHost
	} else if page.began || page.status != 0 {
		return good(whatsappHost + " answers on port 443")
	}
	return d.unreached(ctx, detail, page.err, remedyConnect)
}

// unreached is fail. It also turns the warning about an odd address into a failure.
func (d *doctor) unreached(ctx context.Context, detail string, cause error, remedy string) finding {
	if dns := d.found["dns"]; dns.Status == CheckWarning && ctx.Err() == nil {
		dns.Status = CheckFailed
		d.found["dns"] = dns
	}
	return d.fail(ctx, detail, walink.ErrNetwork, cause, remedy)
}

func (d *doctor) checkTLS(ctx context.Context) finding {
	page, foreign := d.see(ctx), d.settings.HTTPClient != nil
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](page.err)
	switch {
	case page.secured, page.status != 0 && !foreign:
		return good("the certificate of " + whatsappHost + " is valid")
	case foreign && !page.began && !untrusted:
		return skip(ownWay)
	}
	detail, remedy, cause := d.judgeHandshake(page.err, whatsappHost, exemption,
		capital(exemption)+", or trust its root certificate; on a small system install ca-certificates.")
	return d.unreached(ctx, detail, cause, remedy)
}

// judgeHandshake explains a failed TLS handshake with the server that who names. renew is the remedy if
// the certificate is not valid though the clock is right, and trust the one for an
// unknown authority. Some systems have their own error types, so dates decide.
func (d *doctor) judgeHandshake(err error, who, renew, trust string) (detail, remedy string, cause error) {
	const day = time.DateOnly + " 15:04 MST"
	var (
		invalid   x509.CertificateInvalidError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		record    tls.RecordHeaderError
		verify    *tls.CertificateVerificationError
		cert      *x509.Certificate // that is not valid now
	)
	now := d.now()
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		cert = invalid.Cert
	}
	if errors.As(err, &verify) && len(verify.UnverifiedCertificates) > 0 {
		if leaf := verify.UnverifiedCertificates[0]; now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
			cert = leaf
		}
	}
	detail, cause = "the TLS handshake with "+who+" failed", err
	remedy = "Let this machine connect to " + whatsappHost + " on port 443, and look for a firewall or filter that cuts TLS connections off."
	switch {
	case cert != nil:
		detail = fmt.Sprintf("the certificate of %s is valid from %s to %s, and this machine's clock says %s",
			who, cert.NotBefore.UTC().Format(day), cert.NotAfter.UTC().Format(day), now.UTC().Format(day))
		remedy = strings.TrimSuffix(remedyClock, ".") + "; if it is right, " + renew + "."
		cause = errors.New("the certificate is not valid now")
	case errors.As(err, &authority):
		detail, remedy = "this machine does not trust the certificate of "+who, trust
		if authority.Cert != nil {
			detail += ", which was issued by " + redact.Quote(authority.Cert.Issuer.String())
		}
	case errors.As(err, &host):
		detail = "what answers for " + who + " has the certificate of another host"
		remedy = capital(exemption) + ", and check what the name resolves to."
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		detail = "what answers for " + who + " does not speak TLS"
		remedy = "Log in to the network if it has a login page, or let this machine connect to " + whatsappHost + " on port 443."
	case isTimeout(err):
		detail = who + " accepts connections and does not answer the TLS handshake"
	case isClosing(err):
		cause = errors.New("the connection was closed")
	}
	return detail, remedy, cause
}

func isTimeout(err error) bool {
	var timed net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timed) && timed.Timeout()
}

func isClosing(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "reset")
}

// visit is the outcome of a request for WhatsApp Web's page.
type visit struct {
	trail
	version *wastore.WAVersionContainer
	err     error // why there is no version; without the text of the page
}

// trail is what the requests through a probe met. A field is zero if nothing was met.
type trail struct {
	status      int       // of the last answer
	connect     int       // the status of the proxy's answer to CONNECT
	began       bool      // a TLS handshake, with WhatsApp or with an https proxy
	secured     bool      // the TLS handshake with WhatsApp has succeeded
	date, local time.Time // the time in the last answer, and the local time then
}

func (t trail) ahead() time.Duration { return t.local.Sub(t.date) }

// see asks once for the page that names the current version.
func (d *doctor) see(ctx context.Context) *visit {
	if d.page != nil {
		return d.page
	}
	through := &probe{base: d.base, now: d.now}
	if transport, ok := d.base.(*http.Transport); ok {
		transport = transport.Clone()
		transport.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
			through.note(func(t *trail) { t.connect = resp.StatusCode })
			return nil
		}
		through.base = transport
	}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		TLSHandshakeStart: func() { through.note(func(t *trail) { t.began = true }) },
		TLSHandshakeDone: func(state tls.ConnectionState, err error) {
			through.note(func(t *trail) { t.secured = t.secured || err == nil && state.ServerName == whatsappHost })
		},
	})
	version, err := within(ctx, func(ctx context.Context) (*wastore.WAVersionContainer, error) {
		return whatsmeow.GetLatestVersion(ctx, d.client(through))
	})
	d.page = &visit{through.note(nil), version, err}
	d.heard = d.page.trail
	switch status := d.page.status; {
	case err == nil, status == 0:
	case status == http.StatusOK: // the body is in err
		d.page.err = errors.New("the page does not name a version")
	default:
		d.page.err = fmt.Errorf("the page was answered with HTTP status %d", status)
	}
	return d.page
}

// client is the program's client with another transport. It follows no redirect.
func (d *doctor) client(transport http.RoundTripper) *http.Client {
	client := *cmp.Or(d.settings.HTTPClient, new(http.Client))
	client.Transport = transport
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// probe is a transport that leaves a trail, and no connection open except a websocket.
type probe struct {
	base     http.RoundTripper
	now      func() time.Time
	upgraded func() // called for an answer that opens a websocket; may be nil

	mu    sync.Mutex
	trail trail
}

// note changes the trail, and returns the changed trail.
func (p *probe) note(change func(*trail)) trail {
	p.mu.Lock()
	defer p.mu.Unlock()
	if change != nil {
		change(&p.trail)
	}
	return p.trail
}

func (p *probe) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	defer func() {
		if v := recover(); v != nil { // base may be the program's
			resp, err = nil, fmt.Errorf("the transport panicked: %v", v)
		}
	}()
	if req.Header.Get("Upgrade") == "" {
		req = req.Clone(req.Context())
		req.Close = true
	}
	sent := p.now()
	resp, err = p.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	local := sent.Add(p.now().Sub(sent) / 2)
	p.note(func(t *trail) {
		t.status = resp.StatusCode
		if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			age, _ := strconv.Atoi(resp.Header.Get("Age")) // of an answer from a cache; 0 if it is not one
			t.date, t.local = date.Add(time.Duration(age)*time.Second), local
		}
	})
	if resp.StatusCode == http.StatusSwitchingProtocols && p.upgraded != nil {
		p.upgraded()
	}
	return resp, nil
}
