package storetest_test

import (
	"path/filepath"
	"testing"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/store/storetest"
)

// The test of a Store is one call, here for that of package sqlite. WithReopen
// adds the cases for what outlives a Store.
//
//nolint:testableexamples // a suite runs in a test
func ExampleRun() {
	open := func(t *testing.T, path string) store.Store {
		t.Helper()
		st, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}

	// In mystore_test.go this is func TestContract.
	_ = func(t *testing.T) {
		storetest.Run(t,
			func(t *testing.T) store.Store {
				t.Helper()
				return open(t, filepath.Join(t.TempDir(), "walink.db"))
			},
			storetest.WithReopen(func(t *testing.T, closed store.Store) store.Store {
				t.Helper()
				st, ok := closed.(*sqlite.Store)
				if !ok {
					t.Fatalf("the Store is a %T", closed)
				}
				return open(t, st.Path())
			}))
	}
}
