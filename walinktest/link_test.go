package walinktest_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/walink/walink/walinktest"
)

func TestPlainWhatsmeowLinksByCode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		phone := srv.NewPhone(number, walinktest.WithBusinessName("Padaria"), walinktest.WithPlatform("iphone"))
		c := clientOf(t, srv, sqliteDevice(t))
		c.connect()
		await[*events.QR](c)
		code := c.code()

		want := []walinktest.Companion{{
			OS: "whatsmeow", Platform: "UNKNOWN", Version: store.GetWAVersion(),
			Number: "5511987654321", PlatformID: "1", DisplayName: "Chrome (Linux)", Push: true,
		}}
		if diff := cmp.Diff(want, srv.Companions()); diff != "" {
			t.Errorf("waiting (-want +got):\n%s", diff)
		}
		if err := phone.EnterCode(ctx, strings.ToLower(strings.ReplaceAll(code, "-", ""))); err != nil {
			t.Fatal(err)
		}
		success := await[*events.PairSuccess](c)
		if success.BusinessName != "Padaria" || success.Platform != "iphone" {
			t.Errorf("paired with %q on %q", success.BusinessName, success.Platform)
		}
		await[*events.Connected](c)

		jid, lid := phone.JID(), phone.LID()
		jid.Device, lid.Device = 1, 1
		devices := []walinktest.Device{{
			JID: jid, LID: lid, OS: "whatsmeow", Platform: "UNKNOWN", Online: true, Logins: 1, PreKeys: 812,
		}}
		if diff := cmp.Diff(devices, phone.LinkedDevices(), cmpopts.IgnoreFields(walinktest.Device{}, "LinkedAt")); diff != "" {
			t.Errorf("linked (-want +got):\n%s", diff)
		}
		stats := walinktest.Stats{Connections: 2, Logins: 1, CodeRequests: 1, LastVersion: store.GetWAVersion()}
		if diff := cmp.Diff(stats, srv.Stats()); diff != "" {
			t.Errorf("stats (-want +got):\n%s", diff)
		}
		if n := srv.CodeRequests("5511987654321"); n != 1 {
			t.Errorf("%d code requests", n)
		}
		if *c.Store.ID != jid || c.Store.LID != lid {
			t.Errorf("the client is %s %s, want %s %s", c.Store.ID, c.Store.LID, jid, lid)
		}
		contact := srv.NewPhone(contactNumber)
		write(ctx, t, contact, phone.JID(), "hello")
		c.say(ctx, c.hears("hello").Info.Chat, "and to you")
		reads(ctx, t, contact, "and to you")
		if waiting := srv.Companions(); len(waiting) != 0 {
			t.Errorf("still waiting: %v", waiting)
		}
	})
}

func TestPlainWhatsmeowLinksByQR(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		phone := srv.NewPhone(number)
		first, second := linked(ctx, t, srv, phone), linked(ctx, t, srv, phone)
		if first.Store.ID.Device != 1 || second.Store.ID.Device != 2 {
			t.Errorf("device numbers %d and %d", first.Store.ID.Device, second.Store.ID.Device)
		}
		pass(5 * time.Minute) // keepalives
		if !first.IsLoggedIn() || !second.IsLoggedIn() || len(srv.Devices()) != 2 {
			t.Error("a device was lost")
		}
	})
}

func TestQRPayloadWithoutPrefix(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		c, codes := connected(t, srv)
		_, bare, _ := strings.Cut(codes[3], "#")
		wantSays(t, srv.NewPhone(number).ScanQR(ctx, bare), nil)
		await[*events.Connected](c)
	})
}

func TestQRPayloadWithoutClientTypeIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		_, codes := connected(t, srv)
		four := codes[0][:strings.LastIndex(codes[0], ",")]
		for _, payload := range []string{four, four + ",", codes[0] + ",1"} {
			wantSays(t, srv.NewPhone(number).ScanQR(ctx, payload), walinktest.ErrNotAQR)
		}
	})
}

func TestManyLinkAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		const count = 8
		done := make(chan error, count)
		clients := make([]*client, count)
		for i := range clients {
			c, codes := connected(t, srv)
			clients[i] = c
			phone := srv.NewPhone("+551198765432" + string(rune('0'+i)))
			go func() { done <- phone.ScanQR(ctx, codes[0]) }()
		}
		for range clients {
			wantSays(t, <-done, nil)
		}
		for _, c := range clients {
			await[*events.Connected](c)
		}
	})
}

// foreignTB is the TB of a framework other than package testing.
type foreignTB struct {
	ctx      context.Context
	cleanups []func()
}

func (*foreignTB) Helper()                     {}
func (*foreignTB) Fatalf(string, ...any)       { panic("the server does not start") }
func (tb *foreignTB) Cleanup(f func())         { tb.cleanups = append(tb.cleanups, f) }
func (tb *foreignTB) Context() context.Context { return tb.ctx }

func TestServerEndsWithTheTestOfAnotherFramework(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tb := &foreignTB{ctx: t.Context()}
		srv := walinktest.NewServer(tb)
		connected(t, srv)
		for _, cleanup := range tb.cleanups {
			cleanup()
		}
		if err := newClient(t, srv).Connect(); err == nil {
			t.Error("the server still runs")
		}
	})
}

func TestLinksOverLoopback(t *testing.T) {
	t.Parallel()
	srv := walinktest.NewServer(t)
	address, err := srv.Listen("127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	c := plainClient(t, walinktest.RemoteClient(address, srv.RootKey()), memoryDevice())
	defer c.Disconnect()
	c.connect()
	if err := srv.NewPhone(number).ScanQR(t.Context(), receive[*events.QR](c).Codes[0]); err != nil {
		t.Fatal(err)
	}
	receive[*events.Connected](c)
}

func TestListenAnswersAfterTheLatency(t *testing.T) {
	t.Parallel()
	const latency = 20 * time.Millisecond
	srv := walinktest.NewServer(t)
	address, err := srv.Listen("127.0.0.1:0", latency)
	if err != nil {
		t.Fatal(err)
	}
	c := plainClient(t, walinktest.RemoteClient(address, srv.RootKey()), memoryDevice())
	defer c.Disconnect()
	began := time.Now()
	c.connect()
	receive[*events.QR](c)
	if took := time.Since(began); took < 3*latency { // the upgrade, the hello and the finish
		t.Errorf("the refs came after %s", took)
	}
	began = time.Now()
	if err := c.SetPassive(t.Context(), false); err == nil || time.Since(began) < latency {
		t.Errorf("an answer came after %s: %v", time.Since(began), err)
	}
}

// TestRemoteClientChangesWhomWhatsmeowTrusts is not parallel, so it runs before all tests
// with clients: it changes a variable of the process.
func TestRemoteClientChangesWhomWhatsmeowTrusts(t *testing.T) { //nolint:paralleltest // see above
	srv := walinktest.NewServer(t)
	for _, key := range [][32]byte{{1}, srv.RootKey()} {
		walinktest.RemoteClient("127.0.0.1:1", key)
		if whatsmeow.WACertPubKey != key {
			t.Fatal("RemoteClient's key is not trusted")
		}
	}
}
