package walinktest

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"go.mau.fi/whatsmeow/proto/waWa6"
	"go.mau.fi/whatsmeow/socket"
	"go.mau.fi/whatsmeow/util/gcmutil"
	"go.mau.fi/whatsmeow/util/keys"
	"golang.org/x/crypto/curve25519"
	"google.golang.org/protobuf/proto"
)

// noise is the responder's side of Noise_XX_25519_AESGCM_SHA256. whatsmeow's
// NoiseHandshake (socket/noisehandshake.go) can only be the initiator: its last step,
// Finish, makes a client's socket.
type noise struct {
	hash      [32]byte
	chaining  []byte
	key       cipher.AEAD
	counter   uint32
	ephemeral *keys.KeyPair
}

func newNoise(header []byte) (*noise, error) {
	n := &noise{ephemeral: keys.NewKeyPair()}
	copy(n.hash[:], socket.NoiseStartPattern)
	n.chaining = []byte(socket.NoiseStartPattern)
	var err error
	if n.key, err = gcmutil.Prepare(n.chaining); err != nil {
		return nil, err
	}
	n.mixHash(header)
	return n, nil
}

// serverHello reads the client's first message and returns the server's answer.
func (n *noise) serverHello(hello []byte, static *keys.KeyPair, certificate []byte) ([]byte, error) {
	var message waWa6.HandshakeMessage
	if err := proto.Unmarshal(hello, &message); err != nil {
		return nil, fmt.Errorf("walinktest: client hello: %w", err)
	}
	clientEphemeral := message.GetClientHello().GetEphemeral()
	if len(clientEphemeral) != 32 {
		return nil, errors.New("walinktest: client hello: no ephemeral key")
	}
	n.mixHash(clientEphemeral)
	n.mixHash(n.ephemeral.Pub[:])
	if err := n.mixShared(n.ephemeral.Priv, clientEphemeral); err != nil {
		return nil, err
	}
	sealedStatic := n.encrypt(static.Pub[:])
	if err := n.mixShared(static.Priv, clientEphemeral); err != nil {
		return nil, err
	}
	return proto.Marshal(&waWa6.HandshakeMessage{ServerHello: &waWa6.HandshakeMessage_ServerHello{
		Ephemeral: n.ephemeral.Pub[:],
		Static:    sealedStatic,
		Payload:   n.encrypt(certificate),
	}})
}

// clientFinish reads the client's second message: its static key and payload.
func (n *noise) clientFinish(finish []byte) (static [32]byte, payload *waWa6.ClientPayload, err error) {
	var message waWa6.HandshakeMessage
	if err := proto.Unmarshal(finish, &message); err != nil {
		return static, nil, fmt.Errorf("walinktest: client finish: %w", err)
	}
	raw, err := n.decrypt(message.GetClientFinish().GetStatic())
	if err != nil || len(raw) != len(static) {
		return static, nil, errors.New("walinktest: client finish: static key does not decrypt")
	}
	copy(static[:], raw)
	if err := n.mixShared(n.ephemeral.Priv, raw); err != nil {
		return static, nil, err
	}
	if raw, err = n.decrypt(message.GetClientFinish().GetPayload()); err != nil {
		return static, nil, errors.New("walinktest: client finish: payload does not decrypt")
	}
	payload = new(waWa6.ClientPayload)
	if err := proto.Unmarshal(raw, payload); err != nil {
		return static, nil, fmt.Errorf("walinktest: client finish: %w", err)
	}
	return static, payload, nil
}

// split returns the ciphers for the two directions of the connection, as the server
// reads and writes.
func (n *noise) split() (read, write cipher.AEAD, err error) {
	first, second, err := n.expand(nil)
	if err != nil {
		return nil, nil, err
	}
	if read, err = gcmutil.Prepare(first); err != nil {
		return nil, nil, err
	}
	write, err = gcmutil.Prepare(second)
	return read, write, err
}

func (n *noise) mixHash(data []byte) {
	sum := sha256.New()
	sum.Write(n.hash[:])
	sum.Write(data)
	sum.Sum(n.hash[:0])
}

func (n *noise) mixShared(private *[32]byte, public []byte) error {
	secret, err := curve25519.X25519(private[:], public)
	if err != nil {
		return fmt.Errorf("walinktest: noise: %w", err)
	}
	chaining, key, err := n.expand(secret)
	if err != nil {
		return err
	}
	n.chaining, n.counter = chaining, 0
	n.key, err = gcmutil.Prepare(key)
	return err
}

func (n *noise) expand(secret []byte) (first, second []byte, err error) {
	out, err := hkdf.Key(sha256.New, secret, n.chaining, "", 64)
	if err != nil {
		return nil, nil, fmt.Errorf("walinktest: noise: %w", err)
	}
	return out[:32], out[32:], nil
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
