package walinktest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waWa6"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"

	"github.com/walink/walink/walinktest"
)

func TestRemovedOnThePhone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		phone := srv.NewPhone(number)
		live, away := linked(ctx, t, srv, phone), linked(ctx, t, srv, phone)
		away.leave()
		awayID := *away.Store.ID
		if !remove(phone, *live.Store.ID) || !phone.Remove(awayID) || phone.Remove(awayID) {
			t.Error("Remove does not know what is linked")
		}
		if event := await[*events.LoggedOut](live); event.OnConnect {
			t.Error("the live device was logged out on connect")
		}
		away.connect()
		if event := await[*events.LoggedOut](away); !event.OnConnect || event.Reason != events.ConnectFailureLoggedOut {
			t.Errorf("the offline device got %+v", event)
		}
		if left := phone.LinkedDevices(); len(left) != 0 {
			t.Errorf("still linked: %v", left)
		}
	})
}

func TestRemovalByStreamError516(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		phone := srv.NewPhone(number)
		c := linked(ctx, t, srv, phone)
		srv.Script(walinktest.StageRemoval, walinktest.StreamError(516, ""))
		if !remove(phone, *c.Store.ID) {
			t.Error("Remove does not know what is linked")
		}
		if event := await[*events.StreamError](c); event.Code != "516" {
			t.Errorf("the stream ends with %q", event.Code)
		}
		if event := await[*events.LoggedOut](c); !event.OnConnect { // after whatsmeow's own reconnect
			t.Errorf("the device got %+v", event)
		}
	})
}

func TestNewInstallationRemovesDevices(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		c := linked(ctx, t, srv, srv.NewPhone(number))
		srv.NewPhone(number)
		await[*events.LoggedOut](c)
	})
}

func TestSecondLoginReplacesTheFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		first := linked(ctx, t, srv, srv.NewPhone(number))
		device := *first.Store
		second := clientOf(t, srv, &device)
		second.connect()
		await[*events.Connected](second)
		await[*events.StreamReplaced](first)
		if n := srv.Stats().Replaced; n != 1 {
			t.Errorf("%d connections were replaced, want 1", n)
		}
		pass(time.Minute)
		if !second.IsLoggedIn() || first.IsConnected() {
			t.Error("the first is still connected, or the second is not logged in")
		}
	})
}

func TestRestartKeepsDevices(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		phone := srv.NewPhone(number)
		c := linked(ctx, t, srv, phone)
		waiting, codes := connected(t, srv)
		code := waiting.code()
		srv.Restart()
		await[*events.Disconnected](c)
		await[*events.Connected](c) // whatsmeow's own reconnect
		await[*events.Disconnected](waiting)
		wantSays(t, phone.ScanQR(ctx, codes[0]), walinktest.ErrStaleQR)
		wantSays(t, phone.EnterCode(ctx, code), walinktest.ErrCodeExpired)
		if devices := srv.Devices(); len(devices) != 1 || devices[0].Logins != 2 {
			t.Errorf("devices: %+v", devices)
		}
	})
}

func TestLogout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		c := linked(ctx, t, srv, srv.NewPhone(number))
		if err := c.Logout(ctx); err != nil {
			t.Fatal(err)
		}
		if devices := srv.Devices(); len(devices) != 0 {
			t.Errorf("devices: %+v", devices)
		}
	})
}

func TestOutdatedClientFindsTheVersion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		required := store.WAVersionContainer{2, 3000, store.GetWAVersion()[2] + 1}
		srv.RequireVersion(required)
		c := newClient(t, srv)
		c.connect()
		await[*events.ClientOutdated](c)
		c.leave()

		version, err := whatsmeow.GetLatestVersion(ctx, srv.HTTPClient())
		if err != nil || *version != required {
			t.Fatalf("the page names %v, %v", version, err)
		}
		c.GetClientPayload = func() *waWa6.ClientPayload {
			payload := proto.CloneOf(c.Store.GetClientPayload())
			payload.UserAgent.AppVersion = version.ProtoAppVersion()
			return payload
		}
		c.connect()
		await[*events.QR](c)
		if stats := srv.Stats(); stats.LastVersion != required || stats.VersionRequests != 1 {
			t.Errorf("stats: %+v", stats)
		}
	})
}

func TestUnknownIQIsAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		c := linked(ctx, t, srv, srv.NewPhone(number))
		began := time.Now()
		if _, err := c.GetBlocklist(ctx); err == nil {
			t.Error("the server has a block list")
		}
		if time.Since(began) > time.Second {
			t.Error("no answer")
		}
	})
}
