package walinktest_test

import (
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waAdv"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"go.mau.fi/whatsmeow/util/keys"
	"google.golang.org/protobuf/proto"

	"github.com/walink/walink/walinktest"
)

func TestMessagesWaitForADeviceThatIsOffline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		write(ctx, t, c.contact, c.owner.JID(), "zero")
		c.bot.hears("zero")
		pass(time.Minute)
		c.bot.leave()
		for _, text := range []string{"one", "two", "three"} {
			write(ctx, t, c.contact, c.owner.JID(), text)
		}
		c.bot.connect()
		if preview := await[*events.OfflineSyncPreview](c.bot); preview.Messages != 3 || preview.Total != 3 {
			t.Errorf("preview %+v", preview)
		}
		for _, text := range []string{"one", "two", "three"} {
			c.bot.hears(text)
		}
		if end := await[*events.OfflineSyncCompleted](c.bot); end.Count != 3 {
			t.Errorf("end %+v", end)
		}
		pass(time.Minute)
		c.bot.leave()
		c.bot.connect()
		if end := await[*events.OfflineSyncCompleted](c.bot); end.Count != 0 {
			t.Errorf("messages that the bot has acknowledged came again: %+v", end)
		}
		write(ctx, t, c.contact, c.owner.JID(), "four")
		c.bot.hears("four")
	})
}

// A device has keys from the moment of its link, and not only after its first upload.
func TestMessagesWaitForADeviceThatHasNeverLoggedIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		owner, contact := srv.NewPhone(number), srv.NewPhone(contactNumber)
		srv.Script(walinktest.StageLogin, walinktest.Delay(time.Minute))
		bot, codes := connected(t, srv)
		if err := owner.ScanQR(ctx, codes[0]); err != nil {
			t.Fatal(err)
		}
		write(ctx, t, contact, owner.JID(), "welcome")
		bot.hears("welcome")
		bot.say(ctx, contact.JID(), "thank you")
		reads(ctx, t, contact, "thank you")
	})
}

// A client that has lost its sessions asks for the message again, and gets it.
func TestMessagesThatAClientCannotReadComeAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		write(ctx, t, c.contact, c.owner.JID(), "one")
		c.bot.hears("one")
		c.bot.say(ctx, c.contact.JID(), "two")
		reads(ctx, t, c.contact, "two")
		c.bot.forget()
		id := write(ctx, t, c.contact, c.owner.JID(), "three")
		if lost := await[*events.UndecryptableMessage](c.bot); lost.Info.ID != id {
			t.Errorf("undecryptable %+v", lost.Info)
		}
		if again := c.bot.hears("three"); again.Info.ID != id || again.Info.Chat != c.contact.JID() {
			t.Errorf("again %+v", again.Info)
		}
		write(ctx, t, c.contact, c.owner.JID(), "four")
		c.bot.hears("four")
	})
}

// A phone that is installed again has no sessions, and another identity.
func TestMessagesThatAPhoneCannotReadComeAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		write(ctx, t, c.contact, c.owner.JID(), "one")
		c.bot.hears("one")
		c.bot.say(ctx, c.contact.JID(), "two")
		reads(ctx, t, c.contact, "two")
		installed := c.srv.NewPhone(contactNumber)
		id := c.bot.say(ctx, c.contact.JID(), "three")
		if read := reads(ctx, t, installed, "three"); read.ID != id {
			t.Errorf("read %+v", read)
		}
		write(ctx, t, installed, c.owner.JID(), "four")
		c.bot.hears("four")
		_, err := c.contact.SendText(ctx, c.owner.JID(), "five")
		wantSays(t, err, walinktest.ErrNoDevice)
	})
}

func TestOneTimeKeysAreUsedUpAndReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		c.srv.Script(walinktest.StageFirstMinute, walinktest.Silence()) // which takes a key, too
		left := func() int { return c.owner.LinkedDevices()[0].PreKeys }
		first := left()
		write(ctx, t, c.contact, c.owner.JID(), "hello")
		pass(time.Minute)
		if got := left(); got != first-1+whatsmeow.MinPreKeyCount { // the client has uploaded more
			t.Errorf("%d one-time keys after the first message, want %d", got, first-1+whatsmeow.MinPreKeyCount)
		}
		c.bot.leave()
		total := left() + 2
		for i := range total {
			write(ctx, t, c.srv.NewPhone("+55119000000"+strconv.Itoa(10+i)), c.owner.JID(), "hello")
		}
		if got := left(); got != 0 {
			t.Errorf("%d one-time keys left, want 0", got)
		}
		c.bot.connect()
		for range total + 1 {
			c.bot.hears("hello")
		}
		pass(time.Minute)
		if got := left(); got < whatsmeow.MinPreKeyCount {
			t.Errorf("%d one-time keys after the login", got)
		}
	})
}

// A client that had no answer uploads the same keys again.
func TestEachOneTimeKeyIsHandedOutOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		pass(time.Minute)
		key := func(tag string, id byte, key *keys.PreKey) waBinary.Node {
			children := []waBinary.Node{{Tag: "id", Content: []byte{0, 0, id}}, {Tag: "value", Content: key.Pub[:]}}
			if key.Signature != nil {
				children = append(children, waBinary.Node{Tag: "signature", Content: key.Signature[:]})
			}
			return waBinary.Node{Tag: tag, Content: children}
		}
		oneTime := []waBinary.Node{key("key", 201, keys.NewPreKey(201)), key("key", 202, keys.NewPreKey(202))}
		request := waBinary.Node{Tag: "iq", Attrs: waBinary.Attrs{"xmlns": "encrypt", "type": "set"}, Content: []waBinary.Node{
			{Tag: "registration", Content: []byte{0, 0, 0, byte(c.bot.Store.RegistrationID)}},
			{Tag: "type", Content: []byte{5}},
			{Tag: "identity", Content: c.bot.Store.IdentityKey.Pub[:]},
			{Tag: "list", Content: oneTime},
			key("skey", 1, c.bot.Store.SignedPreKey),
		}}
		upload := func() int {
			request.Attrs["id"] = c.bot.GenerateMessageID()
			if answer := <-c.bot.send(ctx, request); answer.Attrs["type"] != "result" {
				t.Fatalf("answer %s", answer)
			}
			return c.owner.LinkedDevices()[0].PreKeys
		}
		first := upload()
		if again := upload(); again != first {
			t.Errorf("%d keys after the second upload, want %d", again, first)
		}
		ask := waBinary.Node{
			Tag:   "iq",
			Attrs: waBinary.Attrs{"xmlns": "encrypt", "type": "get"},
			Content: []waBinary.Node{{Tag: "key", Content: []waBinary.Node{
				{Tag: "user", Attrs: waBinary.Attrs{"jid": *c.bot.Store.ID}},
			}}},
		}
		for range first {
			ask.Attrs["id"] = c.bot.GenerateMessageID()
			<-c.bot.send(ctx, ask)
		}
		pass(time.Minute) // the server has asked the client for more, which has uploaded them
		left := c.owner.LinkedDevices()[0].PreKeys
		if again := upload(); again != left {
			t.Errorf("%d keys after the last upload, want %d", again, left)
		}
	})
}

func TestNodesThatMakeNoSenseHarmNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		to := c.contact.JID()
		garbage := func(kind string, size int) []waBinary.Node {
			return []waBinary.Node{{Tag: "enc", Attrs: waBinary.Attrs{"v": "2", "type": kind}, Content: make([]byte, size)}}
		}
		for i, node := range []waBinary.Node{
			{Tag: "message"},
			{Tag: "message", Attrs: waBinary.Attrs{"to": "text"}},
			{Tag: "message", Attrs: waBinary.Attrs{"to": to}},
			{Tag: "message", Attrs: waBinary.Attrs{"to": to}, Content: garbage("pkmsg", 100)},
			{Tag: "message", Attrs: waBinary.Attrs{"to": to}, Content: garbage("msg", 0)},
			{Tag: "message", Attrs: waBinary.Attrs{"to": to}, Content: garbage("skmsg", 1)},
			{Tag: "message", Attrs: waBinary.Attrs{"to": to}, Content: garbage("else", 1)},
			{Tag: "receipt"},
			{Tag: "receipt", Attrs: waBinary.Attrs{"to": to, "type": "retry"}},
			{Tag: "receipt", Attrs: waBinary.Attrs{"to": to, "type": "retry"}, Content: []waBinary.Node{{Tag: "retry"}}},
			{Tag: "ack", Attrs: waBinary.Attrs{"class": "message"}},
			{Tag: "iq", Attrs: waBinary.Attrs{"xmlns": "usync", "type": "get"}},
			{Tag: "iq", Attrs: waBinary.Attrs{"xmlns": "encrypt", "type": "get"}},
		} {
			c.bot.send(ctx, node) // without attributes, and then with
			if node.Attrs == nil {
				node.Attrs = waBinary.Attrs{}
			}
			node.Attrs["id"] = strconv.Itoa(i)
			c.bot.send(ctx, node)
		}
		// A digest of the keys, for which Baileys asks. Without the error it would upload all again.
		digest := waBinary.Node{
			Tag:     "iq",
			Attrs:   waBinary.Attrs{"xmlns": "encrypt", "type": "get", "id": "digest"},
			Content: []waBinary.Node{{Tag: "digest"}},
		}
		if answer := <-c.bot.send(ctx, digest); answer.Attrs["type"] != "error" {
			t.Errorf("answer %s", answer)
		}
		c.bot.say(ctx, to, "hello")
		reads(ctx, t, c.contact, "hello")
	})
}

// A phone reads the first message of a linked device only with the proof that it is linked.
func TestPhonesWantProofThatADeviceIsLinked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		genuine := c.bot.Store.Account
		for name, spoil := range map[string]func(*waAdv.ADVSignedDeviceIdentity){
			"no signature of the account":      func(proof *waAdv.ADVSignedDeviceIdentity) { proof.AccountSignature = nil },
			"another signature of the account": func(proof *waAdv.ADVSignedDeviceIdentity) { proof.AccountSignature[7] ^= 1 },
			"another signature of the device":  func(proof *waAdv.ADVSignedDeviceIdentity) { proof.DeviceSignature[7] ^= 1 },
			"signatures of something else":     func(proof *waAdv.ADVSignedDeviceIdentity) { proof.Details[2] ^= 1 },
		} {
			c.bot.Store.Account = proto.CloneOf(genuine)
			spoil(c.bot.Store.Account)
			c.bot.say(ctx, c.contact.JID(), name)
			silent(ctx, t, c.contact) // the bot has answered the phone's requests for the message
			synctest.Wait()
		}
		c.bot.Store.Account = genuine
		c.bot.say(ctx, c.contact.JID(), "hello")
		reads(ctx, t, c.contact, "hello")
	})
}

// A phone gives up after four requests for a message, also if the answers do not count them.
func TestAPhoneAsksAgainFourTimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		for range 6 {
			c.bot.send(ctx, waBinary.Node{
				Tag:     "message",
				Attrs:   waBinary.Attrs{"to": c.contact.JID(), "id": "unreadable"},
				Content: []waBinary.Node{{Tag: "enc", Attrs: waBinary.Attrs{"type": "msg"}, Content: []byte("x")}},
			})
		}
		pass(time.Minute)
		var asked []string
		for len(c.bot.nodes) > 0 {
			if node := <-c.bot.nodes; node.Tag == "receipt" {
				retry := node.GetChildByTag("retry")
				count, _ := retry.Attrs["count"].(string)
				asked = append(asked, count)
			}
		}
		if want := []string{"1", "2", "3", "4"}; !slices.Equal(asked, want) {
			t.Errorf("the phone asks %v, want %v", asked, want)
		}
	})
}

// Receipts of a client reach all devices of the sender, and those for its own account the others of that.
func TestReceiptsReachAllDevices(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		second, other := linked(ctx, t, c.srv, c.owner), linked(ctx, t, c.srv, c.contact)
		id := write(ctx, t, c.contact, c.owner.JID(), "hello")
		c.bot.hears("hello")
		pass(time.Minute)
		for len(other.events) > 0 {
			<-other.events
		}
		if err := c.bot.MarkRead(ctx, []types.MessageID{id}, time.Now(), c.contact.JID(), c.contact.JID()); err != nil {
			t.Fatal(err)
		}
		read := await[*events.Receipt](other)
		if read.MessageIDs[0] != id || read.Type != types.ReceiptTypeRead || read.Sender != *c.bot.Store.ID {
			t.Errorf("receipt %+v", read)
		}
		c.bot.send(ctx, waBinary.Node{Tag: "receipt", Attrs: waBinary.Attrs{
			"to": c.contact.JID(), "id": "own", "type": "read-self",
		}})
		for receipt := await[*events.Receipt](second); receipt.Type != types.ReceiptTypeReadSelf; {
			receipt = await[*events.Receipt](second)
		}
		if late, ok := next[*events.Receipt](other, time.Minute); ok {
			t.Errorf("the contact's device got %+v", late)
		}
	})
}

func TestWhatIsAcknowledgedDoesNotComeAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		group := c.srv.NewGroup("Family", c.contact, c.owner)
		second := linked(ctx, t, c.srv, c.owner)
		for _, to := range []types.JID{c.contact.JID(), c.contact.LID(), group.JID()} {
			c.bot.say(ctx, to, "from the bot")
			second.say(ctx, to, "from the second")
			write(ctx, t, c.owner, to, "from the owner")
		}
		write(ctx, t, c.contact, c.owner.JID(), "by number")
		write(ctx, t, c.contact, c.owner.LID(), "by hidden address")
		write(ctx, t, c.contact, group.JID(), "in the group")
		pass(time.Minute)
		c.bot.forget()
		write(ctx, t, c.contact, c.owner.JID(), "again")
		for await[*events.Message](c.bot).Message.GetConversation() != "again" { // the others come first
		}
		pass(time.Minute)
		c.bot.leave()
		c.bot.connect()
		if end := await[*events.OfflineSyncCompleted](c.bot); end.Count != 0 {
			t.Errorf("%d nodes came again", end.Count)
		}
		if preview, ok := next[*events.OfflineSyncPreview](c.bot, time.Minute); ok {
			t.Errorf("preview %+v", preview)
		}
	})
}
