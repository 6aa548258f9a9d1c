package walinktest

import (
	"errors"
	"fmt"

	"go.mau.fi/whatsmeow/socket"
)

// maxFrame is the largest frame in bytes that a client may send. The largest frame of
// a real client, the first upload of prekeys, has about 40 KB.
const maxFrame = 1 << 20

// frameReader cuts the websocket's messages into frames. A message may hold several
// frames, and a frame may take several messages.
type frameReader struct {
	// next returns the next message.
	next func() ([]byte, error)
	rest []byte
}

// header reads the connection header: WhatsApp's magic and the version of the token
// dictionary. In front of it a client may send the routing_info of an edge_routing node that
// it got on an earlier connection, which does not belong to the handshake's prologue
// (buildRoutingInfoPrefix in src/transport/noise/WaNoiseSession.ts of zapo, and Baileys).
func (r *frameReader) header() ([]byte, error) {
	header, err := r.take(len(socket.WAConnHeader))
	if err == nil && string(header) == "ED\x00\x01" {
		if _, err = r.frame(); err == nil { // the length of the info is written like a frame's
			header, err = r.take(len(socket.WAConnHeader))
		}
	}
	if err != nil {
		return nil, err
	}
	if string(header) != string(socket.WAConnHeader) {
		return nil, errors.New("walinktest: unknown connection header")
	}
	return header, nil
}

// frame returns the next frame.
func (r *frameReader) frame() ([]byte, error) {
	size, err := r.take(socket.FrameLengthSize)
	if err != nil {
		return nil, err
	}
	length := int(size[0])<<16 | int(size[1])<<8 | int(size[2])
	if length > maxFrame {
		return nil, fmt.Errorf("walinktest: frame of %d bytes", length)
	}
	return r.take(length)
}

func (r *frameReader) take(n int) ([]byte, error) {
	for len(r.rest) < n {
		message, err := r.next()
		if err != nil {
			return nil, err
		}
		r.rest = append(r.rest, message...)
	}
	taken := r.rest[:n:n]
	r.rest = r.rest[n:]
	if len(r.rest) == 0 {
		r.rest = nil
	}
	return taken, nil
}

// frame returns data as a frame: with its length in front.
func frame(data []byte) []byte {
	out := make([]byte, 0, socket.FrameLengthSize+len(data))
	out = append(out, byte(len(data)>>16), byte(len(data)>>8), byte(len(data)))
	return append(out, data...)
}
