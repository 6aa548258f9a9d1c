package walinktest_test

import (
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"go.mau.fi/libsignal/protocol"
	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/walink/walink/walinktest"
)

func TestGroupsAreFound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		group := c.srv.NewGroup("Family", c.contact, c.owner, c.contact) // whom it has once
		joined := await[*events.JoinedGroup](c.bot)
		info, err := c.bot.GetGroupInfo(ctx, group.JID())
		if err != nil {
			t.Fatal(err)
		}
		groups, err := c.bot.GetJoinedGroups(ctx)
		if err != nil || len(groups) != 1 {
			t.Fatalf("groups %v, %v", groups, err)
		}
		for _, info := range []*types.GroupInfo{&joined.GroupInfo, info, groups[0]} {
			if info.JID != group.JID() || info.Name != "Family" || info.OwnerJID != c.contact.LID() ||
				len(info.Participants) != 2 || info.AddressingMode != types.AddressingModeLID {
				t.Errorf("group %+v", info)
				continue
			}
			first := info.Participants[0]
			if first.LID != c.contact.LID() || first.PhoneNumber != c.contact.JID() || !first.IsSuperAdmin {
				t.Errorf("participant %+v", first)
			}
		}
	})
}

func TestGroupMessagesReachAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		third := c.srv.NewPhone("+5531988887777")
		second := linked(ctx, t, c.srv, third)
		group := c.srv.NewGroup("Family", c.contact, c.owner, third)
		for i := range 2 {
			text := "from the contact " + strconv.Itoa(i)
			id := write(ctx, t, c.contact, group.JID(), text)
			for _, by := range []*client{c.bot, second} {
				heard := by.hears(text).Info
				if heard.ID != id || heard.Chat != group.JID() || heard.Sender != c.contact.LID() ||
					heard.SenderAlt != c.contact.JID() || !heard.IsGroup || heard.IsFromMe {
					t.Errorf("heard %+v", heard)
				}
			}
			for _, by := range []*walinktest.Phone{c.owner, third} {
				if read := reads(ctx, t, by, text); read.ID != id || read.Chat != group.JID() || read.From != c.contact.JID() {
					t.Errorf("read %+v", read)
				}
			}

			text = "from the bot " + strconv.Itoa(i)
			id = c.bot.say(ctx, group.JID(), text)
			if heard := second.hears(text).Info; heard.ID != id || heard.Chat != group.JID() || heard.Sender.Device != 1 {
				t.Errorf("heard %+v", heard)
			}
			for _, by := range []*walinktest.Phone{c.contact, c.owner, third} {
				if read := reads(ctx, t, by, text); read.ID != id || read.Chat != group.JID() || read.From != *c.bot.Store.ID {
					t.Errorf("read %+v", read)
				}
			}
			var delivered, read int
			for range 6 { // four devices have the message, and two people of other accounts read it
				receipt := await[*events.Receipt](c.bot)
				if receipt.MessageIDs[0] != id || receipt.Chat != group.JID() || !receipt.IsGroup {
					t.Errorf("receipt %+v", receipt)
				}
				if receipt.Type == types.ReceiptTypeRead {
					read++
				} else {
					delivered++
				}
			}
			if delivered != 4 || read != 2 {
				t.Errorf("%d receipts of delivery and %d of reading", delivered, read)
			}
		}
		if n := c.bot.stale(); n != 0 {
			t.Errorf("%d answers name other devices", n)
		}
	})
}

func TestGroupMessagesComeAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		group := c.srv.NewGroup("Family", c.contact, c.owner)
		write(ctx, t, c.contact, group.JID(), "one")
		c.bot.hears("one")
		c.bot.say(ctx, group.JID(), "two")
		reads(ctx, t, c.contact, "two")
		c.bot.forget()
		id := write(ctx, t, c.contact, group.JID(), "three")
		if again := c.bot.hears("three").Info; again.ID != id || again.Chat != group.JID() {
			t.Errorf("again %+v", again)
		}
		installed := c.srv.NewPhone(contactNumber)
		id = c.bot.say(ctx, group.JID(), "four")
		if read := reads(ctx, t, installed, "four"); read.ID != id || read.Chat != group.JID() {
			t.Errorf("read %+v", read)
		}
		write(ctx, t, installed, group.JID(), "five")
		c.bot.hears("five")
	})
}

func TestGroupsAreForTheirMembers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		c.bot.settle() // with the message in which the phone sends the key
		group := c.srv.NewGroup("Family", c.contact)
		none := types.NewJID("120363999999999999", types.GroupServer)
		_, err := c.owner.SendText(ctx, group.JID(), "hello")
		wantSays(t, err, walinktest.ErrNotMember)
		_, err = c.owner.SendText(ctx, none, "hello")
		wantSays(t, err, walinktest.ErrNoGroup)
		if _, err := c.bot.GetGroupInfo(ctx, group.JID()); !errors.Is(err, whatsmeow.ErrNotInGroup) {
			t.Errorf("a group of others: %v", err)
		}
		if _, err := c.bot.GetGroupInfo(ctx, none); !errors.Is(err, whatsmeow.ErrGroupNotFound) {
			t.Errorf("no group: %v", err)
		}
		for id, to := range map[string]types.JID{"403": group.JID(), "404": none} { // a client with an old list of groups
			answer := <-c.bot.send(ctx, waBinary.Node{Tag: "message", Attrs: waBinary.Attrs{"id": id, "to": to}})
			if answer.Attrs["error"] != id {
				t.Errorf("a message to a group of others: %s", answer)
			}
		}
		if groups, err := c.bot.GetJoinedGroups(ctx); err != nil || len(groups) != 0 {
			t.Errorf("groups %v, %v", groups, err)
		}
		write(ctx, t, c.contact, group.JID(), "hello")
		if heard, ok := next[*events.Message](c.bot, time.Minute); ok {
			t.Errorf("the bot heard %+v", heard.Info)
		}
	})
}

// The protobufs in a key for a group are right, and the keys in it are not.
func TestKeysThatMakeNoSenseHarmNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		group := c.srv.NewGroup("Family", c.contact, c.owner)
		for _, size := range []int{0, 1, 32, 33} {
			structure := &protocol.SenderKeyDistributionMessageStructure{
				Version: 3, ChainKey: make([]byte, size), SigningKey: make([]byte, size),
			}
			serializer := store.SignalProtobufSerializer.SenderKeyDistributionMessage
			_, err := c.bot.SendMessage(ctx, c.contact.JID(), &waE2E.Message{
				SenderKeyDistributionMessage: &waE2E.SenderKeyDistributionMessage{
					GroupID:                             new(group.JID().String()),
					AxolotlSenderKeyDistributionMessage: serializer.Serialize(structure),
				},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		c.bot.say(ctx, group.JID(), "hello")
		reads(ctx, t, c.contact, "hello")
	})
}
