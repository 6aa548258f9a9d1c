package walinktest

import (
	"bytes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"go.mau.fi/whatsmeow/proto/waWa6"
	"go.mau.fi/whatsmeow/socket"
	"go.mau.fi/whatsmeow/util/gcmutil"
	"go.mau.fi/whatsmeow/util/hkdfutil"
	"go.mau.fi/whatsmeow/util/keys"
	"golang.org/x/crypto/curve25519"
	"google.golang.org/protobuf/proto"
)

// The patterns of the Noise protocol (noiseprotocol.org) that WhatsApp Web uses, in the form
// in which a handshake begins with them. A client that knows the server's static key sends
// its own key and its payload at once, by IK. If the server has another key by now, it goes
// on by XXfallback (agent_docs/noise_handshake.md of whatsapp-rust; src/transport/noise of
// zapo). whatsmeow and Baileys know only XX.
const (
	noiseXX       = socket.NoiseStartPattern
	noiseIK       = "Noise_IK_25519_AESGCM_SHA256\x00\x00\x00\x00"
	noiseFallback = "Noise_XXfallback_25519_AESGCM_SHA256"
)

// noise is the responder's side of a handshake. whatsmeow's NoiseHandshake
// (socket/noisehandshake.go) can only be the initiator: its last step, Finish, makes a
// client's socket.
type noise struct {
	hash      [32]byte
	chaining  []byte
	key       cipher.AEAD
	counter   uint32
	ephemeral *keys.KeyPair
}

// newNoise begins a handshake with its prologue, the client's header.
func newNoise(pattern string, header []byte) *noise {
	n := &noise{ephemeral: keys.NewKeyPair()}
	if copy(n.hash[:], pattern) < len(pattern) { // too long for the hash, which is 32 bytes
		n.hash = sha256.Sum256([]byte(pattern))
	}
	n.chaining = bytes.Clone(n.hash[:])
	n.mixHash(header)
	return n
}

// respond reads the client's first message. It returns the handshake and the server's
// answer, and the client's static key and payload if the first message had them.
func respond(header, hello []byte, static *keys.KeyPair, certificate []byte) (n *noise, answer []byte, client *clientMessage, err error) {
	var message waWa6.HandshakeMessage
	if err := proto.Unmarshal(hello, &message); err != nil {
		return nil, nil, nil, fmt.Errorf("walinktest: client hello: %w", err)
	}
	ephemeral, out := message.GetClientHello().GetEphemeral(), new(waWa6.HandshakeMessage_ServerHello)
	if len(ephemeral) != 32 {
		return nil, nil, nil, errors.New("walinktest: client hello: no ephemeral key")
	}
	pattern := noiseXX
	if sealed := message.GetClientHello().GetStatic(); sealed != nil {
		n, pattern = newNoise(noiseIK, header), noiseFallback
		n.mixHash(static.Pub[:])
		n.mixHash(ephemeral)
		if err := n.mixShared(static.Priv, ephemeral); err != nil {
			return nil, nil, nil, err
		}
		client, _ = n.openClient(static.Priv, sealed, message.GetClientHello().GetPayload())
	}
	if client == nil {
		n = newNoise(pattern, header)
		n.mixHash(ephemeral)
	}
	out.Ephemeral = n.ephemeral.Pub[:]
	n.mixHash(out.Ephemeral)
	if err := n.mixShared(n.ephemeral.Priv, ephemeral); err != nil {
		return nil, nil, nil, err
	}
	if client != nil {
		err = n.mixShared(n.ephemeral.Priv, client.static[:])
	} else {
		out.Static = n.encrypt(static.Pub[:])
		err = n.mixShared(static.Priv, ephemeral)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	out.Payload = n.encrypt(certificate)
	return n, encode(&waWa6.HandshakeMessage{ServerHello: out}), client, nil
}

// clientMessage is what a handshake brings from the client.
type clientMessage struct {
	static  [32]byte
	payload *waWa6.ClientPayload
}

// clientFinish reads the client's second message.
func (n *noise) clientFinish(finish []byte) (*clientMessage, error) {
	var message waWa6.HandshakeMessage
	if err := proto.Unmarshal(finish, &message); err != nil {
		return nil, fmt.Errorf("walinktest: client finish: %w", err)
	}
	return n.openClient(n.ephemeral.Priv, message.GetClientFinish().GetStatic(), message.GetClientFinish().GetPayload())
}

// openClient decrypts the client's static key and its payload, whose key comes from that key
// and private.
func (n *noise) openClient(private *[32]byte, static, payload []byte) (*clientMessage, error) {
	message := &clientMessage{payload: new(waWa6.ClientPayload)}
	raw, err := n.decrypt(static)
	if err != nil || len(raw) != len(message.static) {
		return nil, errors.New("walinktest: client's static key does not decrypt")
	}
	message.static = [32]byte(raw)
	if err := n.mixShared(private, raw); err != nil {
		return nil, err
	}
	if raw, err = n.decrypt(payload); err != nil {
		return nil, errors.New("walinktest: client's payload does not decrypt")
	}
	if err := proto.Unmarshal(raw, message.payload); err != nil {
		return nil, fmt.Errorf("walinktest: client's payload: %w", err)
	}
	return message, nil
}

// split returns the ciphers for the two directions of the connection, as the server
// reads and writes.
func (n *noise) split() (read, write cipher.AEAD, err error) {
	first, second := n.expand(nil)
	if read, err = gcmutil.Prepare(first); err != nil {
		return nil, nil, err
	}
	write, err = gcmutil.Prepare(second)
	return read, write, err
}

func (n *noise) mixHash(data []byte) {
	n.hash = sha256.Sum256(slices.Concat(n.hash[:], data))
}

func (n *noise) mixShared(private *[32]byte, public []byte) error {
	secret, err := curve25519.X25519(private[:], public)
	if err != nil {
		return fmt.Errorf("walinktest: noise: %w", err)
	}
	chaining, key := n.expand(secret)
	n.chaining, n.counter = chaining, 0
	n.key, err = gcmutil.Prepare(key)
	return err
}

func (n *noise) expand(secret []byte) (first, second []byte) {
	out := hkdfutil.SHA256(secret, n.chaining, nil, 64)
	return out[:32], out[32:]
}

func (n *noise) encrypt(plain []byte) []byte {
	sealed := n.key.Seal(nil, nonce(n.counter), plain, n.hash[:])
	n.counter++
	n.mixHash(sealed)
	return sealed
}

func (n *noise) decrypt(sealed []byte) ([]byte, error) {
	plain, err := n.key.Open(nil, nonce(n.counter), sealed, n.hash[:])
	if err != nil {
		return nil, err
	}
	n.counter++
	n.mixHash(sealed)
	return plain, nil
}

func nonce(counter uint32) []byte {
	iv := make([]byte, 12)
	binary.BigEndian.PutUint32(iv[8:], counter)
	return iv
}
