package walinktest_test

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	waLog "go.mau.fi/whatsmeow/util/log"
	_ "modernc.org/sqlite"

	"github.com/walink/walink/walinktest"
)

const number = "+5511987654321"

// client is plain whatsmeow. Its events and inbound nodes go into channels.
type client struct {
	*whatsmeow.Client
	tb     testing.TB
	events chan any
	nodes  chan *waBinary.Node
}

func newClient(tb testing.TB, srv *walinktest.Server) *client {
	tb.Helper()
	return clientOf(tb, srv, memoryDevice())
}

// clientOf returns a client for device. Call it in a bubble.
func clientOf(tb testing.TB, srv *walinktest.Server, device *store.Device) *client {
	tb.Helper()
	c := plainClient(tb, srv.HTTPClient(), device)
	tb.Cleanup(func() {
		pass(100 * time.Millisecond) // see "Disconnecting in a bubble" in the package comment
		c.leave()
	})
	return c
}

// leave disconnects in a bubble, once all goroutines wait: NoiseSocket.Stop in
// socket/noisesocket.go writes FrameSocket.OnDisconnect without the lock under which
// FrameSocket.Close reads it. Delete when whatsmeow guards that field.
func (c *client) leave() {
	synctest.Wait()
	c.Disconnect()
}

// plainClient returns a client that the caller has to disconnect.
func plainClient(tb testing.TB, by *http.Client, device *store.Device) *client {
	tb.Helper()
	c := &client{tb: tb, events: make(chan any, 1000), nodes: make(chan *waBinary.Node, 1000)}
	c.Client = whatsmeow.NewClient(device, tap{nodes: c.nodes})
	c.SetPreLoginHTTPClient(by)
	c.SetWebsocketHTTPClient(by)
	c.SetMediaHTTPClient(by)
	c.AddEventHandler(func(event any) { c.events <- event })
	return c
}

// connected returns a client that has connected and shows its QR codes.
func connected(tb testing.TB, srv *walinktest.Server) (*client, []string) {
	tb.Helper()
	c := newClient(tb, srv)
	c.connect()
	return c, await[*events.QR](c).Codes
}

// linked returns a client that is linked to phone and logged in.
func linked(ctx context.Context, tb testing.TB, srv *walinktest.Server, phone *walinktest.Phone) *client {
	tb.Helper()
	c, codes := connected(tb, srv)
	if err := phone.ScanQR(ctx, codes[0]); err != nil {
		tb.Fatal(err)
	}
	await[*events.Connected](c)
	return c
}

func (c *client) connect() {
	c.tb.Helper()
	if err := c.Connect(); err != nil {
		c.tb.Fatal(err)
	}
}

// pairPhone requests a pairing code as whatsmeow's documentation says.
func (c *client) pairPhone() (string, error) {
	return c.PairPhone(c.tb.Context(), number, true, whatsmeow.PairClientChrome, "Chrome (Linux)")
}

// code calls pairPhone, which must succeed.
func (c *client) code() string {
	c.tb.Helper()
	code, err := c.pairPhone()
	if err != nil {
		c.tb.Fatal(err)
	}
	return code
}

// receive returns the next event of type T, and skips others. It knows no clock, and is
// for tests outside bubbles.
func receive[T any](c *client) T {
	for {
		if wanted, ok := (<-c.events).(T); ok {
			return wanted
		}
	}
}

// await returns the next event of type T in a bubble, and skips others.
func await[T any](c *client) T {
	c.tb.Helper()
	wanted, ok := next[T](c, 10*time.Minute)
	if !ok {
		c.tb.Fatalf("no %T", wanted)
	}
	return wanted
}

// next returns the next event of type T, if one comes within d of a bubble's time.
func next[T any](c *client, d time.Duration) (T, bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case event := <-c.events:
			if wanted, ok := event.(T); ok {
				return wanted, true
			}
		case <-timer.C:
			var none T
			return none, false
		}
	}
}

// remove removes a device on its phone when its client has handled all that came: whatsmeow
// deletes a device without a lock.
func remove(phone *walinktest.Phone, device types.JID) bool {
	synctest.Wait()
	return phone.Remove(device)
}

// pass lets d of a bubble's time go by.
func pass(d time.Duration) { <-time.After(d) }

// wantSays checks what the phone says.
func wantSays(tb testing.TB, got, want error) {
	tb.Helper()
	if !errors.Is(got, want) {
		tb.Errorf("the phone says %q, want %q", got, want)
	}
}

// tap is a logger that sends the nodes that whatsmeow receives into a channel.
type tap struct {
	waLog.Logger
	nodes chan<- *waBinary.Node
	recv  bool
}

func (l tap) Warnf(string, ...any)  {}
func (l tap) Errorf(string, ...any) {}
func (l tap) Infof(string, ...any)  {}

func (l tap) Debugf(_ string, args ...any) {
	if l.recv && len(args) == 1 {
		if node, ok := args[0].(*waBinary.Node); ok {
			l.nodes <- node
		}
	}
}

func (l tap) Sub(module string) waLog.Logger { return tap{nodes: l.nodes, recv: module == "Recv"} }

// sqliteDevice returns a new device of whatsmeow's own store.
func sqliteDevice(tb testing.TB) *store.Device {
	tb.Helper()
	db, err := sql.Open("sqlite", "file::memory:?_pragma=foreign_keys(1)")
	if err != nil {
		tb.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	tb.Cleanup(func() { _ = db.Close() })
	container := sqlstore.NewWithDB(db, "sqlite3", waLog.Noop)
	if err := container.Upgrade(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return container.NewDevice()
}
