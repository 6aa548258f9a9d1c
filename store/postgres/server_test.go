package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/walink/walink/internal/leasetest"
	"github.com/walink/walink/internal/storecrash"
	"github.com/walink/walink/store/postgres"
)

// server is a PostgreSQL of the tests' own, which listens on a socket in a
// folder. It loses what it wrote when the machine loses its power, which no
// test is about.
type server struct {
	bin, dir string
	as       *syscall.Credential // it refuses to run as root
	made     atomic.Int64        // databases
}

var shared = sync.OnceValues(startServer) // one server for all tests

func TestMain(m *testing.M) {
	if leasetest.Child(openStore) || storecrash.Child(openStore) {
		return
	}
	code := m.Run()
	if s, err := shared(); err == nil {
		_ = s.ctl("stop", "-m", "immediate")
		_ = os.RemoveAll(s.dir)
	}
	os.Exit(code)
}

// running returns the server. Where PostgreSQL is not installed the test is
// skipped, unless WALINK_POSTGRES demands it.
func running(tb testing.TB) *server {
	tb.Helper()
	s, err := shared()
	switch {
	case errors.Is(err, exec.ErrNotFound) && os.Getenv("WALINK_POSTGRES") == "":
		tb.Skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
	case err != nil:
		tb.Fatal(err)
	}
	return s
}

func startServer() (*server, error) {
	s := &server{}
	if path, err := exec.LookPath("initdb"); err == nil {
		s.bin = filepath.Dir(path)
	} else if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb"); len(found) > 0 { // Debian's place
		s.bin = filepath.Dir(found[len(found)-1])
	} else {
		return nil, fmt.Errorf("initdb: %w", exec.ErrNotFound)
	}
	var err error
	if s.dir, err = os.MkdirTemp("", "walink-postgres"); err != nil {
		return nil, err
	}
	if os.Getuid() == 0 {
		if s.as, err = credential("postgres"); err != nil {
			return nil, err
		}
		if err := os.Chown(s.dir, int(s.as.Uid), int(s.as.Gid)); err != nil {
			return nil, err
		}
	}
	if err := s.run("initdb", "-D", s.dir+"/data", "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale", "C.UTF-8"); err != nil {
		return nil, err
	}
	if err := s.demandPassword("locked"); err != nil {
		return nil, err
	}
	err = s.start()
	return s, err
}

// demandPassword lets a role in with its password only.
func (s *server) demandPassword(role string) error {
	path := filepath.Join(s.dir, "data", "pg_hba.conf")
	rest, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append([]byte("local all "+role+" scram-sha-256\n"), rest...), 0o600)
}

func (s *server) start() error {
	return s.ctl("start", "-l", s.dir+"/log", "-o", "-k "+s.dir+" -h '' -c max_connections=300 -c fsync=on -c full_page_writes=off")
}

func (s *server) ctl(args ...string) error {
	return s.run("pg_ctl", append([]string{"-D", s.dir + "/data", "-w"}, args...)...)
}

func (s *server) run(name string, args ...string) error {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	if name == "pg_ctl" { // the server would keep a pipe open
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s %v: %w", name, args, err)
		}
		return nil
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

func credential(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// url is that of a database.
func (s *server) url(database string) string {
	return fmt.Sprintf("postgres:///%s?host=%s&user=postgres&pool_max_conns=8", database, s.dir)
}

// exec runs statements in a database.
func (s *server) exec(ctx context.Context, database string, statements ...string) error {
	conn, err := pgx.Connect(ctx, strings.ReplaceAll(s.url(database), "&pool_max_conns=8", ""))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// template is an empty database with all tables, since copying one is faster
// than the migrations.
var template = sync.OnceValue(func() error {
	s, err := shared()
	if err != nil {
		return err
	}
	ctx := context.Background() // outlives the first test
	if err := s.exec(ctx, "postgres", `CREATE DATABASE empty`); err != nil {
		return err
	}
	st, err := postgres.Open(ctx, s.url("empty"))
	if err != nil {
		return err
	}
	return st.Close()
})

// database makes a database with walink's tables, and returns its name.
func (s *server) database(tb testing.TB) string {
	tb.Helper()
	if err := template(); err != nil {
		tb.Fatal(err)
	}
	return s.create(tb, `TEMPLATE empty STRATEGY file_copy`)
}

func (s *server) create(tb testing.TB, how string) string {
	tb.Helper()
	name := fmt.Sprintf("test%d", s.made.Add(1))
	if err := s.exec(tb.Context(), "postgres", `CREATE DATABASE `+name+` `+how); err != nil {
		tb.Fatal(err)
	}
	return name
}

func open(tb testing.TB, url string) *postgres.Store {
	tb.Helper()
	st, err := postgres.Open(tb.Context(), url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := st.Close(); err != nil {
			tb.Error(err)
		}
	})
	return st
}

// remedyOf returns the remedy of an error, "" if it has none.
func remedyOf(err error) string {
	var hint interface{ Remedy() string }
	if errors.As(err, &hint) {
		return hint.Remedy()
	}
	return ""
}
