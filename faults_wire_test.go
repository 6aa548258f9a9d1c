package walink_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"sync"
)

// tampering is what happens to one frame on its way from the server to the client.
type tampering int

const (
	untouched tampering = iota
	spoilt              // one bit is wrong, so that it does not decrypt; all that follows does
	preceded            // a frame of rubbish comes before it, after which nothing decrypts any more
	repeated            // it comes twice, after which nothing decrypts any more
	cut                 // the connection ends in its middle
)

// wire is a transport that tampers with one frame of one websocket. It stands
// between whatsmeow and the server, so it sees the frames as they are encrypted.
type wire struct {
	base http.RoundTripper

	mu          sync.Mutex
	connection  int // of those still to be opened, counted from 1, and 0 for none
	frame       int // of that connection, counted from 1: the first is the server's hello
	what        tampering
	connections int
}

// arm tampers with a frame of a connection that is opened from now on.
func (w *wire) arm(connection, frame int, what tampering) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.connection, w.frame, w.what, w.connections = connection, frame, what, 0
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := w.base.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		return resp, err
	}
	body, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		return resp, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.connections++; w.connections == w.connection {
		resp.Body = &tampered{ReadWriteCloser: body, frame: w.frame, what: w.what}
	}
	return resp, nil
}

// tampered is the connection under a websocket. It has one reader.
type tampered struct {
	io.ReadWriteCloser
	frame int
	what  tampering
	seen  int
	out   bytes.Buffer
	ended bool
}

// Read gives the server's websocket messages, each of which holds one frame.
func (c *tampered) Read(p []byte) (int, error) {
	if c.out.Len() == 0 && !c.ended {
		message, err := readMessage(c.ReadWriteCloser)
		if err != nil {
			return 0, err
		}
		if message[0] == 0x82 { // binary, and whole
			c.seen++
		}
		if c.seen == c.frame && message[0] == 0x82 {
			message = c.tamper(message)
		}
		c.out.Write(message)
	}
	if c.out.Len() == 0 {
		_ = c.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return c.out.Read(p)
}

func (c *tampered) tamper(message []byte) []byte {
	switch c.what {
	case spoilt:
		message[len(message)-1] ^= 1
	case preceded:
		rubbish := append([]byte{0x82, 3 + 32, 0, 0, 32}, bytes.Repeat([]byte{0xA5}, 32)...)
		return append(rubbish, message...)
	case repeated:
		return append(message, message...)
	case cut:
		c.ended = true
		return message[:len(message)/2]
	case untouched:
	}
	return message
}

// readMessage reads a websocket message of a server (RFC 6455, 5.2), which is not masked.
func readMessage(r io.Reader) ([]byte, error) {
	message := make([]byte, 2, 512)
	if _, err := io.ReadFull(r, message); err != nil {
		return nil, err
	}
	length, extra := uint64(message[1]), 0
	switch length {
	case 126:
		extra = 2
	case 127:
		extra = 8
	}
	message = message[:2+extra]
	if _, err := io.ReadFull(r, message[2:]); err != nil {
		return nil, err
	}
	switch extra {
	case 2:
		length = uint64(binary.BigEndian.Uint16(message[2:]))
	case 8:
		length = binary.BigEndian.Uint64(message[2:])
	}
	head := len(message)
	message = append(message, make([]byte, length)...)
	_, err := io.ReadFull(r, message[head:])
	return message, err
}
