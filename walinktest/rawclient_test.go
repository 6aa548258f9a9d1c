package walinktest_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"slices"
	"testing"

	"github.com/coder/websocket"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waWa6"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
	"golang.org/x/crypto/curve25519"
	"google.golang.org/protobuf/proto"

	"github.com/walink/walink/walinktest"
)

// waHeader is the connection header of whatsmeow's socket.WAConnHeader.
const waHeader = "WA\x06\x03"

// symmetric is the SymmetricState of the Noise specification, revision 34, section 5.2,
// with its CipherState. No line of it is shared with the server.
type symmetric struct {
	tb       testing.TB
	h, ck, k []byte
	n        uint64
}

func initialize(tb testing.TB, name, prologue string) *symmetric {
	tb.Helper()
	h := sha256.Sum256([]byte(name))
	if len(name) <= len(h) {
		h = [32]byte{}
		copy(h[:], name)
	}
	s := &symmetric{tb: tb, h: h[:], ck: h[:]}
	s.mixHash([]byte(prologue))
	return s
}

func (s *symmetric) mixHash(data []byte) {
	h := sha256.Sum256(slices.Concat(s.h, data))
	s.h = h[:]
}

func (s *symmetric) hkdf(input []byte) (first, second []byte) {
	out, err := hkdf.Key(sha256.New, input, s.ck, "", 64)
	if err != nil {
		s.tb.Fatal(err)
	}
	return out[:32], out[32:]
}

// mixKey mixes in the DH of a private and a public key.
func (s *symmetric) mixKey(private *[32]byte, public []byte) {
	s.tb.Helper()
	shared, err := curve25519.X25519(private[:], public)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.ck, s.k = s.hkdf(shared)
	s.n = 0
}

func (s *symmetric) encryptAndHash(plain []byte) []byte {
	sealed := aead(s.tb, s.k).Seal(nil, iv(s.n), plain, s.h)
	s.n++
	s.mixHash(sealed)
	return sealed
}

func (s *symmetric) decryptAndHash(sealed []byte) []byte {
	s.tb.Helper()
	plain, err := aead(s.tb, s.k).Open(nil, iv(s.n), sealed, s.h)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.n++
	s.mixHash(sealed)
	return plain
}

func aead(tb testing.TB, key []byte) cipher.AEAD {
	tb.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		tb.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		tb.Fatal(err)
	}
	return gcm
}

func iv(n uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 4), n) }

// rawClient is a client made of the Noise specification and whatsmeow's nodes. It does
// only what its test says.
type rawClient struct {
	tb          testing.TB
	ws          *websocket.Conn
	intro       string // before the first frame
	read, write cipher.AEAD
	received    uint64
	sent        uint64
}

// dial opens a websocket, whose first frame follows intro and the header.
func dial(tb testing.TB, by *http.Client, intro string) *rawClient {
	tb.Helper()
	options := &websocket.DialOptions{HTTPClient: by}
	ws, _, err := websocket.Dial(tb.Context(), "ws://web.whatsapp.com/ws/chat", options) //nolint:bodyclose // Dial takes it
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = ws.CloseNow() })
	return &rawClient{tb: tb, ws: ws, intro: intro + waHeader}
}

func (r *rawClient) sendFrame(data []byte) {
	r.tb.Helper()
	message := append([]byte(r.intro), byte(len(data)>>16), byte(len(data)>>8), byte(len(data)))
	r.intro = ""
	if err := r.ws.Write(r.tb.Context(), websocket.MessageBinary, append(message, data...)); err != nil {
		r.tb.Fatal(err)
	}
}

// frame returns the next frame, or false at the end of the connection.
func (r *rawClient) frame() ([]byte, bool) {
	_, message, err := r.ws.Read(context.WithoutCancel(r.tb.Context()))
	if err != nil {
		return nil, false
	}
	return message[3:], true // the server sends each frame in its own message
}

func (r *rawClient) hello(hello *waWa6.HandshakeMessage_ClientHello) *waWa6.HandshakeMessage_ServerHello {
	r.tb.Helper()
	data, err := proto.Marshal(&waWa6.HandshakeMessage{ClientHello: hello})
	if err != nil {
		r.tb.Fatal(err)
	}
	r.sendFrame(data)
	answer, ok := r.frame()
	var message waWa6.HandshakeMessage
	if !ok || proto.Unmarshal(answer, &message) != nil {
		r.tb.Fatalf("the server answers %x", answer)
	}
	return message.GetServerHello()
}

// payload returns the payload with which a device registers, or logs in.
func (r *rawClient) payload(device *store.Device) []byte {
	r.tb.Helper()
	payload, err := proto.Marshal(device.GetClientPayload())
	if err != nil {
		r.tb.Fatal(err)
	}
	return payload
}

// full does XX, or goes on with XXfallback if hello is not nil: the server's answer to an
// IK whose ephemeral key was ours. It returns the server's static key.
func (r *rawClient) full(device *store.Device, ephemeral *keys.KeyPair, hello *waWa6.HandshakeMessage_ServerHello) []byte {
	r.tb.Helper()
	name := "Noise_XXfallback_25519_AESGCM_SHA256"
	if hello == nil {
		name = "Noise_XX_25519_AESGCM_SHA256"
		hello = r.hello(&waWa6.HandshakeMessage_ClientHello{Ephemeral: ephemeral.Pub[:]})
	}
	s := initialize(r.tb, name, waHeader)
	s.mixHash(ephemeral.Pub[:]) // e
	s.mixHash(hello.GetEphemeral())
	s.mixKey(ephemeral.Priv, hello.GetEphemeral()) // ee
	static := s.decryptAndHash(hello.GetStatic())  // s
	s.mixKey(ephemeral.Priv, static)               // es
	s.decryptAndHash(hello.GetPayload())
	finish := &waWa6.HandshakeMessage_ClientFinish{Static: s.encryptAndHash(device.NoiseKey.Pub[:])} // s
	s.mixKey(device.NoiseKey.Priv, hello.GetEphemeral())                                             // se
	finish.Payload = s.encryptAndHash(r.payload(device))
	data, err := proto.Marshal(&waWa6.HandshakeMessage{ClientFinish: finish})
	if err != nil {
		r.tb.Fatal(err)
	}
	r.sendFrame(data)
	r.split(s)
	return static
}

// resume does IK with the server's static key. It returns false if the server had to fall back.
func (r *rawClient) resume(device *store.Device, serverStatic []byte) bool {
	r.tb.Helper()
	ephemeral := keys.NewKeyPair()
	s := initialize(r.tb, "Noise_IK_25519_AESGCM_SHA256", waHeader)
	s.mixHash(serverStatic)                // <- s
	s.mixHash(ephemeral.Pub[:])            // e
	s.mixKey(ephemeral.Priv, serverStatic) // es
	hello := &waWa6.HandshakeMessage_ClientHello{Ephemeral: ephemeral.Pub[:], Static: s.encryptAndHash(device.NoiseKey.Pub[:])}
	s.mixKey(device.NoiseKey.Priv, serverStatic) // ss
	hello.Payload = s.encryptAndHash(r.payload(device))
	answer := r.hello(hello)
	if answer.GetStatic() != nil {
		r.full(device, ephemeral, answer)
		return false
	}
	s.mixHash(answer.GetEphemeral())                      // e
	s.mixKey(ephemeral.Priv, answer.GetEphemeral())       // ee
	s.mixKey(device.NoiseKey.Priv, answer.GetEphemeral()) // se
	s.decryptAndHash(answer.GetPayload())
	r.split(s)
	return true
}

func (r *rawClient) split(s *symmetric) {
	r.tb.Helper()
	first, second := s.hkdf(nil)
	r.write, r.read = aead(r.tb, first), aead(r.tb, second)
}

func (r *rawClient) send(node waBinary.Node) {
	r.tb.Helper()
	data, err := waBinary.Marshal(node)
	if err != nil {
		r.tb.Fatal(err)
	}
	r.sendFrame(r.write.Seal(nil, iv(r.sent), data, nil))
	r.sent++
}

// login returns a raw client that has just logged a device in.
func login(tb testing.TB, srv *walinktest.Server, device *store.Device) *rawClient {
	tb.Helper()
	r := dial(tb, srv.HTTPClient(), "")
	r.full(device, keys.NewKeyPair(), nil)
	r.node("success")
	return r
}

// activation asks for what waits (SetPassive of whatsmeow).
func activation() waBinary.Node {
	return node("iq", waBinary.Attrs{"type": "set", "xmlns": "passive", "id": "1", "to": types.ServerJID}, "active")
}

// node returns the next node with a tag, and skips others.
func (r *rawClient) node(tag string) *waBinary.Node {
	r.tb.Helper()
	for {
		sealed, ok := r.frame()
		if !ok {
			r.tb.Fatalf("the connection ends without a %s", tag)
		}
		data, err := r.read.Open(nil, iv(r.received), sealed, nil)
		if err != nil {
			r.tb.Fatal(err)
		}
		r.received++
		if data, err = waBinary.Unpack(data); err != nil {
			r.tb.Fatal(err)
		}
		node, err := waBinary.Unmarshal(data)
		if err != nil {
			r.tb.Fatal(err)
		}
		if node.Tag == tag {
			return node
		}
	}
}
