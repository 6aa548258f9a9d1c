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
)

const (
	versionTable       = "walink_version"
	deviceVersionTable = "whatsmeow_version"
)

// The foreign key makes a session end with its device, also when the device is
// deleted by something that does not know walink. Times are Unix milliseconds
// in linked_at and of leases, and nanoseconds otherwise.
const schemaV1 = `
CREATE TABLE walink_session (
	name      TEXT   NOT NULL PRIMARY KEY,
	jid       TEXT   NOT NULL UNIQUE,
	linked_at BIGINT NOT NULL,
	FOREIGN KEY (jid) REFERENCES whatsmeow_device(jid) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE TABLE walink_code (
	number   TEXT   NOT NULL,
	asked_at BIGINT NOT NULL
);
CREATE INDEX walink_code_number ON walink_code (number, asked_at);
`

const schemaV2 = `
CREATE TABLE walink_refusal (
	number     TEXT   NOT NULL,
	refused_at BIGINT NOT NULL,
	until      BIGINT NOT NULL
);
CREATE INDEX walink_refusal_number ON walink_refusal (number, until);
`

const schemaV3 = `
CREATE TABLE walink_lease (
	session TEXT   NOT NULL PRIMARY KEY,
	holder  TEXT   NOT NULL,
	token   BIGINT NOT NULL,
	since   BIGINT NOT NULL,
	until   BIGINT NOT NULL,
	mark    TEXT   NOT NULL
);
`

// upgradeTable returns walink's own migrations.
func upgradeTable() dbutil.UpgradeTable {
	return dbutil.BuildUpgradeTable().
		WithRaw(0, 1, 1, "Sessions and pairing codes", dbutil.TxnModeOn, func(ctx context.Context, db *dbutil.Database) error {
			_, err := db.Exec(ctx, schemaV1)
			return err
		}).
		WithRaw(1, 2, 1, "Refusals of pairing codes", dbutil.TxnModeOn, func(ctx context.Context, db *dbutil.Database) error {
			_, err := db.Exec(ctx, schemaV2)
			return err
		}).
		WithRaw(2, 3, 1, "Leases", dbutil.TxnModeOn, func(ctx context.Context, db *dbutil.Database) error {
			_, err := db.Exec(ctx, schemaV3)
			return err
		}).
		Finish()
}

// upgrade brings whatsmeow's tables and walink's up to date, all in one
// transaction, so that a crash leaves the old schema or the new one. It also
// means that a future migration of whatsmeow which must switch foreign keys
// off fails here with an error: dbutil never gives its connection back, and
// there is only one. What else Open changes is done under the same lock, so that
// it happens to no file that is refused.
func (s *Store) upgrade(ctx context.Context) error {
	return s.txn(ctx, func(ctx context.Context) error {
		if err := s.container.Upgrade(ctx); err != nil {
			return err
		}
		if err := s.db.Upgrade(ctx); err != nil {
			return err
		}
		if err := s.forgetCodes(ctx, time.Now(), ledgerMemory); err != nil || s.path == memory {
			return err
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
	}{{deviceVersionTable, len(upgrades.Table)}, {versionTable, len(upgradeTable())}} {
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
