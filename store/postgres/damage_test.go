package postgres_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/walink/walink/internal/storecrash"
	"github.com/walink/walink/store"
)

func TestDamage(t *testing.T) {
	t.Parallel()
	s := running(t)
	var databases sync.Map // by Store
	storecrash.Damage(t, storecrash.SQL{
		Open: func(t *testing.T) store.Store {
			t.Helper()
			database := s.database(t)
			st := open(t, s.url(database))
			databases.Store(st, database)
			return st
		},
		Set: func(t *testing.T, st store.Store, table, column, where string, value any) {
			t.Helper()
			database, _ := databases.Load(st)
			name, _ := database.(string)
			literal := fmt.Sprintf("'%s'", value)
			if b, ok := value.([]byte); ok {
				literal = fmt.Sprintf(`'\x%x'`, b)
			}
			err := s.exec(t.Context(), name, "ALTER TABLE "+table+" DROP CONSTRAINT IF EXISTS "+table+"_"+column+"_check",
				"UPDATE "+table+" SET "+column+"="+literal+" WHERE "+where)
			if err != nil {
				t.Fatal(err)
			}
		},
	})
}
