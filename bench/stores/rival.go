package main

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"path/filepath"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver named "pgx"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/store/sqlstore"
	_ "modernc.org/sqlite" // the driver named "sqlite"

	"github.com/walink/walink/store/storetest"
)

// rival is whatsmeow's own store.
type rival struct{ *sqlstore.Container }

func (r rival) fresh(context.Context, string) (*wastore.Device, error) { return r.NewDevice(), nil }

func (r rival) load(ctx context.Context, _, number string) (*wastore.Device, error) {
	return r.GetDevice(ctx, storetest.JID(number, 1))
}

// list reads the devices: there is no list of less.
func (r rival) list(ctx context.Context) (int, error) {
	devices, err := r.GetAllDevices(ctx)
	return len(devices), err
}

// openTuned opens sqlstore as somebody does who knows SQLite well: with the
// durability of store/sqlite, and one connection, so that nobody waits for
// another inside of SQLite, which keeps no queue.
func openTuned(ctx context.Context, dir string) (opened, error) {
	return openRival(ctx, "sqlite", "file:"+filepath.Join(dir, "rival.db")+"?"+url.Values{"_pragma": {
		"busy_timeout(5000)", "foreign_keys(1)", "journal_mode(WAL)", "synchronous(FULL)",
	}}.Encode(), 1)
}

// openUsual opens it as most programs do: with what sqlstore insists on.
func openUsual(ctx context.Context, dir string) (opened, error) {
	return openRival(ctx, "sqlite", "file:"+filepath.Join(dir, "rival.db")+"?_pragma=foreign_keys(1)", 0)
}

// openServer opens it on PostgreSQL with the number of connections of
// store/postgres here.
func openServer(ctx context.Context, url string) (opened, error) {
	return openRival(ctx, "pgx", url, 16)
}

func openRival(ctx context.Context, driver, address string, connections int) (opened, error) {
	db, err := sql.Open(driver, address)
	if err != nil {
		return nil, err
	}
	if connections > 0 {
		db.SetMaxOpenConns(connections)
		db.SetMaxIdleConns(connections)
	}
	container := sqlstore.NewWithDB(db, driver, nil)
	if err := container.Upgrade(ctx); err != nil {
		return nil, errors.Join(err, container.Close())
	}
	return rival{container}, nil
}
