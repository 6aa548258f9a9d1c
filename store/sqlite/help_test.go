package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/store/sqlstore"

	"github.com/walink/walink/store/sqlite"
)

func open(tb testing.TB, path string) *sqlite.Store {
	tb.Helper()
	st, err := sqlite.Open(tb.Context(), path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := st.Close(); err != nil {
			tb.Error(err)
		}
	})
	return st
}

// plain opens path as another whatsmeow program would.
func plain(t *testing.T, path string) (*sqlstore.Container, *sql.DB) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=foreign_keys(1)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	container := sqlstore.NewWithDB(db, "sqlite", nil)
	if err := container.Upgrade(t.Context()); err != nil {
		t.Fatal(err)
	}
	return container, db
}

// content returns a function that makes a file.
func content(text string) func(*testing.T, string) error {
	return func(_ *testing.T, path string) error { return os.WriteFile(path, []byte(text), 0o600) }
}

// execute returns a function that makes a database of plain whatsmeow and runs
// the statements in it.
func execute(statements ...string) func(*testing.T, string) error {
	return func(t *testing.T, path string) error {
		t.Helper()
		_, db := plain(t, path)
		return errors.Join(run(t.Context(), db, statements), db.Close())
	}
}

// raw opens path without any migration.
func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// locked is execute with a database that stays open until the test ends.
func locked(statements ...string) func(*testing.T, string) error {
	return func(t *testing.T, path string) error {
		t.Helper()
		_, db := plain(t, path)
		t.Cleanup(func() { _ = db.Close() })
		return run(t.Context(), db, statements)
	}
}

func run(ctx context.Context, db *sql.DB, statements []string) error {
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// mode returns a function that makes a database and sets its mode, or that of
// its directory.
func mode(mode fs.FileMode, ofDir bool) func(*testing.T, string) error {
	return func(t *testing.T, path string) error {
		t.Helper()
		if err := execute("SELECT 1")(t, path); err != nil {
			return err
		}
		if ofDir {
			path = filepath.Dir(path)
			t.Cleanup(func() { _ = os.Chmod(path, 0o700) })
		}
		return os.Chmod(path, mode)
	}
}

// version returns the version of whatsmeow's schema.
func version(t *testing.T, path string) (version int) {
	t.Helper()
	db := raw(t, path)
	err := db.QueryRowContext(t.Context(), "SELECT version FROM whatsmeow_version").Scan(&version)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return version
}

type file struct {
	Content  string
	Mode     fs.FileMode
	Modified time.Time
}

// snapshot returns the files in dir. The -shm file of an open database is an
// index in memory, to which even readers write.
func snapshot(t *testing.T, dir string) map[string]file {
	t.Helper()
	files := map[string]file{}
	for _, name := range list(t, dir) {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		f := file{Mode: info.Mode()}
		if info.Mode().IsRegular() && filepath.Ext(name) != ".db-shm" {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			f.Content, f.Modified = string(text), info.ModTime()
		}
		files[name] = f
	}
	return files
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}
