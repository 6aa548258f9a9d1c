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
)

// server serves a Broker.
type server struct {
	http http.Server

	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

// init prepares the server. It logs nothing, as net/http would quote requests.
func (s *server) init(handler http.Handler) {
	s.http.Handler = handler
	s.http.ReadTimeout = 30 * time.Second
	s.http.MaxHeaderBytes = 8 << 10
	s.http.ErrorLog = log.New(io.Discard, "", 0)
}

// Listen serves on address, which is 127.0.0.1 with a port, 0 for any that is
// free, and returns the base of the Lines. ctx bounds only the opening; Close
// ends what Listen began.
func (b *Broker) Listen(ctx context.Context, address string) (base string, err error) {
	if host, _, err := net.SplitHostPort(address); err != nil || host != "127.0.0.1" {
		return "", errors.New("passkey: listen: the address is not 127.0.0.1 with a port, which is where the extension may ask")
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp4", address)
	if err != nil {
		return "", fmt.Errorf("passkey: listen: %w", err)
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

// Close ends Listen. It is safe twice, and without a Listen. An Ask goes on
// until its context ends.
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

// isLoopback reports whether a Host header names this computer by its loopback
// address, and not by a name that anybody can let point there.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	address, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && address.IsLoopback()
}
