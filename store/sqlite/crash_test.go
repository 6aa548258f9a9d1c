package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/walink/walink/internal/storecrash"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/sqlite"
)

func TestMain(m *testing.M) {
	if storecrash.Child(openStore) {
		return
	}
	os.Exit(m.Run())
}

func openStore(ctx context.Context, path string) (store.Store, error) {
	st, err := sqlite.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	return st, nil
}

// TestCrash holds the package to "What a crash may lose": nothing.
func TestCrash(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "walink.db")
	storecrash.Kill(t, storecrash.Config{Where: path, Open: openStore, After: func(t *testing.T) {
		t.Helper()
		var said string
		db := raw(t, path)
		defer func() { _ = db.Close() }()
		if err := db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&said); err != nil || said != "ok" {
			t.Errorf("integrity_check: %q, %v", said, err)
		}
	}})
}
