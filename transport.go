package walink

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// tracker is the transport of one whatsmeow client. It hands every request on
// and keeps hold of the connection under the current websocket, because
// whatsmeow's ways of ending one are unsafe in three places:
//
//   - ConnectContext neither honours its context during the Noise handshake nor
//     notices there that the connection has ended: it waits 20 s
//     (NoiseHandshakeResponseTimeout in its handshake.go).
//   - FrameSocket hands frames on without a buffer and without an end: a frame
//     that arrives while Disconnect stops the consumer blocks its reader for ever.
//   - FrameSocket.OnDisconnect is written by the end of the handshake and by
//     Disconnect, and read, under a lock that those two do not take, by the
//     reader when the peer ends the connection: a data race, and at worst an end
//     that nobody is told of.
//
// So the reader learns of an end only when ConnectContext is through, and once
// the connection is hushed only when Disconnect has let go of it.
type tracker struct {
	base http.RoundTripper
	held func() bool // whether the session's lease is still ours: nothing passes without

	mu      sync.Mutex
	quiet   bool // nothing may be opened, until the next begin
	dials   int  // requests under way
	current *conn
}

// RoundTrip implements http.RoundTripper.
func (t *tracker) RoundTrip(req *http.Request) (*http.Response, error) {
	t.mu.Lock()
	quiet := t.quiet
	t.dials++
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		t.dials--
		t.mu.Unlock()
	}()
	switch {
	case quiet:
		return nil, errShut
	case !t.held():
		return nil, errLapsed
	}
	resp, err := t.base.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		return resp, err
	}
	rwc, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		return resp, nil // not a connection: the websocket library will say so
	}
	c := newConn(rwc, t.held)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.quiet {
		_ = rwc.Close()
		return nil, errShut
	}
	t.current = c
	resp.Body = c
	return resp, nil
}

var errShut = errors.New("the socket is shut")

// begin is called before a ConnectContext.
func (t *tracker) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.quiet, t.current = false, nil
}

// opened is called when the handshake is done: after a ConnectContext, and
// when whatsmeow logs that it handles nodes, which is all that is heard of a
// reconnect of its own.
func (t *tracker) opened() {
	if c := t.conn(); c != nil {
		c.signal(c.opened)
	}
}

// quieten lets nothing more be opened. It returns the current connection, if
// there is one, and whether one is being dialed.
func (t *tracker) quieten() (c *conn, dialing bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.quiet = true
	return t.current, t.dials > 0
}

// up reports whether a connection is logged in and has not ended. It asks no lock
// of whatsmeow's, which may be held for long.
func (t *tracker) up() bool {
	c := t.conn()
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return !isClosed(c.closing) && c.loggedIn && !c.ended && c.hushed == nil
}

// conn returns the connection under the current websocket; nil if none was opened.
func (t *tracker) conn() *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.current
}

// tornDown notes that whatsmeow has let go of a connection that had ended.
func (t *tracker) tornDown() {
	if c := t.conn(); c != nil {
		c.signal(c.gone)
	}
}

// whileUp notes a login and calls f, unless the reader was told of the end of
// the connection, and reports whether it did. What the reader's end leads to
// comes after f.
func (t *tracker) whileUp(f func()) bool {
	c := t.conn()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.loggedIn = true
		f()
	}
	return !c.ended
}

// conn is the connection under a websocket. It has one reader.
type conn struct {
	rwc  io.ReadWriteCloser
	held func() bool

	written chan struct{} // closed once the client's hello is out
	opened  chan struct{} // closed once the handshake is done
	closing chan struct{} // closed once the websocket says goodbye, is closed or killed
	gone    chan struct{} // closed once whatsmeow has let go of a connection that had ended

	hello hello // the reader's

	mu       sync.Mutex
	read     bool // the server's hello, or what should be it, was handed on
	loggedIn bool
	rest     int           // of the frame that is being written
	closed   bool          // by the websocket itself
	idle     bool          // the reader has nothing in hand
	ended    bool          // the reader was told of the end, and tears the websocket down
	hushed   chan struct{} // not nil once hushed; closed when the reader has nothing in hand
}

func newConn(rwc io.ReadWriteCloser, held func() bool) *conn {
	return &conn{
		rwc: rwc, held: held, written: make(chan struct{}), opened: make(chan struct{}),
		closing: make(chan struct{}), gone: make(chan struct{}),
	}
}

// signal closes one of the channels of c, once.
func (c *conn) signal(ch chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !isClosed(ch) {
		close(ch)
	}
}

// kill ends the connection under the websocket, which sees an end and not a
// Close of its own.
func (c *conn) kill() {
	_ = c.rwc.Close() // the error is of no use to anyone
	c.signal(c.closing)
}

// calm makes Disconnect safe: a handshake that waits for the server is ended,
// and otherwise nothing more arrives. When it returns, the reader has handed on
// all it had, or whatsmeow is through with a connection that had ended before;
// limit bounds the wait.
func (c *conn) calm(limit time.Duration) {
	c.mu.Lock()
	silent := !c.read
	c.mu.Unlock()
	if silent {
		c.kill()
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-c.hush():
	case <-timer.C:
		return
	}
	if !c.hasEnded() {
		return
	}
	select {
	case <-c.gone:
	case <-timer.C:
	}
}

// hush lets nothing more arrive, and returns a channel that is closed when the
// reader has nothing in hand.
func (c *conn) hush() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hushed == nil {
		c.hushed = make(chan struct{})
		c.settle()
	}
	return c.hushed
}

// settle tells whoever hushes c when the reader has nothing in hand. It is
// called with c.mu held.
func (c *conn) settle() {
	if c.hushed == nil || !c.idle && !c.ended {
		return
	}
	if !isClosed(c.hushed) {
		close(c.hushed)
	}
}

func (c *conn) hasEnded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// Read reads from the connection. Where the connection ends before the server's
// hello is whole, whatsmeow would go on waiting for it: it is given an empty
// frame, which ends its handshake.
func (c *conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	c.idle = true
	c.settle()
	c.mu.Unlock()
	n, err := c.arrive(p)
	if n > 0 && !c.held() { // a process that was stopped for long wakes up with this in its hands
		_ = c.rwc.Close()
		n, err = 0, errLapsed
	}
	if n == 0 && err != nil {
		select {
		case <-c.written: // whatsmeow waits for the hello only now
		case <-c.closing:
		}
	}
	c.mu.Lock()
	if c.hushed != nil {
		n, err = 0, io.EOF
	}
	switch {
	case n > 0:
		c.read, c.idle = c.read || c.hello.whole && c.hello.ready == 0, false
		c.mu.Unlock()
		return n, nil // an error comes again
	case err != nil && isClosed(c.written) && !c.read && !c.closed && len(p) >= len(emptyFrame):
		c.read, c.idle, c.hello = true, false, hello{whole: true}
		c.mu.Unlock()
		return copy(p, emptyFrame), nil
	}
	c.mu.Unlock()
	return 0, c.atEnd(err)
}

// atEnd holds the reader back until the end may be told, and returns it.
func (c *conn) atEnd(err error) error {
	c.awaitHandshake()
	c.mu.Lock()
	if c.hushed == nil {
		c.ended = isClosed(c.opened) // or the handshake has failed
		c.mu.Unlock()
		return err
	}
	c.mu.Unlock()
	<-c.closing
	return io.EOF
}

// Write writes to the connection.
func (c *conn) Write(p []byte) (int, error) {
	if !c.held() {
		c.kill()
		return 0, errLapsed
	}
	goodbye := c.startsGoodbye(p)
	if goodbye {
		c.signal(c.closing)
	}
	n, err := c.rwc.Write(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && !isClosed(c.written) {
		close(c.written)
	}
	if goodbye && c.hushed == nil {
		c.ended = true // the peer has said goodbye, and the reader answers it
		c.settle()
	}
	return n, err
}

// startsGoodbye reports whether p starts a close frame. The websocket library
// writes a frame at a time, a long one in pieces, and every frame from an empty
// buffer, so that a header is never cut.
func (c *conn) startsGoodbye(p []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rest > 0 {
		c.rest -= len(p)
		return false
	}
	f, ok := parseFrame(p)
	if !ok {
		return false
	}
	c.rest = f.size - len(p)
	return f.first == wsFinal|wsClose
}

// Close closes the connection for the websocket.
func (c *conn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	err := c.rwc.Close()
	c.signal(c.closing)
	return err
}

// newHTTPClient returns the client that the Settings ask for, without the tracker.
// A proxy is used for everything, or nothing connects.
func (r *resolved) newHTTPClient() *http.Client {
	switch {
	case r.httpClient != nil:
		c := *r.httpClient
		return &c
	case r.proxy != nil:
		transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert,errcheck // as whatsmeow's NewClient does
		transport.Proxy = http.ProxyURL(r.proxy)
		return &http.Client{Transport: transport}
	default:
		return &http.Client{}
	}
}

// tracked returns a copy of c with a tracker as its transport. held says whether
// the session may still be connected.
func tracked(c *http.Client, held func() bool) (*http.Client, *tracker) {
	t := &tracker{base: c.Transport, held: held}
	if t.base == nil {
		t.base = http.DefaultTransport
	}
	out := *c
	out.Transport = t
	return &out, t
}
