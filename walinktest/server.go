package walinktest

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/util/keys"
)

// settle is how long the server lets a client be before it closes its connection.
// whatsmeow has data races where the peer closes before the first node or
// straight after a stream error, and loses a node that is followed at once by a close.
const settle = 100 * time.Millisecond

// Server is a WhatsApp server. All methods may be called from many goroutines.
// Make one with NewServer or Start.
type Server struct {
	static      *keys.KeyPair
	certificate []byte
	pipe        *pipeListener
	http        *http.Server
	transport   *http.Transport
	// wg counts the goroutines of the server; none is added once closed is set.
	wg sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	serial   int // of connections, ids and refs
	conns    map[*conn]bool
	refs     map[string]*companion
	codes    map[string]*linkCode // by number, the newest each
	phones   map[string]*Phone
	devices  map[deviceID]*device
	script   map[Stage][]Action
	stats    Stats
	requests map[string]int         // code requests by number
	granted  map[string][]time.Time // when codes were given out, by number
	limits   struct {
		codes   int
		per     time.Duration
		devices int
	}
	required store.WAVersionContainer
	revision uint32
}

// NewServer returns a server that is closed when the test ends. Inside a
// testing/synctest bubble it must be made in the bubble, with the bubble's T.
func NewServer(tb testing.TB) *Server {
	tb.Helper()
	srv, err := Start()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(srv.Close)
	return srv
}

// Start returns a server that runs until Close.
func Start() (*Server, error) {
	static := keys.NewKeyPair()
	certificate, err := certify(root(), static.Pub, time.Now())
	if err != nil {
		return nil, err
	}
	s := &Server{
		static:      static,
		certificate: certificate,
		pipe:        newPipeListener(),
		conns:       make(map[*conn]bool),
		refs:        make(map[string]*companion),
		codes:       make(map[string]*linkCode),
		phones:      make(map[string]*Phone),
		devices:     make(map[deviceID]*device),
		script:      make(map[Stage][]Action),
		requests:    make(map[string]int),
		granted:     make(map[string][]time.Time),
		revision:    store.GetWAVersion()[2],
	}
	s.http = &http.Server{Handler: s.handler()}
	s.transport = &http.Transport{
		DialContext:       s.pipe.dial,
		DialTLSContext:    s.pipe.dial,
		DisableKeepAlives: true,
	}
	s.serve(s.pipe)
	return s, nil
}

// HTTPClient returns a client whose every connection, to whatever host and
// without TLS, leads to this server. It is for whatsmeow's
// SetPreLoginHTTPClient and SetWebsocketHTTPClient, and answers
// GET https://web.whatsapp.com with a page that names the client revision.
func (s *Server) HTTPClient() *http.Client {
	return &http.Client{Transport: s.transport}
}

// Listen serves on a TCP address besides, such as "127.0.0.1:0", and returns
// the address. There is no TLS: a client speaks plain HTTP there, with the
// websocket on /ws/chat, and must trust RootKey. RemoteClient does both in Go.
func (s *Server) Listen(address string) (string, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		return "", fmt.Errorf("walinktest: listen: %w", err)
	}
	if !s.serve(listener) {
		return "", fmt.Errorf("walinktest: listen: %w", net.ErrClosed)
	}
	return listener.Addr().String(), nil
}

// RootKey returns the public key that signs this process's servers. A client in
// another process sets whatsmeow.WACertPubKey to it.
func (s *Server) RootKey() [32]byte { return *root().Pub }

// Restart drops every socket at once and forgets refs and pairing codes, as a
// real server that is restarted does. Devices stay linked.
func (s *Server) Restart() {
	for _, c := range s.connections() {
		c.close()
	}
}

// Close ends the server and waits for its goroutines. It is safe to call twice.
// Clients that are still connected see their connection close.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	_ = s.http.Close() // and the listeners, the pipe among them
	for _, c := range s.connections() {
		c.close()
	}
	s.wg.Wait()
	s.transport.CloseIdleConnections()
}

// RemoteClient returns a client for the server that another process has opened
// with Listen on address. It makes whatsmeow trust rootKey, and with that
// replaces whatsmeow.WACertPubKey for this process; call it before any client
// connects. Clients of this process's own servers fail from then on, until
// RemoteClient is called with their RootKey.
func RemoteClient(address string, rootKey [32]byte) *http.Client {
	trust(rootKey)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial, DialTLSContext: dial, DisableKeepAlives: true}}
}

// serve accepts connections from listener until Close; false if that was before.
func (s *Server) serve(listener net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = listener.Close()
		return false
	}
	s.wg.Go(func() { _ = s.http.Serve(listener) })
	return true
}

func (s *Server) connections() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.conns))
}

// id returns a number that no other id, ref or connection of this server has.
// The caller holds mu.
func (s *Server) id() int {
	s.serial++
	return s.serial
}
