package wire

import (
	"encoding/binary"
	"errors"
	"io"
	"time"

	"github.com/walink/walink/internal/machine"
)

const (
	// emptyFrame is a binary websocket message with one empty whatsmeow frame. A
	// handshake that receives one ends at once with an error.
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
	wsNone         = 0xF // no frame has it
)

var errNoHello = errors.New("the server sent something that is not its hello")

// hello holds the bytes that the server has sent before the handshake is done. Only
// the reader of the connection uses it.
//
// whatsmeow's handshake waits for one frame, and does not notice if the connection
// ends before that frame. Bytes after the frame would block whatsmeow's reader for
// ever if the handshake fails. So hello passes the frame on when the frame is whole,
// and the bytes after the frame when the handshake is done.
type hello struct {
	held  []byte // bytes that have arrived and were not passed on
	ready int    // how much of held may be passed on
	whole bool   // whatsmeow's frame has arrived, and ends where ready does
}

// take passes on the bytes that are ready.
func (h *hello) take(p []byte) int {
	n := copy(p, h.held[:h.ready])
	if h.held, h.ready = h.held[n:], h.ready-n; len(h.held) == 0 {
		h.held = nil // the array is as large as all that has arrived
	}
	return n
}

// add takes the bytes that have arrived. It returns io.EOF for a close frame, and
// errNoHello for bytes that cannot be a hello.
func (h *hello) add(p []byte) error {
	h.held = append(h.held, p...)
	var got []byte          // the payload of whatsmeow's frame, after three bytes with the frame's length
	message := byte(wsNone) // the kind of the message that is going on
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
				got = []byte{0, 0, 0} // counts as whole: a second decompressor is not worth it
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

// arrive reads from the connection. Until the handshake is done, it returns the
// server's hello alone.
func (w *wsConn) arrive(p []byte) (int, error) {
	h := &w.hello
	for {
		switch {
		case h.ready > 0:
			return h.take(p), nil
		case h.whole || isClosed(w.opened):
			w.awaitHandshake()
			if h.ready = len(h.held); h.ready == 0 {
				return w.rwc.Read(p)
			}
			continue
		}
		n, err := w.rwc.Read(p)
		if wrong := h.add(p[:n]); wrong != nil {
			_ = w.rwc.Close() // nobody can do anything about the error
			err = wrong
		}
		if err != nil && h.ready == 0 {
			return 0, err
		}
	}
}

// awaitHandshake returns when the handshake is done, or can no longer succeed.
func (w *wsConn) awaitHandshake() {
	if isClosed(w.opened) {
		return
	}
	timer := time.NewTimer(machine.OpenLimit) // a handshake is over by then
	defer timer.Stop()
	select {
	case <-w.opened:
	case <-w.closing:
	case <-timer.C:
		w.signal(w.opened)
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
