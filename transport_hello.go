package walink

import (
	"encoding/binary"
	"errors"
	"io"
	"time"
)

const (
	// emptyFrame is a binary websocket message with one empty whatsmeow frame.
	// A handshake that receives it ends at once with an error.
	emptyFrame = "\x82\x03\x00\x00\x00"
	// longestHello is more than any server's hello takes, with the websocket's headers.
	longestHello = 64 << 10
)

// The first byte of a websocket frame: flags and an opcode (RFC 6455, 5.2).
const (
	wsFinal      = 0x80
	wsCompressed = 0x40 // RSV1 (RFC 7692, 6)
	wsReserved   = 0x30
	wsOpcode     = 0x0F

	wsContinuation = 0x0
	wsText         = 0x1
	wsBinary       = 0x2
	wsClose        = 0x8
	wsPing         = 0x9
	wsPong         = 0xA
	wsNone         = 0xF // of no frame
)

var errNoHello = errors.New("what has arrived is no hello of a server")

// hello is what has arrived of the server before the handshake is done. Only
// the reader of the connection uses it.
//
// whatsmeow's handshake waits for one frame, and hears nothing of an end before
// that; what comes behind the frame would make its reader wait for ever if the
// handshake fails. So the frame is handed on when it is whole, and what follows
// when the handshake is done.
type hello struct {
	held  []byte // has arrived and was not handed on
	ready int    // how much of it may be
	whole bool   // whatsmeow's frame has arrived, and ends where ready does
}

// take hands on what is ready.
func (h *hello) take(p []byte) int {
	n := copy(p, h.held[:h.ready])
	h.held, h.ready = h.held[n:], h.ready-n
	return n
}

// add takes what has arrived. The error is that of a goodbye, or of something
// in which no frame of whatsmeow's will be found.
func (h *hello) add(p []byte) error {
	h.held = append(h.held, p...)
	var got []byte          // of whatsmeow's frame, of which the first three bytes are the length
	message := byte(wsNone) // what the message that is going on holds
	at := 0
	for at < len(h.held) {
		f, ok := parseFrame(h.held[at:])
		switch {
		case !ok && len(h.held) > longestHello, ok && (f.size > longestHello || f.masked || f.first&wsReserved != 0):
			return errNoHello
		case !ok || at+f.size > len(h.held):
			return nil
		}
		payload := h.held[at+f.head : at+f.size]
		at += f.size
		switch op := f.first & wsOpcode; op {
		case wsClose:
			return io.EOF
		case wsPing, wsPong:
			if message == wsNone && len(got) == 0 {
				h.ready = at
			}
			continue
		case wsText, wsBinary:
			message = op
		case wsContinuation:
		default:
			return errNoHello
		}
		if message == wsBinary {
			got = append(got, payload...)
			if f.first&wsCompressed != 0 {
				got = []byte{0, 0, 0} // it is not worth a second decompressor to see whether all has come
			}
		}
		if f.first&wsFinal == 0 {
			continue
		}
		message = wsNone
		const prefix = 3
		if len(got) >= prefix && len(got)-prefix >= int(got[0])<<16|int(got[1])<<8|int(got[2]) {
			h.ready, h.whole = at, true
			return nil
		}
		if len(got) == 0 {
			h.ready = at
		}
	}
	return nil
}

// arrive is what Read has from the connection: until the handshake is done the
// server's hello alone.
func (c *conn) arrive(p []byte) (int, error) {
	h := &c.hello
	for {
		switch {
		case h.ready > 0:
			return h.take(p), nil
		case h.whole || isClosed(c.opened):
			c.awaitHandshake()
			if h.ready = len(h.held); h.ready == 0 {
				return c.rwc.Read(p)
			}
			continue
		}
		n, err := c.rwc.Read(p)
		if wrong := h.add(p[:n]); wrong != nil {
			_ = c.rwc.Close() // the error is of no use to anyone
			err = wrong
		}
		if err != nil && h.ready == 0 {
			return 0, err
		}
	}
}

// awaitHandshake returns when the handshake is done, or nobody waits for it.
func (c *conn) awaitHandshake() {
	if isClosed(c.opened) {
		return
	}
	timer := time.NewTimer(openLimit) // a handshake is over by then
	defer timer.Stop()
	select {
	case <-c.opened:
	case <-c.closing:
	case <-timer.C:
		c.signal(c.opened)
	}
}

// wsFrame is what the header of a websocket frame says.
type wsFrame struct {
	first      byte
	masked     bool
	head, size int // of the header, and of the header and the payload together
}

// parseFrame reads the header with which p begins, if p holds all of it.
func parseFrame(p []byte) (f wsFrame, ok bool) {
	const mask, maskKey = 0x80, 4
	if len(p) < 2 {
		return f, false
	}
	f = wsFrame{first: p[0], masked: p[1]&mask != 0, head: 2}
	payload := uint64(p[1] &^ mask)
	switch payload {
	case 126:
		if f.head += 2; len(p) < f.head {
			return f, false
		}
		payload = uint64(binary.BigEndian.Uint16(p[2:]))
	case 127:
		if f.head += 8; len(p) < f.head {
			return f, false
		}
		payload = binary.BigEndian.Uint64(p[2:])
	}
	if f.masked {
		f.head += maskKey
	}
	f.size = f.head + int(min(payload, 1<<30))
	return f, true
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
