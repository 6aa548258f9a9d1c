package walink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"
	wastore "go.mau.fi/whatsmeow/store"
)

// visit is what came of a request for WhatsApp Web's page.
type visit struct {
	version  *wastore.WAVersionContainer
	err      error
	heard    probed
	connect  int  // the proxy's answer to CONNECT; 0 if none
	tlsBegan bool // with WhatsApp, and not with a proxy
	tlsDone  bool
	tlsErr   error
}

// visit asks for the page that names the current version. at is the time at
// which certificates are looked at; the present if zero.
func (d *doctor) visit(ctx context.Context, base http.RoundTripper, at time.Time) visit {
	var (
		mu   sync.Mutex
		page visit
	)
	note := func(f func()) {
		mu.Lock()
		defer mu.Unlock()
		f()
	}
	throughProxy := d.proxy != nil && (d.proxy.Scheme == "http" || d.proxy.Scheme == "https")
	if transport, ok := base.(*http.Transport); ok {
		transport = transport.Clone()
		defer transport.CloseIdleConnections()
		if throughProxy {
			transport.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
				note(func() { page.connect = resp.StatusCode })
				return nil
			}
		}
		if !at.IsZero() {
			if transport.TLSClientConfig == nil {
				transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
			}
			transport.TLSClientConfig.Time = func() time.Time { return at }
		}
		base = transport
	}
	withWhatsApp := func() bool { return !throughProxy || page.connect == http.StatusOK }
	trace := &httptrace.ClientTrace{
		TLSHandshakeStart: func() { note(func() { page.tlsBegan = withWhatsApp() }) },
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			note(func() {
				if withWhatsApp() {
					page.tlsDone, page.tlsErr = true, err
				}
			})
		},
	}
	through := &probe{base: base, now: d.now}
	version, err := within(httptrace.WithClientTrace(ctx, trace), stepLimit, func(ctx context.Context) (*wastore.WAVersionContainer, error) {
		return whatsmeow.GetLatestVersion(ctx, d.client(through))
	})
	mu.Lock()
	defer mu.Unlock()
	out := page
	out.version, out.err, out.heard = version, err, through.last()
	return out
}

// client is the program's client with another transport.
func (d *doctor) client(transport http.RoundTripper) *http.Client {
	var client http.Client
	if d.set.httpClient != nil {
		client = *d.set.httpClient
	}
	client.Transport = transport
	return &client
}

// probe is a transport that notes what the answers say about the time, and that
// leaves no connection behind but a websocket.
type probe struct {
	base     http.RoundTripper
	now      func() time.Time
	upgraded func() // called for an answer that opens a websocket; may be nil

	mu    sync.Mutex
	heard probed
}

// probed is a server's time, and the local one at that moment; zero if none was heard.
type probed struct{ date, local time.Time }

// offset is how far the local clock is ahead.
func (p probed) offset() time.Duration { return p.local.Sub(p.date) }

func (p *probe) last() probed {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heard
}

// RoundTrip implements http.RoundTripper.
func (p *probe) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Header.Get("Upgrade") == "" {
		req = req.Clone(req.Context())
		req.Close = true
	}
	sent := p.now()
	resp, err := p.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	local := p.now()
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		if age, err := strconv.Atoi(resp.Header.Get("Age")); err == nil { // from a cache
			date = date.Add(time.Duration(age) * time.Second)
		}
		p.mu.Lock()
		p.heard = probed{date, sent.Add(local.Sub(sent) / 2)}
		p.mu.Unlock()
	}
	if resp.StatusCode == http.StatusSwitchingProtocols && p.upgraded != nil {
		p.upgraded()
	}
	return resp, nil
}

// tlsFault is what a failed handshake means.
type tlsFault struct {
	detail, remedy string
	cause          error
	at             time.Time // a time at which the certificate is valid, if it is not now
}

func diagnoseTLS(err error, now time.Time) tlsFault {
	const (
		interceptor = "Exempt " + whatsappHost + " from whatever inspects this machine's connections (a firewall, an antivirus, a proxy)"
		day         = time.DateOnly + " 15:04 MST"
	)
	f := tlsFault{
		detail: "the TLS handshake with " + whatsappHost + " failed", cause: err,
		remedy: "Look for a firewall or filter that cuts off TLS connections to " + whatsappHost + ".",
	}
	var (
		invalid   x509.CertificateInvalidError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		record    tls.RecordHeaderError
		verify    *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		from, until := invalid.Cert.NotBefore, invalid.Cert.NotAfter
		if errors.As(err, &verify) {
			for _, cert := range verify.UnverifiedCertificates {
				from, until = latest(from, cert.NotBefore), earliest(until, cert.NotAfter)
			}
		}
		f.at = from.Add(until.Sub(from) / 2)
		f.cause = errors.New("the certificate is not valid now")
		f.detail = "the certificate of " + whatsappHost + " is valid from " + invalid.Cert.NotBefore.UTC().Format(day) +
			" to " + invalid.Cert.NotAfter.UTC().Format(day) + ", and this machine's clock says " + now.UTC().Format(day)
		f.remedy = "Set this machine's clock; if it is right: " + interceptor + "."
	case errors.As(err, &authority):
		f.detail = "this machine does not trust the certificate of " + whatsappHost
		if authority.Cert != nil {
			f.detail += ", which was issued by " + show(authority.Cert.Issuer.String())
		}
		f.remedy = interceptor + ", or trust its root certificate; on a small system install ca-certificates."
	case errors.As(err, &host):
		f.detail = "what answers for " + whatsappHost + " has the certificate of another host"
		f.remedy = interceptor + ", and check what the name resolves to."
	case errors.As(err, &record):
		f.detail = "what answers for " + whatsappHost + " does not speak TLS"
		f.remedy = "Log in to the network if it has a login page, or let this machine connect to " + whatsappHost + " on port 443."
	case errors.Is(err, context.DeadlineExceeded):
		f.detail = whatsappHost + " does not answer the TLS handshake"
	case errors.Is(err, io.EOF):
		f.cause = errors.New("the connection was closed")
	}
	return f
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
