package bolt_test

import (
	"testing"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/store/storetest"
)

func TestCopyToSQLite(t *testing.T) {
	t.Parallel()
	testCopy(t, func(t *testing.T, st store.Store) (to, from store.Store) {
		t.Helper()
		return inSQLite(t), st
	})
}

func TestCopyFromSQLite(t *testing.T) {
	t.Parallel()
	testCopy(t, func(t *testing.T, st store.Store) (to, from store.Store) {
		t.Helper()
		return st, inSQLite(t)
	})
}

func testCopy(t *testing.T, pair func(t *testing.T, st store.Store) (to, from store.Store)) {
	t.Helper()
	storetest.RunCopy(t, func(t *testing.T) (to, from store.Store) {
		t.Helper()
		return pair(t, kv.New(open(t, temp(t))))
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
