// Command bot answers each text message with the same text. It links if there is no session yet, and runs until Ctrl-C:
//
//	go run ./examples/bot -phone "+55 11 98765-4321"
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/walink/walink"
	"github.com/walink/walink/qr"
	"github.com/walink/walink/store/sqlite"
)

func main() {
	phone := flag.String("phone", "", "link by pairing code instead of QR code, with the account of this `number`")
	db := flag.String("db", "walink.db", "the `file` that keeps the session")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *db, walink.Settings{Phone: *phone, PreferPairingCode: *phone != "", QRFallback: true})
	interrupted := ctx.Err() != nil
	if stop(); err != nil && !interrupted {
		log.Fatal(err)
	}
}

// run links and answers until ctx ends, or WhatsApp ends the session.
func run(ctx context.Context, db string, settings walink.Settings) error {
	st, err := sqlite.Open(ctx, db)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	var session context.Context // ends when WhatsApp ends the session of the latest client
	settings.OnClient = func(client *whatsmeow.Client) {
		ctx, end := context.WithCancelCause(ctx)
		session = ctx
		client.AddEventHandler(func(event any) { handle(ctx, end, client, event) })
	}
	linker, err := walink.New(st, settings)
	if err != nil {
		return err
	}
	defer func() { _ = linker.Close() }()
	updates, err := linker.Link(ctx)
	if err != nil {
		return err
	}
	for update := range updates {
		switch e := update.(type) {
		case walink.PairingCode:
			fmt.Println("On the phone open Linked devices, Link a device, Link with phone number instead, and enter", e.Code)
		case walink.QRCode:
			fmt.Println("On the phone open Linked devices, Link a device, and scan the newest code, which is below this line:")
			_ = qr.Terminal(os.Stdout, e.Payload)
		case walink.Linked:
			fmt.Println("Connected as", e.Account.Phone.International(), "- Ctrl-C stops.")
			<-session.Done() // a lost connection does not end the session: whatsmeow reconnects
			return context.Cause(session)
		case walink.Failed:
			return fmt.Errorf("%w. %s", e.Err, e.Err.Remedy())
		case walink.Connecting, walink.Withdrawn, walink.PasskeyRequired, walink.PasskeyConfirmation, walink.Paired,
			walink.Retrying, walink.Disconnected, walink.Reconnected, walink.Standby:
			fmt.Println(e)
		}
	}
	return nil
}

// handle answers messages, and calls end when WhatsApp ends the session.
func handle(ctx context.Context, end context.CancelCauseFunc, client *whatsmeow.Client, event any) {
	switch e := event.(type) {
	case *events.Message:
		text := e.Message.GetConversation() + e.Message.GetExtendedTextMessage().GetText()
		if text == "" || e.Info.IsFromMe || e.Info.IsGroup || e.Info.IsIncomingBroadcast() {
			return
		}
		if _, err := client.SendMessage(ctx, e.Info.Chat, &waE2E.Message{Conversation: &text}); err != nil {
			log.Print("not answered: ", err)
		}
	case *events.LoggedOut:
		end(errors.New("the phone has logged this device out: start the bot again to link again"))
	case *events.StreamReplaced:
		end(errors.New("another program has connected with this session: stop one of the two"))
	case events.PermanentDisconnect: // such as a ban, after which whatsmeow does not reconnect
		end(errors.New("WhatsApp has ended the session: " + e.PermanentDisconnectDescription()))
	}
}
