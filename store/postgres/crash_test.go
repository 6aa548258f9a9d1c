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

// TestCrash holds the package to what it says of a program that crashes.
func TestCrash(t *testing.T) {
	t.Parallel()
	s := running(t)
	database := s.create(t, "")
	storecrash.Kill(t, storecrash.Config{Where: s.url(database), Open: openStore, After: func(t *testing.T) {
		t.Helper()
		s.alone(t, database)
	}})
}

// alone waits until the server has ended what a dead program has begun: it may
// still commit what it had been told.
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

// TestCrashOfTheServer holds the package to what it says of a server that
// crashes, which is what an immediate restart is.
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
