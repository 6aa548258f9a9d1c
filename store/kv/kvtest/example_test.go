package kvtest_test

import (
	"testing"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/kvtest"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/storetest"
)

// The tests of a DB are two calls, here for that of package memory: one for the
// DB, and one for the Store on top of it.
//
//nolint:testableexamples // a suite runs in a test
func ExampleRun() {
	// In mydb_test.go these are func TestDB and func TestStore.
	_ = func(t *testing.T) {
		kvtest.Run(t, func(*testing.T) kv.DB { return memory.New() })
	}
	_ = func(t *testing.T) {
		storetest.Run(t, func(*testing.T) store.Store { return kv.New(memory.New()) })
	}
}
