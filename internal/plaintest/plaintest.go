// Package plaintest links as a program does that knows nothing of walink.
package plaintest

import (
	"testing"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/walink/walink/walinktest"
)

// Link links a new device of a container to a phone, by QR code. It disconnects
// the device, closes the container, and returns the device's JID.
func Link(t *testing.T, srv *walinktest.Server, phone *walinktest.Phone, container *sqlstore.Container) types.JID {
	t.Helper()
	device := container.NewDevice()
	client := whatsmeow.NewClient(device, nil)
	client.SetPreLoginHTTPClient(srv.HTTPClient())
	client.SetWebsocketHTTPClient(srv.HTTPClient())
	codes, connected := make(chan string, 1), make(chan struct{})
	client.AddEventHandler(func(event any) {
		switch e := event.(type) {
		case *events.QR:
			codes <- e.Codes[0]
		case *events.Connected:
			close(connected)
		}
	})
	if err := client.ConnectContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := phone.ScanQR(t.Context(), <-codes); err != nil {
		t.Fatal(err)
	}
	<-connected
	client.Disconnect()
	if err := container.Close(); err != nil {
		t.Fatal(err)
	}
	return *device.ID
}
