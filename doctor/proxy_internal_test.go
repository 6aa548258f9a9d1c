package doctor

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/walink/walink"
)

func TestProxy(t *testing.T) {
	t.Parallel()
	front := newFront(t, whatsappHost, -time.Hour, time.Hour)
	for name, test := range map[string]struct {
		status  int // of the proxy's answer
		user    string
		address string
		first   string
		says    string
	}{
		"lets WhatsApp be reached":  {status: 200, user: "canary:canary-password@", says: " answers"},
		"asks for credentials":      {status: 407, first: "proxy", says: "asks for a user name"},
		"does not accept them":      {status: 407, user: "canary:canary-password@", first: "proxy", says: "does not accept"},
		"refuses":                   {status: 403, user: "canary:canary-password@", first: "proxy", says: "refuses to connect"},
		"breaks off":                {status: 0, first: "proxy", says: "breaks them off"},
		"cannot be reached":         {address: closedPort, user: "canary:canary-password@", first: "proxy", says: "cannot be reached"},
		"cannot be reached by name": {address: "proxy.invalid:3128", first: "proxy", says: "cannot be reached"},
	} {
		for _, scheme := range []string{"http", "environment", "socks5"} {
			if scheme == "socks5" && test.status != 0 {
				continue // the proxy of this test speaks HTTP
			}
			t.Run(scheme+" "+name, func(t *testing.T) {
				t.Parallel()
				address := test.address
				if address == "" {
					address = connectProxy(t, front.address, test.status)
				}
				raw := strings.Replace(scheme, "environment", "http", 1) + "://" + test.user + address
				var settings walink.Settings
				if scheme != "environment" {
					settings.Proxy = raw
				}
				d := newPatient(settings, front.address, front.roots)
				if scheme == "environment" {
					u, err := url.Parse(raw)
					if err != nil {
						t.Fatal(err)
					}
					d.transport.Proxy = http.ProxyURL(u)
				}
				report := d.examine(t.Context())
				if test.first == "" {
					wantFindings(t, report, "", "proxy ok", "dns skipped", "tcp skipped", "tls ok", "clock ok", "websocket ok", "linking ok")
				} else {
					wantFindings(t, report, test.first, "dns skipped", "tls skipped", "websocket skipped", "version skipped")
				}
				wantSays(t, report, "proxy", test.says)
				wantSays(t, report, "proxy", address)
				if strings.Contains(report.String(), "canary") {
					t.Errorf("the report holds the credentials:\n%s", report)
				}
			})
		}
	}
	t.Run("is no URL", func(t *testing.T) {
		t.Parallel()
		d := newPatient(walink.Settings{}, front.address, front.roots)
		d.transport.Proxy = func(*http.Request) (*url.URL, error) { return nil, errors.New("http://canary:canary@%") }
		report := d.examine(t.Context())
		wantFindings(t, report, "proxy", "dns skipped", "tls skipped")
		if strings.Contains(report.String(), "canary") {
			t.Errorf("the report holds the credentials:\n%s", report)
		}
	})
	t.Run("shows its own certificates", func(t *testing.T) {
		t.Parallel()
		d := newPatient(walink.Settings{Proxy: "http://" + connectProxy(t, front.address, 200)}, front.address, x509.NewCertPool())
		wantFindings(t, d.examine(t.Context()), "tls", "proxy ok", "websocket skipped")
	})
}

// connectProxy starts an HTTP proxy, behind TLS if there is a certificate. The proxy answers CONNECT with status, and
// connects to address if the status is 200. With status 0 it closes the connection.
func connectProxy(t *testing.T, address string, status int, certs ...tls.Certificate) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	if len(certs) > 0 {
		listener = tls.NewListener(listener, &tls.Config{Certificates: certs})
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serveConnect(conn, address, status)
		}
	}()
	return listener.Addr().String()
}

func serveConnect(conn net.Conn, address string, status int) {
	defer func() { _ = conn.Close() }()
	reader := bufio.NewReader(conn)
	if status == 0 {
		return
	}
	if _, err := http.ReadRequest(reader); err != nil {
		return
	}
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 %d %s\r\n\r\n", status, http.StatusText(status))
	if status != http.StatusOK {
		return
	}
	onward, err := new(net.Dialer).Dial("tcp", address)
	if err != nil {
		return
	}
	defer func() { _ = onward.Close() }()
	go func() {
		_, _ = io.Copy(onward, reader)
		_ = onward.Close()
	}()
	_, _ = io.Copy(conn, onward)
}

// TestHTTPSProxy has a proxy behind TLS, with certificates that are good and bad.
func TestHTTPSProxy(t *testing.T) {
	t.Parallel()
	const (
		hour  = time.Hour
		dates = "Set this machine's clock, and let it be set automatically (NTP); if it is right, renew the certificate of the proxy."
	)
	front := newFront(t, whatsappHost, -hour, 24*hour)
	for name, test := range map[string]struct {
		from, to time.Duration // when the proxy's certificate is valid
		off      time.Duration // how far this machine's clock is ahead
		distrust bool
		first    string
		clock    CheckStatus
		says     string // of the proxy
		remedy   string // of the proxy
	}{
		"is well": {from: -hour, to: hour, clock: CheckOK, says: " answers"},
		"is not valid, since the clock is ahead": {
			from: -hour, to: hour, off: 48 * hour, first: "proxy", clock: CheckSkipped, says: "and this machine's clock says", remedy: dates,
		},
		"is not valid, since the clock is behind": {
			from: -hour, to: 1000 * hour, off: -48 * hour, first: "proxy", clock: CheckSkipped, says: "and this machine's clock says", remedy: dates,
		},
		"has expired": {
			from: -48 * hour, to: -24 * hour, first: "proxy", clock: CheckSkipped, says: "and this machine's clock says", remedy: dates,
		},
		"is not trusted": {
			from: -hour, to: hour, distrust: true, first: "proxy", clock: CheckSkipped, says: "does not trust",
			remedy: "Trust the root certificate of the proxy on this machine, or use the proxy by an http URL if it has one.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cert, _ := newCertificate(t, "proxy.example", test.from, test.to)
			roots := front.roots.Clone()
			if !test.distrust {
				roots.AddCert(cert.Leaf)
			}
			address := connectProxy(t, front.address, 200, cert)
			d := newPatient(walink.Settings{Proxy: "https://proxy.example:443"}, front.address, roots)
			dial := d.transport.DialContext
			d.transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				return dial(ctx, network, strings.Replace(addr, "proxy.example:443", address, 1))
			}
			d.now = func() time.Time { return time.Now().Add(test.off) }
			report := d.examine(t.Context())
			wantFindings(t, report, test.first, "clock "+string(test.clock))
			wantSays(t, report, "proxy", test.says)
			wantRemedy(t, report, "proxy", test.remedy)
		})
	}
}

// TestEnvironment has proxies in the environment that net/http does not use.
func TestEnvironment(t *testing.T) {
	for name, test := range map[string]struct {
		env    map[string]string
		status CheckStatus
		says   string
	}{
		"nothing":            {nil, CheckSkipped, "none is set"},
		"no URL":             {map[string]string{"HTTPS_PROXY": "http://user:canary%zz@proxy:3128"}, CheckWarning, "HTTPS_PROXY is set"},
		"for all":            {map[string]string{"ALL_PROXY": "socks5://user:canary@proxy:1080"}, CheckWarning, "ALL_PROXY is set"},
		"for other requests": {map[string]string{"http_proxy": "http://user:canary@proxy:1080"}, CheckWarning, "HTTP_PROXY is set"},
		"set, and exempted": {
			map[string]string{"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".whatsapp.com"}, CheckWarning, "NO_PROXY may exempt web.whatsapp.com",
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"} {
				t.Setenv(name, "")
				t.Setenv(strings.ToLower(name), "")
			}
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			d := newDoctor(nil, walink.Settings{})
			d.transport.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
			c := d.checkProxy(t.Context())
			report := Report{Checks: []Check{{Name: "proxy", Status: c.Status, Detail: c.Detail, Err: c.Err}}}
			if c.Status != test.status || strings.Contains(report.String(), "canary") {
				t.Errorf("the proxy is %s, want %s:\n%s", c.Status, test.status, report)
			}
			wantSays(t, report, "proxy", test.says)
			if test.status == CheckWarning {
				wantRemedy(t, report, "proxy", "Write the proxy into HTTPS_PROXY like http://host:8080, or into Settings.Proxy.")
			}
		})
	}
}

func TestUnusualProxies(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string][2]string{
		"socks4://127.0.0.1:1080": {`cannot be used: "socks4://127.0.0.1:1080"`, `Write "socks5" if that is meant; known are "http", "https" or "socks5".`},
		"http://proxy.invalid":    {"http://proxy.invalid (without a port, so the usual one), the proxy of this program's environment", (&walink.Error{Reason: walink.ErrProxy}).Remedy()},
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		d := newPatient(walink.Settings{}, closedPort, nil)
		d.transport.Proxy = http.ProxyURL(u)
		d.transport.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("nobody is there") }
		report := d.examine(t.Context())
		wantFindings(t, report, "proxy")
		wantSays(t, report, "proxy", want[0])
		wantRemedy(t, report, "proxy", want[1])
	}
}
