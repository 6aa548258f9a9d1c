package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/walinktest"
)

const number = "+5511987654321"

// linked returns the path of a database with a session that phone has linked on srv.
func linked(t *testing.T, srv *walinktest.Server, phone *walinktest.Phone) string {
	t.Helper()
	db := filepath.Join(t.TempDir(), "bot.db")
	st, err := sqlite.Open(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	linker, err := walink.New(st, walink.Settings{HTTPClient: srv.HTTPClient()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = linker.Close() }()
	updates, err := linker.Link(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for update := range updates {
		switch e := update.(type) {
		case walink.QRCode:
			if err := phone.ScanQR(t.Context(), e.Payload); err != nil {
				t.Fatal(err)
			}
		case walink.Failed:
			t.Fatal(e.Err)
		case walink.Connecting, walink.PairingCode, walink.Withdrawn, walink.PasskeyRequired, walink.PasskeyConfirmation,
			walink.Paired, walink.Retrying, walink.Linked:
		}
	}
	return db
}

// People write to the bot, and read its answers in the same chat or group.
func TestBotAnswersWhereItIsAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := walinktest.NewServer(t)
		owner, contact, other := srv.NewPhone(number), srv.NewPhone("+5521912345678"), srv.NewPhone("+5531988887777")
		group := srv.NewGroup("Neighbours", contact, owner, other)
		db := linked(t, srv, owner)
		ctx, interrupt := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- run(ctx, db, walink.Settings{HTTPClient: srv.HTTPClient()}) }()
		bot := owner.LinkedDevices()[0].JID
		receive := func(phone *walinktest.Phone) (walinktest.Message, error) {
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			return phone.Receive(ctx)
		}
		reads := func(phone *walinktest.Phone, from, chat types.JID, text string) {
			t.Helper()
			got, err := receive(phone)
			if err != nil || got.From != from || got.Chat != chat || got.Text != text {
				t.Errorf("read %q from %v in %v, %v, want %q from %v in %v", got.Text, got.From, got.Chat, err, text, from, chat)
			}
		}
		silent := func(phone *walinktest.Phone) {
			t.Helper()
			if message, err := receive(phone); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("read %q from %v, %v, want nothing", message.Text, message.From, err)
			}
		}
		writes := func(phone *walinktest.Phone, to types.JID, content *waE2E.Message) {
			t.Helper()
			if _, err := phone.Send(ctx, to, content); err != nil {
				t.Fatal(err)
			}
		}

		for _, text := range []string{"hello", "is anybody there?"} {
			writes(contact, owner.JID(), &waE2E.Message{Conversation: &text})
			reads(contact, bot, owner.JID(), text)
		}
		writes(contact, owner.LID(), &waE2E.Message{ExtendedTextMessage: &waE2E.ExtendedTextMessage{Text: new("a link")}})
		reads(contact, bot, owner.JID(), "a link")
		writes(contact, group.JID(), &waE2E.Message{Conversation: new("to all")})
		reads(contact, bot, group.JID(), "to all")
		reads(other, contact.JID(), group.JID(), "to all")
		reads(other, bot, group.JID(), "to all")

		writes(contact, owner.JID(), &waE2E.Message{LocationMessage: &waE2E.LocationMessage{Name: new("no text")}})
		writes(owner, contact.JID(), &waE2E.Message{Conversation: new("from the owner")})
		reads(contact, owner.JID(), owner.JID(), "from the owner")
		silent(contact)
		interrupt()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted: %v", err)
		}
	})
}

func TestBotRunsUntilSomebodyHasToLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := walinktest.NewServer(t)
		phone := srv.NewPhone(number)
		db := linked(t, srv, phone)
		start := func(ctx context.Context) <-chan error {
			done := make(chan error, 1)
			go func() { done <- run(ctx, db, walink.Settings{Phone: number, HTTPClient: srv.HTTPClient()}) }()
			synctest.Wait() // until the bot waits for messages
			if devices := phone.LinkedDevices(); len(devices) != 1 || !devices[0].Online {
				t.Fatalf("the bot is not online: %+v", devices)
			}
			return done
		}

		ctx, interrupt := context.WithCancel(t.Context())
		done := start(ctx)
		interrupt()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted: %v", err)
		}

		ctx, interrupt = context.WithCancel(t.Context())
		done = start(ctx)
		online := func(want bool, when string) {
			if devices := phone.LinkedDevices(); len(devices) != 1 || devices[0].Online != want {
				t.Errorf("%s: %+v", when, devices)
			}
		}
		srv.Restart()
		time.Sleep(time.Minute)
		online(true, "after a restart of the server")
		if err := os.Rename(db, db+".away"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		online(false, "without its database")
		if err := os.Rename(db+".away", db); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		online(true, "with its database again")
		phone.Remove(phone.LinkedDevices()[0].JID)
		requests := srv.Stats().Connections
		time.Sleep(time.Minute)
		if srv.Stats().Connections == requests {
			t.Error("after a removal on the phone nobody is asked to link again")
		}
		interrupt()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted while it asks: %v", err)
		}
	})
}
