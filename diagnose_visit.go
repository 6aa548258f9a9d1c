package walink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"
	wastore "go.mau.fi/whatsmeow/store"
)

// visit is what came of a request for WhatsApp Web's page.
type visit struct {
	version  *wastore.WAVersionContainer
	err      error // never holds what the page says
	status   int   // of the answer; 0 if there was none
	heard    probed
	connect  int   // the proxy's answer to CONNECT; 0 if none
	proxyErr error // of the TLS handshake with the proxy
	tlsBegan bool  // with WhatsApp, and not with a proxy
	tlsDone  bool
	tlsErr   error
}

// visit asks for the page that names the current version. With anyTime, certificates
// are looked at as of their own time.
func (d *doctor) visit(ctx context.Context, anyTime bool) *visit {
	var (
		mu   sync.Mutex
		page visit
	)
	note := func(f func()) {
		mu.Lock()
		defer mu.Unlock()
		f()
	}
	connects := d.proxy != nil && strings.HasPrefix(d.proxy.Scheme, "http")
	base := d.base()
	if transport, ok := base.(*http.Transport); ok {
		transport = transport.Clone()
		defer transport.CloseIdleConnections()
		further := transport.OnProxyConnectResponse
		transport.OnProxyConnectResponse = func(ctx context.Context, proxy *url.URL, req *http.Request, resp *http.Response) error {
			note(func() { page.connect = resp.StatusCode })
			if further != nil {
				return further(ctx, proxy, req, resp)
			}
			return nil
		}
		if anyTime {
			transport.TLSClientConfig = atTheirOwnTime(transport.TLSClientConfig)
		}
		base = transport
	}
	withWhatsApp := func() bool { return !connects || page.connect == http.StatusOK }
	trace := &httptrace.ClientTrace{
		TLSHandshakeStart: func() { note(func() { page.tlsBegan = withWhatsApp() }) },
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			note(func() {
				if withWhatsApp() {
					page.tlsDone, page.tlsErr = true, err
				} else {
					page.proxyErr = err
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
	out.version = version
	out.heard, out.status = through.last()
	switch {
	case err == nil:
	case out.status == http.StatusOK:
		out.err = errors.New("the page does not name a version")
	case out.status != 0: // whose body is in err
		out.err = fmt.Errorf("the page was answered with HTTP status %d", out.status)
	default:
		out.err = err
	}
	return &out
}

// client is the program's client with another transport. It follows nobody
// elsewhere: what redirects is not WhatsApp.
func (d *doctor) client(transport http.RoundTripper) *http.Client {
	var client http.Client
	if d.set.httpClient != nil {
		client = *d.set.httpClient
	}
	client.Transport = transport
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// probe is a transport that notes what the answers say about the time, and that
// leaves no connection behind but a websocket.
type probe struct {
	base     http.RoundTripper
	now      func() time.Time
	upgraded func() // called for an answer that opens a websocket; may be nil

	mu     sync.Mutex
	heard  probed
	status int // of the last answer
}

// probed is a server's time, and the local one at that moment; zero if none was heard.
type probed struct{ date, local time.Time }

// offset is how far the local clock is ahead.
func (p probed) offset() time.Duration { return p.local.Sub(p.date) }

// last returns what the last answer said of the time, and its status; 0 if there was none.
func (p *probe) last() (probed, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heard, p.status
}

// RoundTrip implements http.RoundTripper.
func (p *probe) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	defer func() {
		if v := recover(); v != nil { // base may be anybody's
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
	local := p.now()
	p.mu.Lock()
	p.status = resp.StatusCode
	p.mu.Unlock()
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
