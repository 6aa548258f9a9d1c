package wire

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// transport is the http.RoundTripper of one whatsmeow client. It passes every request
// on and keeps hold of the connection under the current websocket, because
// whatsmeow's ways of ending a connection are unsafe in three places:
//
//   - ConnectContext neither honours its context during the Noise handshake nor
//     notices there that the connection has ended: it waits 20 s
//     (NoiseHandshakeResponseTimeout in its handshake.go).
//   - FrameSocket (socket/framesocket.go) passes frames on without a buffer and
//     without an end: a frame that arrives while Disconnect stops the consumer
//     blocks its reader for ever.
//   - FrameSocket.OnDisconnect is written by the end of the handshake and by
//     Disconnect, and read, under a lock that those two do not take, by the
//     reader when the peer ends the connection: a data race, and at worst an end
//     that nobody hears of.
//
// So the reader learns of an end only after ConnectContext has returned, and in a
// muted connection only after Disconnect has closed it. Delete this file when
// whatsmeow honours the context, and takes a lock in these places.
type transport struct {
	base   http.RoundTripper
	held   func() bool // reports whether the session is still ours; if not, nothing passes
	pace   *Pace
	linked func() bool // reports whether the next connection logs a device in
	closed func()      // is called when whatsmeow has closed a connection

	mu      sync.Mutex
	blocked bool // nothing may be opened, until the next begin
	begun   bool // the next request is walink's own
	dials   int  // requests under way
	current *wsConn
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.dial(req)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dials-- // together with current: block ends a dial by its context, and a connection otherwise
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		return resp, err
	}
	rwc, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		return resp, nil // not a connection: the websocket library will say so
	}
	if t.blocked {
		_ = rwc.Close()
		return nil, errShut
	}
	t.current = newWSConn(rwc, t.held, t.closed)
	resp.Body = t.current
	return resp, nil
}

func (t *transport) dial(req *http.Request) (*http.Response, error) {
	t.mu.Lock()
	blocked, own := t.blocked, t.begun
	t.begun = false
	t.dials++
	t.mu.Unlock()
	switch {
	case blocked:
		return nil, errShut
	case !t.held():
		return nil, errLapsed
	}
	if err := t.pace.await(req.Context(), own, t.linked()); err != nil {
		return nil, err
	}
	return t.base.RoundTrip(req)
}

// begin is called before a ConnectContext.
func (t *transport) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.blocked, t.begun, t.current = false, true, nil
}

// opened is called when the handshake is done: after a ConnectContext, and when
// whatsmeow logs that it handles nodes, which is the only sign of a reconnect by
// whatsmeow itself.
func (t *transport) opened() {
	if c := t.connection(); c != nil {
		c.signal(c.opened)
	}
}

// block prevents new connections until the next begin. It returns the current connection, or nil, and
// whether one is being dialed.
func (t *transport) block() (c *wsConn, dialing bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.blocked = true
	return t.current, t.dials > 0
}

// up reports whether a connection is logged in and has not ended. It takes no lock
// of whatsmeow, which may be held for long.
func (t *transport) up() bool {
	c := t.connection()
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return !isClosed(c.closing) && c.loggedIn && !c.ended && !c.doomed && c.muted == nil
}

// doom notes that the server ends the current connection: a login on it does not count
// any more, even if whatsmeow reports the login late.
func (t *transport) doom() {
	if c := t.connection(); c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.doomed = true
	}
}

// connection returns the connection under the current websocket; nil if none was opened.
func (t *transport) connection() *wsConn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.current
}

// tornDown notes that whatsmeow has torn down a connection that had ended.
func (t *transport) tornDown() {
	if c := t.connection(); c != nil {
		c.signal(c.gone)
	}
}

// whileUp notes a login and calls f, unless the reader has already learned of the end
// of the connection, or the server has announced the end. It reports whether f was
// called. If the connection ends later, the consequences come after f.
func (t *transport) whileUp(f func()) bool {
	c := t.connection()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || c.doomed {
		return false
	}
	c.loggedIn = true
	f()
	return true
}

// wsConn is the connection under a websocket. It has one reader.
type wsConn struct {
	rwc     io.ReadWriteCloser
	held    func() bool
	onClose func()

	written chan struct{} // closed once the client's hello is out
	opened  chan struct{} // closed once the handshake is done
	closing chan struct{} // closed once the websocket sends a close frame, is closed or killed
	gone    chan struct{} // closed once whatsmeow has torn down a connection that had ended

	hello hello      // only for the reader
	first sync.Mutex // is held while the client's hello is written

	mu       sync.Mutex
	read     bool // the server's hello, or something in its place, was passed on
	loggedIn bool
	rest     int           // bytes that are missing of the frame that is being written
	closed   bool          // by the websocket itself
	idle     bool          // the reader has nothing to pass on
	ended    bool          // the reader has learned of the end, and tears the websocket down
	doomed   bool          // the server has said that it ends the connection
	muted    chan struct{} // not nil once muted; closed when the reader has nothing to pass on
}

func newWSConn(rwc io.ReadWriteCloser, held func() bool, onClose func()) *wsConn {
	return &wsConn{
		rwc: rwc, held: held, onClose: onClose, written: make(chan struct{}), opened: make(chan struct{}),
		closing: make(chan struct{}), gone: make(chan struct{}),
	}
}

// signal closes one of the channels of c, once.
func (w *wsConn) signal(ch chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !isClosed(ch) {
		close(ch)
	}
}

// kill ends the connection under the websocket, as if the peer had ended it.
func (w *wsConn) kill() {
	_ = w.rwc.Close() // nobody can do anything about the error
	w.signal(w.closing)
}

// drain makes Disconnect safe. It ends a handshake that waits for the server, and
// otherwise mutes the connection. When drain returns, the reader has passed on all that
// it had, or whatsmeow has torn down a connection that had ended before. limit bounds
// the wait.
func (w *wsConn) drain(limit time.Duration) {
	w.mu.Lock()
	silent := !w.read
	w.mu.Unlock()
	if silent {
		w.kill()
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-w.mute():
	case <-timer.C:
		return
	}
	if !w.hasEnded() {
		return
	}
	select {
	case <-w.gone:
	case <-timer.C:
	}
}

// mute stops all that arrives, and returns a channel that is closed when the
// reader has nothing to pass on.
func (w *wsConn) mute() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.muted == nil {
		w.muted = make(chan struct{})
		w.settle()
	}
	return w.muted
}

// settle closes muted when the reader has nothing to pass on. It is called with
// w.mu held.
func (w *wsConn) settle() {
	if w.muted == nil || !w.idle && !w.ended {
		return
	}
	if !isClosed(w.muted) {
		close(w.muted)
	}
}

func (w *wsConn) hasEnded() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended
}

// Read reads from the connection. If the connection ends before the server's hello is
// whole, whatsmeow would go on waiting for the hello. So Read returns an empty frame,
// which ends whatsmeow's handshake.
func (w *wsConn) Read(p []byte) (int, error) {
	w.mu.Lock()
	w.idle = true
	w.settle()
	w.mu.Unlock()
	n, err := w.arrive(p)
	if n > 0 && !w.held() { // a process that was stopped for long wakes up here
		_ = w.rwc.Close()
		n, err = 0, errLapsed
	}
	if n == 0 && err != nil {
		select {
		case <-w.written: // whatsmeow waits for the hello only now
		case <-w.closing:
		}
	}
	waits := n == 0 && err != nil && w.helloIsOut()
	w.mu.Lock()
	if w.muted != nil {
		n, err = 0, io.EOF
	}
	switch {
	case n > 0:
		w.read, w.idle = w.read || w.hello.whole && w.hello.ready == 0, false
		w.mu.Unlock()
		return n, nil // an error comes again
	case waits && !w.read && !w.closed && len(p) >= len(emptyFrame):
		w.read, w.idle, w.hello = true, false, hello{whole: true}
		w.mu.Unlock()
		return copy(p, emptyFrame), nil
	}
	w.mu.Unlock()
	return 0, w.atEnd(err)
}

// helloIsOut reports whether whatsmeow waits for the server's hello. A write that is under
// way decides it.
func (w *wsConn) helloIsOut() bool {
	w.first.Lock()
	defer w.first.Unlock()
	return isClosed(w.written)
}

// atEnd blocks until the reader may learn of the end, and returns the error for it.
func (w *wsConn) atEnd(err error) error {
	w.awaitHandshake()
	w.mu.Lock()
	if w.muted == nil {
		w.ended = isClosed(w.opened) // or the handshake has failed
		w.mu.Unlock()
		return err
	}
	w.mu.Unlock()
	<-w.closing
	return io.EOF
}

// Write writes to the connection.
func (w *wsConn) Write(p []byte) (int, error) {
	if !w.held() {
		w.kill()
		return 0, errLapsed
	}
	if !isClosed(w.written) {
		w.first.Lock()
		defer w.first.Unlock()
	}
	closing := w.startsClose(p)
	if closing {
		w.signal(w.closing)
	}
	n, err := w.rwc.Write(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil && !isClosed(w.written) {
		close(w.written)
	}
	if closing && w.muted == nil {
		w.ended = true // the peer has sent a close frame, and the reader answers it
		w.settle()
	}
	return n, err
}

// startsClose reports whether p starts a close frame. The websocket library
// writes a frame at a time, a long one in pieces, and every frame from an empty
// buffer, so that a header is never cut.
func (w *wsConn) startsClose(p []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rest > 0 {
		w.rest -= len(p)
		return false
	}
	f, ok := parseFrame(p)
	if !ok {
		return false
	}
	w.rest = f.size - len(p)
	return f.first == wsFinal|wsClose
}

// Close closes the connection for the websocket.
func (w *wsConn) Close() error {
	w.mu.Lock()
	again := w.closed
	w.closed = true
	w.mu.Unlock()
	err := w.rwc.Close()
	w.signal(w.closing)
	if !again {
		w.onClose()
	}
	return err
}

// track returns a copy of c with its own transport, whose fields the parameters are.
func track(c *http.Client, held, linked func() bool, pace *Pace, closed func()) (*http.Client, *transport) {
	t := &transport{base: cmp.Or(c.Transport, http.DefaultTransport), held: held, linked: linked, pace: pace, closed: closed}
	out := *c
	out.Transport = t
	return &out, t
}

var (
	errShut   = errors.New("the connection is shut")
	errLapsed = errors.New("the lease of the session has run out")
)
