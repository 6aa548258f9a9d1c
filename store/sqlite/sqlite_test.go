package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/store/storetest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		storetest.Run(
			t,
			func(t *testing.T) store.Store { return open(t, filepath.Join(t.TempDir(), "walink.db")) },
			storetest.WithReopen(reopen),
			storetest.WithBubble(),
		)
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, func(t *testing.T) store.Store { return open(t, ":memory:") })
	})
}

func reopen(t *testing.T, closed store.Store) store.Store {
	t.Helper()
	st, ok := closed.(*sqlite.Store)
	if !ok {
		t.Fatalf("%T is not what open gave", closed)
	}
	return open(t, st.Path())
}
