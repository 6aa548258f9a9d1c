package passkey

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/walink/walink/internal/redact"
)

// server serves a Broker.
type server struct {
	http http.Server

	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

// init prepares the server. The server logs nothing, since net/http's log would
// quote requests.
func (s *server) init(handler http.Handler) {
	s.http.Handler = handler
	s.http.ReadTimeout = 30 * time.Second
	s.http.MaxHeaderBytes = 8 << 10
	s.http.ErrorLog = log.New(io.Discard, "", 0)
}

// Listen serves the Broker on address, which is 127.0.0.1 with a port, such as
// "127.0.0.1:0" for any free port. It returns the base for Line, and serves until
// Close. ctx bounds only the time that it takes to open the port.
func (b *Broker) Listen(ctx context.Context, address string) (base string, err error) {
	if host, _, err := net.SplitHostPort(address); err != nil || host != "127.0.0.1" {
		return "", errors.New("passkey: listen: the address has to be 127.0.0.1 with a port: the extension may connect to no other")
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp4", address)
	if err != nil {
		return "", redact.Errorf("passkey: listen: %w", err)
	}
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	if b.server.closed {
		_ = listener.Close()
		return "", fmt.Errorf("passkey: listen: %w", net.ErrClosed)
	}
	b.server.wg.Go(func() { _ = b.server.http.Serve(listener) })
	return "http://" + listener.Addr().String() + "/", nil
}

// Close stops serving what Listen has opened. It may be called twice, and without
// a Listen. It does not end Serve and Ask: these end with their contexts.
func (b *Broker) Close() error {
	b.server.mu.Lock()
	b.server.closed = true
	b.server.mu.Unlock()
	err := b.server.http.Close()
	b.server.wg.Wait()
	if err != nil {
		return fmt.Errorf("passkey: close: %w", err)
	}
	return nil
}

// isLoopback reports whether a Host header is a loopback address or localhost.
// Any other name may be one that a website has pointed to 127.0.0.1.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	address, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && address.IsLoopback()
}
