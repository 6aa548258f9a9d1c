package walinktest

import (
	"context"
	"crypto/cipher"
	"sync"
	"time"

	"github.com/coder/websocket"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
)

const (
	// handshakeTimeout is how long a client may take for the handshake.
	handshakeTimeout = 30 * time.Second
	// writeTimeout is how long a client may take to read one frame.
	writeTimeout = 10 * time.Second
	// overtakenLimit is how long a node waits for another that is to overtake it.
	overtakenLimit = 3 * time.Second
	// ackTTL is how long a client may take to acknowledge a notification.
	// WhatsApp's time is not known: clients that do not acknowledge lost their stream after
	// 5 minutes (yowsup 2837), 50 minutes (Baileys 810) and 90 minutes (Baileys 2071).
	ackTTL = 5 * time.Minute
)

// conn is one client's connection. Its reader goroutine never waits for a write:
// send queues a node, and a second goroutine runs only while the queue has nodes. A
// waiting client costs one goroutine.
type conn struct {
	srv    *Server
	ws     *websocket.Conn
	done   chan struct{}
	read   cipher.AEAD
	write  cipher.AEAD
	serial int

	companion *companion // of a client that registered; the server's mu guards it
	device    *device    // of a client that logs in; only the reader writes it, with the server's mu held

	mu       sync.Mutex
	closed   bool
	writing  bool
	order    actionKind // how to send the next node: actionTwice, actionOvertaken
	held     []byte     // a node that the next one overtakes
	queue    [][]byte
	unacked  map[string]*time.Timer // for the nodes that the client has to acknowledge, by id
	timers   []*time.Timer
	sent     uint32
	received uint32 // only the reader uses it
}

// newConn returns a connection over ws. The caller holds the server's mu.
func newConn(srv *Server, ws *websocket.Conn) *conn {
	return &conn{srv: srv, ws: ws, done: make(chan struct{}), serial: srv.id(), unacked: make(map[string]*time.Timer)}
}

// run reads until the connection ends.
func (c *conn) run() {
	defer c.srv.forget(c)
	defer c.close()
	frames := frameReader{next: func() ([]byte, error) {
		_, message, err := c.ws.Read(context.Background())
		return message, err
	}}
	handler := c.handshake(&frames)
	for handler != nil {
		sealed, err := frames.frame()
		if err != nil {
			return
		}
		plain, err := c.read.Open(sealed[:0], nonce(c.received), sealed, nil)
		if err != nil {
			return
		}
		c.received++
		if node, err := decodeNode(plain); err == nil {
			if node.Tag == "ack" {
				c.acked(text(node.Attrs["id"]))
			}
			handler(node)
		}
	}
}

// handshake does the Noise handshake and takes the client's payload. It returns the
// handler for the client's nodes, or nil if the connection is to end.
func (c *conn) handshake(frames *frameReader) func(*waBinary.Node) {
	timeout := time.AfterFunc(handshakeTimeout, c.close)
	defer timeout.Stop()
	header, err := frames.header()
	if err != nil {
		return nil
	}
	hello, err := frames.frame()
	if err != nil {
		return nil
	}
	certificate := c.srv.certificate
	action := c.srv.next(StageHandshake)
	if !c.pause(action.delay) {
		return nil
	}
	switch action.kind {
	case actionSilence:
		timeout.Stop()
		for {
			if _, err := frames.frame(); err != nil {
				return nil
			}
		}
	case actionDrop, actionRefuse, actionFailure, actionSend:
		return nil
	case actionBadSignature:
		certificate = certify(keys.NewKeyPair(), c.srv.static.Pub, time.Now())
	case actionExpired:
		certificate = certify(root(), c.srv.static.Pub, time.Now().Add(-2*certLife))
	default:
	}
	n, answer, client, err := respond(header, hello, c.srv.static, certificate)
	if err != nil {
		return nil
	}
	if action.kind == actionMalformed {
		answer = []byte("not a handshake message")
	}
	if err := c.writeMessage(frame(answer)); err != nil {
		return nil
	}
	if client == nil {
		finish, err := frames.frame()
		if err != nil {
			return nil
		}
		if client, err = n.clientFinish(finish); err != nil {
			return nil
		}
	}
	if c.read, c.write, err = n.split(); err != nil {
		return nil
	}
	return c.register(client.static, client.payload)
}

// pause makes the reader wait for d. It returns false if the connection ends before.
func (c *conn) pause(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.done:
		return false
	}
}

// perform does what the script says for a stage. Without a script it calls proceed.
// It also calls proceed for the actions that only the stage itself can do, and calls
// refuse for Refuse.
func (c *conn) perform(stage Stage, refuse, proceed func(Action)) {
	action := c.srv.next(stage)
	if (stage == StagePairDevice || stage == StageLogin) && !action.sendsNow() {
		// The client gets a node before its connection can end: see closeDelay.
		c.send(waBinary.Node{Tag: "ib", Attrs: waBinary.Attrs{"from": types.ServerJID}})
	}
	c.after(action.delay, func() {
		switch action.kind {
		case actionRefuse, actionSay:
			refuse(action)
		case actionFailure:
			c.fail(action)
		case actionSend:
			if c.deliver(action.nodes) {
				proceed(action)
			}
		case actionSilence:
		case actionDrop:
			c.after(closeDelay, c.close)
		case actionTwice, actionOvertaken:
			c.reorder(action.kind)
			proceed(action)
		default:
			proceed(action)
		}
	})
}

// after calls f, which must not block, once d has passed, if the connection is still
// open. If d is zero, it calls f at once.
func (c *conn) after(d time.Duration, f func()) {
	if d <= 0 {
		f()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.timers = append(c.timers, time.AfterFunc(d, f))
	}
}

// send queues a node. It never blocks.
func (c *conn) send(node waBinary.Node) {
	data, err := waBinary.Marshal(node)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	order := c.order
	c.order = actionPass
	if order == actionOvertaken {
		c.held = data
		c.timers = append(c.timers, time.AfterFunc(overtakenLimit, c.release))
		return
	}
	if order == actionTwice {
		c.queue = append(c.queue, data)
	}
	c.queue = append(c.queue, data)
	c.wake()
}

// sendAcked sends a node that the client has to acknowledge by its id. Otherwise the server
// ends the stream with an error that names the node, and the client has to come again.
func (c *conn) sendAcked(node waBinary.Node) {
	id := text(node.Attrs["id"])
	c.acked(id) // if the node goes out a second time
	c.mu.Lock()
	if !c.closed {
		c.unacked[id] = time.AfterFunc(ackTTL, func() {
			c.endWith(waBinary.Node{Tag: "stream:error", Content: []waBinary.Node{{Tag: "ack", Attrs: waBinary.Attrs{"id": id}}}})
		})
	}
	c.mu.Unlock()
	c.send(node)
}

// acked notes that the client has acknowledged a node.
func (c *conn) acked(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if timer := c.unacked[id]; timer != nil {
		timer.Stop()
		delete(c.unacked, id)
	}
}

// reorder makes the next node go out twice, or be overtaken.
func (c *conn) reorder(kind actionKind) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.order = kind
}

// release sends the node that is held.
func (c *conn) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.wake()
	}
}

// wake starts a goroutine that writes the queue, and after it the node that is held.
// The caller holds mu.
func (c *conn) wake() {
	if c.held != nil {
		c.queue = append(c.queue, c.held)
		c.held = nil
	}
	if !c.writing && len(c.queue) > 0 {
		c.writing = true
		c.srv.wg.Go(c.drain)
	}
}

// drain writes the queue until it is empty.
func (c *conn) drain() {
	for {
		c.mu.Lock()
		if c.closed || len(c.queue) == 0 {
			c.writing = false
			c.queue = nil
			c.mu.Unlock()
			return
		}
		data := c.queue[0]
		c.queue = c.queue[1:]
		c.mu.Unlock()
		sealed := c.write.Seal(nil, nonce(c.sent), data, nil)
		c.sent++
		if err := c.writeMessage(frame(sealed)); err != nil {
			c.close()
			return
		}
	}
}

func (c *conn) writeMessage(message []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	return c.ws.Write(ctx, websocket.MessageBinary, message)
}

// close ends the connection and drops the queue. It may be called twice.
func (c *conn) close() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	close(c.done)
	for _, timer := range c.timers {
		timer.Stop()
	}
	for _, timer := range c.unacked {
		timer.Stop()
	}
	c.timers, c.unacked = nil, nil
	c.mu.Unlock()
	_ = c.ws.CloseNow()
}
