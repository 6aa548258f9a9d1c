package walinktest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/walink/walink/walinktest"
)

func TestRestoredDeviceLogsIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		earlier, err := walinktest.Start()
		if err != nil {
			t.Fatal(err)
		}
		c := linked(ctx, t, earlier, earlier.NewPhone(number))
		c.leave()
		earlier.Close()

		phone := srv.NewPhone(number)
		if err := phone.Restore(ctx, c.Store); err != nil {
			t.Fatal(err)
		}
		c.SetPreLoginHTTPClient(srv.HTTPClient())
		c.SetWebsocketHTTPClient(srv.HTTPClient())
		c.connect()
		await[*events.Connected](c)
		devices := phone.LinkedDevices()
		if len(devices) != 1 || devices[0].JID != *c.Store.ID || !devices[0].Online || devices[0].PreKeys != whatsmeow.MinPreKeyCount {
			t.Errorf("linked devices %+v", devices)
		}
		drain(c.nodes)
		pass(time.Minute)
		if node, ok := unasked(c.nodes); ok {
			t.Errorf("a restored device gets %s", node)
		}
		contact := srv.NewPhone(contactNumber)
		write(ctx, t, contact, phone.JID(), "hello")
		c.hears("hello")
		c.say(ctx, contact.JID(), "and to you")
		reads(ctx, t, contact, "and to you")
		if second := linked(ctx, t, srv, phone); second.Store.ID.Device != 2 {
			t.Errorf("the next device has number %d, want 2", second.Store.ID.Device)
		}
	})
}

func TestRestoreRefusesStrangers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		phone := srv.NewPhone(number)
		c := linked(ctx, t, srv, phone)
		genuine := *c.Store
		genuine.LID.User = "123456789012345"
		bare := *c.Store
		bare.SignedPreKey = nil
		for name, test := range map[string]struct {
			phone  *walinktest.Phone
			device *store.Device
		}{
			"not linked":         {phone, memoryDevice()},
			"linked already":     {phone, c.Store},
			"of another number":  {srv.NewPhone("+5511987654322"), c.Store},
			"linked at WhatsApp": {phone, &genuine},
			"without its keys":   {phone, &bare},
		} {
			if err := test.phone.Restore(ctx, test.device); err == nil {
				t.Errorf("a device that is %s was restored", name)
			}
		}
		if devices := srv.Devices(); len(devices) != 1 {
			t.Errorf("linked devices %+v", devices)
		}
	})
}
