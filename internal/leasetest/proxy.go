package leasetest

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy is a proxy between a program and a server. It can be cut.
type Proxy struct {
	target, network string
	listener        net.Listener

	mu    sync.Mutex
	cond  *sync.Cond
	cut   bool
	conns map[*link]bool
	next  *hold // what to keep back
}

// hold keeps back what is sent on one connection after text was sent.
type hold struct {
	text           []byte
	held, released chan struct{}
}

// link is one connection of the program.
type link struct {
	near, far net.Conn
	sent      atomic.Int64 // the number of bytes from the program
}

// NewProxy returns a Proxy on loopback for the server at target. It ends with
// the test.
func NewProxy(tb testing.TB, network, target string) *Proxy {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{target: target, network: network, listener: listener, conns: map[*link]bool{}}
	p.cond = sync.NewCond(&p.mu)
	var group sync.WaitGroup
	group.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() { p.serve(near) })
		}
	})
	tb.Cleanup(func() {
		_ = listener.Close()
		p.Restore()
		p.mu.Lock()
		for l := range p.conns {
			l.close()
		}
		p.mu.Unlock()
		group.Wait()
	})
	return p
}

// Addr returns the address on which the proxy listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut lets nothing through any more, and ends no connection, as when a cable is
// pulled.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
}

// Restore ends what Cut began.
func (p *Proxy) Restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
	p.cond.Broadcast()
}

// HoldAfter keeps back what a program sends on a connection on which it has sent text, as a
// network does that loses packets. The channel is closed once something is kept back, and
// release lets it through. Call release before the test ends.
func (p *Proxy) HoldAfter(text string) (held <-chan struct{}, release func()) {
	h := &hold{text: []byte(text), held: make(chan struct{}), released: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = h
	return h.held, sync.OnceFunc(func() { close(h.released) })
}

// holdAfter returns the hold that begins after what was sent, or nil.
func (p *Proxy) holdAfter(sent []byte) *hold {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.next
	if h == nil || !bytes.Contains(sent, h.text) {
		return nil
	}
	p.next = nil
	return h
}

// open returns the connections that have not ended.
func (p *Proxy) open() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := []*link{}
	for l := range p.conns {
		list = append(list, l)
	}
	return list
}

// wait returns when the proxy is not cut.
func (p *Proxy) wait() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.cut {
		p.cond.Wait()
	}
}

func (p *Proxy) serve(near net.Conn) {
	p.wait()
	far, err := net.Dial(p.network, p.target)
	if err != nil {
		_ = near.Close()
		return
	}
	l := &link{near: near, far: far}
	p.mu.Lock()
	p.conns[l] = true
	p.mu.Unlock()
	var group sync.WaitGroup
	group.Go(func() { p.copy(l.far, l.near, &l.sent); l.close() })
	group.Go(func() { p.copy(l.near, l.far, nil); l.close() })
	group.Wait()
	p.mu.Lock()
	delete(p.conns, l)
	p.mu.Unlock()
}

func (l *link) close() {
	_ = l.near.Close()
	_ = l.far.Close()
}

func (p *Proxy) copy(to io.Writer, from io.Reader, count *atomic.Int64) {
	buffer := make([]byte, 32<<10)
	var after *hold
	for {
		n, err := from.Read(buffer)
		if after != nil {
			close(after.held)
			<-after.released
			after = nil
		}
		if count != nil {
			count.Add(int64(n))
			after = p.holdAfter(buffer[:n])
		}
		p.wait()
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
