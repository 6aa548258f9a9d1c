package walinktest

import (
	"context"

	"go.mau.fi/libsignal/groups"
	"go.mau.fi/libsignal/groups/state/record"
	"go.mau.fi/libsignal/protocol"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/internal/redact"
)

// sharedKey is a phone's key for a group at a device.
type sharedKey struct {
	group types.JID
	with  endpoint
}

func (st *signalStore) LoadSenderKey(_ context.Context, name *protocol.SenderKeyName) (*record.SenderKey, error) {
	serializer := store.SignalProtobufSerializer
	if raw := st.senderKeys[senderKey(name)]; raw != nil {
		return record.NewSenderKeyFromBytes(raw, serializer.SenderKeyRecord, serializer.SenderKeyState)
	}
	return record.NewSenderKey(serializer.SenderKeyRecord, serializer.SenderKeyState), nil
}

func (st *signalStore) StoreSenderKey(
	_ context.Context, name *protocol.SenderKeyName, key *record.SenderKey,
) error {
	st.senderKeys[senderKey(name)] = key.Serialize()
	return nil
}

func senderKey(name *protocol.SenderKeyName) string {
	return name.GroupID() + " " + name.Sender().String()
}

// groupCipher returns what encrypts and decrypts a device's messages in a group.
func (st *signalStore) groupCipher(
	group, from types.JID,
) (*protocol.SenderKeyName, *groups.SessionBuilder, *groups.GroupCipher) {
	name := protocol.NewSenderKeyName(group.String(), from.SignalAddress())
	builder := groups.NewGroupSessionBuilder(st, store.SignalProtobufSerializer)
	return name, builder, groups.NewGroupCipher(builder, name, st)
}

// distribution returns the message that gives others the phone's key for a group.
func (st *signalStore) distribution(
	ctx context.Context, group, self types.JID,
) (*waE2E.SenderKeyDistributionMessage, error) {
	name, builder, _ := st.groupCipher(group, self)
	message, err := builder.Create(ctx, name)
	if err != nil {
		return nil, redact.Errorf("walinktest: encrypt: %w", err)
	}
	return &waE2E.SenderKeyDistributionMessage{
		GroupID:                             new(group.String()),
		AxolotlSenderKeyDistributionMessage: message.Serialize(),
	}, nil
}

// distributed keeps the key of a device for a group (handleSenderKeyDistributionMessage of
// whatsmeow). It panics for some input, as libsignal does.
func (st *signalStore) distributed(
	ctx context.Context, from types.JID, distribution *waE2E.SenderKeyDistributionMessage,
) error {
	group, err := types.ParseJID(distribution.GetGroupID())
	if err != nil {
		return err
	}
	message, err := protocol.NewSenderKeyDistributionMessageFromBytes(
		distribution.GetAxolotlSenderKeyDistributionMessage(), store.SignalProtobufSerializer.SenderKeyDistributionMessage)
	if err != nil {
		return err
	}
	name, builder, _ := st.groupCipher(group, from)
	return builder.Process(ctx, name, message)
}

// encryptGroup returns an enc node for a group (sendGroup of whatsmeow). distribution was called before.
func (st *signalStore) encryptGroup(
	ctx context.Context, group, self types.JID, plaintext []byte,
) (waBinary.Node, error) {
	_, _, cipher := st.groupCipher(group, self)
	sealed, err := cipher.Encrypt(ctx, pad(plaintext))
	if err != nil {
		return waBinary.Node{}, redact.Errorf("walinktest: encrypt: %w", err)
	}
	attrs := waBinary.Attrs{"v": "2", "type": "skmsg"}
	return waBinary.Node{Tag: "enc", Attrs: attrs, Content: sealed.SignedSerialize()}, nil
}
