package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.mau.fi/util/dbutil"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/store/sqlstore/upgrades"
	"go.mau.fi/whatsmeow/types"
	_ "modernc.org/sqlite" // the driver named "sqlite"

	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/internal/intact"
	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/internal/sqlkeep"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/transfer"
)

// memory is the path of a database that lives as long as its Store.
const memory = ":memory:"

// busyTimeout is how long a connection waits for a lock that another process
// holds. Connections of this process do not wait for each other, because only
// one writes.
const busyTimeout = 5 * time.Second

// closeTimeout is how long Close waits for the current transaction.
const closeTimeout = 5 * time.Second

// readers is the number of connections that read. Reads are short, and must not
// wait for all devices that want to write.
const readers = 4

// keeper has the methods that do not depend on the kind of database.
type keeper = sqlkeep.Keeper

// Store keeps sessions in one SQLite file. It implements [store.Store] and all
// its optional interfaces. It is safe for concurrent use. Use [Open] or [OpenDB].
type Store struct {
	*keeper
	path   string
	lent   bool // the connections are those of a pool of the program
	file   intact.File
	target string      // the path of the file, without links; empty in memory
	wal    intact.File // the -wal file
	closed atomic.Bool // the -wal file may go
	writer *sql.DB
	reader *sql.DB          // nil for a database in memory
	db     *dbutil.Database // walink's own tables
}

var (
	_ store.Store       = (*Store)(nil)
	_ store.Ledger      = (*Store)(nil)
	_ store.Checker     = (*Store)(nil)
	_ store.Leaser      = (*Store)(nil)
	_ store.Registry    = (*Store)(nil)
	_ transfer.Exporter = (*Store)(nil)
	_ transfer.Importer = (*Store)(nil)
)

// Open opens the database at path, and brings its tables up to date. If there
// is no file, Open creates it with mode 0600; an existing file that others may
// read gets that mode too. The directory must exist. The path ":memory:" gives
// a new database that ends with Close. A symbolic link at path must belong to the
// user that the program runs as or to root, and lead to a file.
//
// If a database cannot be used, because it is not a database, is read-only, is
// locked by another process or has a newer schema, the error names the path and
// the reason, and nothing is changed. So it is if another user can have put the file
// there, or one of those that Open makes next to it.
func Open(ctx context.Context, path string) (*Store, error) {
	return open(ctx, path, busyTimeout)
}

func open(ctx context.Context, path string, busy time.Duration) (*Store, error) {
	s := &Store{path: path}
	if err := s.open(ctx, busy, false); err != nil {
		return nil, redact.Errorf("sqlite: open %q: %w", path, errors.Join(explain(err), s.Close()))
	}
	return s, nil
}

// OpenDB is [Open] for a program that has the database open already. walink's tests use
// the driver of modernc.org/sqlite. The program keeps db, and closes it after the Store: Close of the Store only
// gives the connections back, which are five, of which one writes.
//
// OpenDB fails if a connection does not have the settings that the Store relies on, and
// so does every later call that gets such a connection. A statement sets them for one
// connection only, so they belong into the data source name. For modernc.org/sqlite:
//
//	file:service.db?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)&_pragma=synchronous(FULL)
//
// OpenDB switches secure_delete on for the connections that it takes, and they keep it
// when the Store gives them back. So what the Store deletes is gone from the files, as
// with Open. What the program deletes through its other connections is not, unless they
// have secure_delete too.
//
// A transaction of the program that writes should begin with BEGIN IMMEDIATE, and be
// short: the Store waits for it as long as busy_timeout says. The database needs a
// file, which gets mode 0600. A pool with a limit needs six connections or more.
func OpenDB(ctx context.Context, db *sql.DB) (*Store, error) {
	s := &Store{lent: true}
	if err := s.openDB(ctx, db); err != nil {
		return nil, redact.Errorf("sqlite: open the database of the program %q: %w", s.path, errors.Join(explain(err), s.Close()))
	}
	return s, nil
}

// intact fails if the file or its -wal file was deleted or replaced since it was opened.
// It is called before each transaction of walink, and so before a device is stored and when
// a lease is renewed, and before each connection.
func (s *Store) intact() error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	if err := s.file.Check(); err != nil {
		_ = s.putAside() // a system that cannot rename an open file does it in Close
		return err
	}
	if err := s.wal.Check(); err != nil {
		return hint.New(fmt.Errorf("the -wal file, which has what was stored last: %w", err),
			"Stop this program in the ordinary way, which brings what it has stored into the database, and start it again.")
	}
	return nil
}

func (s *Store) openDB(ctx context.Context, db *sql.DB) (err error) {
	if err := checkPool(db); err != nil {
		return err
	}
	if s.path, err = fileOf(ctx, db); err != nil {
		return err
	}
	if err := checkNextTo(s.path); err != nil {
		return err
	}
	s.writer = lend(db, 1, s.intact)
	if err := checkVersions(ctx, s.writer, false); err != nil {
		return err
	}
	return s.begin(ctx, false, func() (*sql.DB, error) { return lend(db, readers, s.intact), nil })
}

// open is Open. With asItIs it creates, changes and upgrades nothing, and fails
// if an upgrade is needed.
func (s *Store) open(ctx context.Context, busy time.Duration, asItIs bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	inMemory := s.path == memory
	if !inMemory {
		if !asItIs {
			if err := prepareFile(s.path); err != nil {
				return err
			}
		}
		if err := checkSchema(ctx, s.path, busy, asItIs); err != nil {
			return err
		}
	}

	var err error
	if s.writer, err = connect(ctx, s.path, "rw", writerPragmas(inMemory, busy), 1, s.intact); err != nil {
		return err
	}
	return s.begin(ctx, asItIs, func() (*sql.DB, error) { return connect(ctx, s.path, "rw", readerPragmas(busy), readers, s.intact) })
}

// begin brings the tables up to date, unless asItIs is set, and makes the Store ready.
func (s *Store) begin(ctx context.Context, asItIs bool, connectReader func() (*sql.DB, error)) error {
	devices, err := dbutil.NewWithDB(s.writer, "sqlite")
	if err != nil {
		return err
	}
	devices.VersionTable, devices.UpgradeTable = deviceVersionTable, upgrades.Table
	s.db = devices.Child(sqlkeep.VersionTable, sqlkeep.UpgradeTable(), nil)
	purge := s.purge
	if asItIs || s.path == memory { // SQLite keeps no log of a database in memory
		purge = nil
	}
	s.keeper = sqlkeep.New(sqlkeep.Config{
		DB: s.db, Container: sqlstore.NewWithWrappedDB(devices, nil), Fail: s.fail,
		Now: func(context.Context) (time.Time, error) { return time.Now(), nil }, // all users of the file are on one machine
		Snapshot: func(ctx context.Context) (*sql.Tx, error) {
			db := s.reader
			if db == nil { // in memory
				db = s.writer
			}
			return db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		},
		Intact: s.intact,
		Purge:  purge,
	})
	if !asItIs {
		if err := s.upgrade(ctx); err != nil {
			return err
		}
	}
	if s.path == memory {
		return nil
	}
	if s.file, err = intact.Of(s.path); err != nil {
		return err
	}
	// Without links, as SQLite finds the files next to it.
	if s.target, err = filepath.EvalSymlinks(s.file.Path()); err != nil {
		return err
	}
	if s.wal, err = intact.Of(s.target + "-wal"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}

	if s.reader, err = connectReader(); err != nil {
		return err
	}
	pools := split{writer: newStatements(s.writer), reader: newStatements(s.reader)}
	devices.LoggingDB.UnderlyingExecable = pools
	s.db.LoggingDB.UnderlyingExecable = pools
	return nil
}

// Path returns the path that was given to Open, or that of the database of OpenDB.
func (s *Store) Path() string { return s.path }

// Close waits up to five seconds for the current transaction, and then closes the
// database. After [OpenDB] it gives the connections back instead. If the transaction
// takes longer, Close returns an error. A second Close does nothing. Calls after Close
// return an error, even those through a device of the Store.
//
// Close the Linkers first. A lease that they have not released ends when it
// expires.
func (s *Store) Close() error {
	var errs []error
	if s.writer != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout) //nolint:forbidigo // io.Closer has no ctx
		defer cancel()
		// Once this goroutine has the only writing connection, no transaction
		// runs. Closing the pool then makes every waiting writer fail.
		conn, err := s.writer.Conn(ctx)
		switch {
		case err == nil:
			defer func() { _ = conn.Close() }() // the pool is closed by then, so this closes the connection
			if s.keeper != nil && s.intact() == nil {
				sqlkeep.Purge(s.keeper, func() bool { return purge(ctx, conn) })
			}
		case ctx.Err() != nil:
			errs = append(errs, fmt.Errorf("a transaction has not ended within %v: %w", closeTimeout, err))
		}
	}
	// The writer is the last: the last connection empties and removes the -wal
	// file, which a connection that only reads must not do.
	s.closed.Store(true)
	for _, db := range []*sql.DB{s.reader, s.writer} {
		if db == nil {
			continue
		}
		if err := db.Close(); err != nil {
			errs = append(errs, err)
		}
	}
	if err := s.putAside(); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return redact.Errorf("sqlite: close %q: %w", s.path, err)
	}
	return nil
}

// putAside renames the -wal file if another file has replaced the database: SQLite
// leaves it behind, and would bring what is in it into the new file, such as a backup
// that was restored. Open connections do not notice.
func (s *Store) putAside() error {
	if err := s.file.Check(); err == nil || errors.Is(err, fs.ErrNotExist) || s.wal.Path() == "" || s.wal.Check() != nil {
		return nil //nolint:nilerr // nothing has to be done
	}
	if err := os.Remove(s.target + "-shm"); err != nil && !errors.Is(err, fs.ErrNotExist) { // an index of the -wal file
		return err
	}
	if err := os.Rename(s.target+"-wal", s.target+"-wal.replaced"); err != nil && !errors.Is(err, fs.ErrNotExist) { // another goroutine's
		return err
	}
	return nil
}

// fail adds the operation and the database to err.
func (s *Store) fail(op string, err error) error {
	return redact.Errorf("sqlite: %s in %q: %w", op, s.path, explain(err))
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
