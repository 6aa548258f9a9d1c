package postgres_test

import (
	"path/filepath"
	"testing"

	"github.com/walink/walink/internal/leasetest"
)

// TestLeases has several programs share the sessions of one database. They are
// killed, stopped, and cut off from the database, whose server sees nothing of
// that, and the server is restarted. One kill is the default; WALINK_LEASES asks for
// more.
func TestLeases(t *testing.T) {
	t.Parallel()
	s := own(t)
	socket := filepath.Join(s.Dir, ".s.PGSQL.5432")
	config := leasetest.Config{
		Open: openStore, Restart: func() error { return s.Crash(t.Context()) },
	}.Through(t, "unix", socket, func(address string) string {
		return "postgres://postgres@" + address + "/postgres?sslmode=disable&pool_max_conns=8"
	})
	leasetest.Run(t, config.Sized(t))
}

// TestFleets has three programs with a Fleet each share the sessions of one database.
func TestFleets(t *testing.T) {
	t.Parallel()
	s := own(t)
	leasetest.RunFleets(t, leasetest.Config{Open: openStore, Name: func(int) string { return s.url("postgres") }})
}
