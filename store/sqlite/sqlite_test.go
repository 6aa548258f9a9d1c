package sqlite_test

import (
	"path/filepath"
	"strings"
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
		storetest.Run(t, func(t *testing.T) store.Store {
			t.Helper()
			skipValues(t)
			return open(t, ":memory:")
		})
	})
}

// skipValues skips a case whose subject is the values that SQL stores. The SQL is that of a
// file: a database in memory, and one of OpenDB, only use other connections. Every call of
// whatsmeow's stores goes through these in "oracle: everything", inside transactions and outside.
func skipValues(t *testing.T) {
	t.Helper()
	name := strings.ReplaceAll(t.Name(), "_", " ")
	if strings.HasSuffix(name, "oracle: everything") {
		return
	}
	for _, subject := range []string{"oracle: ", "stores: odd ", "stores: large ", ": any string "} {
		if strings.Contains(name, subject) {
			t.Skip("the SQL is tested with a file")
		}
	}
}

func reopen(t *testing.T, closed store.Store) store.Store {
	t.Helper()
	st, ok := closed.(*sqlite.Store)
	if !ok {
		t.Fatalf("%T is not what open gave", closed)
	}
	return open(t, st.Path())
}
