package walinktest

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"

	"github.com/walink/walink/internal/redact"
)

// closeDelay is how long the server waits before it closes a connection. whatsmeow
// does not bear a close directly after a node:
//
//   - newNoiseSocket and NoiseSocket.Stop in socket/noisesocket.go write
//     FrameSocket.OnDisconnect without the lock under which FrameSocket.Close reads
//     it. The race detector reports that if the server closes a connection before
//     its first node, or directly after a stream error.
//   - NoiseSocket.consumeFrames in socket/noisesocket.go chooses at random between a
//     frame and the end of the connection. About half of the clients lose the last
//     node.
//
// Delete when whatsmeow guards OnDisconnect and reads all frames before it ends.
const closeDelay = 100 * time.Millisecond

// Server is a WhatsApp server. Make one with NewServer or Start. Its methods are safe
// for concurrent use.
type Server struct {
	static      *keys.KeyPair
	certificate []byte
	pipe        *pipeListener
	http        *http.Server
	transport   *http.Transport
	// wg counts the goroutines of the server. No goroutine starts once closed is set.
	wg sync.WaitGroup

	mu       sync.Mutex // locks are taken in this order: Phone.sending, this one, conn.mu
	closed   bool
	serial   int // the latest number that id has returned
	conns    map[*conn]bool
	refs     map[string]*companion
	codes    map[string]*linkCode // the newest code of each number
	phones   map[string]*Phone
	lids     map[string]*Phone // by hidden address
	devices  map[deviceID]*device
	groups   map[types.JID]*Group
	media    map[string][]byte // attachments by path
	script   map[Stage][]Action
	stats    Stats
	requests map[string]int         // code requests by number
	granted  map[string][]time.Time // when the server gave out codes, by number
	limits   struct {
		codes     int
		per       time.Duration
		devices   int
		failures  int
		lockedFor time.Duration
	}
	required store.WAVersionContainer
	revision uint32
}

// TB is the part of a testing.TB that NewServer takes, so that programs that call Start do
// not link package testing.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(f func())
	Context() context.Context
}

// NewServer returns a server that is closed when the test ends. For a test in a
// testing/synctest bubble, call NewServer in the bubble, with the bubble's T.
func NewServer(tb TB) *Server {
	tb.Helper()
	srv, err := Start()
	if err != nil {
		tb.Fatalf("%v", err)
	}
	tb.Cleanup(srv.Close)
	return srv
}

// Start returns a server that runs until Close. No error is possible in this version.
func Start() (*Server, error) {
	static := keys.NewKeyPair()
	s := &Server{
		static:      static,
		certificate: certify(root(), static.Pub, time.Now()),
		pipe:        newPipeListener(),
		conns:       make(map[*conn]bool),
		refs:        make(map[string]*companion),
		codes:       make(map[string]*linkCode),
		phones:      make(map[string]*Phone),
		lids:        make(map[string]*Phone),
		devices:     make(map[deviceID]*device),
		groups:      make(map[types.JID]*Group),
		media:       make(map[string][]byte),
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

// HTTPClient returns a client whose connections all lead to this server, without
// TLS, whatever the host. The client is for whatsmeow's SetPreLoginHTTPClient,
// SetWebsocketHTTPClient and SetMediaHTTPClient. The server answers GET
// https://web.whatsapp.com with a page that names the client revision.
func (s *Server) HTTPClient() *http.Client {
	return &http.Client{Transport: s.transport}
}

// Listen also serves on a TCP address, such as "127.0.0.1:0", and returns the
// address with its port. The server speaks plain HTTP there, without TLS, with the
// websocket on /ws/chat. A client has to trust RootKey. In Go RemoteClient does both.
//
// The server reads what a client sends there only after latency, as if there were a
// network between them. Some clients do not bear an answer that comes before their own
// call has returned. Each piece that the server reads costs one latency, so that large
// uploads are slow.
func (s *Server) Listen(address string, latency time.Duration) (string, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		return "", redact.Errorf("walinktest: listen: %w", err)
	}
	if !s.serve(slowListener{listener, latency, s.pipe.closed}) {
		return "", fmt.Errorf("walinktest: listen: %w", net.ErrClosed)
	}
	return listener.Addr().String(), nil
}

// RootKey returns the public key of the authority that signs the certificates of
// this process's servers. A client in another process sets whatsmeow.WACertPubKey to
// this key.
func (s *Server) RootKey() [32]byte { return *root().Pub }

// Restart drops every socket at once and forgets refs and pairing codes, like a real
// server that restarts. Devices stay linked.
func (s *Server) Restart() {
	for _, c := range s.connections() {
		c.close()
	}
}

// Close ends the server and waits for its goroutines. Clients that are still
// connected see their connection close. Close may be called twice.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	_ = s.http.Close() // which closes the listeners and the pipe
	for _, c := range s.connections() {
		c.close()
	}
	s.wg.Wait()
	s.transport.CloseIdleConnections()
}

// RemoteClient returns a client for a server that another process has opened with
// Listen on address. RemoteClient makes whatsmeow trust rootKey: it replaces
// whatsmeow.WACertPubKey for this process. Call it before any client connects. From
// then on clients of this process's own servers fail, until somebody calls
// RemoteClient with their RootKey.
func RemoteClient(address string, rootKey [32]byte) *http.Client {
	trust(rootKey)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial, DialTLSContext: dial, DisableKeepAlives: true}}
}

// serve accepts connections from listener until Close. It returns false if the
// server is closed already.
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

// id returns a new number for a node's id or a connection. The caller holds mu.
func (s *Server) id() int {
	s.serial++
	return s.serial
}
