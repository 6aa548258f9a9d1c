package walinktest_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/appstate"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waCommon"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waHistorySync"
	"go.mau.fi/whatsmeow/proto/waWeb"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/walink/walink/walinktest"
)

// settle waits until a client has the app state of its first minute.
func (c *client) settle() {
	c.tb.Helper()
	got := make(map[appstate.WAPatchName]uint64)
	for len(got) < len(appstate.AllPatchNames) {
		event := await[*events.AppStateSyncComplete](c)
		got[event.Name] = event.Version
	}
	for _, name := range appstate.AllPatchNames {
		if got[name] != 1 {
			c.tb.Errorf("%s has version %d, want 1", name, got[name])
		}
	}
}

func TestFirstMinuteBringsAppStateAndPushNames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		srv := walinktest.NewServer(t)
		phone := srv.NewPhone(number)
		contact := srv.NewPhone(contactNumber, walinktest.WithPushName("Ana"))
		bot := linked(ctx, t, srv, phone)
		bot.settle()
		if bot.Store.PushName != "Phone 4321" {
			t.Errorf("the push name is %q", bot.Store.PushName)
		}
		if err := bot.SendPresence(ctx, types.PresenceAvailable); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := phone.LinkedDevices()[0].Presence; got != types.PresenceAvailable {
			t.Errorf("the server knows presence %q", got)
		}
		write(ctx, t, contact, phone.JID(), "hello")
		if name := await[*events.PushName](bot); name.NewPushName != "Ana" || name.JID != contact.JID() {
			t.Errorf("the client learns %+v", name)
		}
		bot.leave()
		bot.connect()
		await[*events.Connected](bot)
		if got := phone.LinkedDevices()[0].Presence; got != "" {
			t.Errorf("after another login the server knows presence %q", got)
		}
	})
}

func TestFirstMinuteComesOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		bot := linked(ctx, t, srv, srv.NewPhone(number))
		bot.settle()
		bot.leave()
		bot.connect()
		await[*events.Connected](bot)
		drain(bot.nodes)
		pass(time.Minute)
		if node, ok := unasked(bot.nodes); ok {
			t.Errorf("after the second login comes %s", node)
		}
	})
}

func TestSkippedFirstMinuteIsSilent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		srv.Script(walinktest.StageFirstMinute, walinktest.Silence().Always())
		bot := linked(ctx, t, srv, srv.NewPhone(number))
		drain(bot.nodes)
		pass(time.Minute)
		if node, ok := unasked(bot.nodes); ok {
			t.Errorf("the server sends %s", node)
		}
		if err := bot.SendPresence(ctx, types.PresenceAvailable); !errors.Is(err, whatsmeow.ErrNoPushName) {
			t.Errorf("without a push name: %v", err)
		}
		srv.Script(walinktest.StageFirstMinute)
		bot.leave()
		bot.connect()
		bot.settle()
	})
}

func drain(nodes <-chan *waBinary.Node) {
	synctest.Wait()
	for len(nodes) > 0 {
		<-nodes
	}
}

// unasked returns a node that has come and answers nothing.
func unasked(nodes <-chan *waBinary.Node) (*waBinary.Node, bool) {
	synctest.Wait()
	for len(nodes) > 0 {
		if node := <-nodes; node.Tag != "iq" {
			return node, true
		}
	}
	return nil, false
}

// A device that is gone before its first minute gets it at its next login.
func TestFirstMinuteWaitsForTheDevice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		bot := linked(ctx, t, srv, srv.NewPhone(number))
		bot.leave()
		pass(time.Minute)
		bot.connect()
		bot.settle()
	})
}

func TestFirstMinuteSaysWhatToFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		bot := linked(ctx, t, srv, srv.NewPhone(number))
		drain(bot.nodes)
		pass(2 * time.Second)
		var dirty []string
		for len(bot.nodes) > 0 {
			got := <-bot.nodes
			if child, ok := got.GetOptionalChildByTag("dirty"); ok && got.Tag == "ib" {
				kind := child.AttrGetter().String("type")
				if err := bot.MarkNotDirty(ctx, kind, child.AttrGetter().UnixTime("timestamp")); err != nil {
					t.Errorf("the client may not say that it has fetched %s: %v", kind, err)
				}
				dirty = append(dirty, kind)
			}
		}
		if want := []string{"account_sync", "groups"}; !slices.Equal(dirty, want) {
			t.Errorf("dirty are %q, want %q", dirty, want)
		}
	})
}

// These events may meet a device in its first minute, which then goes on after its next login.
func TestFirstMinuteBearsTrouble(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]func(*walinktest.Server, *walinktest.Phone, *client){
		"a restart before it": func(srv *walinktest.Server, _ *walinktest.Phone, _ *client) { srv.Restart() },
		"a restart amid it": func(srv *walinktest.Server, phone *walinktest.Phone, _ *client) {
			passToFirstMinute(phone, 0)
			srv.Restart()
		},
		"a login before it": func(_ *walinktest.Server, _ *walinktest.Phone, c *client) { c.ResetConnection() },
		"a lost connection": func(srv *walinktest.Server, _ *walinktest.Phone, _ *client) {
			srv.Script(walinktest.StageFirstMinute, walinktest.Drop())
		},
		"a scripted error": func(srv *walinktest.Server, _ *walinktest.Phone, _ *client) {
			srv.Script(walinktest.StageFirstMinute, walinktest.StreamError(503, ""))
		},
		"a device that sleeps": func(_ *walinktest.Server, _ *walinktest.Phone, c *client) {
			for _, passive := range []bool{true, false} {
				if err := c.SetPassive(c.tb.Context(), passive); err != nil {
					c.tb.Error(err)
				}
				pass(time.Minute)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, srv := t.Context(), walinktest.NewServer(t)
				phone := srv.NewPhone(number)
				bot := linked(ctx, t, srv, phone)
				synctest.Wait()
				trouble(srv, phone, bot)
				bot.settle()
				pass(time.Minute)
			})
		})
	}
}

// The phone still sends when the device is gone, and when the server ends.
func TestFirstMinuteEndsWithTheDeviceAndTheServer(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*walinktest.Server, *walinktest.Phone){
		"the device": func(srv *walinktest.Server, phone *walinktest.Phone) { remove(phone, srv.Devices()[0].JID) },
		"the phone":  func(srv *walinktest.Server, _ *walinktest.Phone) { synctest.Wait(); srv.NewPhone(number) },
		"the server": func(srv *walinktest.Server, _ *walinktest.Phone) { srv.Close() },
	} {
		for when, early := range map[string]time.Duration{"before": time.Microsecond, "amid": 0, "after": -time.Microsecond} {
			t.Run(name+" "+when, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					ctx, srv := t.Context(), walinktest.NewServer(t)
					phone := srv.NewPhone(number)
					if err := phone.SetHistory(); err != nil {
						t.Fatal(err)
					}
					bot := linked(ctx, t, srv, phone)
					passToFirstMinute(phone, early)
					end(srv, phone)
					pass(2 * time.Minute)
					if bot.IsConnected() {
						t.Error("the client is connected")
					}
				})
			})
		}
	}
}

// passToFirstMinute passes the time until a phone's device begins its first minute, or less by early: the server sends the
// 515 a millisecond after the link.
func passToFirstMinute(phone *walinktest.Phone, early time.Duration) {
	pass(time.Until(phone.LinkedDevices()[0].LinkedAt.Add(1008*time.Millisecond - early)))
}

// A connection that a later login has replaced takes no first minute away from that login.
func TestFirstMinuteIsForTheLatestLogin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		srv.Script(walinktest.StageFirstMinute, walinktest.Silence())
		bot := linked(ctx, t, srv, srv.NewPhone(number))
		pass(time.Minute)
		bot.leave()
		login(t, srv, bot.Store).send(activation())
		pass(950 * time.Millisecond) // the server closes the first connection only after its first minute was due
		second := login(t, srv, bot.Store)
		pass(time.Second)
		second.send(activation())
		for dirty := false; !dirty; {
			_, dirty = second.node("ib").GetOptionalChildByTag("dirty")
		}
	})
}

func TestSecondDeviceGetsAFirstMinuteToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		phone := srv.NewPhone(number, walinktest.WithPushName("Shop"))
		for _, bot := range []*client{linked(ctx, t, srv, phone), linked(ctx, t, srv, phone)} {
			bot.settle()
			if bot.Store.PushName != "Shop" {
				t.Errorf("the push name is %q", bot.Store.PushName)
			}
		}
	})
}

// The phone sends the key again to a device that has lost its session with it.
func TestUndecryptableKeyComesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		c.bot.say(ctx, c.owner.JID(), "hello") // begins the session
		reads(ctx, t, c.owner, "hello")
		write(ctx, t, c.owner, c.contact.JID(), "hi")
		c.bot.hears("hi")
		c.bot.forget()
		await[*events.UndecryptableMessage](c.bot)
		key := await[*events.Message](c.bot)
		if key.Info.Category != "peer" || key.RawMessage.GetProtocolMessage().GetAppStateSyncKeyShare() == nil {
			t.Errorf("the phone sends %+v in category %q", key.RawMessage, key.Info.Category)
		}
		c.bot.settle()
	})
}

// conversation returns a chat with texts, the newest first.
func conversation(with types.JID, texts ...string) *waHistorySync.Conversation {
	chat := &waHistorySync.Conversation{ID: new(with.String())}
	for i, said := range texts {
		chat.Messages = append(chat.Messages, &waHistorySync.HistorySyncMsg{Message: &waWeb.WebMessageInfo{
			Key:              &waCommon.MessageKey{RemoteJID: new(with.String()), FromMe: new(false), ID: &said},
			Message:          &waE2E.Message{Conversation: &said},
			MessageTimestamp: new(uint64(1000 - i)),
		}})
	}
	return chat
}

func TestHistoryArrives(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		srv := walinktest.NewServer(t)
		phone := srv.NewPhone(number)
		contact := srv.NewPhone(contactNumber, walinktest.WithPushName("Ana"))
		chat := conversation(contact.JID(), "third", "second", "first")
		chat.TcToken, chat.TcTokenTimestamp = []byte("a token"), new(uint64(time.Now().Unix()))
		if err := phone.SetHistory(chat); err != nil {
			t.Fatal(err)
		}
		other := linked(ctx, t, srv, phone)
		other.settle()
		bot := linked(ctx, t, srv, phone)
		type part struct {
			Kind  waHistorySync.HistorySync_HistorySyncType
			Texts []string
		}
		var got []part
		for range 3 {
			history := await[*events.HistorySync](bot).Data
			next := part{Kind: history.GetSyncType()}
			for _, conversation := range history.GetConversations() {
				for _, message := range conversation.GetMessages() {
					next.Texts = append(next.Texts, message.GetMessage().GetMessage().GetConversation())
				}
			}
			got = append(got, next)
		}
		want := []part{
			{waHistorySync.HistorySync_INITIAL_BOOTSTRAP, []string{"third"}},
			{waHistorySync.HistorySync_PUSH_NAME, nil},
			{waHistorySync.HistorySync_RECENT, []string{"second", "first"}},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		synctest.Wait()
		memory, _ := bot.Store.Contacts.(*memoryStore)
		if _, name, _ := memory.PutPushName(ctx, contact.JID(), ""); name != "Ana" {
			t.Errorf("the contact is called %q", name)
		}
		if token := memory.token(ctx, contact); string(token) != "a token" {
			t.Errorf("the client has the token %q", token)
		}
		if lid, _ := memory.GetLIDForPN(ctx, contact.JID()); lid != contact.LID() {
			t.Errorf("the contact has the hidden address %v", lid)
		}
		pass(2 * time.Minute) // whatsmeow waits for more
		for len(other.nodes) > 0 {
			if node := <-other.nodes; node.Tag == "receipt" {
				t.Errorf("the other device gets %s", node)
			}
		}
	})
}

func TestWrongHistoryIsRefused(t *testing.T) {
	t.Parallel()
	phone := walinktest.NewServer(t).NewPhone(number)
	for name, chat := range map[string]*waHistorySync.Conversation{
		"no chat":               nil,
		"a chat without an ID":  {},
		"a message without key": {ID: new(phone.JID().String()), Messages: []*waHistorySync.HistorySyncMsg{{Message: &waWeb.WebMessageInfo{}}}},
	} {
		if err := phone.SetHistory(chat); err == nil {
			t.Errorf("%s is history", name)
		}
	}
}

// token returns the token for an account, by either of its addresses.
func (m *memoryStore) token(ctx context.Context, phone *walinktest.Phone) []byte {
	for _, jid := range []types.JID{phone.LID(), phone.JID()} {
		if token, _ := m.GetPrivacyToken(ctx, jid); token != nil {
			return token.Token
		}
	}
	return nil
}
