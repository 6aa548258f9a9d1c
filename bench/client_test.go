package bench_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"testing"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/types/events"
	_ "modernc.org/sqlite" // the driver named "sqlite"

	"github.com/walink/walink"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/sqlite"
)

// client is one of the two that are compared.
type client struct {
	name string
	// open opens a new database in dir, for one session or for many.
	open func(ctx context.Context, dir string, to *remote, many bool) (database, error)
}

var clients = []client{{"walink", openWalink}, {"whatsmeow", openPlain}}

// database is an SQLite file with the sessions of one client. A commit is on the
// disk when it returns.
type database struct {
	io.Closer
	to      *remote
	session func(*device) session // does nothing yet
}

// session connects one device. After stop it may connect again.
type session interface {
	// connect begins to log in a stored session, and to link a new one.
	connect(ctx context.Context) error
	// shown returns the first code.
	shown(ctx context.Context) (string, error)
	// linked returns when the session is logged in.
	linked() error
	// stop disconnects.
	stop()
}

// open opens a new database of a client. The caller closes it.
func open(b *testing.B, c client, many bool) database {
	b.Helper()
	to, err := server()
	if err != nil {
		b.Fatal(err)
	}
	db, err := c.open(b.Context(), b.TempDir(), to, many)
	if err != nil {
		b.Fatal(err)
	}
	return db
}

// method is how a session is linked.
type method string

const (
	qr   method = "qr"
	code method = "code"
)

// device is a session and the phone that it links to.
type device struct {
	session
	to     *remote
	number string
	by     method
	code   string // what the session shows
}

var numbers atomic.Int64

// newDevice returns a device whose phone the server has not seen yet.
func newDevice(db database, by method) *device {
	d := &device{to: db.to, number: fmt.Sprintf("+%d", 5511900000000+numbers.Add(1)), by: by}
	d.session = db.session(d)
	return d
}

// show connects and reads the first code.
func (d *device) show(ctx context.Context) (err error) {
	if err := d.connect(ctx); err != nil {
		return err
	}
	d.code, err = d.shown(ctx)
	return err
}

// answer has the phone take the code, and returns when the session is logged in.
func (d *device) answer(ctx context.Context) error {
	if err := d.to.answer(ctx, d); err != nil {
		return err
	}
	return d.linked()
}

// link is all of a linking.
func (d *device) link(ctx context.Context) error {
	if err := d.show(ctx); err != nil {
		return err
	}
	return d.answer(ctx)
}

type walinkSession struct {
	device *device
	store  store.Store
	linker *walink.Linker
	events <-chan walink.Event
}

func openWalink(ctx context.Context, dir string, to *remote, _ bool) (database, error) {
	st, err := sqlite.Open(ctx, filepath.Join(dir, "walink.db"))
	return database{st, to, func(d *device) session { return &walinkSession{device: d, store: st} }}, err
}

func (s *walinkSession) connect(ctx context.Context) (err error) {
	settings := walink.Settings{Session: s.device.number, HTTPClient: s.device.to.whatsapp}
	if s.device.by == code {
		settings.Phone, settings.PreferPairingCode = s.device.number, true
	}
	if s.linker, err = walink.New(s.store, settings); err != nil {
		return err
	}
	s.events, err = s.linker.Link(ctx)
	return err
}

func (s *walinkSession) shown(context.Context) (string, error) {
	for event := range s.events {
		switch e := event.(type) {
		case walink.PairingCode:
			return e.Code, nil
		case walink.QRCode:
			return e.Payload, nil
		case walink.Failed:
			return "", e.Err
		}
	}
	return "", errors.New("no code was shown")
}

func (s *walinkSession) linked() error {
	for event := range s.events {
		if failed, ok := event.(walink.Failed); ok {
			return failed.Err
		}
	}
	s.events = nil // a program drops the channel too
	return nil
}

func (s *walinkSession) stop() { _ = s.linker.Close() }

type plainSession struct {
	device    *device
	store     *sqlstore.Container
	many      bool
	client    *whatsmeow.Client
	cancel    context.CancelFunc
	items     <-chan whatsmeow.QRChannelItem // nil for a session that is stored
	connected <-chan struct{}
}

// openPlain opens whatsmeow's sqlstore with the driver, the journal and the syncs
// of store/sqlite. The store has one connection: several would wait for each
// other inside SQLite, which keeps no queue.
func openPlain(ctx context.Context, dir string, to *remote, many bool) (database, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "plain.db")+"?"+url.Values{"_pragma": {
		"busy_timeout(5000)", "foreign_keys(1)", "journal_mode(WAL)", "synchronous(FULL)",
	}}.Encode())
	if err != nil {
		return database{}, err
	}
	db.SetMaxOpenConns(1)
	st := sqlstore.NewWithDB(db, "sqlite", nil)
	begin := func(d *device) session { return &plainSession{device: d, store: st, many: many} }
	return database{st, to, begin}, st.Upgrade(ctx)
}

func (s *plainSession) connect(ctx context.Context) (err error) {
	device := s.store.NewDevice() // whatsmeow's way where there are many sessions
	if !s.many {
		if device, err = s.store.GetFirstDevice(ctx); err != nil {
			return err
		}
	}
	s.client = whatsmeow.NewClient(device, nil)
	s.client.SetPreLoginHTTPClient(s.device.to.whatsapp)
	s.client.SetWebsocketHTTPClient(s.device.to.whatsapp)
	connected := make(chan struct{}, 1)
	s.client.AddEventHandler(func(event any) {
		if _, ok := event.(*events.Connected); ok {
			connected <- struct{}{}
		}
	})
	s.connected = connected
	ctx, s.cancel = context.WithCancel(ctx)
	if device.ID == nil {
		if s.items, err = s.client.GetQRChannel(ctx); err != nil {
			return err
		}
	}
	return s.client.Connect()
}

func (s *plainSession) shown(ctx context.Context) (string, error) {
	item := <-s.items
	switch {
	case item.Event != whatsmeow.QRChannelEventCode:
		return "", fmt.Errorf("no code was shown: %q", item.Event)
	case s.device.by == code:
		return s.client.PairPhone(ctx, s.device.number, true, whatsmeow.PairClientChrome, "Chrome (Linux)")
	}
	return item.Code, nil
}

func (s *plainSession) linked() error {
	if s.items != nil {
		last := whatsmeow.QRChannelItem{}
		for last = range s.items {
		}
		if last != whatsmeow.QRChannelSuccess {
			return fmt.Errorf("not linked: %q", last.Event)
		}
		s.items = nil // a program drops the channel too
	}
	<-s.connected
	return nil
}

func (s *plainSession) stop() {
	s.cancel()
	s.client.Disconnect()
}
