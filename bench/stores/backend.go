package main

import (
	"context"
	"path/filepath"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/bolt"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/kv/redis"
	"github.com/walink/walink/store/postgres"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/store/storetest"
)

// backend is one row of the table.
type backend struct {
	name string
	// durable says what has happened when a write returns.
	durable string
	// rival is the backend that it is measured against; empty for a rival.
	rival string
	// place makes an empty place for a store, which is not part of any time.
	place func(ctx context.Context) (place, error)
}

// place is where one store is.
type place interface {
	// open opens the store, which makes its tables at the first time.
	open(ctx context.Context) (opened, error)
	// size returns the bytes on disk, once the store is closed.
	size(ctx context.Context) (int64, error)
	// remove takes everything away.
	remove() error
}

// opened is an open store, walink's or whatsmeow's.
type opened interface {
	// fresh returns a device that nobody has linked, for a session.
	fresh(ctx context.Context, session string) (*wastore.Device, error)
	// load returns the device of a session, which has that number.
	load(ctx context.Context, session, number string) (*wastore.Device, error)
	// list returns how many sessions there are, after having read them all.
	list(ctx context.Context) (int, error)
	Close() error
}

// ours is a Store.
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

// link stores a device as pairing does.
func link(ctx context.Context, st opened, session, number string) (*wastore.Device, error) {
	device, err := st.fresh(ctx, session)
	if err != nil {
		return nil, err
	}
	storetest.Pair(device, storetest.JID(number, 1))
	err = device.Save(ctx)
	return device, err
}

// The names of the rivals.
const (
	tuned  = "sqlstore on modernc, tuned"
	usual  = "sqlstore on modernc, as usual"
	server = "sqlstore on PostgreSQL"
)

// What is done by the time a write returns.
const (
	walSynced   = "on disk: a sync for each commit (WAL)"
	boltSynced  = "on disk: two syncs for each commit, which writers share"
	pgSynced    = "on disk: a sync of the WAL for each commit, which writers share"
	redisSynced = "on disk: appendfsync always"
	volatile    = "none: gone with the process"
)

// inFiles returns the backends that need no server.
func inFiles(dir string) []backend {
	key := kv.NewKey()
	return []backend{
		{tuned, walSynced, "", folder(dir, openTuned)},
		{usual, "on disk: several syncs for each commit (rollback journal)", "", folder(dir, openUsual)},
		{"store/sqlite", walSynced, tuned, folder(dir, func(ctx context.Context, path string) (opened, error) {
			st, err := sqlite.Open(ctx, filepath.Join(path, "walink.db"))
			if err != nil {
				return nil, err
			}
			return ours{st}, nil
		})},
		{"kv/memory", volatile, tuned, folder(dir, func(context.Context, string) (opened, error) {
			return ours{kv.New(memory.New())}, nil
		})},
		{"kv/memory, encrypted", volatile, tuned, folder(dir, func(context.Context, string) (opened, error) {
			return ours{kv.New(kv.Encrypt(memory.New(), key))}, nil
		})},
		{"kv/bolt", boltSynced, tuned, folder(dir, func(ctx context.Context, path string) (opened, error) {
			db, err := bolt.Open(ctx, filepath.Join(path, "walink.bolt"))
			if err != nil {
				return nil, err
			}
			return ours{kv.New(db)}, nil
		})},
		{"kv/bolt, encrypted", boltSynced, tuned, folder(dir, func(ctx context.Context, path string) (opened, error) {
			db, err := bolt.Open(ctx, filepath.Join(path, "walink.bolt"))
			if err != nil {
				return nil, err
			}
			return ours{kv.New(kv.Encrypt(db, key))}, nil
		})},
	}
}

// onPostgres returns the backends on a PostgreSQL.
func onPostgres(s *postgresServer) []backend {
	return []backend{
		{server, pgSynced, "", s.database(openServer)},
		{"store/postgres", pgSynced, server, s.database(func(ctx context.Context, url string) (opened, error) {
			st, err := postgres.Open(ctx, url+"&pool_max_conns=16")
			if err != nil {
				return nil, err
			}
			return ours{st}, nil
		})},
	}
}

// onRedis returns the backends on a Redis. Their rival is the other server.
func onRedis(s *redisServer, rival string) []backend {
	key := kv.NewKey()
	on := func(wrap func(kv.DB) kv.DB) func(ctx context.Context) (place, error) {
		return s.prefixed(func(ctx context.Context, prefix string) (opened, error) {
			db, err := redis.Open(ctx, s.URL(), prefix)
			if err != nil {
				return nil, err
			}
			return ours{kv.New(wrap(db))}, nil
		})
	}
	return []backend{
		{"kv/redis", redisSynced, rival, on(func(db kv.DB) kv.DB { return db })},
		{"kv/redis, encrypted", redisSynced, rival, on(func(db kv.DB) kv.DB { return kv.Encrypt(db, key) })},
	}
}
