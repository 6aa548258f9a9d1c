package walinktest

import (
	"bytes"
	"compress/zlib"
	"context"
	"time"

	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waHistorySync"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"

	"github.com/walink/walink/internal/redact"
)

// firstMinuteDelay is how long after its first login a device gets what a new device gets. It is
// no round number, because tests in bubbles disconnect after round ones: see linger.
const firstMinuteDelay = 1007 * time.Millisecond

// SetHistory gives the phone chats from before the link, each with its newest message first.
// Devices get them as history sync in their first minute: INITIAL_BOOTSTRAP with the newest
// message of each chat, PUSH_NAME with the names of the chats' accounts, and RECENT with the
// other messages. Without chats all three are empty. SetHistory returns an error if a chat lacks
// its ID, or a message its key. Clients download each part: see Server.HTTPClient.
//
// A phone on which nobody calls SetHistory sends no history sync. whatsmeow waits a minute for
// more history after each part, so a test in a bubble has to let more than a minute pass before
// it ends. Otherwise the bubble reports the goroutine that waits as a deadlock.
func (p *Phone) SetHistory(chats ...*waHistorySync.Conversation) error {
	history := &waHistorySync.HistorySync{SyncType: waHistorySync.HistorySync_RECENT.Enum(), Conversations: chats}
	if err := proto.CheckInitialized(history); err != nil {
		return redact.Errorf("walinktest: history: %w", err)
	}
	p.srv.mu.Lock()
	defer p.srv.mu.Unlock()
	p.history = proto.CloneOf(history)
	return nil
}

// beginFirstMinute sends a device what a new device gets, unless it has that or is gone: which
// settings it lacks (dirty, in handleIB of whatsmeow) and which privacy settings the account has
// (handleAccountSyncNotification) from the server, and the rest from the phone.
func (c *conn) beginFirstMinute() {
	s, d := c.srv, c.device
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || d.greeted || d.conn != c || s.devices[d.id()] != d {
		return
	}
	d.greeted = true
	for _, kind := range []string{"account_sync", "groups"} {
		c.send(ib(waBinary.Node{Tag: "dirty", Attrs: waBinary.Attrs{"type": kind, "timestamp": time.Now().Unix()}}))
	}
	privacy := waBinary.Node{Tag: "privacy", Content: d.phone.privacy}
	s.deliver(d.endpoint(), s.notification("account_sync", d.phone.jid, privacy))
	history := d.phone.history
	s.wg.Go(func() {
		d.phone.shareKey(d.endpoint())
		if history != nil {
			d.phone.sendHistory(d.endpoint(), history)
		}
	})
}

// sendHistory sends a device history sync (handleHistorySyncNotificationLoop of whatsmeow).
func (p *Phone) sendHistory(to endpoint, all *waHistorySync.HistorySync) {
	bootstrap := &waHistorySync.HistorySync{SyncType: waHistorySync.HistorySync_INITIAL_BOOTSTRAP.Enum()}
	names := &waHistorySync.HistorySync{SyncType: waHistorySync.HistorySync_PUSH_NAME.Enum()}
	recent := proto.CloneOf(all)
	p.srv.mu.Lock()
	for _, chat := range recent.GetConversations() {
		newest, split := proto.CloneOf(chat), min(1, len(chat.GetMessages()))
		newest.Messages, chat.Messages = newest.Messages[:split], chat.Messages[split:]
		bootstrap.Conversations = append(bootstrap.Conversations, newest)
		jid, _ := types.ParseJID(chat.GetID())
		if partner := p.srv.account(jid); partner != nil {
			pn, lid := new(partner.jid.String()), new(partner.lid.String())
			bootstrap.PhoneNumberToLidMappings = append(bootstrap.PhoneNumberToLidMappings,
				&waHistorySync.PhoneNumberToLIDMapping{PnJID: pn, LidJID: lid})
			names.Pushnames = append(names.Pushnames, &waHistorySync.Pushname{ID: pn, Pushname: &partner.pushName})
		}
	}
	p.srv.mu.Unlock()
	for _, part := range []*waHistorySync.HistorySync{bootstrap, names, recent} {
		encoded, _ := proto.Marshal(part) // only a name that is not UTF-8 is an error, and its part is then empty
		var compressed bytes.Buffer
		writer := zlib.NewWriter(&compressed)
		_, _ = writer.Write(encoded)
		_ = writer.Close()
		uploaded, _ := p.Upload(context.Background(), compressed.Bytes(), whatsmeow.MediaHistory)
		p.sendPeer(to, &waE2E.ProtocolMessage{
			Type: waE2E.ProtocolMessage_HISTORY_SYNC_NOTIFICATION.Enum(),
			HistorySyncNotification: &waE2E.HistorySyncNotification{
				SyncType:   waE2E.HistorySyncType(part.GetSyncType()).Enum(), // the numbers are the same
				ChunkOrder: new(uint32(1)), Progress: new(uint32(100)), FileLength: &uploaded.FileLength,
				DirectPath: &uploaded.DirectPath, MediaKey: uploaded.MediaKey,
				FileSHA256: uploaded.FileSHA256, FileEncSHA256: uploaded.FileEncSHA256,
			},
		})
	}
}

// sendPeer sends one of the account's devices a message that belongs to no chat. A device that is
// not linked any more gets nothing.
func (p *Phone) sendPeer(to endpoint, content *waE2E.ProtocolMessage) {
	message := &waE2E.Message{ProtocolMessage: content}
	_, _ = p.send(context.Background(), sentMessage{to: to.at(types.DefaultUserServer), content: message, peer: true})
}
