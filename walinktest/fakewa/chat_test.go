package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/appstate"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waHistorySync"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/walink/walink"
	"github.com/walink/walink/walinktest"
)

const contactNumber = "5521912345678"

// wrote has a phone send a text, and returns the message's id.
func (f *fake) wrote(number, to, text string) string {
	f.tb.Helper()
	return f.call("POST", "/phones/"+number+"/messages", `{"to": "`+to+`", "text": "`+text+`"}`, 201).ID
}

// reads checks the next message of a phone.
func (f *fake) reads(number string, want walinktest.Message) {
	f.tb.Helper()
	got := f.call("GET", "/phones/"+number+"/messages?wait=10s", "", 200).Messages
	if len(got) != 1 {
		f.tb.Fatalf("read %+v, want one message", got)
	}
	first := got[0].Message
	if first.ID == "" || first.From != want.From || first.Chat != want.Chat || first.Text != want.Text {
		f.tb.Errorf("read %+v, want %+v", first, want)
	}
	if content := `{"conversation":"` + want.Text + `"}`; string(got[0].Content) != content {
		f.tb.Errorf("read %s, want %s", got[0].Content, content)
	}
}

// A bot in this process answers phones of the command, which know it by each kind of address.
func TestMessagesReachABotAndItsAnswersComeBack(t *testing.T) {
	t.Parallel()
	f := start(t)
	account := f.call("POST", "/phones", quoted("number", number), 201)
	body := `{"name": "All", "phones": ["` + contactNumber + `", "+` + number + `"]}`
	group, err := types.ParseJID(f.call("POST", "/groups", body, 201).JID)
	if err != nil || group.Server != types.GroupServer {
		t.Fatalf("the group is %v, %v", group, err)
	}
	heard := make(chan types.MessageInfo, 10)
	updates := f.link(walink.Settings{OnClient: func(client *whatsmeow.Client) {
		client.AddEventHandler(func(event any) {
			message, ok := event.(*events.Message)
			if !ok || message.Message.GetConversation() == "" { // such as a key of a group
				return
			}
			heard <- message.Info
			answer := &waE2E.Message{Conversation: new("answer " + message.Message.GetConversation())}
			_, _ = client.SendMessage(t.Context(), message.Info.Chat, answer) // the end of the test may overtake its return
		})
	}})
	linked := f.call("POST", "/phones/"+number+"/qr", quoted("payload", await[walink.QRCode](t, updates).Payload), 200)
	await[walink.Linked](t, updates)
	bot, owner := linked.Devices[0].JID, types.NewJID(number, types.DefaultUserServer)
	for _, to := range []string{number, "+55 (11) 98765-4321", account.JID, account.LID, group.String()} {
		chat := owner
		if to == group.String() {
			chat = group
		}
		id := f.wrote(contactNumber, to, "to "+to)
		f.reads(contactNumber, walinktest.Message{From: bot, Chat: chat, Text: "answer to " + to})
		if info := <-heard; info.ID != id || info.IsGroup != (chat == group) {
			t.Errorf("the bot heard %+v, want the message %s to %s", info, id, to)
		}
	}
}

// A linked device learns the account's name and its history, and its presence is in the list of devices.
func TestLinkedDevicesGetAFirstMinute(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.call("POST", "/phones", `{"number": "`+number+`", "pushName": "Shop"}`, 201)
	f.call("POST", "/phones/"+number+"/history", `{"conversations": [{"ID": "`+contactNumber+`@s.whatsapp.net",
		"messages": [{"message": {"key": {"ID": "1"}, "message": {"conversation": "hello"}}}]}]}`, 200)
	named, history := make(chan error, 1), make(chan *waHistorySync.HistorySync, 3)
	media, err := walinktest.FakewaClient(t.Context(), f.Control)
	if err != nil {
		t.Fatal(err)
	}
	updates := f.link(walink.Settings{OnClient: func(client *whatsmeow.Client) {
		client.SetMediaHTTPClient(media)
		client.AddEventHandler(func(event any) {
			switch e := event.(type) {
			case *events.AppStateSyncComplete:
				if e.Name == appstate.WAPatchCriticalBlock && client.Store.PushName == "Shop" {
					err := client.SendPresence(t.Context(), types.PresenceAvailable)
					_, answered := client.TryFetchPrivacySettings(t.Context(), true) // the server has read the presence
					named <- errors.Join(err, answered)
				}
			case *events.HistorySync:
				history <- e.Data
			}
		})
	}})
	f.call("POST", "/phones/"+number+"/qr", quoted("payload", await[walink.QRCode](t, updates).Payload), 200)
	if err := <-named; err != nil {
		t.Error(err)
	}
	newest := (<-history).GetConversations()[0].GetMessages()[0]
	if said := newest.GetMessage().GetMessage().GetConversation(); said != "hello" {
		t.Errorf("the newest message is %q", said)
	}
	if devices := f.call("GET", "/phones/"+number+"/devices", "", 200).Devices; devices[0].Presence != types.PresenceAvailable {
		t.Errorf("the devices are %+v", devices)
	}
}

// A phone gets all that has come since it was asked last, oldest first, and does not wait then.
func TestMessagesCome(t *testing.T) {
	t.Parallel()
	f := start(t)
	path := "/phones/" + contactNumber + "/messages"
	if none := f.call("GET", path+"?wait=1ms", "", 200).Messages; none == nil || len(none) != 0 {
		t.Errorf("read %+v before anybody has written", none)
	}
	var sent, got []string
	for range 3 {
		sent = append(sent, f.wrote(number, contactNumber, "hello"))
	}
	for len(got) < len(sent) {
		messages := f.call("GET", path+"?wait=10m", "", 200).Messages
		if len(messages) == 0 {
			t.Fatal("no message after ten minutes")
		}
		for _, message := range messages {
			got = append(got, message.ID)
		}
	}
	if !slices.Equal(got, sent) {
		t.Errorf("read %v, want %v", got, sent)
	}
	if again := f.call("GET", path, "", 200).Messages; len(again) != 0 {
		t.Errorf("read %+v a second time", again)
	}
}

func TestMessagesToNobodyAreRefused(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.call("POST", "/phones", quoted("number", number), 201)
	group := f.call("POST", "/groups", `{"name": "Others", "phones": ["`+number+`"]}`, 201).JID
	for to, want := range map[string]walinktest.Refusal{
		"5531900000000":              walinktest.ErrNoAccount,
		"5531900000000@example":      walinktest.ErrNoAccount,
		"123456789012345@lid":        walinktest.ErrNoAccount,
		number + ":7@s.whatsapp.net": walinktest.ErrNoDevice,
		"120363999999999999@g.us":    walinktest.ErrNoGroup,
		group:                        walinktest.ErrNotMember,
	} {
		body := `{"to": "` + to + `", "text": "hello"}`
		a := f.call("POST", "/phones/"+contactNumber+"/messages", body, 409)
		if a.Reason != "refused" || a.Said != want.Error() {
			t.Errorf("to %s: %q %q, want %q", to, a.Reason, a.Said, want)
		}
	}
}

func TestEndsWhileAPhoneWaitsForMessages(t *testing.T) {
	t.Parallel()
	c := &control{srv: walinktest.NewServer(t), phones: make(map[string]*walinktest.Phone)}
	ended, end := context.WithCancel(t.Context())
	end()
	request := httptest.NewRequestWithContext(ended, "GET", "/phones/"+number+"/messages?wait=10m", nil)
	answer := httptest.NewRecorder()
	c.handler().ServeHTTP(answer, request)
	if answer.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d: %s", answer.Code, answer.Body)
	}
}
