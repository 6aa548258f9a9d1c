package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"go.mau.fi/util/dbutil"
	"go.mau.fi/whatsmeow/store/sqlstore/upgrades"

	"github.com/walink/walink/internal/sqlkeep"
)

const deviceVersionTable = "whatsmeow_version"

// upgrade brings the tables up to date, and makes the file private, in one
// transaction and under one lock. So nothing happens to a file that is refused.
//
// If a future migration of whatsmeow must switch foreign keys off, upgrade
// fails with an error: dbutil never returns the connection for that, and there
// is only one.
func (s *Store) upgrade(ctx context.Context) error {
	return sqlkeep.Upgrade(ctx, s.keeper, func(context.Context) error {
		if s.path == memory {
			return nil
		}
		return makePrivate(s.path)
	})
}

// checkSchema fails if this program cannot use the schema. It only reads, on a
// connection without any pragma that would change the file. A refused file
// stays as it was, byte for byte, except that the index of the -wal file is
// made if it does not exist.
//
// With current, checkSchema also fails if [Open] would upgrade the schema.
func checkSchema(ctx context.Context, path string, busy time.Duration, current bool) error {
	// When a connection that may write is closed, SQLite moves what a crash has
	// left in the -wal file into the database. A connection that may not write
	// makes an empty -wal file if there is none, and leaves it behind.
	mode := "rw"
	if wal, err := os.Stat(path + "-wal"); err == nil && wal.Size() > 0 {
		mode = "ro"
	}
	db, err := connect(ctx, path, mode, []pragma{busyPragma(busy)}, 1, nil)
	if err != nil {
		return err
	}
	return errors.Join(checkVersions(ctx, db, current), db.Close())
}

// checkVersions fails if this program cannot use the schema, or, with current, if
// [Open] would upgrade the schema.
func checkVersions(ctx context.Context, db *sql.DB, current bool) (err error) {
	for _, t := range []struct {
		name  string
		known int
	}{{deviceVersionTable, len(upgrades.Table)}, {sqlkeep.VersionTable, len(sqlkeep.UpgradeTable())}} {
		if err == nil {
			err = checkVersion(ctx, db, t.name, t.known)
		}
		if err == nil && current {
			err = checkCurrent(ctx, db, t.name, t.known)
		}
	}
	return err
}

// checkVersion fails if only a newer program can use the tables that belong to
// a version table.
func checkVersion(ctx context.Context, db *sql.DB, table string, known int) error {
	var compat bool
	err := db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM pragma_table_info(?1) WHERE name='compat')", table).Scan(&compat)
	if err != nil || !compat {
		return err // no such table, or an old one that has no lower bound
	}
	var version, lowest int
	err = db.QueryRowContext(ctx, "SELECT version, COALESCE(NULLIF(compat, 0), version) FROM "+table).Scan(&version, &lowest)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	case lowest > known:
		return fmt.Errorf("%w: %s is %d, which needs a program that knows %d, and this one knows %d: use a newer version of this program",
			dbutil.ErrUnsupportedDatabaseVersion, table, version, lowest, known)
	}
	return nil
}
