package doctor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/walinktest"
)

// front is the fake WhatsApp behind TLS on a loopback address.
type front struct {
	address string
	roots   *x509.CertPool
}

func newFront(t *testing.T, host string, from, to time.Duration) *front {
	t.Helper()
	srv := walinktest.NewServer(t)
	cert, roots := newCertificate(t, host, from, to)
	target := &url.URL{Scheme: "http", Host: whatsappHost}
	server := httptest.NewUnstartedServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, Transport: srv.HTTPClient().Transport,
	})
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return &front{server.Listener.Addr().String(), roots}
}

// newCertificate makes a certificate that only its own pool trusts.
func newCertificate(t *testing.T, host string, from, to time.Duration) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "A filter"}, DNSNames: []string{host},
		NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(to), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: cert}, roots
}

// newPatient returns a doctor whose connections to WhatsApp lead to address.
func newPatient(settings walink.Settings, address string, roots *x509.CertPool) *doctor {
	d := newDoctor(nil, settings)
	d.direct = false // these tests trust the simulated WhatsApp
	d.resolve = func(context.Context, string) ([]string, error) { return []string{"192.0.2.1"}, nil }
	d.getenv = func(string) string { return "" }
	d.transport.Proxy = nil
	d.transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if strings.HasPrefix(addr, whatsappHost+":") {
			addr = address
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	d.transport.TLSClientConfig = &tls.Config{RootCAs: roots, Time: func() time.Time { return d.now() }}
	return d
}

// remedyDates is the remedy for a certificate of WhatsApp that is not valid now.
const remedyDates = "Set this machine's clock, and let it be set automatically (NTP); if it is right, exempt web.whatsapp.com from " +
	"every firewall, antivirus or proxy that inspects this machine's connections."

// wantFindings fails the test unless each "name status" in want is in the report, and
// first is the first check that failed; the store, which a patient does not have, is left out.
func wantFindings(t *testing.T, report Report, first string, want ...string) {
	t.Helper()
	got := map[string]Check{}
	failed := ""
	for _, c := range report.Checks {
		got[c.Name] = c
		if c.Status == CheckFailed && failed == "" && c.Name != "store" {
			failed = c.Name
		}
	}
	for _, w := range want {
		name, status, _ := strings.Cut(w, " ")
		if string(got[name].Status) != status {
			t.Errorf("%s is %s, want %s", name, got[name].Status, status)
		}
	}
	if failed != first {
		t.Errorf("first failed is %q, want %q", failed, first)
	}
	if t.Failed() {
		t.Logf("the report:\n%s", report)
	}
}

func wantSays(t *testing.T, report Report, name, text string) {
	t.Helper()
	i := slices.IndexFunc(report.Checks, func(c Check) bool { return c.Name == name })
	if i < 0 || !strings.Contains(report.Checks[i].Detail, text) {
		t.Errorf("%s does not say %q in\n%s", name, text, report)
	}
}

func TestDirect(t *testing.T) {
	t.Parallel()
	const hour = time.Hour
	front := newFront(t, whatsappHost, -hour, 24*hour)

	t.Run("all is well", func(t *testing.T) {
		t.Parallel()
		report := newPatient(walink.Settings{}, front.address, front.roots).examine(t.Context())
		wantFindings(t, report, "", "proxy skipped", "dns ok", "tcp ok", "clock ok", "tls ok", "websocket ok", "noise ok", "version ok", "linking ok")
	})
	t.Run("the name cannot be resolved", func(t *testing.T) {
		t.Parallel()
		d := newPatient(walink.Settings{}, front.address, front.roots)
		d.resolve = func(context.Context, string) ([]string, error) { return nil, errors.New("no such host") }
		wantFindings(t, d.examine(t.Context()), "dns", "tcp skipped", "clock skipped", "tls skipped", "websocket skipped", "noise skipped",
			"version skipped", "linking skipped")
	})
	t.Run("a filter answers for the name", func(t *testing.T) {
		t.Parallel()
		d := newPatient(walink.Settings{}, front.address, front.roots)
		d.resolve = func(context.Context, string) ([]string, error) { return []string{"10.0.0.1"}, nil }
		wantFindings(t, d.examine(t.Context()), "", "dns warning")
	})
	t.Run("the connection is refused", func(t *testing.T) {
		t.Parallel()
		report := newPatient(walink.Settings{}, closedPort, nil).examine(t.Context())
		wantFindings(t, report, "tcp", "dns ok", "tls skipped", "linking skipped")
	})
	t.Run("an authority that nobody trusts", func(t *testing.T) {
		t.Parallel()
		report := newPatient(walink.Settings{}, front.address, x509.NewCertPool()).examine(t.Context())
		wantFindings(t, report, "tls", "tcp ok", "websocket skipped", "noise skipped", "version skipped")
		wantSays(t, report, "tls", "A filter")
	})
	t.Run("the certificate of another host", func(t *testing.T) {
		t.Parallel()
		other := newFront(t, "example.com", -hour, hour)
		report := newPatient(walink.Settings{}, other.address, other.roots).examine(t.Context())
		wantFindings(t, report, "tls")
		wantSays(t, report, "tls", "another host")
	})
	t.Run("no TLS", func(t *testing.T) {
		t.Parallel()
		plain := httptest.NewServer(http.NotFoundHandler())
		t.Cleanup(plain.Close)
		report := newPatient(walink.Settings{}, plain.Listener.Addr().String(), nil).examine(t.Context())
		wantFindings(t, report, "tls", "tcp ok", "clock skipped")
		wantSays(t, report, "tls", "does not speak TLS")
	})
	t.Run("a certificate that has expired", func(t *testing.T) {
		t.Parallel()
		old := newFront(t, whatsappHost, -48*hour, -24*hour)
		report := newPatient(walink.Settings{}, old.address, old.roots).examine(t.Context())
		wantFindings(t, report, "tls", "clock skipped", "websocket skipped")
		wantSays(t, report, "tls", "and this machine's clock says")
		wantRemedy(t, report, "tls", remedyDates)
	})
	for name, off := range map[string]time.Duration{"behind": -2 * hour, "ahead": 48 * hour} {
		t.Run("a certificate that is valid but for the clock, "+name, func(t *testing.T) {
			t.Parallel()
			d := newPatient(walink.Settings{}, front.address, front.roots)
			d.now = func() time.Time { return time.Now().Add(off) }
			report := d.examine(t.Context())
			wantFindings(t, report, "tls", "clock skipped", "tls failed", "websocket skipped")
			wantSays(t, report, "tls", "and this machine's clock says")
			wantRemedy(t, report, "tls", remedyDates)
		})
	}
	t.Run("an hour off", func(t *testing.T) {
		t.Parallel()
		d := newPatient(walink.Settings{}, front.address, front.roots)
		d.now = func() time.Time { return time.Now().Add(hour) }
		wantFindings(t, d.examine(t.Context()), "clock", "tls ok", "websocket ok", "linking ok")
	})
}

func TestSilentTLS(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newPatient(walink.Settings{}, "", nil)
		d.transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, server) }()
			return client, nil
		}
		began := time.Now()
		report := d.examine(t.Context())
		wantFindings(t, report, "tls", "tcp ok", "clock skipped")
		wantSays(t, report, "tls", "accepts connections and does not answer the TLS handshake")
		if took := time.Since(began); took > stepLimit+stepGrace {
			t.Errorf("took %s", took)
		}
	})
}

// wantRemedy fails the test unless the check has exactly this remedy; "" wants no error.
func wantRemedy(t *testing.T, report Report, name, remedy string) {
	t.Helper()
	i := slices.IndexFunc(report.Checks, func(c Check) bool { return c.Name == name })
	switch {
	case i < 0:
		t.Errorf("there is no check %s in\n%s", name, report)
	case report.Checks[i].Err == nil && remedy != "", report.Checks[i].Err != nil && report.Checks[i].Err.Remedy() != remedy:
		t.Errorf("%s does not have the remedy %q in\n%s", name, remedy, report)
	}
}

// closedPort is a loopback address on which nobody listens (tcpmux).
const closedPort = "127.0.0.1:1"
