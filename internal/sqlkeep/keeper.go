// Package sqlkeep keeps sessions in whatsmeow's own SQL tables, with walink's
// tables next to them. It is what store/sqlite and store/postgres have in
// common. Those two packages open, check and close a database, and explain its
// errors.
package sqlkeep

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.mau.fi/util/dbutil"
	"go.mau.fi/whatsmeow/store/sqlstore"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/transfer"
)

// Config is what a kind of database provides.
type Config struct {
	// DB has walink's tables. DB is a child of the Container's database, and
	// shares its transactions.
	DB *dbutil.Database
	// Container has whatsmeow's tables.
	Container *sqlstore.Container
	// Fail adds the operation and the database to an error.
	Fail func(op string, err error) error
	// Now is the clock that everybody who uses the database has in common.
	Now func(ctx context.Context) (time.Time, error)
	// Lock takes the locks ids, in that order, until the transaction of ctx ends.
	// A brief transaction does nothing but call the database, which may end it
	// after seconds without a call. Lock is nil for a database in which one
	// transaction at a time writes.
	Lock func(ctx context.Context, ids []int64, brief bool) error
	// Intact returns why nothing may be stored, for example because the file of
	// the database is gone. Intact is nil if nothing can be wrong.
	Intact func() error
	// Purge removes from the log of the database what was deleted, and returns
	// false if it could not. A Keeper calls Purge after the first transaction, after
	// each one that has deleted a device or an entry, and after all others until Purge returns
	// true. Purge is nil if the log is none of the Keeper's business.
	Purge func(ctx context.Context) bool
	// Snapshot begins a transaction for long reads. It sees one state of the
	// database, and blocks no writer.
	Snapshot func(ctx context.Context) (*sql.Tx, error)
}

// Keeper implements [store.Store] except Close, [store.Ledger], [store.Leaser],
// [store.Registry], [transfer.Exporter] and [transfer.Importer].
type Keeper struct {
	db        *dbutil.Database
	container *sqlstore.Container
	config    Config
	deletions atomic.Int64 // how many devices and entries were deleted, and one for a Keeper before this one
	purged    atomic.Int64 // how many of them Purge has removed from the log
}

var (
	_ store.Ledger      = (*Keeper)(nil)
	_ store.Leaser      = (*Keeper)(nil)
	_ store.Registry    = (*Keeper)(nil)
	_ transfer.Exporter = (*Keeper)(nil)
	_ transfer.Importer = (*Keeper)(nil)
)

// New returns a Keeper. The tables exist once [Upgrade] has returned.
func New(config Config) *Keeper {
	fail := config.Fail
	config.Fail = func(op string, err error) error { return fail(op, damaged(err)) }
	k := &Keeper{db: config.DB, container: config.Container, config: config}
	k.deletions.Store(1) // a process that was killed may have deleted a device, and not purged the log
	return k
}

// damaged adds [store.ErrDamaged] to an error about a value that cannot be what
// was stored. sqlstore and database/sql report such values in their own ways.
func damaged(err error) error {
	if errors.Is(err, store.ErrDamaged) {
		return err
	}
	if errors.Is(err, sqlstore.ErrInvalidLength) || strings.Contains(err.Error(), "sql: Scan error on column") { // database/sql has no variable for it
		return fmt.Errorf("%w: %w", store.ErrDamaged, err)
	}
	return err
}

// Txn runs fn in one transaction, or in the one that ctx already carries.
func Txn(ctx context.Context, db *dbutil.Database, fn func(ctx context.Context) error) error {
	// dbutil does not roll back when fn panics. The end of its ctx does, and
	// also returns the connection, which may be the only one that writes.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return db.DoTxn(ctx, nil, fn)
}

// txn is Txn on an intact database. After the transaction txn purges the log.
func (k *Keeper) txn(ctx context.Context, fn func(ctx context.Context) error) error {
	if err := k.intact(); err != nil {
		return err
	}
	if err := Txn(ctx, k.db, fn); err != nil {
		return err
	}
	if _, carried := k.db.Execable(ctx).(dbutil.Transaction); !carried { // that transaction has the connection
		Purge(k, func() bool { return k.config.Purge(ctx) })
	}
	return nil
}

// Purge calls purge if a device or an entry was deleted since a purge last returned true.
func Purge(k *Keeper, purge func() bool) {
	// Read before purge, so that a deletion during the purge leads to the next one.
	if n := k.deletions.Load(); k.config.Purge != nil && n != k.purged.Load() && purge() {
		k.purged.Store(n)
	}
}

func (k *Keeper) intact() error {
	if k.config.Intact == nil {
		return nil
	}
	return k.config.Intact()
}

// locked is txn under a lock for each of the names, which is separate for each kind.
func (k *Keeper) locked(ctx context.Context, kind string, names []string, fn func(ctx context.Context) error) error {
	return k.txn(ctx, func(ctx context.Context) error {
		if k.config.Lock != nil {
			var ids []int64
			for _, name := range names {
				id := fnv.New64a()
				_, _ = fmt.Fprintf(id, "walink %s %s", kind, name)
				ids = append(ids, int64(id.Sum64())) //nolint:gosec // any number is good
			}
			slices.Sort(ids) // so that no two transactions wait for each other
			if err := k.config.Lock(ctx, ids, kind == "lease"); err != nil {
				return err
			}
		}
		return fn(ctx)
	})
}

// fail adds the operation, the session and the database to err.
func (k *Keeper) fail(op, session string, err error) error {
	return k.config.Fail(fmt.Sprintf("%s %q", op, session), err)
}

// name returns a session name, or another string of any bytes, as the value of
// a column.
func (k *Keeper) name(name string) any {
	if k.db.Dialect == dbutil.Postgres {
		return []byte(name) // a PostgreSQL text is valid UTF-8 without a zero byte
	}
	return name
}
