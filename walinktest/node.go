package walinktest

import (
	"bytes"
	"cmp"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/binary/token"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/internal/redact"
)

// maxDepth is how deep nodes may nest. Nodes of real clients have five levels.
const maxDepth = 32

var errTruncated = errors.New("walinktest: node: truncated")

// decodeNode decodes a decrypted frame. decodeNode never panics, and needs memory in
// proportion to the frame. whatsmeow's decoder (binary/decoder.go) trusts its peer: it
// allocates as much as a frame claims to hold, and panics for some frames. So nodeWalker
// checks the structure first, without allocating, and decodeNode recovers from the
// remaining panics. Delete nodeWalker when whatsmeow's decoder bounds its allocations.
func decodeNode(frame []byte) (node *waBinary.Node, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			node, err = nil, redact.Errorf("walinktest: node: %v", reason)
		}
	}()
	if len(frame) == 0 {
		return nil, errTruncated
	}
	data := frame[1:]
	if frame[0]&2 != 0 { // compressed (Unpack in binary/unpack.go of whatsmeow)
		inflater, err := zlib.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("walinktest: node: %w", err)
		}
		if data, err = io.ReadAll(io.LimitReader(inflater, maxFrame+1)); err != nil {
			return nil, fmt.Errorf("walinktest: node: %w", err)
		}
	}
	if len(data) > maxFrame {
		return nil, errors.New("walinktest: node: too large")
	}
	walk := nodeWalker{data: data}
	if err := walk.node(0); err != nil {
		return nil, err
	}
	if len(walk.data) != 0 {
		return nil, errors.New("walinktest: node: bytes left over")
	}
	if node, err = waBinary.Unmarshal(data); err == nil {
		readAddresses(node)
	}
	return node, err
}

// readAddresses replaces attributes that have an address as text. WhatsApp's server takes
// that: no version of zapo knows another way (src/transport/binary/encoder.ts).
func readAddresses(node *waBinary.Node) {
	for name, value := range node.Attrs {
		written, _ := value.(string)
		switch _, server, _ := strings.Cut(written, "@"); {
		case written == types.DefaultUserServer,
			server == types.DefaultUserServer, server == types.HiddenUserServer, server == types.GroupServer:
			if jid, err := types.ParseJID(written); err == nil {
				node.Attrs[name] = jid
			}
		}
	}
	children := node.GetChildren()
	for i := range children {
		readAddresses(&children[i])
	}
}

// nodeWalker checks that data has the structure of a node.
type nodeWalker struct{ data []byte }

func (w *nodeWalker) node(depth int) error {
	if depth > maxDepth {
		return errors.New("walinktest: node: nested too deep")
	}
	kind, err := w.number(1)
	if err != nil {
		return err
	}
	size, err := w.listSize(kind)
	if err != nil {
		return err
	}
	if size == 0 {
		return errors.New("walinktest: node: empty")
	}
	for range size { // the tag, attributes as key and value, perhaps content
		if err := w.value(depth + 1); err != nil {
			return err
		}
	}
	return nil
}

func (w *nodeWalker) value(depth int) error {
	if depth > maxDepth {
		return errors.New("walinktest: node: nested too deep")
	}
	kind, err := w.number(1)
	if err != nil {
		return err
	}
	switch kind {
	case token.ListEmpty:
		return nil
	case token.List8, token.List16:
		size, err := w.listSize(kind)
		if err != nil {
			return err
		}
		for range size {
			if err := w.node(depth + 1); err != nil {
				return err
			}
		}
		return nil
	case token.Binary8:
		return w.bytes(1, 0xff)
	case token.Binary20:
		return w.bytes(3, 0xfffff)
	case token.Binary32:
		return w.bytes(4, math.MaxUint32)
	case token.Dictionary0, token.Dictionary1, token.Dictionary2, token.Dictionary3:
		return w.skip(1)
	case token.Nibble8, token.Hex8:
		return w.bytes(1, 0x7f)
	case token.JIDPair:
		return cmp.Or(w.value(depth+1), w.value(depth+1)) // the user and the server
	case token.ADJID:
		return cmp.Or(w.skip(2), w.value(depth+1))
	case token.FBJID:
		return cmp.Or(w.value(depth+1), w.skip(2), w.value(depth+1))
	case token.InteropJID:
		return cmp.Or(w.value(depth+1), w.skip(4), w.value(depth+1))
	default:
		if kind < len(token.SingleByteTokens) {
			return nil
		}
		return fmt.Errorf("walinktest: node: unknown token %d", kind)
	}
}

// bytes walks bytes with their length in front, a number of size bytes of which mask has the bits.
func (w *nodeWalker) bytes(size, mask int) error {
	length, err := w.number(size)
	if err != nil {
		return err
	}
	return w.skip(length & mask)
}

func (w *nodeWalker) listSize(kind int) (int, error) {
	switch kind {
	case token.ListEmpty:
		return 0, nil
	case token.List8:
		return w.number(1)
	case token.List16:
		return w.number(2)
	default:
		return 0, fmt.Errorf("walinktest: node: %d does not open a list", kind)
	}
}

func (w *nodeWalker) number(size int) (int, error) {
	if len(w.data) < size {
		return 0, errTruncated
	}
	var n int
	for _, b := range w.data[:size] {
		n = n<<8 | int(b)
	}
	w.data = w.data[size:]
	return n, nil
}

func (w *nodeWalker) skip(n int) error {
	if n < 0 || len(w.data) < n {
		return errTruncated
	}
	w.data = w.data[n:]
	return nil
}

// text returns a string, bytes or a number as a string, and an empty string for anything
// else. whatsmeow decodes a token to a string, and other text to bytes. Scripts have numbers.
func text(value any) string {
	switch typed := value.(type) {
	case int, int32, int64, uint, uint32, uint64:
		return fmt.Sprint(typed)
	case string:
		return typed
	case []byte:
		return string(typed)
	default:
		return ""
	}
}

// content returns the content of the child at path, or nil if there is none.
func content(node *waBinary.Node, path ...string) []byte {
	child, ok := node.GetOptionalChildByTag(path...)
	if !ok {
		return nil
	}
	return []byte(text(child.Content))
}
