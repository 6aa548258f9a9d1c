package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.mau.fi/util/dbutil"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/store/sqlstore/upgrades"
	"go.mau.fi/whatsmeow/types"
	_ "modernc.org/sqlite" // the driver named "sqlite"

	"github.com/walink/walink/internal/sqlkeep"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/transfer"
)

// memory is the path of a database that lives as long as its Store.
const memory = ":memory:"

// busyTimeout is how long a lock held by another process is waited for.
// Within the process nothing waits for it: there is one writing connection.
const busyTimeout = 5 * time.Second

// closeTimeout is how long Close waits for the transaction that runs.
const closeTimeout = 5 * time.Second

// longestLease is for how long Close believes a lease. A Linker's has 24 seconds.
const longestLease = time.Minute

// readers is the number of connections for reading. Reads are short; what
// they must not do is queue behind every device that waits to write.
const readers = 4

// keeper has the methods that do not depend on the kind of database: those of
// [store.Store] but for Close, of [store.Ledger],
// [store.Leaser], [transfer.Exporter] and [transfer.Importer].
type keeper = sqlkeep.Keeper

// Store keeps sessions in one SQLite file. It implements [store.Store] with all
// that is optional: [store.Ledger], [store.Leaser], what [transfer.Copy] needs and
// what the doctor asks. It is safe for concurrent use. Use [Open].
type Store struct {
	*keeper
	path   string
	file   os.FileInfo // at the time of Open; nil in memory
	writer *sql.DB
	reader *sql.DB          // nil for a database in memory
	db     *dbutil.Database // walink's own tables
	vital  vital
}

var (
	_ store.Store       = (*Store)(nil)
	_ store.Ledger      = (*Store)(nil)
	_ store.Checker     = (*Store)(nil)
	_ store.Leaser      = (*Store)(nil)
	_ transfer.Exporter = (*Store)(nil)
	_ transfer.Importer = (*Store)(nil)
)

// Open opens the database at path, creating it with mode 0600 if there is
// none, and brings its tables up to date. A file that others may read gets the
// mode 0600 too. The directory must exist. The path ":memory:" gives a
// database of its own that ends with Close.
//
// A database that cannot be used (not a database, read-only, locked by another
// process, of a newer schema) gets an error that names the path and the
// reason, and is not changed.
func Open(ctx context.Context, path string) (*Store, error) {
	return open(ctx, path, busyTimeout)
}

func open(ctx context.Context, path string, busy time.Duration) (*Store, error) {
	s := &Store{path: path}
	if err := s.open(ctx, busy, false); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: open %q: %w", path, explain(err)), s.Close())
	}
	return s, nil
}

// open is Open. With asItIs it does not create, change or upgrade anything, and
// needs no upgrade.
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
	if s.writer, err = connect(ctx, s.path, "rw", writerPragmas(inMemory, busy), 1); err != nil {
		return err
	}
	devices, err := dbutil.NewWithDB(s.writer, "sqlite")
	if err != nil {
		return err
	}
	devices.VersionTable, devices.UpgradeTable = deviceVersionTable, upgrades.Table
	s.db = devices.Child(sqlkeep.VersionTable, sqlkeep.UpgradeTable(), nil)
	s.keeper = sqlkeep.New(sqlkeep.Config{
		DB: s.db, Container: sqlstore.NewWithWrappedDB(devices, nil), Fail: s.fail,
		Now: func(context.Context) (time.Time, error) { return time.Now(), nil }, // of one machine
		Snapshot: func(ctx context.Context) (*sql.Tx, error) {
			db := s.reader
			if db == nil { // in memory
				db = s.writer
			}
			return db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		},
		Mark: func(context.Context) (string, error) { return s.vital.mark() },
		Dead: func(_ context.Context, mark string) bool { return s.vital.dead(mark) },
	})
	if !asItIs {
		if err := s.upgrade(ctx); err != nil {
			return err
		}
	}
	if inMemory {
		return nil
	}
	if s.file, err = os.Stat(s.path); err != nil {
		return err
	}
	// Whatever name the others have for it, and wherever this program goes.
	whole, err := filepath.Abs(s.path)
	if err == nil {
		whole, err = filepath.EvalSymlinks(whole)
	}
	if err != nil {
		return err
	}
	s.vital.path = whole

	if s.reader, err = connect(ctx, s.path, "rw", readerPragmas(busy), readers); err != nil {
		return err
	}
	pools := split{writer: newStatements(s.writer), reader: newStatements(s.reader)}
	devices.LoggingDB.UnderlyingExecable = pools
	s.db.LoggingDB.UnderlyingExecable = pools
	return nil
}

// Path returns the path that was given to Open.
func (s *Store) Path() string { return s.path }

// Close closes the database once the transaction that runs in it has ended,
// for which it waits up to five seconds; one that takes longer gets an error.
// It may be called twice. What is called later, also through a device of the
// Store, returns an error. Close the Linkers before: a lease that they have not
// given back ends with its time, for at most a minute of which a file beside the
// database stays open to say so.
func (s *Store) Close() error {
	var errs []error
	var held time.Duration
	if s.writer != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout) //nolint:forbidigo // io.Closer has no ctx
		defer cancel()
		// Who has the only writing connection has no transaction to wait for,
		// and closing the pool under it refuses those that wait for theirs.
		conn, err := s.writer.Conn(ctx)
		switch {
		case err == nil:
			defer func() { _ = conn.Close() }() // the pool is closed: this closes the connection
			held = s.held(ctx, conn)            // of what was lent before, and from here on nothing is
		case ctx.Err() != nil:
			held = longestLease
			errs = append(errs, fmt.Errorf("sqlite: close %q: a transaction has not ended within %v: %w", s.path, closeTimeout, err))
		}
	}
	// The writer last: the last connection empties and removes the -wal file,
	// which a connection that only reads must not do.
	for _, db := range []*sql.DB{s.reader, s.writer} {
		if db == nil {
			continue
		}
		if err := db.Close(); err != nil {
			errs = append(errs, fmt.Errorf("sqlite: close %q: %w", s.path, err))
		}
	}
	if err := s.vital.close(held); err != nil {
		errs = append(errs, fmt.Errorf("sqlite: close %q: %w", s.path, err))
	}
	return errors.Join(errs...)
}

// held is how long a lease is in force that this Store has lent.
func (s *Store) held(ctx context.Context, conn *sql.Conn) time.Duration {
	mark := s.vital.marked()
	if mark == "" {
		return 0
	}
	until, err := sqlkeep.Held(ctx, conn, mark)
	if err != nil {
		return longestLease // nobody knows
	}
	return min(time.Until(until), longestLease)
}

// fail names the operation and the database in err.
func (s *Store) fail(op string, err error) error {
	return fmt.Errorf("sqlite: %s in %q: %w", op, s.path, explain(err))
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
