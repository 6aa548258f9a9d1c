package walinktest_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waAdv"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"

	"github.com/walink/walink/walinktest"
)

// These tests hold the server to what WhatsApp Web requires of a node, and whatsmeow does not:
// see docs/protocol.md.

func TestFailuresSayWhereTheServerIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := walinktest.NewServer(t)
		srv.Script(walinktest.StagePairDevice, walinktest.Failure(418), walinktest.Failure(418, "location", "rva"))
		c := newClient(t, srv)
		for _, want := range []string{"lla", "rva"} {
			c.connect()
			if node := await[*events.ConnectFailure](c).Raw; node.Attrs["location"] != want {
				t.Errorf("%s, want the location %s", node, want)
			}
			pass(time.Second)
		}
	})
}

func TestScriptedNotificationsHaveATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := walinktest.NewServer(t)
		srv.Script(walinktest.StagePairDevice, walinktest.Send(node("notification", waBinary.Attrs{"type": "server_sync"})))
		c, _ := connected(t, srv)
		for {
			select {
			case got := <-c.nodes:
				if got.Tag != "notification" {
					continue
				}
				if sent := got.AttrGetter().UnixTime("t"); !sent.Equal(time.Now().Truncate(time.Second)) {
					t.Errorf("%s, want the time %s", got, time.Now())
				}
				return
			default:
				t.Fatal("no notification")
			}
		}
	})
}

// The attribute counts the earlier logins at which the node came. The acks of WhatsApp Web for
// some notifications have no type.
func TestOfflineNodesSayHowOftenTheyCame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		pass(time.Minute)
		c.bot.leave()
		linked(ctx, t, c.srv, c.owner) // account_sync
		write(ctx, t, c.contact, c.owner.JID(), "hello")
		for _, want := range []string{"0", "1", "2"} {
			r := login(t, c.srv, c.bot.Store)
			child := r.node("ib").GetChildren()[0]
			if child.Tag != "offline_preview" || child.AttrGetter().Int("count") != 2 || child.Attrs["call"] != "0" {
				t.Errorf("preview %s", &child)
			}
			r.send(activation())
			for _, tag := range []string{"notification", "message"} {
				waited := r.node(tag)
				if waited.Attrs["offline"] != want {
					t.Errorf("%s, want offline %s", waited, want)
				}
				if want == "2" {
					r.send(node("ack", waBinary.Attrs{"class": tag, "id": waited.Attrs["id"], "to": waited.Attrs["from"]}))
				}
			}
			pass(time.Second)
			_ = r.ws.CloseNow()
			pass(time.Second)
		}
		c.bot.connect()
		if end := await[*events.OfflineSyncCompleted](c.bot); end.Count != 0 {
			t.Errorf("%d nodes that were acknowledged came again", end.Count)
		}
	})
}

// The proof that a device is linked has the prefix of the type that the phone has given the device.
func TestDevicesOfHostedAccountsWrite(t *testing.T) {
	t.Parallel()
	for _, devices := range []bool{false, true} {
		t.Run(fmt.Sprint("hosted devices ", devices), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, srv := t.Context(), walinktest.NewServer(t)
				contact := srv.NewPhone(contactNumber)
				bot := linked(ctx, t, srv, srv.NewPhone(number, walinktest.WithHosted(devices)))
				bot.say(ctx, contact.JID(), "hello")
				reads(ctx, t, contact, "hello")
			})
		})
	}
}

func TestKeysOfADeviceComeWithItsIdentity(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		pass(time.Minute)
		other := linked(ctx, t, c.srv, c.contact)
		pass(time.Minute)
		other.leave()
		r := login(t, c.srv, other.Store)
		r.send(waBinary.Node{
			Tag:   "iq",
			Attrs: waBinary.Attrs{"type": "get", "xmlns": "encrypt", "id": "1", "to": types.ServerJID},
			Content: []waBinary.Node{{Tag: "key", Content: []waBinary.Node{
				{Tag: "user", Attrs: waBinary.Attrs{"jid": *c.bot.Store.ID}},
				{Tag: "user", Attrs: waBinary.Attrs{"jid": c.owner.JID()}},
			}}},
		})
		users := r.node("iq").GetChildByTag("list")
		for i, want := range []bool{true, false} { // a phone has no identity of that kind
			user := users.GetChildren()[i]
			data, ok := user.GetChildByTag("device-identity").Content.([]byte)
			if ok != want {
				t.Errorf("%s has an identity: %t, want %t", user.Attrs["jid"], ok, want)
			}
			var identity waAdv.ADVSignedDeviceIdentity
			if err := proto.Unmarshal(data, &identity); want && (err != nil || len(identity.GetAccountSignatureKey()) != 0 ||
				string(identity.GetDetails()) != string(c.bot.Store.Account.GetDetails()) ||
				string(identity.GetDeviceSignature()) != string(c.bot.Store.Account.GetDeviceSignature())) {
				t.Errorf("the identity is %v, %v", &identity, err)
			}
		}
	})
}
