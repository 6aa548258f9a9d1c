package walinktest_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types/events"
	waLog "go.mau.fi/whatsmeow/util/log"

	"github.com/walink/walink"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/walinktest"
)

// Plain whatsmeow links by pairing code, without a real phone and without a network.
func Example() {
	ctx := context.Background()
	srv, err := walinktest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	phone := srv.NewPhone("+55 11 98765-4321")

	client := whatsmeow.NewClient(memoryDevice(), waLog.Noop) // any store.Device
	client.SetPreLoginHTTPClient(srv.HTTPClient())
	client.SetWebsocketHTTPClient(srv.HTTPClient())
	ready, connected := make(chan struct{}), make(chan struct{})
	client.AddEventHandler(func(event any) {
		switch event.(type) {
		case *events.QR:
			close(ready)
		case *events.Connected:
			close(connected)
		}
	})
	if err := client.Connect(); err != nil {
		fmt.Println(err)
		return
	}
	defer client.Disconnect()
	<-ready
	code, err := client.PairPhone(ctx, "5511987654321", true, whatsmeow.PairClientChrome, "Chrome (Linux)")
	if err != nil {
		fmt.Println(err)
		return
	}

	fmt.Println("a wrong code:", phone.EnterCode(ctx, "ABCD-EFG"))
	fmt.Println("the code:", phone.EnterCode(ctx, code))
	<-connected
	for _, device := range phone.LinkedDevices() {
		fmt.Println("linked:", device.OS, device.JID)
	}
	// Output:
	// a wrong code: Wrong code. Check the code on your other device and try again.
	// the code: <nil>
	// linked: whatsmeow 5511987654321:1@s.whatsapp.net
}

// A test of a bot that is made with walink: a person writes to the bot and reads its answer. In a
// test, NewServer(t) takes the place of Start and Close, and t.Fatal that of check.
func ExamplePhone_SendText() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	srv, err := walinktest.Start()
	check(err)
	defer srv.Close()
	owner, ana := srv.NewPhone("+55 11 98765-4321"), srv.NewPhone("+55 21 91234-5678", walinktest.WithPushName("Ana"))

	linker, err := walink.New(kv.New(memory.New()), walink.Settings{HTTPClient: srv.HTTPClient(), OnClient: greeter})
	check(err)
	defer linker.Close() //nolint:errcheck // it always returns nil
	updates, err := linker.Link(ctx)
	check(err)
	for update := range updates { // until the bot is linked
		if qr, ok := update.(walink.QRCode); ok {
			check(owner.ScanQR(ctx, qr.Payload))
		}
	}

	_, err = ana.SendText(ctx, owner.JID(), "Good morning")
	check(err)
	answer, err := ana.Receive(ctx)
	fmt.Println(answer.From, answer.Text, err)
	// Output: 5511987654321:1@s.whatsapp.net Hello, Ana! <nil>
}

// greeter is the bot.
func greeter(client *whatsmeow.Client) {
	client.AddEventHandler(func(event any) {
		if message, ok := event.(*events.Message); ok && !message.Info.IsFromMe {
			answer := &waE2E.Message{Conversation: new("Hello, " + message.Info.PushName + "!")}
			if _, err := client.SendMessage(context.Background(), message.Info.Chat, answer); err != nil {
				log.Print("not answered: ", err)
			}
		}
	})
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
