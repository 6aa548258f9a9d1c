package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// postgresServer is a PostgreSQL of this program's own, which listens on a
// socket in a folder, and is as durable as PostgreSQL is by default.
type postgresServer struct {
	bin, dir string
	as       *syscall.Credential // it refuses to run as root
	made     atomic.Int64        // databases
}

// startPostgres starts one in a folder under dir. Where it is not installed
// the error wraps [exec.ErrNotFound].
func startPostgres(ctx context.Context, dir string) (*postgresServer, error) {
	s := &postgresServer{dir: filepath.Join(dir, "pg")}
	if path, err := exec.LookPath("initdb"); err == nil {
		s.bin = filepath.Dir(path)
	} else if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb"); len(found) > 0 { // Debian's place
		s.bin = filepath.Dir(found[len(found)-1])
	} else {
		return nil, fmt.Errorf("initdb: %w", exec.ErrNotFound)
	}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return nil, err
	}
	if os.Getuid() == 0 {
		if err := s.yield(); err != nil {
			return nil, err
		}
	}
	if err := s.run(ctx, "initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale", "C.UTF-8"); err != nil {
		return nil, err
	}
	err := s.run(ctx, "pg_ctl", "-D", "data", "-w", "start", "-l", "log", "-o", "-k "+s.dir+" -h '' -c max_connections=100")
	return s, err
}

// yield gives the folder to the user postgres.
func (s *postgresServer) yield() error {
	account, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return err
	}
	s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(s.dir, int(uid), int(gid))
}

func (s *postgresServer) run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, name), args...) //nolint:gosec // PostgreSQL's own programs
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	if err := cmd.Run(); err != nil { // without its output: the server would keep a pipe open
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (s *postgresServer) stop(ctx context.Context) error {
	return s.run(ctx, "pg_ctl", "-D", "data", "-w", "stop", "-m", "immediate")
}

// url is that of a database.
func (s *postgresServer) url(name string) string {
	return "postgres:///" + name + "?host=" + url.QueryEscape(s.dir) + "&user=postgres"
}

// query runs a statement in a database.
func (s *postgresServer) query(ctx context.Context, in, statement string) (answer int64, err error) {
	conn, err := pgx.Connect(ctx, s.url(in))
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
	return d.openURL(ctx, d.server.url(d.name))
}

func (d inDatabase) size(ctx context.Context) (int64, error) {
	return d.server.query(ctx, d.name, "SELECT pg_database_size(current_database())")
}

func (d inDatabase) remove() error {
	_, err := d.server.query(context.Background(), "postgres", "DROP DATABASE "+d.name+" WITH (FORCE)")
	return err
}

// redisServer is a redis-server of this program's own on a socket, which syncs
// what it is given before it answers.
type redisServer struct {
	dir     string
	process *exec.Cmd
	made    atomic.Int64 // prefixes
}

// startRedis starts one in a folder under dir. Where it is not installed the
// error wraps [exec.ErrNotFound].
func startRedis(ctx context.Context, dir string) (*redisServer, error) {
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, err
	}
	s := &redisServer{dir: filepath.Join(dir, "redis")}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return nil, err
	}
	s.process = exec.CommandContext(ctx, binary, "--port", "0", "--unixsocket", s.socket(), "--dir", s.dir, //nolint:gosec // as found
		"--appendonly", "yes", "--appendfsync", "always", "--save", "", "--auto-aof-rewrite-percentage", "0", "--daemonize", "no")
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	var dialer net.Dialer
	for range 1000 {
		conn, err := dialer.DialContext(ctx, "unix", s.socket())
		if err == nil {
			return s, conn.Close()
		}
		<-ticker.C
	}
	return nil, errors.Join(errors.New("redis-server does not answer"), s.stop())
}

func (s *redisServer) stop() error {
	err := s.process.Process.Kill()
	_ = s.process.Wait() // it was killed
	return err
}

func (s *redisServer) socket() string { return filepath.Join(s.dir, "socket") }

func (s *redisServer) url() string { return "unix://" + s.socket() }

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
		before, err := sizeOf(s.dir)
		return underPrefix{s, "bench" + strconv.FormatInt(s.made.Add(1), 10), open, before}, err
	}
}

func (u underPrefix) open(ctx context.Context) (opened, error) { return u.openPrefix(ctx, u.prefix) }

// size is what the log of all commands has grown by, which Redis would shorten
// from time to time.
func (u underPrefix) size(context.Context) (int64, error) {
	after, err := sizeOf(u.server.dir)
	return after - u.before, err
}

// remove leaves what there is: the server ends with the program.
func (underPrefix) remove() error { return nil }
