package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/store"
)

// Inspect opens the database at path for walink's doctor. Unlike Open, it
// creates and upgrades no file and no table, and changes no mode. A fault of
// the file that [Store.Check] would find is an error of Inspect, because
// opening such a file could change it.
//
// The error is a [*store.Advice] if Open would succeed after a change: if the
// file does not exist, or its tables are older than this program.
func Inspect(ctx context.Context, path string) (*Store, error) {
	if path == memory {
		return Open(ctx, path)
	}
	s := &Store{path: path}
	err := inspectFile(path)
	if err == nil {
		err = s.open(ctx, busyTimeout, true)
	}
	if err != nil {
		return nil, redact.Errorf("sqlite: inspect %q: %w", path, errors.Join(explain(err), s.Close()))
	}
	return s, nil
}

func inspectFile(path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) && isDir(filepath.Dir(path)) {
		return &store.Advice{
			Err: errors.New("there is no such file"),
			Fix: "Correct the path if a database should be there; otherwise link, which makes it.",
		}
	}
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
		return checkFile(path)
	}
	return prepareFile(path) // returns why path cannot be used, and creates nothing
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// checkCurrent returns an Advice if the tables are older than this program.
func checkCurrent(ctx context.Context, db *sql.DB, table string, known int) error {
	var exists bool
	var version int
	err := db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name=?1)", table).Scan(&exists)
	if err == nil && exists {
		err = db.QueryRowContext(ctx, "SELECT version FROM "+table).Scan(&version)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if version < known {
		return &store.Advice{
			Err: fmt.Errorf("%s is %d, and this program will upgrade it to %d, so the contents were not examined", table, version, known),
			Fix: "Copy the database if another program needs it as it is, then link.",
		}
	}
	return nil
}
