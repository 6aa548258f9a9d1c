//go:build unix

// Package leases_test runs several programs that share the sessions of one SQLite file,
// and kills and stops them. It checks that no two programs are ever connected for one
// session.
//
// WALINK_LEASES is the number of kills; the default is one. For every fourth kill the
// test also stops a program, which takes a quarter of a minute.
package leases_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/walink/walink/internal/leasetest"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/sqlite"
)

func TestMain(m *testing.M) {
	if leasetest.Child(open) {
		return
	}
	os.Exit(m.Run())
}

func open(ctx context.Context, name string) (store.Store, error) { return sqlite.Open(ctx, name) }

func TestLeases(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "walink.db")
	config := leasetest.Config{Open: open, Name: func(int) string { return file }}
	leasetest.Run(t, config.Sized(t))
}

// TestFleets has three programs with a Fleet each.
func TestFleets(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "walink.db")
	leasetest.RunFleets(t, leasetest.Config{Open: open, Name: func(int) string { return file }})
}
