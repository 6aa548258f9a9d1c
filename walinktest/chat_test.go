package walinktest_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/walink/walink/walinktest"
)

const contactNumber = "+5521912345678"

// chat is a bot that is linked to its owner's phone, and a phone that writes to it, in a bubble.
type chat struct {
	srv            *walinktest.Server
	owner, contact *walinktest.Phone
	bot            *client
}

func newChat(ctx context.Context, tb testing.TB) *chat {
	tb.Helper()
	srv := walinktest.NewServer(tb)
	c := &chat{srv: srv, owner: srv.NewPhone(number), contact: srv.NewPhone(contactNumber, walinktest.WithPushName("Ana"))}
	c.bot = linked(ctx, tb, srv, c.owner)
	return c
}

// say sends a text, and returns its id.
func (c *client) say(ctx context.Context, to types.JID, text string) string {
	c.tb.Helper()
	sent, err := c.SendMessage(ctx, to, &waE2E.Message{Conversation: &text})
	if err != nil {
		c.tb.Fatal(err)
	}
	return sent.ID
}

// send sends a node as it is, and returns the channel for the answer to its id.
func (c *client) send(ctx context.Context, node waBinary.Node) <-chan *waBinary.Node {
	c.tb.Helper()
	internals := c.DangerousInternals() //nolint:staticcheck // no other way to send what whatsmeow does not
	id, _ := node.Attrs["id"].(string)
	answer := internals.WaitResponse(id)
	if err := internals.SendNode(ctx, node); err != nil {
		c.tb.Fatal(err)
	}
	return answer
}

// write sends a text from a phone, and returns its id.
func write(ctx context.Context, tb testing.TB, from *walinktest.Phone, to types.JID, text string) string {
	tb.Helper()
	id, err := from.SendText(ctx, to, text)
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

// reads waits for a text on a phone.
func reads(ctx context.Context, tb testing.TB, by *walinktest.Phone, want string) walinktest.Message {
	tb.Helper()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	message, err := by.Receive(ctx)
	if err != nil || message.Text != want {
		tb.Fatalf("the phone reads %q, %v, want %q", message.Text, err, want)
	}
	return message
}

// hears waits for a text in a bubble. whatsmeow has separate events for the keys of groups and
// of the app state.
func (c *client) hears(want string) *events.Message {
	c.tb.Helper()
	event := await[*events.Message](c)
	for event.Message.GetConversation() == "" && (event.Message.GetSenderKeyDistributionMessage() != nil ||
		event.Message.GetProtocolMessage() != nil) {
		event = await[*events.Message](c)
	}
	if got := event.Message.GetConversation(); got != want {
		c.tb.Fatalf("the client hears %q, want %q", got, want)
	}
	return event
}

// stale counts the answers since the last call that say that the client has an old list of devices.
func (c *client) stale() (count int) {
	for {
		select {
		case node := <-c.nodes:
			if node.Tag == "ack" && node.Attrs["phash"] != nil {
				count++
			}
		default:
			return count
		}
	}
}

// silent checks that a phone has no message left.
func silent(ctx context.Context, tb testing.TB, phone *walinktest.Phone) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if message, err := phone.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
		tb.Errorf("the phone reads %q, %v, want nothing", message.Text, err)
	}
}

func TestTextsGoBothWays(t *testing.T) {
	t.Parallel()
	for _, server := range []string{types.DefaultUserServer, types.HiddenUserServer} {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				c := newChat(ctx, t)
				bot, contact := c.owner.JID(), c.contact.JID()
				if server == types.HiddenUserServer {
					bot, contact = c.owner.LID(), c.contact.LID()
				}
				for i := range 3 {
					asked, answered := "question "+strconv.Itoa(i), "answer "+strconv.Itoa(i)
					id := write(ctx, t, c.contact, bot, asked)
					heard := c.bot.hears(asked).Info
					if heard.ID != id || heard.Chat != contact || heard.Sender != contact || heard.IsFromMe || heard.IsGroup ||
						heard.PushName != "Ana" || heard.Type != "text" || time.Since(heard.Timestamp) > time.Minute ||
						heard.SenderAlt != c.contact.LID() && heard.SenderAlt != c.contact.JID() {
						t.Errorf("the bot hears %+v", heard)
					}
					id = c.bot.say(ctx, contact, answered)
					read := reads(ctx, t, c.contact, answered)
					if read.ID != id || read.From != *c.bot.Store.ID || read.Chat != c.owner.JID() ||
						read.Content.GetConversation() != answered {
						t.Errorf("the contact reads %+v", read)
					}
					if own := reads(ctx, t, c.owner, asked); own.From != c.contact.JID() || own.Chat != own.From {
						t.Errorf("the owner reads %+v", own)
					}
					if own := reads(ctx, t, c.owner, answered); own.From != *c.bot.Store.ID || own.Chat != c.contact.JID() {
						t.Errorf("the owner reads %+v", own)
					}
				}
				if n := c.bot.stale(); n != 0 {
					t.Errorf("%d answers name other devices", n)
				}
			})
		})
	}
}

func TestPhonesWriteToPhones(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		one, other := srv.NewPhone(number), srv.NewPhone(contactNumber)
		if _, err := one.Send(ctx, other.JID(), nil); err != nil { // nobody reads it
			t.Error(err)
		}
		write(ctx, t, one, other.JID(), "hello")
		write(ctx, t, other, one.LID(), "and to you")
		reads(ctx, t, other, "hello")
		reads(ctx, t, one, "and to you")
	})
}

func TestReceiptsReachTheSender(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		id := c.bot.say(ctx, c.contact.JID(), "hello")
		from := make(map[types.ReceiptType]types.JID)
		for range 2 {
			receipt := await[*events.Receipt](c.bot)
			if receipt.MessageIDs[0] != id {
				t.Errorf("receipt %+v", receipt)
			}
			from[receipt.Type] = receipt.Sender
		}
		if from[types.ReceiptTypeDelivered] != c.contact.LID() || from[types.ReceiptTypeSender] != c.owner.LID() {
			t.Errorf("receipts from %v", from)
		}
		if early, ok := next[*events.Receipt](c.bot, time.Minute); ok {
			t.Errorf("receipt %+v before the contact has read", early)
		}
		reads(ctx, t, c.contact, "hello")
		got := await[*events.Receipt](c.bot)
		if got.MessageIDs[0] != id || got.Type != types.ReceiptTypeRead || got.Sender != c.contact.LID() {
			t.Errorf("receipt %+v, want that of a message that was read", got)
		}
	})
}

func TestOwnDevicesShareAChat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		c.bot.say(ctx, c.contact.JID(), "alone") // the bot keeps the list of its account's devices
		reads(ctx, t, c.contact, "alone")
		reads(ctx, t, c.owner, "alone")
		second := linked(ctx, t, c.srv, c.owner)
		pass(time.Minute)

		write(ctx, t, c.owner, c.contact.JID(), "from the phone")
		for _, companion := range []*client{c.bot, second} {
			heard := companion.hears("from the phone").Info
			if !heard.IsFromMe || heard.Chat != c.contact.JID() || heard.Sender != c.owner.JID() || heard.DeviceSentMeta == nil {
				t.Errorf("a companion hears %+v", heard)
			}
		}
		reads(ctx, t, c.contact, "from the phone")

		c.bot.say(ctx, c.contact.JID(), "from the bot")
		heard := second.hears("from the bot").Info
		if !heard.IsFromMe || heard.Sender.Device != c.bot.Store.ID.Device || heard.Chat != c.contact.LID() {
			t.Errorf("the second companion hears %+v", heard)
		}
		reads(ctx, t, c.contact, "from the bot")
		reads(ctx, t, c.owner, "from the bot")

		write(ctx, t, c.contact, c.owner.JID(), "to all")
		c.bot.hears("to all")
		second.hears("to all")
		reads(ctx, t, c.owner, "to all")

		second.say(ctx, c.owner.JID(), "a note")
		c.bot.hears("a note")
		reads(ctx, t, c.owner, "a note")
	})
}

// Two clients talk, and one asks the other again.
func TestClientsTalkToClients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		other := linked(ctx, t, c.srv, c.contact)
		c.bot.say(ctx, c.contact.JID(), "one")
		other.hears("one")
		other.say(ctx, c.owner.LID(), "two")
		if heard := c.bot.hears("two").Info; heard.Sender.Device != other.Store.ID.Device || heard.Chat != c.contact.LID() {
			t.Errorf("the bot hears %+v", heard)
		}
		reads(ctx, t, c.contact, "one")
		reads(ctx, t, c.contact, "two")
		other.forget()
		c.bot.say(ctx, c.contact.JID(), "three")
		other.hears("three")
		c.bot.forget()
		write(ctx, t, c.owner, c.contact.JID(), "four")
		reads(ctx, t, c.contact, "three")
		reads(ctx, t, c.contact, "four")
		if heard := c.bot.hears("four").Info; !heard.IsFromMe || heard.Chat != c.contact.JID() {
			t.Errorf("the bot hears %+v", heard)
		}
	})
}

func TestAccountsAreLookedUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		linked(ctx, t, c.srv, c.contact)
		nobody := types.NewJID("5531900000000", types.DefaultUserServer)

		found, err := c.bot.IsOnWhatsApp(ctx, []string{contactNumber, "+5531900000000"})
		if err != nil || len(found) != 2 {
			t.Fatalf("found %+v, %v", found, err)
		}
		in := found[0]
		if !in.IsIn || in.JID != c.contact.LID() || in.PhoneNumber != c.contact.JID() || in.Query != contactNumber {
			t.Errorf("found %+v", in)
		}
		if out := found[1]; out.IsIn || out.JID != nobody || out.Query != "+5531900000000" {
			t.Errorf("found %+v", out)
		}
		infos, err := c.bot.GetUserInfo(ctx, []types.JID{c.contact.JID(), nobody})
		if err != nil {
			t.Fatal(err)
		}
		if info := infos[c.contact.JID()]; info.LID != c.contact.LID() || len(info.Devices) != 2 {
			t.Errorf("info %+v", info)
		}
		if info := infos[nobody]; !info.LID.IsEmpty() || len(info.Devices) != 0 {
			t.Errorf("info about nobody %+v", info)
		}
		devices, err := c.bot.GetUserDevices(ctx, []types.JID{c.contact.LID(), nobody})
		second := c.contact.LID()
		second.Device = 1
		if err != nil || len(devices) != 2 || devices[0] != c.contact.LID() || devices[1] != second {
			t.Errorf("devices %v, %v", devices, err)
		}
	})
}

func TestMessagesToNobodyAreRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		other := linked(ctx, t, c.srv, c.contact)
		gone := *other.Store.ID
		c.bot.say(ctx, c.contact.JID(), "one")
		other.hears("one")
		if !remove(c.contact, gone) {
			t.Fatal("not removed")
		}
		nobody := types.NewJID("5531900000000", types.DefaultUserServer)
		hidden := types.NewJID("123456789012345", types.HiddenUserServer)

		for _, to := range []types.JID{nobody, hidden, {}, types.NewJID("5531900000000", "example")} {
			_, err := c.contact.SendText(ctx, to, "hello")
			wantSays(t, err, walinktest.ErrNoAccount)
		}
		_, err := c.owner.SendText(ctx, gone, "hello")
		wantSays(t, err, walinktest.ErrNoDevice)

		hello := &waE2E.Message{Conversation: new("hello")}
		began := time.Now()
		if _, err := c.bot.SendMessage(ctx, nobody, hello); err == nil || !strings.Contains(err.Error(), "no LID found") {
			t.Errorf("by number: %v", err)
		}
		_, err = c.bot.SendMessage(ctx, hidden, hello)
		if !errors.Is(err, whatsmeow.ErrServerReturnedError) || !strings.HasSuffix(err.Error(), " 404") {
			t.Errorf("by hidden address: %v", err)
		}
		if time.Since(began) > time.Second {
			t.Error("the answer took long")
		}
		c.bot.say(ctx, c.contact.JID(), "two") // the removed device has a session, and does not count
		reads(ctx, t, c.contact, "one")
		reads(ctx, t, c.contact, "two")
	})
}

// A client learns about new devices from the hash in the answer to its message.
func TestNewDevicesOfOthersGetTheNextMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		c.bot.say(ctx, c.contact.JID(), "one")
		other := linked(ctx, t, c.srv, c.contact)
		if n := c.bot.stale(); n != 0 {
			t.Errorf("%d answers name other devices, before there are any", n)
		}
		c.bot.say(ctx, c.contact.JID(), "two")
		if n := c.bot.stale(); n != 1 {
			t.Errorf("%d answers name other devices, want 1", n)
		}
		c.bot.say(ctx, c.contact.JID(), "three")
		other.hears("three")
	})
}

func TestReceiveEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := walinktest.NewServer(t)
		phone := srv.NewPhone(number)
		silent(t.Context(), t, phone)
		said := make(chan error)
		go func() {
			_, err := phone.Receive(context.WithoutCancel(t.Context()))
			said <- err
		}()
		synctest.Wait()
		srv.Close()
		wantSays(t, <-said, walinktest.ErrServerUnreachable)
		_, err := phone.SendText(t.Context(), phone.JID(), "hello")
		wantSays(t, err, walinktest.ErrServerUnreachable)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := phone.SendText(ctx, phone.JID(), "hello"); !errors.Is(err, context.Canceled) {
			t.Errorf("after the end of ctx: %v", err)
		}
	})
}
