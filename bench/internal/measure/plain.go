package measure

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/url"
	"path/filepath"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/types/events"
	_ "modernc.org/sqlite" // the driver named "sqlite"
)

// plainDatabase is whatsmeow's sqlstore on the driver, the journal and the
// syncs of store/sqlite.
type plainDatabase struct {
	*sqlstore.Container
	http *http.Client
}

// openPlain opens it with whatsmeow's defaults but for what makes it as durable
// as store/sqlite. A crowd gets one connection: when every device has its own,
// they wait for each other in SQLite, which does not keep a queue, and some do
// not get their turn before their phone gives up, whatever the busy timeout.
func openPlain(ctx context.Context, folder string, client *http.Client, crowd, durable bool) (database, error) {
	sync := "FULL"
	if !durable {
		sync = "OFF"
	}
	query := url.Values{"_pragma": {
		"busy_timeout(3600000)", "foreign_keys(1)", "journal_mode(WAL)", "synchronous(" + sync + ")",
	}}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(folder, "plain.db")+"?"+query.Encode())
	if err != nil {
		return nil, err
	}
	if crowd {
		db.SetMaxOpenConns(1)
	}
	container := sqlstore.NewWithDB(db, "sqlite", nil)
	if err := container.Upgrade(ctx); err != nil {
		return nil, errors.Join(err, container.Close())
	}
	return plainDatabase{container, client}, nil
}

func (d plainDatabase) link(number string, method Method, crowd bool) link {
	return &plainLink{database: d, method: method, number: number, crowd: crowd, connected: make(chan struct{}, 1)}
}

type plainLink struct {
	database  plainDatabase
	method    Method
	number    string
	crowd     bool
	client    *whatsmeow.Client
	items     <-chan whatsmeow.QRChannelItem
	cancel    context.CancelFunc
	connected chan struct{}
}

func (l *plainLink) start(ctx context.Context) (string, error) {
	device, err := l.device(ctx)
	if err != nil {
		return "", err
	}
	l.client = whatsmeow.NewClient(device, nil)
	l.client.SetPreLoginHTTPClient(l.database.http)
	l.client.SetWebsocketHTTPClient(l.database.http)
	l.client.AddEventHandler(func(event any) {
		if _, ok := event.(*events.Connected); ok {
			l.connected <- struct{}{}
		}
	})
	ctx, l.cancel = context.WithCancel(ctx)
	if l.items, err = l.client.GetQRChannel(ctx); err != nil {
		return "", err
	}
	if err := l.client.Connect(); err != nil {
		return "", err
	}
	item, ok := <-l.items
	switch {
	case !ok || item.Event != whatsmeow.QRChannelEventCode:
		return "", unexpected(item.Event)
	case l.method == Code:
		return l.client.PairPhone(ctx, l.number, true, whatsmeow.PairClientChrome, "Chrome (Linux)")
	}
	return item.Code, nil
}

// device is what the documentation names for one session, and for many: there
// it says to remember the JIDs, and what has none yet is a new device.
func (l *plainLink) device(ctx context.Context) (*store.Device, error) {
	if l.crowd {
		return l.database.NewDevice(), nil
	}
	return l.database.GetFirstDevice(ctx)
}

func (l *plainLink) linked() error {
	var last whatsmeow.QRChannelItem
	for last = range l.items {
	}
	if last != whatsmeow.QRChannelSuccess {
		return unexpected(last.Event)
	}
	<-l.connected
	return nil
}

func (l *plainLink) stop() {
	if l.client != nil {
		if l.cancel != nil {
			l.cancel()
		}
		l.client.Disconnect()
	}
}
