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

// upgrade brings the tables up to date in one transaction. It also means that a
// future migration of whatsmeow which must switch foreign keys off fails here
// with an error: dbutil never gives its connection back, and there is only one.
// What else Open changes is done under the same lock, so that it happens to no
// file that is refused.
func (s *Store) upgrade(ctx context.Context) error {
	return sqlkeep.Upgrade(ctx, s.keeper, func(context.Context) error {
		if s.path == memory {
			return nil
		}
		return makePrivate(s.path)
	})
}

// checkSchema only reads, on a connection without any pragma that would change
// the file. What it refuses stays as it was, byte for byte, but for the index
// of the -wal file, which is made where there is none.
//
// With current it also refuses what [Open] would bring up to date.
func checkSchema(ctx context.Context, path string, busy time.Duration, current bool) error {
	// A connection that may write moves what a crash has left in the -wal file
	// into the database when it closes. One that may not leaves behind the
	// empty -wal file that it makes where there is none.
	mode := "rw"
	if wal, err := os.Stat(path + "-wal"); err == nil && wal.Size() > 0 {
		mode = "ro"
	}
	db, err := connect(ctx, path, mode, []pragma{busyPragma(busy)}, 1)
	if err != nil {
		return err
	}
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
	return errors.Join(err, db.Close())
}

// checkVersion fails if the tables that belong to the version table can only
// be used by a newer program.
func checkVersion(ctx context.Context, db *sql.DB, table string, known int) error {
	var compat bool
	err := db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM pragma_table_info(?1) WHERE name='compat')", table).Scan(&compat)
	if err != nil || !compat {
		return err // no such table, or one from before versions had a lower bound
	}
	var version, lowest int
	err = db.QueryRowContext(ctx, "SELECT version, COALESCE(NULLIF(compat, 0), version) FROM "+table).Scan(&version, &lowest)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	case lowest > known:
		return fmt.Errorf("%w: %s is %d, readable by programs that know %d, and this one knows %d: use a newer version of this program",
			dbutil.ErrUnsupportedDatabaseVersion, table, version, lowest, known)
	}
	return nil
}
