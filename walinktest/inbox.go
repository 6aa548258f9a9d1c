package walinktest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/libsignal/signalerror"
	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waAdv"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"

	"github.com/walink/walink/internal/redact"
)

// mostRetries is how often a phone asks for a message that it cannot decrypt
// (sendRetryReceipt of whatsmeow).
const mostRetries = 4

// received is a message that Receive has not returned, and the receipt for it.
type received struct {
	message Message
	receipt *waBinary.Node
}

// arrive puts a node into the phone's inbox. The caller holds the server's mu.
func (p *Phone) arrive(node waBinary.Node) {
	p.inbox = append(p.inbox, node)
	if !p.reading && !p.srv.closed {
		p.reading = true
		p.srv.wg.Go(p.read)
	}
}

// read handles the nodes in the inbox until it is empty.
func (p *Phone) read() {
	for {
		p.srv.mu.Lock()
		if p.srv.closed || len(p.inbox) == 0 {
			p.reading = false
			p.srv.mu.Unlock()
			return
		}
		node := p.inbox[0]
		p.inbox = p.inbox[1:]
		p.srv.mu.Unlock()
		switch {
		case node.Tag == "message":
			p.take(&node)
		case node.Tag == "receipt" && text(node.Attrs["type"]) == "retry":
			p.sendAgain(&node)
		}
	}
}

// take decrypts a message. If that fails, the phone asks the sender for the message again.
func (p *Phone) take(node *waBinary.Node) {
	from := author(node)
	p.srv.mu.Lock()
	sender := endpoint{p.srv.account(from), from.Device}
	p.srv.mu.Unlock()
	content, err := p.open(sender, node)
	switch {
	case errors.Is(err, signalerror.ErrOldCounter): // the phone has the message already
		p.acknowledge(sender, node)
		return
	case err != nil:
		p.askAgain(node)
		return
	}
	p.acknowledge(sender, node)
	if proto.Size(content) == 0 || text(node.Attrs["category"]) == "peer" {
		if sender.phone == p && content.GetProtocolMessage().GetAppStateSyncKeyRequest() != nil {
			p.shareKey(sender)
		}
		return
	}
	chat := sender.phone.jid
	if group, _ := node.Attrs["from"].(types.JID); group.Server == types.GroupServer {
		chat = group
	} else if recipient, ok := node.Attrs["recipient"].(types.JID); ok {
		chat = recipient
		p.srv.mu.Lock()
		if phone := p.srv.account(recipient); phone != nil {
			chat = phone.jid
		}
		p.srv.mu.Unlock()
	}
	next := received{message: Message{
		ID:   text(node.Attrs["id"]),
		From: sender.at(types.DefaultUserServer),
		Chat: chat,
		Text: cmp.Or(content.GetConversation(), content.GetExtendedTextMessage().GetText(),
			content.GetImageMessage().GetCaption(), content.GetVideoMessage().GetCaption(),
			content.GetDocumentMessage().GetCaption()),
		Content: content,
	}}
	if sender.phone != p {
		next.receipt = receiptFor(node, "read")
	}
	p.srv.mu.Lock()
	p.received = append(p.received, next)
	close(p.arrived)
	p.arrived = make(chan struct{})
	p.srv.mu.Unlock()
}

// open decrypts what a device has sent. A linked device begins a session with the proof that its
// account has linked it.
func (p *Phone) open(sender endpoint, node *waBinary.Node) (opened *waE2E.Message, err error) {
	defer func() {
		if reason := recover(); reason != nil { // libsignal trusts its input
			opened, err = nil, redact.Errorf("walinktest: decrypt: %v", reason)
		}
	}()
	p.srv.mu.Lock()
	device := p.srv.devices[deviceID{sender.phone.number, sender.device}]
	p.srv.mu.Unlock()
	if begins(node.GetChildrenByTag("enc")) && device != nil && !device.proven(content(node, "device-identity")) {
		return nil, errors.New("walinktest: decrypt: the device is not proven to be linked")
	}
	p.sending.Lock()
	defer p.sending.Unlock()
	ctx, address := context.Background(), sender.at(types.HiddenUserServer)
	chat, _ := node.Attrs["from"].(types.JID)
	message := new(waE2E.Message)
	for _, enc := range node.GetChildrenByTag("enc") {
		plaintext, err := p.signal().decrypt(ctx, chat, address, &enc)
		if err != nil {
			return nil, err
		}
		if err := proto.Unmarshal(plaintext, message); err != nil {
			return nil, err
		}
		if distribution := message.GetSenderKeyDistributionMessage(); distribution != nil {
			if err := p.signal().distributed(ctx, address, distribution); err != nil {
				return nil, err
			}
			message.SenderKeyDistributionMessage = nil
		}
	}
	return (&events.Message{RawMessage: message}).UnwrapRaw().Message, nil
}

// proven reports whether a device's identity, as it comes with a message, is signed by the
// account and by the device (makeDeviceIdentityNode of whatsmeow). The account may be that of
// an earlier server: see Restore.
func (d *device) proven(data []byte) bool {
	var signed waAdv.ADVSignedDeviceIdentity
	var details waAdv.ADVDeviceIdentity
	if proto.Unmarshal(data, &signed) != nil || proto.Unmarshal(signed.GetDetails(), &details) != nil ||
		len(signed.GetAccountSignatureKey()) != 32 ||
		len(signed.GetAccountSignature()) != 64 || len(signed.GetDeviceSignature()) != 64 {
		return false
	}
	account := [32]byte(signed.GetAccountSignatureKey())
	byAccount := slices.Concat(accountPrefix(details.GetDeviceType()), signed.GetDetails(), d.identity[:])
	byDevice := slices.Concat(whatsmeow.AdvDeviceSignaturePrefix, signed.GetDetails(), d.identity[:], account[:])
	return ecc.VerifySignature(ecc.NewDjbECPublicKey(account), byAccount, [64]byte(signed.GetAccountSignature())) &&
		ecc.VerifySignature(ecc.NewDjbECPublicKey(d.identity), byDevice, [64]byte(signed.GetDeviceSignature()))
}

// author returns the address of the device that has sent a node.
func author(node *waBinary.Node) types.JID {
	jid, group := node.Attrs["participant"].(types.JID)
	if !group {
		jid, _ = node.Attrs["from"].(types.JID)
	}
	return jid
}

// acknowledge sends the receipt for a message that has come (sendMessageReceipt of whatsmeow).
func (p *Phone) acknowledge(sender endpoint, node *waBinary.Node) {
	kind := ""
	if sender.phone == p {
		kind = "sender"
	}
	p.srv.receipt(endpoint{phone: p}, receiptFor(node, kind))
}

// receiptFor returns a receipt for a message (buildBaseReceipt of whatsmeow).
func receiptFor(node *waBinary.Node, kind string) *waBinary.Node {
	attrs := waBinary.Attrs{"id": node.Attrs["id"], "to": node.Attrs["from"], "type": kind}
	copyAttrs(attrs, node.Attrs, "participant", "recipient")
	return &waBinary.Node{Tag: "receipt", Attrs: attrs}
}

// askAgain asks the sender of a message for the message, with keys for a new session
// (sendRetryReceipt of whatsmeow).
func (p *Phone) askAgain(node *waBinary.Node) {
	id := text(node.Attrs["id"])
	if p.retries[id] == mostRetries {
		return
	}
	p.retries[id]++
	receipt := receiptFor(node, "retry")
	retry := waBinary.Attrs{"count": strconv.Itoa(p.retries[id]), "id": id, "t": node.Attrs["t"], "v": "1"}
	receipt.Content = []waBinary.Node{
		{Tag: "retry", Attrs: retry},
		registration(p.signal().registration),
		{Tag: "keys", Content: p.signal().bundle()},
	}
	p.srv.receipt(endpoint{phone: p}, receipt)
}

// sendAgain sends a message again to a device that could not decrypt it, in a new session
// (handleRetryReceipt of whatsmeow).
func (p *Phone) sendAgain(receipt *waBinary.Node) {
	retry := receipt.GetChildByTag("retry")
	from := author(receipt)
	p.sending.Lock()
	defer p.sending.Unlock()
	i := slices.IndexFunc(p.sent, func(m sentMessage) bool { return m.id == text(retry.Attrs["id"]) })
	p.srv.mu.Lock()
	target := p.srv.endpoint(from)
	p.srv.mu.Unlock()
	if i < 0 || target.phone == nil {
		return
	}
	bundle := *receipt
	if _, ok := receipt.GetOptionalChildByTag("keys"); !ok {
		bundle = p.srv.handOut(from)
	}
	keys, err := parseBundle(&bundle, target.device)
	if err != nil {
		return
	}
	again, ctx := p.sent[i], context.Background()
	if again.to.Server == types.GroupServer { // with the key that the device may lack
		again.content = proto.CloneOf(again.content)
		if again.content.SenderKeyDistributionMessage, err = p.signal().distribution(ctx, again.to, p.lid); err != nil {
			return
		}
	}
	enc, err := p.seal(ctx, target, again, keys)
	if err != nil {
		return
	}
	enc.Attrs["count"] = text(retry.Attrs["count"])
	message := again.node(receipt.Attrs["from"], enc)
	copyAttrs(message.Attrs, receipt.Attrs, "participant", "recipient")
	p.srv.message(endpoint{phone: p}, message)
}
