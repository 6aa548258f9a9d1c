package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"go.mau.fi/util/dbutil"
	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/walink/walink/internal/bound"
	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/store"
)

const (
	remedyDirectory = "Let the user that this program runs as write to the directory of the database, and not only to the file."
	remedyFile      = "Let the user that this program runs as write to the database file."
	remedyPragmas   = "Set foreign_keys to 1, journal_mode to WAL, synchronous to FULL and busy_timeout to 5000 in the data source name, so that every connection has them."
)

func readOnlyFile(err error) error {
	return hint.New(fmt.Errorf("the file is read-only: %w", err), remedyFile)
}

// explain adds the remedy to an error of SQLite, if the remedy is known.
func explain(err error) error {
	if err == nil || hint.Known(err) {
		return err
	}
	remedy := ""
	var failure *driver.Error
	switch {
	case errors.As(err, &failure):
		const primary = 0xff // the other bits of a code only add detail
		switch failure.Code() & primary {
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			err = bound.Slow(err)
			remedy = "Stop the other program that has locked the database, such as a backup or an editor."
		case sqlite3.SQLITE_NOTADB:
			remedy = "Choose another file, or restore this one from a backup: it is not a database."
		case sqlite3.SQLITE_CORRUPT:
			remedy = "Restore the database from a backup, or move it away and link again: it is damaged."
		case sqlite3.SQLITE_FULL:
			remedy = "Free space on the disk of the database."
		case sqlite3.SQLITE_READONLY:
			remedy = remedyFile
		case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN:
			remedy = "Check the disk and the directory of the database: the system does not let SQLite read or write."
		}
	case errors.Is(err, dbutil.ErrUnsupportedDatabaseVersion):
		remedy = "Update this program: a newer one has changed the database."
	case errors.Is(err, sql.ErrConnDone), strings.Contains(err.Error(), "sql: database is closed"): // database/sql has no variable for it
		return fmt.Errorf("%w: %w", store.ErrClosed, err)
	}
	if remedy == "" {
		return err
	}
	return hint.New(err, remedy)
}
