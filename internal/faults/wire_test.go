package faults_test

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
	spoilt              // one bit of it is wrong: neither it nor any later frame decrypts
	preceded            // a frame of rubbish comes before it: neither it nor any later frame decrypts
	repeated            // it comes twice: no later frame decrypts
	cut                 // the connection ends in its middle
)

// wire is the transport between whatsmeow and the server. It tampers with one
// frame of one websocket, as encrypted.
type wire struct {
	base http.RoundTripper

	mu          sync.Mutex
	frame       frame
	what        tampering
	connections int // since tamper
}

// tamper has the wire tamper with a frame of a connection that opens from now on.
func (w *wire) tamper(frame frame, what tampering) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frame, w.what, w.connections = frame, what, 0
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
	if w.connections++; w.connections == w.frame.connection {
		resp.Body = &tampered{ReadWriteCloser: body, frame: w.frame.number, what: w.what}
	}
	return resp, nil
}

// tampered is the connection below a websocket. It has one reader.
type tampered struct {
	io.ReadWriteCloser
	frame int
	what  tampering
	seen  int // frames
	out   bytes.Buffer
	ended bool
}

// Read returns the server's websocket messages, each of which holds one frame.
func (c *tampered) Read(p []byte) (int, error) {
	if c.out.Len() == 0 && !c.ended {
		message, err := readMessage(c.ReadWriteCloser)
		if err != nil {
			return 0, err
		}
		if message[0] == 0x82 { // binary, and complete
			if c.seen++; c.seen == c.frame {
				message = c.tamper(message)
			}
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
