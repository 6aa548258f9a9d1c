package sqlkeep

import (
	"context"
	"strings"
	"time"

	"go.mau.fi/util/dbutil"
)

// VersionTable is the name of the table with the version of walink's tables.
const VersionTable = "walink_version"

// schema is what a new database gets. The foreign key deletes a session name with its
// device, even if a program that does not know walink deletes the device. Times are Unix
// milliseconds in linked_at, walink_lease and walink_holder, and Unix nanoseconds otherwise.
const schema = `
CREATE TABLE walink_session (
	name      NAME   NOT NULL PRIMARY KEY,
	jid       TEXT   NOT NULL UNIQUE,
	linked_at BIGINT NOT NULL,
	FOREIGN KEY (jid) REFERENCES whatsmeow_device(jid) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE TABLE walink_code (
	number   TEXT   NOT NULL,
	asked_at BIGINT NOT NULL
);
CREATE INDEX walink_code_number ON walink_code (number, asked_at);
CREATE TABLE walink_lease (
	session NAME   NOT NULL PRIMARY KEY,
	holder  NAME   NOT NULL,
	token   BIGINT NOT NULL,
	since   BIGINT NOT NULL
);
` + refusals + holders

// refusals came with version 2.
const refusals = `
CREATE TABLE walink_refusal (
	number     TEXT   NOT NULL,
	refused_at BIGINT NOT NULL,
	until      BIGINT NOT NULL
);
CREATE INDEX walink_refusal_number ON walink_refusal (number, until);
`

const schemaV3 = `
CREATE TABLE walink_lease (
	session NAME   NOT NULL PRIMARY KEY,
	holder  NAME   NOT NULL,
	token   BIGINT NOT NULL,
	since   BIGINT NOT NULL,
	until   BIGINT NOT NULL,
	mark    TEXT   NOT NULL,
	doubt   BIGINT NOT NULL
);
`

const schemaV4 = `ALTER TABLE walink_lease ADD COLUMN renewed BIGINT NOT NULL DEFAULT 0`

// holders came with version 5.
const holders = `
CREATE TABLE walink_holder (
	id      NAME   NOT NULL PRIMARY KEY,
	name    NAME   NOT NULL,
	until   BIGINT NOT NULL,
	renewed BIGINT NOT NULL
);
CREATE INDEX walink_lease_holder ON walink_lease (holder, token);
CREATE TABLE walink_entry (
	session NAME  NOT NULL PRIMARY KEY,
	value   BYTEA NOT NULL
);
`

// Each old lease gets its own holder, whose ID has the name of the session, so
// that a program that cannot renew it any more has the time to give the session up.
const schemaV5 = holders + `
INSERT INTO walink_holder (id, name, until, renewed) SELECT 'of ' || session, holder, until, renewed FROM walink_lease WHERE until > 0;
UPDATE walink_lease SET holder='of ' || session;
ALTER TABLE walink_lease DROP COLUMN until;
ALTER TABLE walink_lease DROP COLUMN renewed;
ALTER TABLE walink_lease DROP COLUMN mark;
ALTER TABLE walink_lease DROP COLUMN doubt;
`

// UpgradeTable returns the migrations of walink's tables. The first makes them all; the
// others are for databases of older programs.
func UpgradeTable() dbutil.UpgradeTable {
	migrate := func(schema string) func(ctx context.Context, db *dbutil.Database) error {
		return func(ctx context.Context, db *dbutil.Database) error {
			kind := "TEXT"
			if db.Dialect == dbutil.Postgres {
				kind = "BYTEA"
			}
			_, err := db.Exec(ctx, strings.ReplaceAll(schema, " NAME ", " "+kind+" "))
			return err
		}
	}
	return dbutil.BuildUpgradeTable().
		WithRaw(0, 5, 5, "All tables", dbutil.TxnModeOn, migrate(schema)).
		WithRaw(1, 2, 1, "Refusals of pairing codes", dbutil.TxnModeOn, migrate(refusals)).
		WithRaw(2, 3, 1, "Leases", dbutil.TxnModeOn, migrate(schemaV3)).
		WithRaw(3, 4, 1, "When a lease was renewed", dbutil.TxnModeOn, migrate(schemaV4)).
		WithRaw(4, 5, 5, "Leases of holders, and entries", dbutil.TxnModeOn, migrate(schemaV5)).
		Finish()
}

// Upgrade brings whatsmeow's tables and walink's up to date, and deletes
// expired requests for pairing codes. Everything is one transaction, so a crash
// leaves the old schema or the new one. If after is not nil, Upgrade calls it
// at the end of the transaction.
func Upgrade(ctx context.Context, k *Keeper, after func(ctx context.Context) error) error {
	return k.locked(ctx, "schema", []string{""}, func(ctx context.Context) error {
		if err := k.container.Upgrade(ctx); err != nil {
			return err
		}
		if err := k.db.Upgrade(ctx); err != nil {
			return err
		}
		if err := k.forgetCodes(ctx, time.Now(), ledgerMemory); err != nil || after == nil {
			return err
		}
		return after(ctx)
	})
}

// Probe writes a row and deletes it, in one transaction. The database has to
// write, but others never see the row, and a crash leaves nothing behind.
func Probe(ctx context.Context, k *Keeper) error {
	return k.txn(ctx, func(ctx context.Context) error {
		if _, err := k.db.Exec(ctx, `INSERT INTO walink_code (number, asked_at) VALUES ('', 0)`); err != nil {
			return err
		}
		_, err := k.db.Exec(ctx, `DELETE FROM walink_code WHERE number=''`)
		return err
	})
}
