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
	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/internal/sqlkeep"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/transfer"
)

// closeTimeout is how long Close waits for running queries.
const closeTimeout = 5 * time.Second

// keeper has the methods that do not depend on the kind of database.
type keeper = sqlkeep.Keeper

// Store keeps sessions in a PostgreSQL database. It implements [store.Store]
// and all its optional interfaces. It is safe for concurrent use. Use [Open] or
// [OpenPool].
type Store struct {
	*keeper
	where string // the host and the database, for errors
	pool  *pgxpool.Pool
	lent  bool    // the pool belongs to the program
	sql   *sql.DB // the same pool
	db    *dbutil.Database
}

var (
	_ store.Store       = (*Store)(nil)
	_ store.Ledger      = (*Store)(nil)
	_ store.Leaser      = (*Store)(nil)
	_ store.Registry    = (*Store)(nil)
	_ transfer.Exporter = (*Store)(nil)
	_ transfer.Importer = (*Store)(nil)
	_ store.Checker     = (*Store)(nil)
)

// Open connects to the database that url names, and brings its tables up to
// date. If the database cannot be used, Open changes nothing in it and returns
// an error. Examples are a schema that needs a newer program
// ([go.mau.fi/util/dbutil.ErrUnsupportedDatabaseVersion]), and a role that may
// not create tables. The error names the host, the database and the reason, and
// has a Remedy method if the remedy is known.
func Open(ctx context.Context, url string) (*Store, error) {
	if misread(url) {
		return nil, fmt.Errorf("postgres: open: %w: the password seems to have a special character that is not percent-encoded", hint.New(errURL, remedyURL))
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, redact.Errorf("postgres: open: %w: %w", hint.New(errURL, remedyURL), reasonOf(err))
	}
	s := newStore(config)
	if err := s.open(ctx, config); err != nil {
		return nil, s.fail("open", errors.Join(explain(err), s.Close()))
	}
	return s, nil
}

// OpenPool is [Open] for a program that has a pool already. The program keeps the pool,
// and closes it after the Store: Close of the Store does not wait for running queries,
// and pool.Close does.
//
// The tables are in the schema that is first in the search_path of the pool's
// connections, which is the same for all of them.
//
// Behind a pooler such as PgBouncer the pool must not prepare statements: OpenPool
// fails unless its DefaultQueryExecMode is [pgx.QueryExecModeExec] or
// [pgx.QueryExecModeSimpleProtocol].
func OpenPool(ctx context.Context, pool *pgxpool.Pool) (*Store, error) {
	if pool == nil {
		return nil, errors.New("postgres: open: the pool is nil")
	}
	s := newStore(pool.Config())
	s.pool, s.lent = pool, true
	if err := s.openPool(ctx); err != nil {
		return nil, s.fail("open", errors.Join(explain(err), s.Close()))
	}
	return s, nil
}

func newStore(config *pgxpool.Config) *Store {
	at := config.ConnConfig
	return &Store{where: net.JoinHostPort(at.Host, strconv.Itoa(int(at.Port))) + "/" + at.Database}
}

func (s *Store) open(ctx context.Context, config *pgxpool.Config) error {
	single := config.ConnConfig.Copy()
	single.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, single)
	if err != nil {
		return err
	}
	pooled, err := behindPooler(ctx, conn)
	_ = conn.Close(ctx) // its only result is known
	if err != nil {
		return err
	}
	if pooled {
		// A prepared statement belongs to a connection, and each transaction
		// may get another connection.
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return err
	}
	return s.begin(ctx)
}

func (s *Store) openPool(ctx context.Context) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	pooled, err := behindPooler(ctx, conn.Conn())
	mode := conn.Conn().Config().DefaultQueryExecMode
	conn.Release()
	switch {
	case err != nil:
		return err
	case pooled && mode != pgx.QueryExecModeExec && mode != pgx.QueryExecModeSimpleProtocol:
		return hint.New(errPrepares, remedyPrepares)
	}
	return s.begin(ctx)
}

// begin brings the tables up to date, and makes the Store ready.
func (s *Store) begin(ctx context.Context) error {
	s.sql = stdlib.OpenDBFromPool(s.pool)
	devices, err := dbutil.NewWithDB(s.sql, "pgx")
	if err != nil {
		return err
	}
	devices.VersionTable, devices.UpgradeTable = "whatsmeow_version", upgrades.Table
	s.db = devices.Child(sqlkeep.VersionTable, sqlkeep.UpgradeTable(), nil)
	s.keeper = sqlkeep.New(sqlkeep.Config{
		DB: s.db, Container: sqlstore.NewWithWrappedDB(devices, nil), Fail: s.fail,
		Now: s.now, Lock: s.lock, Snapshot: s.snapshot,
	})
	if err := s.checkElsewhere(ctx); err != nil {
		return err
	}
	return sqlkeep.Upgrade(ctx, s.keeper, nil)
}

// behindPooler reports whether the connection goes through something like
// PgBouncer. Then the key that cancels a query is not that of a backend.
func behindPooler(ctx context.Context, conn *pgx.Conn) (bool, error) {
	var backend uint32
	err := conn.QueryRow(ctx, `SELECT pg_backend_pid()`, pgx.QueryExecModeExec).Scan(&backend)
	return backend != conn.PgConn().PID(), err
}

// checkElsewhere fails if tables exist in a schema that is not in the search
// path: the migrations look for tables in every schema, and would upgrade
// those.
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

// checkTables fails if tables are gone.
func (s *Store) checkTables(ctx context.Context) error {
	var exist bool
	err := s.db.QueryRow(ctx, `SELECT to_regclass('whatsmeow_device') IS NOT NULL AND to_regclass('walink_session') IS NOT NULL`).Scan(&exist)
	if err == nil && !exist {
		return hint.New(errTables, remedyElsewhere)
	}
	return err
}

// now returns the time of the database.
func (s *Store) now(ctx context.Context) (now time.Time, err error) {
	err = s.db.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now)
	return now, err
}

func (s *Store) lock(ctx context.Context, ids []int64, brief bool) error {
	columns := `pg_advisory_xact_lock(id)`
	if brief { // a program that is stopped or cut off must not keep others waiting for longer than they wait
		columns += `, set_config('idle_in_transaction_session_timeout', '5000', true)`
	}
	_, err := s.db.Exec(ctx, `SELECT `+columns+` FROM unnest($1::bigint[]) AS id`, ids)
	return err
}

func (s *Store) snapshot(ctx context.Context) (*sql.Tx, error) {
	return s.sql.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
}

// Check implements [store.Checker]. It tests whether the database answers, is
// no read-only standby, keeps what it has confirmed, has all tables, and is
// writable. The error is a [*store.Advice] if another role owns one of the tables or
// may use it, also as a member of a role that may, except for superusers and roles of
// which the current role is a member, or if the server is not on this machine and
// sslmode is not verify-full. Check does not see who can give themselves more, as by
// CREATEROLE before PostgreSQL 16, who may read the server's files or run programs on it
// (pg_read_server_files and its like), and who may replicate.
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
	if err := sqlkeep.Probe(ctx, s.keeper); err != nil {
		return err
	}
	return s.checkTrust(ctx)
}

// Close closes the connections. It waits up to five seconds for running queries.
// If one takes longer, Close returns an error. A second Close does nothing.
// Calls after Close return an error, even those through a device of the Store. A
// pool that was given to [OpenPool] stays open.
func (s *Store) Close() error {
	if s.sql == nil {
		return nil
	}
	err := s.sql.Close()
	if !s.lent {
		err = errors.Join(err, s.closePool())
	}
	if err != nil {
		return s.fail("close", err)
	}
	return nil
}

func (s *Store) closePool() error {
	closed := make(chan struct{})
	go func() {
		s.pool.Close()
		close(closed)
	}()
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-closed:
		return nil
	case <-timer.C:
		return fmt.Errorf("a query has not ended within %v", closeTimeout)
	}
}

// fail adds the operation and the database to err.
func (s *Store) fail(op string, err error) error {
	return redact.Errorf("postgres: %s in %s: %w", op, s.where, explain(err))
}

// Adoptable returns the devices in the database that have no session name,
// sorted. Another whatsmeow program has linked them. [Store.Adopt] gives a
// device a name.
func (s *Store) Adoptable(ctx context.Context) ([]types.JID, error) { return s.keeper.Adoptable(ctx) }

// Adopt stores a session name for the stored device jid, so that nobody has to
// link it again. The JID must have its device number, as Adoptable returns it.
// The session's LinkedAt is the time of the adoption.
//
// If the database has no such device, the error wraps [store.ErrNotFound]. It
// is an error too if the session has another device, or the device another
// name. Adopt never deletes anything. Adopting twice is not an error.
//
// Only one program at a time may use a device: stop the program that linked it.
func (s *Store) Adopt(ctx context.Context, session string, jid types.JID) error {
	return s.keeper.Adopt(ctx, session, jid)
}
