package postgres_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/walink/walink/internal/storecrash"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/postgres"
)

func openStore(ctx context.Context, url string) (store.Store, error) {
	st, err := postgres.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	return st, nil
}

// TestCrash tests what the documentation says about a crash of the program.
func TestCrash(t *testing.T) {
	t.Parallel()
	s := running(t)
	database := s.create(t, "")
	storecrash.Kill(t, storecrash.Config{Where: s.url(database), Open: openStore, After: func(t *testing.T) {
		t.Helper()
		s.alone(t, database)
	}})
}

// alone waits until the server has finished the calls of a dead program, which
// it may still commit.
func (s *server) alone(t *testing.T, database string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	for others := 1; others > 0; {
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname=$1`, database).Scan(&others); err != nil {
			t.Fatal(err)
		}
	}
}

// own starts a server for one test.
func own(t *testing.T) *server {
	t.Helper()
	running(t)
	s, err := startServer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestCrashOfTheServer tests what the documentation says about a crash of the
// server. An immediate restart is one.
func TestCrashOfTheServer(t *testing.T) {
	t.Parallel()
	s := own(t)
	st := open(t, s.url("postgres"))
	storecrash.Restart(t, st, func() {
		if err := s.Crash(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
