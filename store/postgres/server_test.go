package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/walink/walink/internal/leasetest"
	"github.com/walink/walink/internal/pgserver"
	"github.com/walink/walink/internal/storecrash"
	"github.com/walink/walink/store/postgres"
)

// server is the PostgreSQL server of the tests. It loses data when the machine
// loses power, which no test needs.
type server struct {
	*pgserver.Server
	made atomic.Int64 // databases
}

var shared = sync.OnceValues(startServer) // one server for all tests

func TestMain(m *testing.M) {
	if leasetest.Child(openStore) || storecrash.Child(openStore) {
		return
	}
	code := m.Run()
	if s, err := shared(); err == nil {
		_ = s.Close(context.Background())
	}
	os.Exit(code)
}

// running returns the server. If PostgreSQL is not installed, the test is
// skipped, unless WALINK_POSTGRES is set.
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
	ctx := context.Background() // outlives the first test
	pg, err := pgserver.Init(ctx, "")
	if err != nil {
		return nil, err
	}
	if err := demandPassword(pg, "locked"); err != nil {
		return nil, err
	}
	if err := pg.Start(ctx, "max_connections=300", "fsync=on", "full_page_writes=off"); err != nil {
		return nil, err
	}
	return &server{Server: pg}, nil
}

// demandPassword has a server let a role in with its password only.
func demandPassword(pg *pgserver.Server, role string) error {
	path := filepath.Join(pg.Dir, "data", "pg_hba.conf")
	rest, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append([]byte("local all "+role+" scram-sha-256\n"), rest...), 0o600)
}

// url returns the URL of a database, for a pool.
func (s *server) url(database string) string { return s.URL(database) + "&pool_max_conns=8" }

// exec runs statements in a database.
func (s *server) exec(ctx context.Context, database string, statements ...string) error {
	conn, err := pgx.Connect(ctx, s.URL(database))
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
