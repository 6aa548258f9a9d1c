package walinktest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// pipeListener is a net.Listener whose connections are pipes inside the process.
type pipeListener struct {
	accepted  chan net.Conn
	closed    chan struct{}
	closeOnce sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{accepted: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept returns the server's end of the next connection.
func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.accepted:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and refuses further connections.
func (l *pipeListener) Close() error {
	l.closeOnce.Do(func() { close(l.closed) })
	return nil
}

// Addr returns an address that is "pipe".
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.accepted <- server:
		return client, nil
	case <-l.closed:
		return nil, fmt.Errorf("walinktest: dial: %w", net.ErrClosed)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// slowListener is a net.Listener whose connections read what has arrived only after latency.
type slowListener struct {
	net.Listener
	latency time.Duration
	closed  <-chan struct{} // with the server, which waits for no latency
}

// Accept returns the next connection.
func (l slowListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return slowConn{conn, l}, err
}

type slowConn struct {
	net.Conn
	by slowListener
}

// Read reads from the connection, and waits.
func (c slowConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.by.latency > 0 {
		select {
		case <-time.After(c.by.latency):
		case <-c.by.closed:
		}
	}
	return n, err
}

// handler serves the websocket, the page with the client's revision and attachments.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ws/chat", s.upgrade) // the path of whatsmeow's socket.URL
	mux.HandleFunc("/{$}", s.version)
	mux.HandleFunc("POST /mms/{kind}/{token}", s.upload)
	mux.HandleFunc("DELETE /mms/{kind}/{token}", s.upload)
	mux.HandleFunc("GET /v/{token}", s.download)
	return mux
}

// version answers the request of whatsmeow's GetLatestVersion.
func (s *Server) version(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.stats.VersionRequests++
	revision := s.revision
	s.mu.Unlock()
	action := s.next(StageVersion)
	if s.httpTrouble(w, r, action) {
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if action.kind == actionMalformed {
		_, _ = fmt.Fprint(w, "<!DOCTYPE html><title>WhatsApp Web</title>")
		return
	}
	_, _ = fmt.Fprintf(w, `<!DOCTYPE html><title>WhatsApp Web</title><script>{"server_revision":%[1]d,"client_revision":%[1]d,"tier":"sandbox"}</script>`, revision)
}

// upgrade turns a request into a connection. The connection reads in its own goroutine,
// so that net/http can free the memory of the request.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request) {
	if s.httpTrouble(w, r, s.next(StageUpgrade)) {
		return
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // whatsmeow sends WhatsApp's origin to every host
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		return
	}
	ws.SetReadLimit(maxFrame + 64)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		_ = ws.CloseNow()
		return
	}
	c := newConn(s, ws)
	s.conns[c] = true
	s.stats.Connections++
	s.wg.Go(c.run)
	s.mu.Unlock()
}

// httpTrouble does what action says to an HTTP request, and reports whether the request
// has ended with that.
func (s *Server) httpTrouble(w http.ResponseWriter, r *http.Request, action Action) bool {
	if action.delay > 0 {
		timer := time.NewTimer(action.delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return true
		case <-s.pipe.closed:
			return true
		}
	}
	switch action.kind {
	case actionRefuse, actionFailure:
		http.Error(w, http.StatusText(action.code), action.code)
	case actionSilence:
		select {
		case <-r.Context().Done():
		case <-s.pipe.closed:
		}
	case actionDrop, actionSend:
		panic(http.ErrAbortHandler) // net/http's way to drop a connection
	default:
		return false
	}
	return true
}
