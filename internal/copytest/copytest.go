// Package copytest runs the contract of copying between a Store and
// store/sqlite, to which people move from any other Store, and from it.
package copytest

import (
	"testing"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/store/storetest"
)

// Run copies to SQLite from what open returns, and the other way. Each call of
// open must give an empty Store, which Run closes; calls may come at once.
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
