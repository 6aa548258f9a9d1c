package main

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/walink/walink/internal/storecrash"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/kvtest"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/store/storetest"
)

// journals opens Journals, and remembers the file of each Journal and Store.
type journals struct{ known sync.Map }

func (j *journals) open(t *testing.T, of any) *Journal {
	t.Helper()
	path, ok := j.known.Load(of)
	if !ok {
		path = filepath.Join(t.TempDir(), "walink.journal")
	}
	text, _ := path.(string)
	db, err := OpenJournal(text)
	if err != nil {
		t.Fatalf("OpenJournal: %v", err)
	}
	j.known.Store(db, text)
	return db
}

func (j *journals) store(t *testing.T, of any) store.Store {
	t.Helper()
	db := j.open(t, of)
	st := kv.New(db)
	path, _ := j.known.Load(db)
	j.known.Store(st, path)
	return st
}

func TestDB(t *testing.T) {
	t.Parallel()
	var j journals
	kvtest.Run(t, func(t *testing.T) kv.DB { return j.open(t, nil) },
		kvtest.WithReopen(func(t *testing.T, closed kv.DB) kv.DB { return j.open(t, closed) }))
}

func TestStore(t *testing.T) {
	t.Parallel()
	var j journals
	storetest.Run(t, func(t *testing.T) store.Store { return j.store(t, nil) },
		storetest.WithReopen(func(t *testing.T, closed store.Store) store.Store { return j.store(t, closed) }))
}

// A crash may cut the file off anywhere. The Journal then has the state after one of
// the transactions.
func TestCutOffAnywhere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "walink.journal")
	db, err := OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	const count = 5
	ends := map[int64]int{}
	for i := range count {
		err := db.Txn(t.Context(), true, func(tx kv.Tx) error {
			if err := tx.Set([]byte{'a', byte(i)}, []byte("value")); err != nil {
				return err
			}
			return tx.Set([]byte{'b', byte(i)}, []byte("value"))
		})
		if err != nil {
			t.Fatal(err)
		}
		ends[db.size] = i + 1
	}
	size := db.size
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole := 0
	for cut := range size + 1 {
		if n, ok := ends[cut]; ok {
			whole = n
		}
		if err := os.WriteFile(path, content[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := OpenJournal(path)
		if err != nil {
			t.Fatalf("cut off at %d: %v", cut, err)
		}
		found := 0
		err = db.Txn(t.Context(), false, func(tx kv.Tx) error {
			return tx.Scan(nil, func(_, _ []byte) error { found++; return nil })
		})
		if err != nil || found != 2*whole {
			t.Errorf("cut off at %d: %d keys, %v, want %d", cut, found, err, 2*whole)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMain(m *testing.M) {
	if storecrash.Child(openStore) {
		return
	}
	os.Exit(m.Run())
}

func TestCopyFromSQLite(t *testing.T) {
	t.Parallel()
	var j journals
	storetest.RunCopy(t, func(t *testing.T) (to, from store.Store) {
		t.Helper()
		st, err := sqlite.Open(t.Context(), ":memory:")
		if err != nil {
			t.Fatal(err)
		}
		return j.store(t, nil), st
	})
}
