package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"go.mau.fi/util/dbutil"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/store/sqlstore/upgrades"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/internal/sqlkeep"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/transfer"
)

// closeTimeout is how long Close waits for what runs.
const closeTimeout = 5 * time.Second

// keeper has the methods that do not depend on the kind of database: those of
// [store.Store] but for Close, of [store.Ledger],
// [store.Leaser], [transfer.Exporter] and [transfer.Importer].
type keeper = sqlkeep.Keeper

// Store keeps sessions in a PostgreSQL database. It implements [store.Store]
// with all that is optional. It is safe for concurrent use. Use [Open].
type Store struct {
	*keeper
	where    string // the host and the database, for errors
	pool     *pgxpool.Pool
	sql      *sql.DB // the same pool
	db       *dbutil.Database
	presence *presence
}

var (
	_ store.Store       = (*Store)(nil)
	_ store.Ledger      = (*Store)(nil)
	_ store.Leaser      = (*Store)(nil)
	_ transfer.Exporter = (*Store)(nil)
	_ transfer.Importer = (*Store)(nil)
	_ store.LeaseAlarm  = (*Store)(nil)
	_ store.Checker     = (*Store)(nil)
)

// Open connects to the database that url names, and brings its tables up to
// date. It fails where no connection can be had, and changes nothing in a
// database that it cannot use: one whose schema needs a newer program
// ([go.mau.fi/util/dbutil.ErrUnsupportedDatabaseVersion]), or in which the role
// may not create tables. The error names the host, the database and the reason,
// and has a Remedy method where something can be done about it.
func Open(ctx context.Context, url string) (*Store, error) {
	if misread(url) {
		return nil, fmt.Errorf("postgres: open: %w: the password seems to hold a special character as it is", hint.New(errURL, remedyURL))
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("postgres: open: %w: %w", hint.New(errURL, remedyURL), reasonOf(err))
	}
	at := config.ConnConfig
	s := &Store{
		where:    net.JoinHostPort(at.Host, strconv.Itoa(int(at.Port))) + "/" + at.Database,
		presence: newPresence(at.Copy()),
	}
	if err := s.open(ctx, config); err != nil {
		return nil, errors.Join(s.fail("open", err), s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, config *pgxpool.Config) error {
	pooled, err := behindPooler(ctx, config.ConnConfig)
	if err != nil {
		return err
	}
	if pooled {
		s.presence.useless = true
		// A prepared statement belongs to a connection, and each transaction has another.
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return err
	}
	s.sql = stdlib.OpenDBFromPool(s.pool)
	devices, err := dbutil.NewWithDB(s.sql, "pgx")
	if err != nil {
		return err
	}
	devices.VersionTable, devices.UpgradeTable = "whatsmeow_version", upgrades.Table
	s.db = devices.Child(sqlkeep.VersionTable, sqlkeep.UpgradeTable(), nil)
	s.keeper = sqlkeep.New(sqlkeep.Config{
		DB: s.db, Container: sqlstore.NewWithWrappedDB(devices, nil), Fail: s.fail,
		Now: s.now, Lock: s.lock, Snapshot: s.snapshot, Mark: s.mark, Dead: s.dead, Grace: store.LeaseGrace,
	})
	if err := s.checkElsewhere(ctx); err != nil {
		return err
	}
	return sqlkeep.Upgrade(ctx, s.keeper, nil)
}

// behindPooler reports whether something like PgBouncer stands in between: the
// key with which a query can be canceled is not that of a backend then.
func behindPooler(ctx context.Context, config *pgx.ConnConfig) (bool, error) {
	config = config.Copy()
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing was asked of it that matters
	var backend uint32
	err = conn.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&backend)
	return backend != conn.PgConn().PID(), err
}

// checkElsewhere finds tables that are not in the search path: the migrations
// look for them in every schema, and would take those for theirs.
func (s *Store) checkElsewhere(ctx context.Context) error {
	var elsewhere bool
	err := s.db.QueryRow(ctx, `
		SELECT EXISTS (
			SELECT 1 FROM information_schema.tables
			WHERE table_name IN ('whatsmeow_version', 'walink_version') AND to_regclass(table_name::text) IS NULL
		)
	`).Scan(&elsewhere)
	if err == nil && elsewhere {
		return hint.New(errElsewhere, remedyElsewhere)
	}
	return err
}

// checkTables finds tables that are gone.
func (s *Store) checkTables(ctx context.Context) error {
	var there bool
	err := s.db.QueryRow(ctx, `SELECT to_regclass('whatsmeow_device') IS NOT NULL AND to_regclass('walink_session') IS NOT NULL`).Scan(&there)
	if err == nil && !there {
		return hint.New(errTables, remedyElsewhere)
	}
	return err
}

// now is the clock of the database.
func (s *Store) now(ctx context.Context) (now time.Time, err error) {
	err = s.db.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now)
	return now, err
}

func (s *Store) lock(ctx context.Context, id int64) error {
	_, err := s.db.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, id)
	return err
}

func (s *Store) snapshot(ctx context.Context) (*sql.Tx, error) {
	return s.sql.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
}

// LeaseAlarm implements [store.LeaseAlarm].
func (s *Store) LeaseAlarm() <-chan struct{} { return s.presence.alarm() }

// Check implements [store.Checker]. It looks whether the database answers, is no
// read-only standby, does not lose what it has confirmed, and can be written.
func (s *Store) Check(ctx context.Context) error {
	if err := s.check(ctx); err != nil {
		return s.fail("check", err)
	}
	return nil
}

func (s *Store) check(ctx context.Context) error {
	var fsync, commit string
	var standby bool
	err := s.db.QueryRow(ctx, `SELECT current_setting('fsync'), current_setting('synchronous_commit'), pg_is_in_recovery()`).
		Scan(&fsync, &commit, &standby)
	switch {
	case err != nil:
		return err
	case standby:
		return hint.New(errStandby, remedyStandby)
	case fsync == "off" || commit == "off":
		return hint.New(fmt.Errorf("fsync is %s and synchronous_commit is %s, so a crash loses what was stored", fsync, commit), remedyDurable)
	}
	if err := s.checkTables(ctx); err != nil {
		return err
	}
	return sqlkeep.Probe(ctx, s.keeper)
}

// Close closes the connections once what runs on them has ended, for which it
// waits up to five seconds, after up to four for that which shows that the Store
// is alive; what takes longer gets an error. It may be called twice. What is called later, also through a device of the Store, returns an
// error.
func (s *Store) Close() error {
	s.presence.close()
	if s.sql == nil {
		return nil
	}
	err := s.sql.Close()
	closed := make(chan struct{})
	go func() {
		s.pool.Close()
		close(closed)
	}()
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-closed:
	case <-timer.C:
		err = errors.Join(err, fmt.Errorf("a query has not ended within %v", closeTimeout))
	}
	if err != nil {
		return s.fail("close", err)
	}
	return nil
}

// fail names the operation and the database in err.
func (s *Store) fail(op string, err error) error {
	return fmt.Errorf("postgres: %s in %s: %w", op, s.where, explain(err))
}

// Adoptable returns the devices that the database holds without a session
// name, sorted: those that another whatsmeow program has linked. [Store.Adopt]
// gives one of them a name.
func (s *Store) Adoptable(ctx context.Context) ([]types.JID, error) { return s.keeper.Adoptable(ctx) }

// Adopt records the stored device jid under session, so that nobody need link
// it again. The JID must be as Adoptable gives it, with the device number. Its
// LinkedAt is the time of the adoption.
//
// If the database holds no such device the error wraps [store.ErrNotFound]. If
// the session already has another device, or the device another name, that is
// an error too; nothing is ever deleted. Adopting twice is not an error.
//
// Only one program at a time may use a device: stop the one that linked it.
func (s *Store) Adopt(ctx context.Context, session string, jid types.JID) error {
	return s.keeper.Adopt(ctx, session, jid)
}
