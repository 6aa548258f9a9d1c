package walinktest

import (
	"bytes"
	"cmp"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
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
	if walk.node(0); len(walk.data) != 0 {
		walk.fail(errors.New("walinktest: node: bytes left over"))
	}
	if walk.err != nil {
		return nil, walk.err
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

// nodeWalker checks that data has the structure of a node. After an error it has no data, and
// reads zeros.
type nodeWalker struct {
	data []byte
	err  error // the first one
}

func (w *nodeWalker) fail(err error) {
	w.data, w.err = nil, cmp.Or(w.err, err)
}

func (w *nodeWalker) node(depth int) {
	size := w.listSize(w.number(1))
	if size == 0 {
		w.fail(errors.New("walinktest: node: empty"))
	}
	for i := 0; i < size && w.err == nil; i++ { // the tag, attributes as key and value, perhaps content
		w.value(depth + 1)
	}
}

func (w *nodeWalker) value(depth int) {
	if depth > maxDepth {
		w.fail(errors.New("walinktest: node: nested too deep"))
		return
	}
	switch kind := w.number(1); kind {
	case token.ListEmpty:
	case token.List8, token.List16:
		for size := w.listSize(kind); size > 0 && w.err == nil; size-- {
			w.node(depth + 1)
		}
	case token.Binary8:
		w.skip(w.number(1))
	case token.Binary20:
		w.skip(w.number(3) & 0xfffff)
	case token.Binary32:
		w.skip(w.number(4))
	case token.Dictionary0, token.Dictionary1, token.Dictionary2, token.Dictionary3:
		w.skip(1)
	case token.Nibble8, token.Hex8:
		w.skip(w.number(1) & 0x7f)
	case token.JIDPair:
		w.value(depth + 1) // the user
		w.value(depth + 1) // the server
	case token.ADJID:
		w.skip(2)
		w.value(depth + 1)
	case token.FBJID:
		w.value(depth + 1)
		w.skip(2)
		w.value(depth + 1)
	case token.InteropJID:
		w.value(depth + 1)
		w.skip(4)
		w.value(depth + 1)
	default:
		if kind >= len(token.SingleByteTokens) {
			w.fail(fmt.Errorf("walinktest: node: unknown token %d", kind))
		}
	}
}

func (w *nodeWalker) listSize(kind int) int {
	switch kind {
	case token.ListEmpty:
		return 0
	case token.List8:
		return w.number(1)
	case token.List16:
		return w.number(2)
	default:
		w.fail(fmt.Errorf("walinktest: node: %d does not open a list", kind))
		return 0
	}
}

func (w *nodeWalker) number(size int) (n int) {
	data := w.data
	w.skip(size)
	if w.err != nil {
		return 0
	}
	for _, b := range data[:size] {
		n = n<<8 | int(b)
	}
	return n
}

func (w *nodeWalker) skip(n int) {
	if n < 0 || len(w.data) < n {
		w.fail(errTruncated)
		return
	}
	w.data = w.data[n:]
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

// copyAttrs copies the attributes of these names that there are.
func copyAttrs(to, from waBinary.Attrs, names ...string) {
	for _, name := range names {
		if value, ok := from[name]; ok {
			to[name] = value
		}
	}
}
