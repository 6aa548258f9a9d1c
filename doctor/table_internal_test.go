package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/walinktest"
)

// newFrontOf serves handler behind TLS on a loopback address.
func newFrontOf(t *testing.T, handler http.HandlerFunc) *front {
	t.Helper()
	cert, roots := newCertificate(t, whatsappHost, -time.Hour, 24*time.Hour)
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return &front{server.Listener.Addr().String(), roots}
}

// answers serves WhatsApp's page, and answers the request for a websocket with status. With
// status 0 it closes the connection.
func answers(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Upgrade") == "":
			_, _ = io.WriteString(w, `"client_revision":1047769893,`)
		case status == 0:
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_ = conn.Close()
			}
		default:
			w.Header().Set("Location", "/login")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "<html>canary 10.1.2.3")
		}
	}
}

// TestSituations wants the first check that failed in each situation, and the exact
// words of its remedy.
func TestSituations(t *testing.T) {
	t.Parallel()
	const (
		let    = "et websockets to web.whatsapp.com pass every firewall, filter and proxy on the way."
		login  = "Log in to the network if it has a login page, or l" + let
		server = "Wait a few minutes and try again: WhatsApp has trouble at the moment."
		wait   = "Wait 15 minutes without connecting; if it stays like this, use another network or proxy."
		tlsCut = "Let this machine connect to web.whatsapp.com on port 443, and look for a firewall or filter that cuts TLS connections off."
		lookup = "Check that this machine is online, and then that its DNS server answers."
		absent = "Check that this machine is online, and that nothing filters web.whatsapp.com: this machine's DNS server says that there is no such name."
		filter = "Let the DNS server or filter of this network (a blocklist, a hosts file) resolve web.whatsapp.com."
		open   = "Let this machine connect to web.whatsapp.com on port 443: a firewall in between may forbid it."
		exempt = "xempt web.whatsapp.com from every firewall, antivirus or proxy that inspects this machine's connections"
	)
	type situation struct {
		patient       func(t *testing.T) *doctor
		first, remedy string
		says          string   // of the first
		want          []string // "name status"
	}
	resolving := func(err error, addresses ...string) func(t *testing.T) *doctor {
		return func(t *testing.T) *doctor {
			t.Helper()
			d := newPatient(walink.Settings{}, closedPort, nil)
			d.resolve = func(context.Context, string) ([]string, error) { return addresses, err }
			return d
		}
	}
	program := func(transport func(t *testing.T) http.RoundTripper) func(t *testing.T) *doctor {
		return func(t *testing.T) *doctor {
			t.Helper()
			return newPatient(walink.Settings{HTTPClient: &http.Client{Transport: transport(t)}}, "", nil)
		}
	}
	failing := func(err error) func(t *testing.T) *doctor {
		return program(func(*testing.T) http.RoundTripper {
			return roundTrip(func(*http.Request) (*http.Response, error) { return nil, err })
		})
	}
	table := map[string]situation{
		"the name does not exist":       {resolving(&net.DNSError{Err: "no such host", IsNotFound: true}), "dns", absent, "cannot be resolved", nil},
		"the lookup fails":              {resolving(&net.DNSError{Err: "timeout", IsTimeout: true}), "dns", lookup, "cannot be resolved", nil},
		"the name has no address":       {resolving(nil), "dns", lookup, "cannot be resolved", nil},
		"the name is 0.0.0.0":           {resolving(nil, "0.0.0.0"), "dns", filter, "leads nowhere", []string{"tcp skipped"}},
		"the name is 0.0.0.0 and ::":    {resolving(nil, "0.0.0.0", "::"), "dns", filter, "leads nowhere", nil},
		"the name is loopback":          {resolving(nil, "127.0.0.1"), "dns", filter, "127.0.0.1", []string{"tcp failed"}},
		"the name is private":           {resolving(nil, "10.0.0.1"), "dns", filter, "10.0.0.1", []string{"tcp failed"}},
		"the name is WhatsApp's":        {resolving(nil, "192.0.2.1"), "tcp", open, "port 443", []string{"dns ok"}},
		"a private address that speaks": {nil, "dns", filter, "10.0.0.1", []string{"tcp ok", "tls failed"}},

		"a client without DNS":   {failing(&net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}), "dns", absent, "cannot be resolved", []string{"proxy skipped", "tcp skipped"}},
		"a client without route": {failing(&net.OpError{Op: "dial", Err: errors.New("no route")}), "tcp", open, "Settings.HTTPClient cannot connect", []string{"dns skipped"}},
		"a client without proxy": {
			failing(&net.OpError{Op: "proxyconnect", Err: errors.New("refused")}), "proxy", (&walink.Error{Reason: walink.ErrProxy}).Remedy(), "the proxy of Settings.HTTPClient", []string{"dns skipped"},
		},
		"a client without TLS": {
			failing(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), "tls",
			"E" + exempt + ", or trust its root certificate; on a small system install ca-certificates.", "does not trust", nil,
		},
		"a client without anything": {failing(errors.New("password=canary")), "tcp", open, "Settings.HTTPClient reaches nothing", []string{"websocket skipped", "tls skipped"}},
		"a client with a dead proxy": {program(func(t *testing.T) http.RoundTripper {
			t.Helper()
			return &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: closedPort})}
		}), "proxy", (&walink.Error{Reason: walink.ErrProxy}).Remedy(), "the proxy of Settings.HTTPClient, cannot be reached", nil},
		"a client that panics": {program(func(*testing.T) http.RoundTripper {
			return roundTrip(func(*http.Request) (*http.Response, error) { panic("ouch") })
		}), "tcp", open, "reaches nothing", nil},

		"TLS is cut off": {nil, "tls", tlsCut, "the TLS handshake with web.whatsapp.com failed", []string{"tcp ok"}},
	}
	private := table["a private address that speaks"]
	private.patient = func(t *testing.T) *doctor {
		t.Helper()
		front := newFrontOf(t, answers(200))
		d := newPatient(walink.Settings{}, front.address, x509.NewCertPool())
		d.resolve = func(context.Context, string) ([]string, error) { return []string{"10.0.0.1"}, nil }
		return d
	}
	table["a private address that speaks"] = private
	cut := table["TLS is cut off"]
	cut.patient = func(t *testing.T) *doctor {
		t.Helper()
		return newPatient(walink.Settings{}, connectProxy(t, "", 0), nil)
	}
	table["TLS is cut off"] = cut
	for status, remedy := range map[int]string{
		0: "L" + let, 200: login, 302: login, 400: login, 404: login, 426: login, 451: login, 501: login, 511: login, 401: "L" + let, 403: "L" + let,
		407: "Put the user name and the password into the URL of the proxy.", 429: wait, 500: server, 502: server, 503: server, 504: server,
	} {
		for _, proxied := range []bool{false, true} {
			table[fmt.Sprintf("the websocket is answered with %d, proxy %v", status, proxied)] = situation{func(t *testing.T) *doctor {
				t.Helper()
				front, settings := newFrontOf(t, answers(status)), walink.Settings{}
				if proxied {
					settings.Proxy = "http://user:canary@" + connectProxy(t, front.address, 200)
				}
				return newPatient(settings, front.address, front.roots)
			}, "websocket", remedy, "no websocket to web.whatsapp.com can be opened", []string{"tls ok", "version ok", "noise skipped"}}
		}
	}
	for name, s := range table {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := s.patient(t).examine(t.Context())
			wantFindings(t, report, s.first, s.want...)
			wantSays(t, report, s.first, s.says)
			wantRemedy(t, report, s.first, s.remedy)
			if strings.Contains(report.String(), "canary") {
				t.Errorf("a secret in\n%s", report)
			}
		})
	}
}

// TestPageIsNotPassedOn has a server whose page holds a secret.
func TestPageIsNotPassedOn(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 302, 403} {
		asked := 0
		front := newFrontOf(t, func(w http.ResponseWriter, _ *http.Request) {
			asked++
			w.Header().Set("Location", "/login")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "<html>Welcome canary")
		})
		report := newPatient(walink.Settings{}, front.address, front.roots).examine(t.Context())
		wantFindings(t, report, "websocket", "version warning")
		if strings.Contains(report.String(), "canary") || asked != 2 {
			t.Errorf("asked %d times:\n%s", asked, report)
		}
	}
}

// TestCertificateDates has errors of several types. The dates of the certificate
// decide.
func TestCertificateDates(t *testing.T) {
	t.Parallel()
	leaf, _ := newCertificate(t, whatsappHost, -time.Hour, time.Hour)
	old, _ := newCertificate(t, whatsappHost, -9999*time.Hour, -4000*time.Hour)
	chain := []*x509.Certificate{leaf.Leaf, old.Leaf}
	for name, test := range map[string]struct {
		err      error
		off      time.Duration
		outdated bool
	}{
		"its own verifier, ahead":  {errors.New("CSSMERR_TP_CERT_EXPIRED"), 48 * time.Hour, true},
		"its own verifier, behind": {x509.UnknownAuthorityError{}, -48 * time.Hour, true},
		"the clock is right":       {x509.UnknownAuthorityError{Cert: leaf.Leaf}, 0, false},
		"an authority has expired": {x509.CertificateInvalidError{Cert: old.Leaf, Reason: x509.Expired}, 0, true},
	} {
		d := newPatient(walink.Settings{}, "", nil)
		d.now = func() time.Time { return time.Now().Add(test.off) }
		err := &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: test.err}
		detail, remedy, cause := d.judgeHandshake(err, "it", "renew it", "Trust it.")
		outdated := strings.Contains(detail, "this machine's clock") && strings.HasSuffix(remedy, "if it is right, renew it.")
		untrusted := strings.Contains(detail, "does not trust") && remedy == "Trust it."
		if outdated != test.outdated || untrusted == test.outdated {
			t.Errorf("%s: %s, %v, %s", name, detail, cause, remedy)
		}
	}
}

// TestCrossSigned has a server that still sends an old certificate of an authority.
func TestCrossSigned(t *testing.T) {
	t.Parallel()
	leaf, roots := newCertificate(t, whatsappHost, -time.Hour, 24*time.Hour)
	old, _ := newCertificate(t, whatsappHost, -9999*time.Hour, -4000*time.Hour)
	leaf.Certificate = append(leaf.Certificate, old.Certificate...)
	server := httptest.NewUnstartedServer(answers(503))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{leaf}}
	server.StartTLS()
	t.Cleanup(server.Close)
	d := newPatient(walink.Settings{}, server.Listener.Addr().String(), roots)
	d.now = func() time.Time { return time.Now().Add(48 * time.Hour) }
	report := d.examine(t.Context())
	wantFindings(t, report, "tls", "clock skipped")
	wantRemedy(t, report, "tls", remedyDates)
}

// TestKeepsTheClock ends the examination after WhatsApp has said what time it is.
func TestKeepsTheClock(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	front := newFrontOf(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			cancel()
			<-r.Context().Done()
		}
		answers(503)(w, r)
	})
	d := newPatient(walink.Settings{}, front.address, front.roots)
	d.now = func() time.Time { return time.Now().Add(time.Hour) }
	report := d.examine(ctx)
	wantFindings(t, report, "clock", "tls ok", "version ok", "websocket failed", "linking skipped")
	wantSays(t, report, "linking", "because the examination was cut short")
	wantRemedy(t, report, "websocket", "Examine again, with a context that lasts longer than 1 minute.")
}

// TestNoiseAndTheClock has the errors of whatsmeow for WhatsApp's Noise certificates,
// which have dates too.
func TestNoiseAndTheClock(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"certificate not valid yet": remedyClock, "certificate expired": remedyClock,
		"invalid signature": "Look for a proxy or firewall that changes websocket traffic, and update walink and whatsmeow.",
	} {
		d := newPatient(walink.Settings{}, "", nil)
		d.link = &contact{err: &walink.Error{Reason: walink.ErrNetwork, Op: "connect", Err: errors.New(text)}}
		if got := d.checkNoise(t.Context()).Err.Remedy(); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	walinktest.NewServer(t)
	d := newPatient(walink.Settings{}, "", nil)
	d.direct = true
	d.link = &contact{err: &walink.Error{Reason: walink.ErrNetwork, Op: "connect", Err: errors.New("invalid signature")}}
	if got := d.checkNoise(t.Context()).Err.Remedy(); !strings.Contains(got, "another process") {
		t.Errorf("in a process that trusts a simulated WhatsApp the remedy is %q", got)
	}
}

// TestStorePath has a database that others may read, in a directory of somebody's
// home that is named like a phone number.
func TestStorePath(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	dir := filepath.Join(home, "55-11-98765-4321")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "walink.db")
	st, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	d := newPatient(walink.Settings{}, closedPort, nil)
	d.store, d.home = st, home
	report := d.examine(t.Context())
	const shown = `"~/[redacted]/walink.db"`
	wantSays(t, report, "store", "the store "+shown+" holds 0 sessions, and is not in order")
	wantRemedy(t, report, "store", "Run chmod 600 on walink.db: whoever can read it can use the accounts in it.")
	if !strings.Contains(report.String(), "cause: sqlite: check "+shown+": others than its owner may use it (mode 0644)") {
		t.Errorf("the cause is not legible in\n%s", report)
	}
}
