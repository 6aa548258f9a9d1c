package sqlite_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/walink/walink/internal/storecrash"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/sqlite"
)

func TestDamage(t *testing.T) {
	t.Parallel()
	storecrash.Damage(t, storecrash.SQL{
		Open: func(t *testing.T) store.Store { t.Helper(); return open(t, filepath.Join(t.TempDir(), "walink.db")) },
		Set: func(t *testing.T, st store.Store, table, column, where string, value any) {
			t.Helper()
			s, ok := st.(*sqlite.Store)
			if !ok {
				t.Fatalf("%T", st)
			}
			db := raw(t, s.Path())
			db.SetMaxOpenConns(1)
			_, err := db.ExecContext(t.Context(), "PRAGMA ignore_check_constraints=1; UPDATE "+table+" SET "+column+"=?1 WHERE "+where, value)
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
		},
	})
}
