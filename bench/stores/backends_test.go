//go:build unix

package stores_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver named "pgx"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/store/sqlstore"
	_ "modernc.org/sqlite" // the driver named "sqlite"

	"github.com/walink/walink/internal/pgserver"
	"github.com/walink/walink/internal/redisserver"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/bolt"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/kv/redis"
	"github.com/walink/walink/store/postgres"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/store/storetest"
)

// backend makes an empty place for a store, and skips the benchmark where its
// server is not installed.
type backend func(b *testing.B) place

// place is where one store is.
type place struct {
	// open opens the store, and makes its tables the first time.
	open func(ctx context.Context) (opened, error)
	// size returns the bytes on disk of a store that is closed. It is nil for a
	// store in memory.
	size func(ctx context.Context) (int64, error)
}

// opened is an open store, walink's or whatsmeow's.
type opened interface {
	// fresh returns a device that nobody has linked, for a session.
	fresh(ctx context.Context, session string) (*wastore.Device, error)
	// load returns the device of a session, which has that number.
	load(ctx context.Context, session, number string) (*wastore.Device, error)
	// list reads all sessions, and returns how many there are.
	list(ctx context.Context) (int, error)
	Close() error
}

// key is the key of the encrypted stores.
var key = kv.NewKey()

// backends are all stores, whatsmeow's sqlstore before those that compete with it.
var backends = []struct {
	name string
	backend
}{
	{"sqlstore", inFolder(func(ctx context.Context, dir string) (opened, error) {
		return openPlain(ctx, "sqlite", "file:"+filepath.Join(dir, "plain.db")+"?"+url.Values{"_pragma": {
			"busy_timeout(5000)", "foreign_keys(1)", "journal_mode(WAL)", "synchronous(FULL)",
		}}.Encode(), 1)
	})},
	{"sqlite", inFolder(func(ctx context.Context, dir string) (opened, error) {
		st, err := sqlite.Open(ctx, filepath.Join(dir, "walink.db"))
		return ours{st}, err
	})},
	{"memory", inMemory(plainly)},
	{"memory-encrypted", inMemory(encrypted)},
	{"bolt", inBolt(plainly)},
	{"bolt-encrypted", inBolt(encrypted)},
	{"sqlstore-postgres", inPostgres(func(ctx context.Context, url string) (opened, error) {
		return openPlain(ctx, "pgx", url, 16)
	})},
	{"postgres", inPostgres(func(ctx context.Context, url string) (opened, error) {
		st, err := postgres.Open(ctx, url+"&pool_max_conns=16")
		return ours{st}, err
	})},
	{"redis", inRedis(plainly)},
	{"redis-encrypted", inRedis(encrypted)},
}

func plainly(db kv.DB) kv.DB { return db }

func encrypted(db kv.DB) kv.DB { return kv.Encrypt(db, key) }

// ours is a Store of walink.
type ours struct{ store.Store }

func (o ours) fresh(ctx context.Context, session string) (*wastore.Device, error) {
	return o.Device(ctx, session)
}

func (o ours) load(ctx context.Context, session, _ string) (*wastore.Device, error) {
	return o.Device(ctx, session)
}

func (o ours) list(ctx context.Context) (int, error) {
	sessions, err := o.Sessions(ctx)
	return len(sessions), err
}

// plain is whatsmeow's own store.
type plain struct{ *sqlstore.Container }

// openPlain opens whatsmeow's store with a number of connections. On SQLite one
// is best: several would wait for each other inside SQLite, which keeps no queue.
func openPlain(ctx context.Context, driver, address string, connections int) (opened, error) {
	db, err := sql.Open(driver, address)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	container := sqlstore.NewWithDB(db, driver, nil)
	return plain{container}, container.Upgrade(ctx)
}

func (p plain) fresh(context.Context, string) (*wastore.Device, error) { return p.NewDevice(), nil }

func (p plain) load(ctx context.Context, _, number string) (*wastore.Device, error) {
	return p.GetDevice(ctx, storetest.JID(number, 1))
}

// list reads the devices: sqlstore has no list of less.
func (p plain) list(ctx context.Context) (int, error) {
	devices, err := p.GetAllDevices(ctx)
	return len(devices), err
}

func inMemory(wrap func(kv.DB) kv.DB) backend {
	return func(*testing.B) place {
		return place{open: func(context.Context) (opened, error) { return ours{kv.New(wrap(memory.New()))}, nil }}
	}
}

func inBolt(wrap func(kv.DB) kv.DB) backend {
	return inFolder(func(ctx context.Context, dir string) (opened, error) {
		db, err := bolt.Open(ctx, filepath.Join(dir, "walink.bolt"))
		if err != nil {
			return nil, err
		}
		return ours{kv.New(wrap(db))}, nil
	})
}

// inFolder is a backend that keeps files in a folder.
func inFolder(open func(ctx context.Context, dir string) (opened, error)) backend {
	return func(b *testing.B) place {
		b.Helper()
		dir := b.TempDir()
		return place{
			open: func(ctx context.Context) (opened, error) { return open(ctx, dir) },
			size: func(ctx context.Context) (int64, error) { return sizeOf(ctx, dir) },
		}
	}
}

// sizeOf returns the bytes that the files in dir take on the disk, which for a
// file with holes is less than its length.
func sizeOf(ctx context.Context, dir string) (size int64, err error) {
	out, err := exec.CommandContext(ctx, "du", "-sk", dir).Output()
	if err == nil {
		_, err = fmt.Sscan(string(out), &size)
	}
	return size << 10, err
}

// A server runs from the first benchmark that needs it to the end of the process.
var (
	postgresServer = sync.OnceValues(func() (*pgserver.Server, error) {
		s, err := pgserver.Init(context.Background(), "")
		if err != nil {
			return nil, err
		}
		atEnd = append(atEnd, func() error { return s.Close(context.Background()) })
		return s, s.Start(context.Background(), "max_connections=100")
	})
	redisServer = sync.OnceValues(func() (*redisserver.Server, error) {
		s, err := redisserver.Start(context.Background(), "", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0")
		if err == nil {
			atEnd = append(atEnd, s.Close)
		}
		return s, err
	})
	atEnd []func() error
	made  int // databases and prefixes
)

func TestMain(m *testing.M) {
	status := m.Run()
	for _, end := range atEnd {
		if err := end(); err != nil {
			log.Print(err)
		}
	}
	os.Exit(status)
}

// running returns a server, or skips the benchmark where it is not installed.
func running[S any](b *testing.B, name string, start func() (S, error)) S {
	b.Helper()
	s, err := start()
	if errors.Is(err, exec.ErrNotFound) {
		b.Skipf("%s is not installed, so its stores are not measured", name)
	}
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// inPostgres is a backend whose places are databases of a PostgreSQL, which is as
// durable as PostgreSQL is by default.
func inPostgres(open func(ctx context.Context, url string) (opened, error)) backend {
	return func(b *testing.B) place {
		b.Helper()
		s := running(b, "PostgreSQL", postgresServer)
		made++
		name := fmt.Sprintf("bench%d", made)
		conn, err := pgx.Connect(b.Context(), s.URL("postgres"))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := conn.Exec(b.Context(), "CREATE DATABASE "+name); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			_, err := conn.Exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)")
			if err := errors.Join(err, conn.Close(context.Background())); err != nil {
				b.Error(err)
			}
		})
		return place{
			open: func(ctx context.Context) (opened, error) { return open(ctx, s.URL(name)) },
			size: func(ctx context.Context) (size int64, err error) {
				err = conn.QueryRow(ctx, "SELECT pg_database_size($1)", name).Scan(&size)
				return size, err
			},
		}
	}
}

// inRedis is a backend whose places are prefixes of a Redis, which syncs what it
// gets before it answers. The size is that of its log, which is never rewritten
// here.
func inRedis(wrap func(kv.DB) kv.DB) backend {
	return func(b *testing.B) place {
		b.Helper()
		s := running(b, "Redis", redisServer)
		made++
		prefix := fmt.Sprintf("bench%d", made)
		return place{
			open: func(ctx context.Context) (opened, error) {
				db, err := redis.Open(ctx, s.URL(), prefix)
				if err != nil {
					return nil, err
				}
				return ours{kv.New(wrap(db))}, nil
			},
			size: func(ctx context.Context) (int64, error) { return sizeOf(ctx, s.Dir) },
		}
	}
}
