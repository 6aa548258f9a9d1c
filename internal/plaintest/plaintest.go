// Package plaintest tests the way from plain whatsmeow to walink: it links a
// device without walink, and resumes a session with walink.
package plaintest

import (
	"testing"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/walink/walink"
	"github.com/walink/walink/store"
	"github.com/walink/walink/walinktest"
)

// Link links a new device of a container to a phone by QR code, with plain
// whatsmeow. It disconnects the device, closes the container, and returns the
// device's JID.
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

// Resumes fails the test unless a Linker resumes the session "shop" of st, as
// the device jid, without a new link. It closes the Linker.
func Resumes(t *testing.T, srv *walinktest.Server, st store.Store, jid types.JID) {
	t.Helper()
	linker, err := walink.New(st, walink.Settings{Session: "shop", HTTPClient: srv.HTTPClient()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := linker.Close(); err != nil {
			t.Error(err)
		}
	}()
	events, err := linker.Link(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var last walink.Event
	for last = range events {
		if code, ok := last.(walink.QRCode); ok {
			t.Fatalf("a new link is wanted: %v", code)
		}
	}
	linked, ok := last.(walink.Linked)
	if !ok || !linked.Resumed || linked.Account.JID != jid {
		t.Fatalf("the Link ended with %v, want resumed as %s", last, jid)
	}
	if err := linker.Client().SetPassive(t.Context(), false); err != nil {
		t.Errorf("the client is not usable: %v", err)
	}
}
