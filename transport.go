package walink

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// tracker is the transport of one whatsmeow client. It hands every request on
// and keeps hold of the connection under the current websocket, since
// whatsmeow's ConnectContext neither honours its context during the Noise
// handshake nor notices there that the connection has ended: it waits 20 s
// (NoiseHandshakeResponseTimeout in whatsmeow's handshake.go).
type tracker struct {
	base http.RoundTripper

	mu      sync.Mutex
	current *conn
}

// RoundTrip implements http.RoundTripper.
func (t *tracker) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		return resp, err
	}
	rwc, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		return resp, nil // not a connection: the websocket library will say so
	}
	c := &conn{rwc: rwc}
	t.mu.Lock()
	t.current = c
	t.mu.Unlock()
	resp.Body = c
	return resp, nil
}

// conn returns the connection under the current websocket; nil if none was opened.
func (t *tracker) conn() *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.current
}

// kill ends the connection under the current websocket, and reports whether
// there is one.
func (t *tracker) kill() bool {
	c := t.conn()
	if c != nil {
		// The websocket sees an end of the connection, and not a Close of its
		// own. The error is of no use to anyone.
		_ = c.rwc.Close()
	}
	return c != nil
}

// hush keeps whatever may still arrive from whatsmeow. When it returns, the
// goroutine that reads the connection has handed on all it had: one that is
// handing a frame on while Disconnect stops its consumer would hang for ever
// (FrameSocket.Frames in whatsmeow's socket package has no buffer and no end).
func (t *tracker) hush(limit time.Duration) {
	c := t.conn()
	if c == nil {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-c.hush():
	case <-timer.C:
	}
}

// conn is the connection under a websocket. It has one reader.
type conn struct {
	rwc io.ReadWriteCloser

	mu     sync.Mutex
	wrote  bool          // the client's hello is out
	read   bool          // something has arrived
	closed bool          // by the websocket itself
	inRead bool          // the reader waits for the peer, or has seen the end
	hushed chan struct{} // not nil once hushed; closed when the reader has nothing in hand
}

// emptyFrame is a binary websocket message with one empty whatsmeow frame.
// A handshake that receives it ends at once with an error.
const emptyFrame = "\x82\x03\x00\x00\x00"

// hush lets nothing more arrive, and returns a channel that is closed when the
// reader has nothing in hand.
func (c *conn) hush() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hushed == nil {
		c.hushed = make(chan struct{})
		if c.inRead {
			close(c.hushed)
		}
	}
	return c.hushed
}

// Read reads from the connection. Where the connection ends before anything
// has arrived, whatsmeow is waiting for the server's hello, and would go on
// waiting: it is given an empty frame, which ends its handshake.
func (c *conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	c.inRead = true
	if c.hushed != nil {
		select {
		case <-c.hushed:
		default:
			close(c.hushed)
		}
	}
	c.mu.Unlock()
	n, err := c.rwc.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inRead = n == 0 && err != nil // after an error no one reads on
	if c.hushed != nil {
		n, err = 0, io.EOF
	}
	if n == 0 && err != nil && c.wrote && !c.read && !c.closed && len(p) >= len(emptyFrame) {
		c.read, c.inRead = true, false
		return copy(p, emptyFrame), nil
	}
	c.read = c.read || n > 0
	return n, err
}

// Write writes to the connection.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.rwc.Write(p)
	if err == nil {
		c.mu.Lock()
		c.wrote = true
		c.mu.Unlock()
	}
	return n, err
}

// Close closes the connection for the websocket.
func (c *conn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	return c.rwc.Close()
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

// tracked returns a copy of c with a tracker as its transport.
func tracked(c *http.Client) (*http.Client, *tracker) {
	t := &tracker{base: c.Transport}
	if t.base == nil {
		t.base = http.DefaultTransport
	}
	out := *c
	out.Transport = t
	return &out, t
}
