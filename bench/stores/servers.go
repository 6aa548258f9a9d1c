package main

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"github.com/walink/walink/internal/pgserver"
	"github.com/walink/walink/internal/redisserver"
)

// postgresServer is a PostgreSQL of this program's own, as durable as PostgreSQL
// is by default.
type postgresServer struct {
	*pgserver.Server
	made atomic.Int64 // databases
}

// startPostgres starts one in a folder under dir. Where it is not installed
// the error wraps [exec.ErrNotFound].
func startPostgres(ctx context.Context, dir string) (*postgresServer, error) {
	s, err := pgserver.Init(ctx, dir)
	if err != nil {
		return nil, err
	}
	return &postgresServer{Server: s}, s.Start(ctx, "max_connections=100")
}

// query runs a statement in a database.
func (s *postgresServer) query(ctx context.Context, in, statement string) (answer int64, err error) {
	conn, err := pgx.Connect(ctx, s.URL(in))
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(ctx) }()
	err = conn.QueryRow(ctx, statement).Scan(&answer)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return answer, err
}

// inDatabase is a place that is a database of a server.
type inDatabase struct {
	server  *postgresServer
	name    string
	openURL func(ctx context.Context, url string) (opened, error)
}

// database returns what makes an empty database for each store.
func (s *postgresServer) database(open func(ctx context.Context, url string) (opened, error)) func(context.Context) (place, error) {
	return func(ctx context.Context) (place, error) {
		name := "bench" + strconv.FormatInt(s.made.Add(1), 10)
		_, err := s.query(ctx, "postgres", "CREATE DATABASE "+name)
		return inDatabase{s, name, open}, err
	}
}

func (d inDatabase) open(ctx context.Context) (opened, error) {
	return d.openURL(ctx, d.server.URL(d.name))
}

func (d inDatabase) size(ctx context.Context) (int64, error) {
	return d.server.query(ctx, d.name, "SELECT pg_database_size(current_database())")
}

func (d inDatabase) remove() error {
	_, err := d.server.query(context.Background(), "postgres", "DROP DATABASE "+d.name+" WITH (FORCE)")
	return err
}

// redisServer is a redis-server of this program's own, which syncs what it is
// given before it answers.
type redisServer struct {
	*redisserver.Server
	made atomic.Int64 // prefixes
}

// startRedis starts one in a folder under dir. Where it is not installed the
// error wraps [exec.ErrNotFound].
func startRedis(ctx context.Context, dir string) (*redisServer, error) {
	s, err := redisserver.Start(ctx, dir, "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0")
	return &redisServer{Server: s}, err
}

// underPrefix is a place that is a prefix of a server.
type underPrefix struct {
	server     *redisServer
	prefix     string
	openPrefix func(ctx context.Context, prefix string) (opened, error)
	before     int64 // bytes on disk
}

// prefixed returns what makes an empty prefix for each store.
func (s *redisServer) prefixed(open func(ctx context.Context, prefix string) (opened, error)) func(context.Context) (place, error) {
	return func(context.Context) (place, error) {
		before, err := sizeOf(s.Dir)
		return underPrefix{s, "bench" + strconv.FormatInt(s.made.Add(1), 10), open, before}, err
	}
}

func (u underPrefix) open(ctx context.Context) (opened, error) { return u.openPrefix(ctx, u.prefix) }

// size is what the log of all commands has grown by, which Redis would shorten
// from time to time.
func (u underPrefix) size(context.Context) (int64, error) {
	after, err := sizeOf(u.server.Dir)
	return after - u.before, err
}

// remove leaves what there is: the server ends with the program.
func (underPrefix) remove() error { return nil }
