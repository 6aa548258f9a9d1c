package walinktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/libsignal/keys/identity"
	"go.mau.fi/libsignal/keys/prekey"
	"go.mau.fi/libsignal/protocol"
	"go.mau.fi/libsignal/session"
	"go.mau.fi/libsignal/state/record"
	signal "go.mau.fi/libsignal/state/store"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"

	"github.com/walink/walink/internal/redact"
)

// signalStore is what a phone keeps for the Signal protocol. It trusts every identity, as
// WhatsApp does. The caller of libsignal holds the phone's sending.
type signalStore struct {
	signal.SignalProtocol // nil: libsignal calls no method that is not below

	pair         *identity.KeyPair
	registration uint32
	signed       *keys.PreKey
	sessions     map[string][]byte
	senderKeys   map[string][]byte
	shared       map[sharedKey]bool // who has the phone's keys

	mu      sync.Mutex // guards what follows; bundle needs no other lock
	oneTime map[uint32]*keys.PreKey
	lastKey uint32
}

func newSignalStore(pair *keys.KeyPair, registration uint32) *signalStore {
	public := identity.NewKey(ecc.NewDjbECPublicKey(*pair.Pub))
	return &signalStore{
		pair:         identity.NewKeyPair(public, ecc.NewDjbECPrivateKey(*pair.Priv)),
		registration: registration,
		signed:       pair.CreateSignedPreKey(1),
		sessions:     make(map[string][]byte),
		senderKeys:   make(map[string][]byte),
		shared:       make(map[sharedKey]bool),
		oneTime:      make(map[uint32]*keys.PreKey),
	}
}

// bundle returns the keys with which a session with the phone begins. Each bundle has its own
// one-time key.
func (st *signalStore) bundle() []waBinary.Node {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.lastKey++
	st.oneTime[st.lastKey] = keys.NewPreKey(st.lastKey)
	identityKey := st.pair.PublicKey().PublicKey().PublicKey()
	return append(bundle(identityKey[:], keyNode(st.signed)), keyNode(st.oneTime[st.lastKey]))
}

func (st *signalStore) GetIdentityKeyPair() *identity.KeyPair { return st.pair }
func (st *signalStore) GetLocalRegistrationID() uint32        { return st.registration }

func (st *signalStore) SaveIdentity(context.Context, *protocol.SignalAddress, *identity.Key) error {
	return nil
}

func (st *signalStore) IsTrustedIdentity(context.Context, *protocol.SignalAddress, *identity.Key) (bool, error) {
	return true, nil
}

func (st *signalStore) LoadPreKey(_ context.Context, id uint32) (*record.PreKey, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	key := st.oneTime[id]
	if key == nil {
		return nil, nil // libsignal's way to say that there is none
	}
	return record.NewPreKey(id, pairOf(key), nil), nil
}

func (st *signalStore) RemovePreKey(_ context.Context, id uint32) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	delete(st.oneTime, id)
	return nil
}

func (st *signalStore) LoadSignedPreKey(_ context.Context, id uint32) (*record.SignedPreKey, error) {
	if id != st.signed.KeyID {
		return nil, nil // libsignal's way to say that there is none
	}
	return record.NewSignedPreKey(id, 0, pairOf(st.signed), *st.signed.Signature, nil), nil
}

func pairOf(key *keys.PreKey) *ecc.ECKeyPair {
	return ecc.NewECKeyPair(ecc.NewDjbECPublicKey(*key.Pub), ecc.NewDjbECPrivateKey(*key.Priv))
}

// LoadSession returns a copy: libsignal changes it also when a message cannot be decrypted.
func (st *signalStore) LoadSession(_ context.Context, address *protocol.SignalAddress) (*record.Session, error) {
	serializer := store.SignalProtobufSerializer
	if raw := st.sessions[address.String()]; raw != nil {
		return record.NewSessionFromBytes(raw, serializer.Session, serializer.State)
	}
	return record.NewSession(serializer.Session, serializer.State), nil
}

func (st *signalStore) StoreSession(_ context.Context, address *protocol.SignalAddress, session *record.Session) error {
	st.sessions[address.String()] = session.Serialize()
	return nil
}

func (st *signalStore) ContainsSession(_ context.Context, address *protocol.SignalAddress) (bool, error) {
	return st.sessions[address.String()] != nil, nil
}

// encrypt returns an enc node for a device, and begins a session if there is none or with is
// not nil (encryptMessageForDevice of whatsmeow). Sessions go by the hidden address.
func (st *signalStore) encrypt(
	ctx context.Context, to types.JID, plaintext []byte, with *prekey.Bundle,
) (waBinary.Node, error) {
	builder := session.NewBuilderFromSignal(st, to.SignalAddress(), store.SignalProtobufSerializer)
	if with != nil {
		if err := builder.ProcessBundle(ctx, with); err != nil {
			return waBinary.Node{}, redact.Errorf("walinktest: encrypt: %w", err)
		}
	}
	sealed, err := session.NewCipher(builder, to.SignalAddress()).Encrypt(ctx, pad(plaintext))
	if err != nil {
		return waBinary.Node{}, redact.Errorf("walinktest: encrypt: %w", err)
	}
	kind := "msg"
	if sealed.Type() == protocol.PREKEY_TYPE {
		kind = "pkmsg"
	}
	return waBinary.Node{Tag: "enc", Attrs: waBinary.Attrs{"v": "2", "type": kind}, Content: sealed.Serialize()}, nil
}

// decrypt decrypts an enc node of a chat (decryptDM and decryptGroupMsg of whatsmeow). It panics
// for some input, as libsignal does.
func (st *signalStore) decrypt(ctx context.Context, chat, from types.JID, enc *waBinary.Node) ([]byte, error) {
	serializer, sealed := store.SignalProtobufSerializer, []byte(text(enc.Content))
	cipher := session.NewCipher(session.NewBuilderFromSignal(st, from.SignalAddress(), serializer), from.SignalAddress())
	switch kind := text(enc.Attrs["type"]); kind {
	case "pkmsg":
		message, err := protocol.NewPreKeySignalMessageFromBytes(
			sealed, serializer.PreKeySignalMessage, serializer.SignalMessage)
		if err != nil {
			return nil, err
		}
		return unpad(cipher.DecryptMessage(ctx, message))
	case "msg":
		message, err := protocol.NewSignalMessageFromBytes(sealed, serializer.SignalMessage)
		if err != nil {
			return nil, err
		}
		return unpad(cipher.Decrypt(ctx, message))
	case "skmsg":
		message, err := protocol.NewSenderKeyMessageFromBytes(sealed, serializer.SenderKeyMessage)
		if err != nil {
			return nil, err
		}
		_, _, cipher := st.groupCipher(chat, from)
		return unpad(cipher.Decrypt(ctx, message))
	default:
		return nil, fmt.Errorf("walinktest: decrypt: unknown type %q", kind)
	}
}

// pad adds 1 to 15 bytes, each of which is their number (padMessage of whatsmeow).
func pad(plaintext []byte) []byte {
	size := random(1)[0]%15 + 1
	return slices.Concat(plaintext, bytes.Repeat([]byte{size}, int(size)))
}

func unpad(plaintext []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	if len(plaintext) == 0 || int(plaintext[len(plaintext)-1]) > len(plaintext) {
		return nil, errors.New("walinktest: decrypt: wrong padding")
	}
	return plaintext[:len(plaintext)-int(plaintext[len(plaintext)-1])], nil
}
