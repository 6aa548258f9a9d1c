package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/storetest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, func(t *testing.T) store.Store { return open(t, filepath.Join(t.TempDir(), "walink.db")) })
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, func(t *testing.T) store.Store { return open(t, ":memory:") })
	})
}
