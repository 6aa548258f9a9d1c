package bolt_test

import (
	"context"
	"os"
	"testing"

	"github.com/walink/walink/internal/storecrash"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/bolt"
	"github.com/walink/walink/store/kv/memory"
)

func TestMain(m *testing.M) {
	if storecrash.Child(openStore) {
		return
	}
	warm()
	os.Exit(m.Run())
}

// warm makes a device before the tests do so side by side: libsignal makes its
// global logger at first use, unguarded.
func warm() { _, _ = kv.New(memory.New()).Device(context.Background(), "") }

func openStore(ctx context.Context, path string) (store.Store, error) {
	db, err := bolt.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	return kv.New(db), nil
}

// TestCrash holds the package to "What a crash may lose": nothing.
func TestCrash(t *testing.T) {
	t.Parallel()
	path := temp(t)
	storecrash.Kill(t, storecrash.Config{Where: path, Open: openStore, Empty: func(t *testing.T) {
		t.Helper()
		db := open(t, path)
		storecrash.CheckEmpty(t, db)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}})
}
