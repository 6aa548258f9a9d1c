package sqlite_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/store/storetest"
)

// settings are those that OpenDB demands of every connection.
const settings = "_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)&_pragma=synchronous(FULL)"

// pool is the pool of a program.
func pool(t *testing.T, path, settings string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?"+settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func openDB(t *testing.T, db *sql.DB) *sqlite.Store {
	t.Helper()
	st, err := sqlite.OpenDB(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

func TestContractOfOpenDB(t *testing.T) {
	t.Parallel()
	var pools sync.Map // by Store
	opened := func(t *testing.T, db *sql.DB) store.Store {
		t.Helper()
		st := openDB(t, db)
		pools.Store(st, db)
		return st
	}
	storetest.Run(t, func(t *testing.T) store.Store {
		t.Helper()
		skipValues(t)
		return opened(t, pool(t, filepath.Join(t.TempDir(), "service.db"), settings))
	}, storetest.WithReopen(func(t *testing.T, closed store.Store) store.Store {
		t.Helper()
		db, _ := pools.Load(closed)
		return opened(t, db.(*sql.DB)) //nolint:errcheck // see above
	}))
}

// The pool belongs to the program: it works while the Store is open and after that,
// and so does the next Store.
func TestOpenDBLeavesThePoolOpen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "service.db")
	db := pool(t, path, settings)
	for i := range 2 {
		st := openDB(t, db)
		if i == 0 {
			storetest.Link(t, st, "default", storetest.JID("5511987654321", 1))
		}
		device, err := st.Device(t.Context(), "default")
		if err != nil || device.ID == nil {
			t.Fatalf("the device is %v, %v", device, err)
		}
		if err := errors.Join(st.Check(t.Context()), run(t.Context(), db, []string{"CREATE TABLE IF NOT EXISTS own (a)"})); err != nil {
			t.Fatal(err)
		}
		if st.Path() != path {
			t.Errorf("Path is %q, want %q", st.Path(), path)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		if err := db.PingContext(t.Context()); err != nil {
			t.Errorf("the pool after Close: %v", err)
		}
		if used := db.Stats().InUse; used != 0 {
			t.Errorf("the Store has %d connections after Close", used)
		}
		if _, err := st.Sessions(t.Context()); err == nil {
			t.Error("a Store that is closed works")
		}
		if err := device.Sessions.PutSession(t.Context(), "1:0", []byte("session")); err == nil {
			t.Error("a device of a Store that is closed works")
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
}

// A database/sql pool makes connections when it needs them, and a statement sets a
// pragma for one of them only.
func TestOpenDBNamesTheRemedy(t *testing.T) {
	t.Parallel()
	without := func(setting string) string {
		return strings.ReplaceAll("&"+settings, "&_pragma="+setting, "")[1:]
	}
	const pragmas = "Set foreign_keys to 1, journal_mode to WAL, synchronous to FULL and busy_timeout to 5000 in the data source name"
	for name, test := range map[string]struct {
		settings     string
		prepare      func(*testing.T, *sql.DB) error
		says, remedy string
	}{
		"no foreign keys":  {without("foreign_keys(1)"), nil, "foreign_keys 0", pragmas},
		"no log":           {without("journal_mode(WAL)"), nil, "journal_mode delete", pragmas},
		"no busy timeout":  {without("busy_timeout(5000)"), nil, "busy_timeout 0", pragmas},
		"not synchronous":  {strings.ReplaceAll(settings, "FULL", "NORMAL"), nil, "synchronous 1", pragmas},
		"five connections": {settings, func(_ *testing.T, db *sql.DB) error { db.SetMaxOpenConns(5); return nil }, "5 connections", "Call SetMaxOpenConns with 6 or more"},
		"in memory":        {"mode=memory&" + settings, nil, "in memory", "Give the database a file"},
		"a newer schema": {settings, func(t *testing.T, db *sql.DB) error {
			t.Helper()
			return errors.Join(openDB(t, db).Close(), run(t.Context(), db, []string{"UPDATE whatsmeow_version SET version=99, compat=99"}))
		}, "needs a program that knows 99", "Update this program"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pool(t, filepath.Join(t.TempDir(), "service.db"), test.settings)
			if test.prepare != nil {
				if err := test.prepare(t, db); err != nil {
					t.Fatal(err)
				}
			}
			st, err := sqlite.OpenDB(t.Context(), db)
			if err == nil {
				t.Fatal(st.Close(), "OpenDB succeeded")
			}
			if !strings.Contains(err.Error(), test.says) || !strings.HasPrefix(remedyOf(err), test.remedy) {
				t.Errorf("%v\nremedy %q, want %q", err, remedyOf(err), test.remedy)
			}
			if used := db.Stats().InUse; used != 0 {
				t.Errorf("%d connections are still lent", used)
			}
		})
	}
	if _, err := sqlite.OpenDB(t.Context(), nil); err == nil {
		t.Error("OpenDB of nil succeeded")
	}
}

func TestPains20PragmasAreCheckedOnEveryLentConnection(t *testing.T) {
	t.Parallel()
	db := pool(t, filepath.Join(t.TempDir(), "service.db"), strings.ReplaceAll(settings, "foreign_keys(1)", "foreign_keys(0)"))
	db.SetMaxIdleConns(1)
	if err := run(t.Context(), db, []string{"PRAGMA foreign_keys=1"}); err != nil { // of one connection
		t.Fatal(err)
	}
	st := openDB(t, db)
	if _, err := st.Sessions(t.Context()); err == nil || !strings.Contains(err.Error(), "foreign_keys 0") {
		t.Errorf("Sessions on the second connection: %v", err)
	}
	if err := st.Check(t.Context()); err == nil {
		t.Error("Check found nothing")
	}
}

// The transactions of the program do not make those of the Store fail, although a driver
// begins a transaction without the write lock.
func TestOpenDBNextToTransactionsOfTheProgram(t *testing.T) {
	t.Parallel()
	db := pool(t, filepath.Join(t.TempDir(), "service.db"), settings)
	st := openDB(t, db)
	if err := run(t.Context(), db, []string{"CREATE TABLE own (a)"}); err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	now := time.Now()
	for i := range 4 {
		writers.Go(func() {
			for j := range 25 {
				if _, err := st.TakeCode(t.Context(), "55119876543"+string(rune('0'+i)), now.Add(time.Duration(j)*time.Second), 1<<20, time.Hour); err != nil {
					t.Error(err)
				}
				if err := run(t.Context(), db, []string{"INSERT INTO own VALUES (1)"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
}
