package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"github.com/walink/walink/internal/hint"
)

// leastBusy is the shortest busy timeout, in milliseconds, of a lent connection.
const leastBusy = 1000

// lend returns a pool of at most conns connections, which it takes from the pool of
// the program and gives back when it is closed. So the Store has one connection that
// writes, as with [Open], and its Close leaves the pool of the program open.
func lend(pool *sql.DB, conns int, intact func() error) *sql.DB {
	db := sql.OpenDB(guarded{lender{pool}, intact})
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db
}

// checkPool fails if the Store would take all connections of the pool, and the
// program would wait for the Store for ever.
func checkPool(pool *sql.DB) error {
	const kept = 1 + readers
	if pool == nil {
		return errors.New("the *sql.DB is nil")
	}
	if limit := pool.Stats().MaxOpenConnections; limit > 0 && limit <= kept {
		return hint.New(
			fmt.Errorf("the pool has %d connections at most, and the store keeps %d of them", limit, kept),
			fmt.Sprintf("Call SetMaxOpenConns with %d or more, or not at all.", kept+1),
		)
	}
	return nil
}

// fileOf returns the path of the database.
func fileOf(ctx context.Context, db *sql.DB) (path string, err error) {
	err = db.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name='main'").Scan(&path)
	if err == nil && path == "" {
		err = hint.New(errors.New("the database is in memory, so each connection has its own"), "Give the database a file, or use sqlite.Open.")
	}
	return path, err
}

// queryer is a pool or a connection.
type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// ask runs a pragma, and reads what it returns.
func ask(ctx context.Context, db queryer, pragma string, to ...any) error {
	return db.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(to...)
}

// fit fails if a connection does not have the settings that Open gives its own.
func fit(ctx context.Context, db queryer) error {
	var foreign, synchronous, busy int
	var journal string
	for name, to := range map[string]any{
		"foreign_keys": &foreign, "journal_mode": &journal, "synchronous": &synchronous, "busy_timeout": &busy,
	} {
		if err := ask(ctx, db, name, to); err != nil {
			return err
		}
	}
	const full = 2 // 3 is EXTRA
	if foreign == 1 && journal == "wal" && synchronous >= full && busy >= leastBusy {
		return nil
	}
	return hint.New(
		fmt.Errorf("a connection has foreign_keys %d, journal_mode %s, synchronous %d and busy_timeout %d, want 1, wal, %d and %d or more",
			foreign, journal, synchronous, busy, full, leastBusy),
		remedyPragmas,
	)
}

// lender is a [driver.Connector] whose connections belong to another pool.
type lender struct{ pool *sql.DB }

// Connect implements [driver.Connector].
func (l lender) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := l.pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	err = fit(ctx, conn)
	if err == nil {
		err = ask(ctx, conn, "secure_delete=1", new(int))
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return lent{conn}, nil
}

// Driver implements [driver.Connector].
func (l lender) Driver() driver.Driver { return l.pool.Driver() }

// lent is a connection of another pool. It begins a transaction that may write with the
// write lock, whatever the driver does: a transaction that takes the lock later fails
// when another one has written meanwhile.
type lent struct{ conn *sql.Conn }

var (
	_ driver.ConnPrepareContext = lent{}
	_ driver.ConnBeginTx        = lent{}
	_ driver.ExecerContext      = lent{}
	_ driver.QueryerContext     = lent{}
)

var errNoContext = errors.New("a call without a context")

// Prepare implements [driver.Conn]. database/sql calls PrepareContext.
func (l lent) Prepare(string) (driver.Stmt, error) { return nil, errNoContext }

// Begin implements [driver.Conn]. database/sql calls BeginTx.
func (l lent) Begin() (driver.Tx, error) { return nil, errNoContext }

// Close gives the connection back.
func (l lent) Close() error { return l.conn.Close() }

// ExecContext implements [driver.ExecerContext].
func (l lent) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return l.conn.ExecContext(ctx, query, values(args)...)
}

// QueryContext implements [driver.QueryerContext].
func (l lent) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return lentRowsOf(l.conn.QueryContext(ctx, query, values(args)...))
}

// PrepareContext implements [driver.ConnPrepareContext].
func (l lent) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	stmt, err := l.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return lentStmt{stmt}, nil
}

// BeginTx implements [driver.ConnBeginTx].
func (l lent) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, begin := lentTx{l.conn, context.WithoutCancel(ctx)}, "BEGIN IMMEDIATE"
	if opts.ReadOnly {
		begin = "BEGIN"
	}
	if _, err := l.conn.ExecContext(ctx, begin); err != nil {
		_ = tx.Rollback() // a driver may return the error of ctx although the transaction has begun
		return nil, err
	}
	return tx, nil
}

// lentTx is a transaction on a lent connection.
type lentTx struct {
	conn *sql.Conn
	ctx  context.Context // the methods of a driver.Tx get none
}

// Commit implements [driver.Tx].
func (t lentTx) Commit() error {
	_, err := t.conn.ExecContext(t.ctx, "COMMIT")
	if err != nil {
		_ = t.Rollback() // otherwise the transaction may go on
	}
	return err
}

// Rollback implements [driver.Tx].
func (t lentTx) Rollback() error {
	_, err := t.conn.ExecContext(t.ctx, "ROLLBACK")
	return err
}

// lentStmt is a statement that is prepared on a lent connection.
type lentStmt struct{ stmt *sql.Stmt }

var (
	_ driver.StmtExecContext  = lentStmt{}
	_ driver.StmtQueryContext = lentStmt{}
)

// Close implements [driver.Stmt].
func (s lentStmt) Close() error { return s.stmt.Close() }

// NumInput implements [driver.Stmt]: the statement counts its arguments itself.
func (s lentStmt) NumInput() int { return -1 }

// Exec implements [driver.Stmt]. database/sql calls ExecContext.
func (s lentStmt) Exec([]driver.Value) (driver.Result, error) { return nil, errNoContext }

// Query implements [driver.Stmt]. database/sql calls QueryContext.
func (s lentStmt) Query([]driver.Value) (driver.Rows, error) { return nil, errNoContext }

// ExecContext implements [driver.StmtExecContext].
func (s lentStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.stmt.ExecContext(ctx, values(args)...)
}

// QueryContext implements [driver.StmtQueryContext].
func (s lentStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return lentRowsOf(s.stmt.QueryContext(ctx, values(args)...))
}

func values(args []driver.NamedValue) []any {
	list := make([]any, len(args))
	for i, arg := range args {
		list[i] = arg.Value
	}
	return list
}

// lentRows is the result of a query on a lent connection.
type lentRows struct {
	rows    *sql.Rows
	columns []string
	row     []any // where Scan puts the values
	to      []any // pointers to them
}

func lentRowsOf(rows *sql.Rows, err error) (driver.Rows, error) {
	if err != nil {
		return nil, err
	}
	columns, err := rows.Columns()
	if err != nil {
		return nil, errors.Join(err, rows.Close())
	}
	r := &lentRows{rows: rows, columns: columns, row: make([]any, len(columns)), to: make([]any, len(columns))}
	for i := range r.row {
		r.to[i] = &r.row[i]
	}
	return r, nil
}

// Columns implements [driver.Rows].
func (r *lentRows) Columns() []string { return r.columns }

// Close implements [driver.Rows].
func (r *lentRows) Close() error { return r.rows.Close() }

// Next implements [driver.Rows].
func (r *lentRows) Next(dest []driver.Value) error {
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return io.EOF
	}
	if err := r.rows.Scan(r.to...); err != nil {
		return err
	}
	for i, value := range r.row {
		dest[i] = value
	}
	return nil
}
