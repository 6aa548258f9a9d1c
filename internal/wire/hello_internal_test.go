package wire

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// frame is a websocket frame without a mask.
func frame(first byte, payload string) string {
	return string([]byte{first, byte(len(payload))}) + payload
}

const serverHello = "\x00\x00\x05hello"

func TestHelloIsHandedOnAlone(t *testing.T) {
	t.Parallel()
	long := "\x82\x7e\x01\x03" + "\x00\x01\x00" + string(make([]byte, 256)) // 16 bits of length
	for _, test := range []struct {
		name, arrives, ready string
		whole                bool
		err                  error
	}{
		{name: "nothing"},
		{name: "half a header", arrives: "\x82"},
		{name: "half a frame", arrives: frame(0x82, serverHello)[:7]},
		{name: "one frame", arrives: frame(0x82, serverHello), ready: frame(0x82, serverHello), whole: true},
		{name: "an empty one", arrives: emptyFrame, ready: emptyFrame, whole: true},
		{name: "a long one", arrives: long + "\x82", ready: long, whole: true},
		{name: "half a long one", arrives: long[:100]},
		{name: "another behind it", arrives: frame(0x82, serverHello) + frame(0x82, serverHello), ready: frame(0x82, serverHello), whole: true},
		{name: "a ping before it", arrives: frame(0x89, "p") + frame(0x82, serverHello)[:4], ready: frame(0x89, "p")},
		{
			name: "a ping, a pong and a text before it", arrives: frame(0x89, "p") + frame(0x8A, "") + frame(0x81, "text") + frame(0x82, serverHello),
			ready: frame(0x89, "p") + frame(0x8A, "") + frame(0x81, "text") + frame(0x82, serverHello), whole: true,
		},
		{name: "in half a message", arrives: frame(0x02, serverHello[:5])},
		{
			name: "in fragments, with a ping", arrives: frame(0x02, serverHello[:5]) + frame(0x89, "p") + frame(0x80, serverHello[5:]) + "\x89",
			ready: frame(0x02, serverHello[:5]) + frame(0x89, "p") + frame(0x80, serverHello[5:]), whole: true,
		},
		{
			name: "in two messages", arrives: frame(0x82, serverHello[:2]) + frame(0x82, serverHello[2:]) + frame(0x82, "more"),
			ready: frame(0x82, serverHello[:2]) + frame(0x82, serverHello[2:]), whole: true,
		},
		{name: "compressed", arrives: frame(0xC2, "x") + frame(0x82, "more"), ready: frame(0xC2, "x"), whole: true},
		{name: "half of a compressed one", arrives: frame(0x42, "x")},
		{name: "a close frame", arrives: frame(0x88, "\x03\xe8"), err: io.EOF},
		{name: "a close frame inside", arrives: frame(0x02, serverHello[:5]) + frame(0x88, ""), err: io.EOF},
		{name: "masked", arrives: "\x82\x81abcdx", err: errNoHello},
		{name: "an unknown opcode", arrives: frame(0x83, ""), err: errNoHello},
		{name: "a reserved flag", arrives: frame(0x92, serverHello), err: errNoHello},
		{name: "too long", arrives: "\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", err: errNoHello},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, piece := range []int{len(test.arrives) + 1, 1, 3} {
				got, whole, err := arriving(test.arrives, piece)
				if got != test.ready || whole != test.whole || !errors.Is(err, test.err) {
					t.Errorf("in pieces of %d: %q, whole %t, %v, want %q, %t, %v", piece, got, whole, err, test.ready, test.whole, test.err)
				}
			}
		})
	}
}

// arriving hands all to a hello in pieces, until it is whole.
func arriving(all string, piece int) (got string, whole bool, err error) {
	var h hello
	for ; len(all) > 0 && !h.whole && err == nil; all = all[min(piece, len(all)):] {
		err = h.add([]byte(all[:min(piece, len(all))]))
		p := make([]byte, 7)
		for h.ready > 0 {
			got += string(p[:h.take(p)])
		}
	}
	return got, h.whole, err
}

// However the bytes arrive, the same are handed on, and none that did not arrive.
func FuzzHello(f *testing.F) {
	f.Add([]byte(frame(0x89, "p")+frame(0x02, serverHello[:5])+frame(0x80, serverHello[5:])+"\x82"), 2)
	f.Add([]byte(emptyFrame+emptyFrame), 1)
	f.Fuzz(func(t *testing.T, all []byte, piece int) {
		got, whole, err := arriving(string(all), len(all)+1)
		if !bytes.HasPrefix(all, []byte(got)) {
			t.Fatalf("%q was handed on", got)
		}
		piecemeal, wholeToo, errToo := arriving(string(all), min(max(piece, 1), len(all)+1))
		if got != piecemeal || whole != wholeToo || whole && (err != nil || errToo != nil) {
			t.Errorf("at once %q, %t, %v; in pieces %q, %t, %v", got, whole, err, piecemeal, wholeToo, errToo)
		}
	})
}
