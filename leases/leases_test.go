//go:build unix

// Package leases_test has several programs share the sessions of one SQLite
// file, and kills and stops them: two are never connected for one session.
//
// One kill is the default; WALINK_LEASES asks for so many kills, and for a
// stopped program, which takes half a minute each, for every fourth of them.
package leases_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
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
	if runtime.GOOS != "linux" {
		t.Skip("the kills are for Linux, where a lease ends with its holder")
	}
	file := filepath.Join(t.TempDir(), "walink.db")
	config := leasetest.Config{Open: open, Name: func(int) string { return file }}
	leasetest.Run(t, config.Sized(t))
}
