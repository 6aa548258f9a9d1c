// Package copytest tests that sessions go from one Store to another.
package copytest

import (
	"testing"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/store/storetest"
)

// Run copies from the Stores that open returns to store/sqlite, which most
// sessions come from or go to, and from store/sqlite to them. Each call of open
// must return an empty Store, which Run closes; calls may run in parallel.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	t.Run("to SQLite", func(t *testing.T) {
		t.Parallel()
		storetest.RunCopy(t, func(t *testing.T) (to, from store.Store) {
			t.Helper()
			return inSQLite(t), open(t)
		})
	})
	t.Run("from SQLite", func(t *testing.T) {
		t.Parallel()
		storetest.RunCopy(t, func(t *testing.T) (to, from store.Store) {
			t.Helper()
			return open(t), inSQLite(t)
		})
	})
}

func inSQLite(t *testing.T) store.Store {
	t.Helper()
	st, err := sqlite.Open(t.Context(), ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	return st
}
