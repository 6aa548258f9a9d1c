// Command bot answers each text message with the same text, in the chat or group in which the message came. It links if
// there is no session, and runs until Ctrl-C. All contacts and groups of the account get answers: use a test account.
//
//	go run ./examples/bot -phone "+55 11 98765-4321"
package main

import (
	"context"
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

// run links and answers until ctx ends, or somebody has to look at the session.
func run(ctx context.Context, db string, settings walink.Settings) error {
	st, err := sqlite.Open(ctx, db)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	settings.OnClient = func(client *whatsmeow.Client) {
		client.AddEventHandler(func(event any) { handle(ctx, client, event) })
	}
	linker, err := walink.New(st, settings)
	if err != nil {
		return err
	}
	defer func() { _ = linker.Close() }()
	updates, err := linker.Supervise(ctx)
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
		case walink.Failed:
			return fmt.Errorf("%w. %s", e.Err, e.Err.Remedy())
		case walink.Connecting, walink.Withdrawn, walink.PasskeyRequired, walink.PasskeyConfirmation, walink.Paired,
			walink.Retrying, walink.Disconnected, walink.Reconnected, walink.Standby:
			fmt.Println(e)
		}
	}
	return nil
}

// handle answers the messages of other people, but not broadcasts such as status updates.
func handle(ctx context.Context, client *whatsmeow.Client, event any) {
	message, ok := event.(*events.Message)
	if !ok {
		return
	}
	text := message.Message.GetConversation() + message.Message.GetExtendedTextMessage().GetText()
	if text == "" || message.Info.IsFromMe || message.Info.IsIncomingBroadcast() {
		return
	}
	if _, err := client.SendMessage(ctx, message.Info.Chat, &waE2E.Message{Conversation: &text}); err != nil {
		log.Print("not answered: ", err)
	}
}
