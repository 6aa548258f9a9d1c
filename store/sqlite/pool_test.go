package sqlite_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/walink/walink/store/sqlite"
)

func TestStatementsAreKept(t *testing.T) {
	t.Parallel()
	st := open(t, filepath.Join(t.TempDir(), "walink.db"))
	before := sqlite.Kept(st)
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			for i := range 20 {
				if n, err := sqlite.Ask(t.Context(), st, "SELECT $1+1", i); err != nil || n != i+1 {
					t.Errorf("%d+1: %d, %v", i, n, err)
				}
			}
		})
	}
	asking.Wait()
	if kept := sqlite.Kept(st); kept != before+1 {
		t.Errorf("one statement more makes %d of %d", kept, before)
	}
	// A table that changes is no obstacle for a statement that is kept.
	execSQL(t, st, "CREATE TABLE own (a); INSERT INTO own VALUES (7)")
	const query = "SELECT * FROM own"
	if n, err := sqlite.Ask(t.Context(), st, query); err != nil || n != 7 {
		t.Errorf("the table has %d, %v", n, err)
	}
	execSQL(t, st, "DROP TABLE own; CREATE TABLE own (b); INSERT INTO own VALUES (8)")
	if n, err := sqlite.Ask(t.Context(), st, query); err != nil || n != 8 {
		t.Errorf("the new table has %d, %v", n, err)
	}
	execSQL(t, st, "DROP TABLE own")
	if n, err := sqlite.Ask(t.Context(), st, query); err == nil {
		t.Errorf("a table that is gone has %d", n)
	}
	kept := sqlite.Kept(st)
	if n, err := sqlite.Ask(t.Context(), st, "SELECT 1 WHERE 5 IN ($1,$2)", 4, 5); err != nil || n != 1 || sqlite.Kept(st) != kept {
		t.Errorf("a list: %d, %v, and %d statements of %d", n, err, sqlite.Kept(st), kept)
	}
	// There is an end to it.
	for i := range 300 {
		if n, err := sqlite.Ask(t.Context(), st, fmt.Sprintf("SELECT %d", i)); err != nil || n != i {
			t.Errorf("%d: %d, %v", i, n, err)
		}
	}
	if kept := sqlite.Kept(st); kept > 256 {
		t.Errorf("%d statements are kept", kept)
	}
}
