package postgres_test

import (
	"path/filepath"
	"testing"

	"github.com/walink/walink/internal/leasetest"
)

// TestLeases has several programs share the sessions of one database. They are
// killed, stopped, and cut off from the database, whose server sees nothing of
// that. One kill is the default; WALINK_LEASES asks for so many, and for a
// program that is stopped and one that is cut off for every fourth of them,
// which takes half a minute each.
func TestLeases(t *testing.T) {
	t.Parallel()
	s := running(t)
	database := s.database(t)
	socket := filepath.Join(s.Dir, ".s.PGSQL.5432")
	config := leasetest.Config{Open: openStore}.Through(t, "unix", socket, func(address string) string {
		return "postgres://postgres@" + address + "/" + database + "?sslmode=disable&pool_max_conns=8"
	})
	leasetest.Run(t, config.Sized(t))
}
