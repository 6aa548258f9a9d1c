package walinktest_test

import (
	"context"
	"fmt"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types/events"
	waLog "go.mau.fi/whatsmeow/util/log"

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
