package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.mau.fi/util/dbutil"
	"modernc.org/sqlite"
)

// split sends each statement outside a transaction to the connection that it
// needs.
//
// One connection writes. Writers queue in the process, where waiting is cheap
// and obeys ctx, and none of them gets SQLITE_BUSY. Reads have their own
// connections, for two reasons. First, a read must not wait for the writes of
// hundreds of devices: whatsmeow reads while it holds the lock of the LID map,
// which all devices share. Second, a handler that runs in a transaction, and
// reads without the ctx of that transaction, would wait for itself for ever.
// With its own connection it reads the state before the transaction.
type split struct {
	writer, reader *statements
}

var _ dbutil.UnderlyingExecable = split{}

func (s split) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if stmt, ok := s.writer.prepared(ctx, query); ok { //nolint:sqlclosecheck // it is kept
		return stmt.ExecContext(ctx, args...)
	}
	return s.writer.db.ExecContext(ctx, query, args...)
}

func (s split) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if stmt, ok := s.reader.prepared(ctx, query); ok { //nolint:sqlclosecheck // it is kept
		return stmt.QueryContext(ctx, args...)
	}
	return s.reader.db.QueryContext(ctx, query, args...)
}

func (s split) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if stmt, ok := s.reader.prepared(ctx, query); ok { //nolint:sqlclosecheck // it is kept
		return stmt.QueryRowContext(ctx, args...)
	}
	return s.reader.db.QueryRowContext(ctx, query, args...)
}

// statements keeps the statements of a pool prepared, because SQLite needs
// longer to parse most of whatsmeow's statements than to run them. Closing the
// pool closes them.
type statements struct {
	db *sql.DB

	mu   sync.Mutex
	kept map[string]*sql.Stmt
}

// keptStatements is the most statements that are kept. whatsmeow and walink
// have about a hundred. A statement with a list has another text for each length
// of the list, and is not kept.
const keptStatements = 256

func newStatements(db *sql.DB) *statements { return &statements{db: db, kept: map[string]*sql.Stmt{}} }

// listed reports whether a query has a list of any length: an IN of whatsmeow,
// or several rows of an INSERT.
func listed(query string) bool {
	return strings.Contains(query, " IN (") || strings.Contains(query, "), (") || strings.Contains(query, "),(")
}

// prepared returns the prepared statement of a query. It returns false if the
// query is not kept, or is wrong.
func (s *statements) prepared(ctx context.Context, query string) (*sql.Stmt, bool) {
	s.mu.Lock()
	stmt, ok := s.kept[query]
	full := len(s.kept) >= keptStatements
	s.mu.Unlock()
	if ok || full || listed(query) {
		return stmt, ok
	}
	stmt, err := s.db.PrepareContext(ctx, query) // without the lock, because it waits for a connection
	if err != nil {
		return nil, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other, ok := s.kept[query]; ok { // another goroutine was faster
		_ = stmt.Close() //nolint:sqlclosecheck // and kept otherwise
		return other, true
	}
	s.kept[query] = stmt
	return stmt, true
}

// pragma is a setting that a connection must have, and its value when it is
// read back.
type pragma struct{ name, set, want string }

func writerPragmas(inMemory bool, busy time.Duration) []pragma {
	journal := pragma{"journal_mode", "WAL", "wal"}
	if inMemory {
		journal = pragma{"journal_mode", "MEMORY", "memory"}
	}
	return []pragma{
		busyPragma(busy),
		{"foreign_keys", "1", "1"},
		journal,
		{"synchronous", "FULL", "2"},
		{"secure_delete", "1", "1"}, // overwrites with zeros what is deleted or replaced
	}
}

func readerPragmas(busy time.Duration) []pragma {
	return []pragma{busyPragma(busy), {"query_only", "1", "1"}}
}

func busyPragma(busy time.Duration) pragma {
	ms := strconv.FormatInt(busy.Milliseconds(), 10)
	return pragma{"busy_timeout", ms, ms}
}

// connect opens a pool of at most conns connections, with SQLite's mode "ro" or
// "rw" and the given pragmas. It reads each pragma back, because SQLite
// silently ignores a pragma that it does not know, or that the file system does
// not allow. Before each connection it calls intact, unless that is nil.
func connect(ctx context.Context, path, mode string, pragmas []pragma, conns int, intact func() error) (*sql.DB, error) {
	dsn, err := dataSource(path, mode, pragmas)
	if err != nil {
		return nil, err
	}
	connector, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(guarded{connector, intact})
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	if err := verify(ctx, db, pragmas); err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

// guarded makes no connection to another file than the one that was opened. Such a
// connection would bring what is in the -wal file of the old file into the new one.
type guarded struct {
	driver.Connector
	intact func() error
}

// Connect implements [driver.Connector].
func (g guarded) Connect(ctx context.Context) (driver.Conn, error) {
	if g.intact != nil {
		if err := g.intact(); err != nil {
			return nil, err
		}
	}
	return g.Connector.Connect(ctx)
}

func verify(ctx context.Context, db *sql.DB, pragmas []pragma) error {
	for _, p := range pragmas {
		var got string
		if err := ask(ctx, db, p.name, &got); err != nil {
			return err
		}
		if got != p.want {
			return fmt.Errorf("pragma %s is %q, want %q", p.name, got, p.want)
		}
	}
	return nil
}

// dataSource returns the URI with which modernc.org/sqlite opens path. The path
// is made absolute, so that later connections open the same file after the
// working directory has changed.
func dataSource(path, mode string, pragmas []pragma) (string, error) {
	query := url.Values{"_txlock": {"immediate"}}
	for _, p := range pragmas {
		query.Add("_pragma", p.name+"("+p.set+")")
	}
	if path == memory {
		return "file::memory:?" + query.Encode(), nil
	}
	query.Set("mode", mode) // never "rwc": the file is created by prepareFile
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	abs = filepath.ToSlash(abs)
	if !strings.HasPrefix(abs, "/") {
		abs = "/" + abs // a drive letter
	}
	uri := url.URL{Scheme: "file", Path: abs, RawQuery: query.Encode()}
	return uri.String(), nil
}
