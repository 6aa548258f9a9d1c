package walinktest

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"maps"
	"testing"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/binary/token"
	"go.mau.fi/whatsmeow/types"
)

func deflate(data []byte) []byte {
	packed := bytes.NewBuffer([]byte{2})
	w := zlib.NewWriter(packed)
	_, _ = w.Write(data)
	_ = w.Close()
	return packed.Bytes()
}

// seeds returns frames of a real client, and frames of a hostile one.
func seeds(tb testing.TB) (honest, hostile [][]byte) {
	tb.Helper()
	jid := types.NewADJID("5511987654321", 0, 7)
	node, err := waBinary.Marshal(waBinary.Node{
		Tag: "iq",
		Attrs: waBinary.Attrs{
			"to": types.ServerJID, "from": jid, "id": "12.34-5", "hex": "ABCDEF", "n": 12, "xmlns": "md", "free": "text of its own",
			"lid": types.JID{User: "1", Device: 2, Server: types.HiddenUserServer},
			"fb":  types.JID{User: "1", Device: 2, Server: types.MessengerServer},
			"io":  types.JID{User: "1", Device: 2, Integrator: 3, Server: types.InteropServer},
		},
		Content: []waBinary.Node{{Tag: "ref", Content: bytes.Repeat([]byte("x"), 300)}, {Tag: "empty"}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	honest = [][]byte{node, deflate(node[1:])}
	hostile = [][]byte{
		nil,
		{0},
		{2},
		{0, 0},
		{0, token.List8, 0},
		{0, token.List8, 1},
		{0, token.List8, 1, 0},
		{0, token.List8, 1, token.List8, 0},
		{0, token.List8, 1, token.Nibble8, 0x80},
		{0, token.List8, 1, token.JIDPair, token.JIDPair, 3, 3, 3},
		bytes.Repeat([]byte{token.List16, 0xff, 0xff}, 500),
		append([]byte{0}, bytes.Repeat([]byte{token.List8, 2, 3, token.List8, 1}, 200)...),
		append([]byte{0, token.List8, 1}, bytes.Repeat([]byte{token.JIDPair}, 500)...),
		node[:len(node)-1], append(bytes.Clone(node), 0),
	}
	return honest, hostile
}

func TestDecodeNode(t *testing.T) {
	t.Parallel()
	honest, hostile := seeds(t)
	for i, frame := range honest {
		if node, err := decodeNode(frame); err != nil || node.Tag != "iq" || len(node.Attrs) != 10 || len(node.GetChildren()) != 2 {
			t.Errorf("honest frame %d: %v, %v", i, node, err)
		}
	}
	hostile = append(hostile,
		append([]byte{0}, bytes.Repeat([]byte{token.List16, 0xff, 0xff}, 100_000)...),
		append([]byte{0, token.List8, 1}, bytes.Repeat([]byte{token.JIDPair}, 100_000)...),
		deflate(make([]byte, maxFrame+1)),
	)
	for i, frame := range hostile {
		if node, err := decodeNode(frame); err == nil {
			t.Errorf("hostile frame %d became %v", i, node)
		}
	}
}

// zapo writes addresses as text (src/transport/binary/encoder.ts), and WhatsApp's server takes that.
func TestAddressesMayComeAsText(t *testing.T) {
	t.Parallel()
	typed := waBinary.Attrs{
		"to": types.ServerJID, "jid": types.NewJID("5511987654321", types.DefaultUserServer),
		"lid": types.JID{User: "1", Device: 2, Server: types.HiddenUserServer}, "group": types.NewJID("12-3", types.GroupServer),
		"addressing_mode": "lid", "id": "12.34-5", "name": "@", "phash": "2:ab@",
	}
	written := make(waBinary.Attrs)
	for name, value := range typed {
		written[name] = fmt.Sprint(value)
	}
	frame, err := waBinary.Marshal(waBinary.Node{Tag: "iq", Content: []waBinary.Node{{Tag: "to", Attrs: written}}})
	if err != nil {
		t.Fatal(err)
	}
	node, err := decodeNode(frame)
	if err != nil {
		t.Fatal(err)
	}
	child := node.GetChildByTag("to")
	if got := child.Attrs; !maps.Equal(got, typed) {
		t.Errorf("decoded %#v, want %#v", got, typed)
	}
}

func FuzzDecodeNode(f *testing.F) {
	honest, hostile := seeds(f)
	for _, seed := range append(honest, hostile...) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		node, err := decodeNode(frame)
		if (node == nil) != (err != nil) {
			t.Errorf("node %v, error %v", node, err)
		}
	})
}
