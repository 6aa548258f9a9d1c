package walinktest

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"

	"go.mau.fi/libsignal/keys/prekey"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"

	"github.com/walink/walink/internal/redact"
)

// keptMessages is how many of its latest messages a phone can send again
// (recentMessagesSize in retry.go of whatsmeow).
const keptMessages = 256

// Message is a message that a phone has received. Its addresses are those with phone numbers.
type Message struct {
	ID string `json:"id"`
	// From is the device that sent the message. Its device number is 0 for a phone.
	From types.JID `json:"from"`
	// Chat is the address to which an answer goes: the group, the sender, or the other side if
	// From is a device of the phone's own account.
	Chat types.JID `json:"chat"`
	// Text is the text, or the caption of a picture, a video or a document.
	Text string `json:"text"`
	// Content is the whole message, without the envelopes around it, such as that of a disappearing message.
	Content *waE2E.Message `json:"content"`
}

// sentMessage is a message that a device may ask for again.
type sentMessage struct {
	id      string
	to      types.JID
	content *waE2E.Message
	peer    bool // for one device of the phone's own account, and for no chat
}

// node returns the message as it goes to the server (preparePeerMessageNode of whatsmeow, for one).
func (m sentMessage) node(to any, children ...waBinary.Node) *waBinary.Node {
	attrs := waBinary.Attrs{"id": m.id, "type": messageType(m.content), "to": to}
	if m.peer {
		attrs["category"] = "peer"
	}
	return &waBinary.Node{Tag: "message", Attrs: attrs, Content: children}
}

// SendText sends a text: see Send.
func (p *Phone) SendText(ctx context.Context, to types.JID, text string) (id string, err error) {
	return p.Send(ctx, to, &waE2E.Message{Conversation: &text})
}

// Send sends a message to an account and to the devices linked to it, by the address with the
// phone number or by the hidden address, or to a group, and to the devices linked to the phone's
// own account. It returns once the server has the message. Devices that are not connected get
// the message when they log in. Send does not wait. It returns ErrNoAccount, ErrNoDevice or
// ErrNoGroup if the address names none, ErrNotMember, and ErrServerUnreachable after Close.
func (p *Phone) Send(ctx context.Context, to types.JID, content *waE2E.Message) (id string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	return p.send(ctx, sentMessage{to: to, content: proto.CloneOf(content)})
}

// send sends a message, and keeps it for devices that ask for it again.
func (p *Phone) send(ctx context.Context, message sentMessage) (id string, err error) {
	message.id = strings.ToUpper(hex.EncodeToString(random(16)))
	p.sending.Lock()
	defer p.sending.Unlock()
	node, err := p.compose(ctx, message)
	if err != nil {
		return "", err
	}
	p.srv.message(endpoint{phone: p}, node)
	p.sent = append(p.sent, message)
	p.sent = p.sent[max(0, len(p.sent)-keptMessages):]
	return message.id, nil
}

// Receive returns the oldest message that it has not returned, and waits for one if there is
// none. The sender's devices then get a read receipt; they got a delivery receipt before.
// Messages that devices linked to the phone's own account send arrive, too. Receive returns
// ctx's error if ctx ends first, and ErrServerUnreachable after Close.
func (p *Phone) Receive(ctx context.Context) (Message, error) {
	for {
		p.srv.mu.Lock()
		arrived := p.arrived
		if len(p.received) > 0 {
			next := p.received[0]
			p.received = p.received[1:]
			p.srv.mu.Unlock()
			if next.receipt != nil {
				p.srv.receipt(endpoint{phone: p}, next.receipt)
			}
			return next.message, nil
		}
		p.srv.mu.Unlock()
		select {
		case <-arrived:
		case <-ctx.Done():
			return Message{}, ctx.Err()
		case <-p.srv.pipe.closed:
			return Message{}, ErrServerUnreachable
		}
	}
}

// compose encrypts a message for each device that gets it (prepareMessageNode of whatsmeow). The
// caller holds sending.
func (p *Phone) compose(ctx context.Context, message sentMessage) (*waBinary.Node, error) {
	self := endpoint{phone: p}
	p.srv.mu.Lock()
	audience, reason := p.srv.audience(self, message.to)
	if p.srv.closed {
		reason = ErrServerUnreachable
	}
	p.srv.mu.Unlock()
	if reason != "" {
		return nil, reason
	}
	if message.peer {
		enc, err := p.seal(ctx, endpoint{p, message.to.Device}, message, nil)
		return message.node(message.to, enc), err
	}
	to, each := message.to.ToNonAD(), message
	var direct []waBinary.Node
	group := to.Server == types.GroupServer
	if group { // all get the message, and each gets the key before its first one
		distribution, err := p.signal().distribution(ctx, to, p.lid)
		if err != nil {
			return nil, err
		}
		each.content = &waE2E.Message{SenderKeyDistributionMessage: distribution}
		plaintext, err := proto.Marshal(message.content)
		if err != nil {
			return nil, redact.Errorf("walinktest: encrypt: %w", err)
		}
		enc, err := p.signal().encryptGroup(ctx, to, p.lid, plaintext)
		if err != nil {
			return nil, err
		}
		direct = []waBinary.Node{withMedia(enc, message.content)}
	}
	var participants []waBinary.Node
	for _, target := range audience {
		if target == self || group && p.signal().shared[sharedKey{to, target}] {
			continue
		}
		enc, err := p.seal(ctx, target, each, nil)
		if errors.Is(err, errNoKeys) {
			continue // the account has removed the device meanwhile
		} else if err != nil {
			return nil, err
		}
		participants = append(participants, waBinary.Node{
			Tag:     "to",
			Attrs:   waBinary.Attrs{"jid": target.at(addressed(to))},
			Content: []waBinary.Node{enc},
		})
		if group {
			p.signal().shared[sharedKey{to, target}] = true
		}
	}
	return message.node(to, append(direct, waBinary.Node{Tag: "participants", Content: participants})...), nil
}

// seal encrypts a message for one device. A device of the phone's own account gets it in an
// envelope (marshalMessage of whatsmeow). With keys, or without a session, it begins a session.
// The caller holds sending.
func (p *Phone) seal(
	ctx context.Context, target endpoint, message sentMessage, keys *prekey.Bundle,
) (waBinary.Node, error) {
	content := message.content
	if target.phone == p && !message.peer && message.to.Server != types.GroupServer {
		to := message.to.ToNonAD().String()
		content = &waE2E.Message{
			DeviceSentMessage:  &waE2E.DeviceSentMessage{DestinationJID: &to, Message: content},
			MessageContextInfo: content.GetMessageContextInfo(),
		}
	}
	plaintext, err := proto.Marshal(content)
	if err != nil {
		return waBinary.Node{}, redact.Errorf("walinktest: encrypt: %w", err)
	}
	address := target.at(types.HiddenUserServer)
	if ok, _ := p.signal().ContainsSession(ctx, address.SignalAddress()); !ok && keys == nil {
		bundle := p.srv.handOut(address)
		if keys, err = parseBundle(&bundle, address.Device); err != nil {
			return waBinary.Node{}, err
		}
	}
	enc, err := p.signal().encrypt(ctx, address, plaintext, keys)
	if err != nil {
		return waBinary.Node{}, err
	}
	return withMedia(enc, message.content), nil
}

// withMedia adds the kind of a message's attachment to its enc node.
func withMedia(enc waBinary.Node, content *waE2E.Message) waBinary.Node {
	if media := mediaType(content); media != "" {
		enc.Attrs["mediatype"] = media
	}
	return enc
}

// messageType returns a message's type (getTypeFromMessage of whatsmeow).
func messageType(content *waE2E.Message) string {
	switch content = unwrapped(content); {
	case content.GetReactionMessage() != nil, content.GetEncReactionMessage() != nil:
		return "reaction"
	case content.GetPollCreationMessage() != nil, content.GetPollUpdateMessage() != nil:
		return "poll"
	case mediaType(content) != "":
		return "media"
	default:
		return "text"
	}
}

// mediaType returns the kind of a message's attachment (getMediaTypeFromMessage of whatsmeow).
func mediaType(content *waE2E.Message) string {
	content = unwrapped(content)
	for _, media := range []struct {
		kind string
		is   bool
	}{
		{"url", content.GetExtendedTextMessage().GetTitle() != ""},
		{"image", content.GetImageMessage() != nil},
		{"sticker", content.GetStickerMessage() != nil},
		{"document", content.GetDocumentMessage() != nil},
		{"ptt", content.GetAudioMessage().GetPTT()},
		{"audio", content.GetAudioMessage() != nil},
		{"gif", content.GetVideoMessage().GetGifPlayback()},
		{"video", content.GetVideoMessage() != nil},
		{"vcard", content.GetContactMessage() != nil},
		{"contact_array", content.GetContactsArrayMessage() != nil},
		{"list", content.GetListMessage() != nil},
		{"list_response", content.GetListResponseMessage() != nil},
		{"buttons_response", content.GetButtonsResponseMessage() != nil},
		{"order", content.GetOrderMessage() != nil},
		{"product", content.GetProductMessage() != nil},
		{"native_flow_response", content.GetInteractiveResponseMessage() != nil},
	} {
		if media.is {
			return media.kind
		}
	}
	return ""
}

// unwrapped returns a message without the envelopes that do not count for its type.
func unwrapped(content *waE2E.Message) *waE2E.Message {
	for _, envelope := range []*waE2E.FutureProofMessage{
		content.GetViewOnceMessage(), content.GetViewOnceMessageV2(), content.GetViewOnceMessageV2Extension(),
		content.GetLottieStickerMessage(), content.GetEphemeralMessage(), content.GetDocumentWithCaptionMessage(),
	} {
		if envelope != nil {
			return unwrapped(envelope.GetMessage())
		}
	}
	return content
}
