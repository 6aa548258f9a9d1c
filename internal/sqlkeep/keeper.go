// Package sqlkeep keeps sessions in whatsmeow's own SQL tables with walink's
// beside them. It is what store/sqlite and store/postgres have in common; they
// know how to open, check and close a database, and what its errors mean.
package sqlkeep

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"go.mau.fi/util/dbutil"
	"go.mau.fi/whatsmeow/store/sqlstore"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/transfer"
)

// Config is what a database brings with it.
type Config struct {
	// DB has walink's tables. It is a child of the Container's database, and
	// shares its transactions.
	DB *dbutil.Database
	// Container has whatsmeow's tables.
	Container *sqlstore.Container
	// Fail names the operation and the database in an error.
	Fail func(op string, err error) error
	// Now is the clock that all who share the database have in common.
	Now func(ctx context.Context) (time.Time, error)
	// Lock keeps others away from what it is called for until the transaction
	// of ctx ends. It is nil where one transaction at a time writes.
	Lock func(ctx context.Context, id int64) error
	// Snapshot begins a transaction that sees one state, and keeps nobody from
	// writing, for reading at length.
	Snapshot func(ctx context.Context) (*sql.Tx, error)
	// Mark returns what others can tell by whether this Store is alive; an
	// empty string where they cannot.
	Mark func(ctx context.Context) (string, error)
	// Dead reports whether a Store is known to be dead by its mark.
	Dead func(ctx context.Context, mark string) bool
	// Grace is how long a Store has to be dead before its leases are lent to
	// others, in which it may show that it is alive after all.
	Grace time.Duration
}

// Keeper implements [store.Store] but for Close, [store.Ledger],
// [store.Leaser], [transfer.Exporter] and [transfer.Importer].
type Keeper struct {
	db        *dbutil.Database
	container *sqlstore.Container
	config    Config
}

var (
	_ store.Ledger      = (*Keeper)(nil)
	_ store.Leaser      = (*Keeper)(nil)
	_ transfer.Exporter = (*Keeper)(nil)
	_ transfer.Importer = (*Keeper)(nil)
)

// New returns a Keeper. The tables are there once [Upgrade] has been called.
func New(config Config) *Keeper {
	fail := config.Fail
	config.Fail = func(op string, err error) error { return fail(op, damaged(err)) }
	return &Keeper{db: config.DB, container: config.Container, config: config}
}

// damaged adds [store.ErrDamaged] to an error about a value that cannot be what
// was stored, which sqlstore and database/sql tell in ways of their own.
func damaged(err error) error {
	if errors.Is(err, store.ErrDamaged) {
		return err
	}
	if errors.Is(err, sqlstore.ErrInvalidLength) || strings.Contains(err.Error(), "sql: Scan error on column") { // which has no name
		return fmt.Errorf("%w: %w", store.ErrDamaged, err)
	}
	return err
}

// Txn runs fn in one transaction, or in the one that ctx already carries.
func Txn(ctx context.Context, db *dbutil.Database, fn func(ctx context.Context) error) error {
	// dbutil does not roll back when fn panics. Ending its ctx does, and gives
	// the connection back, which may be the only one that writes.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return db.DoTxn(ctx, nil, fn)
}

func (k *Keeper) txn(ctx context.Context, fn func(ctx context.Context) error) error {
	return Txn(ctx, k.db, fn)
}

// locked is txn alone with what is called name among those of its kind.
func (k *Keeper) locked(ctx context.Context, kind, name string, fn func(ctx context.Context) error) error {
	return k.txn(ctx, func(ctx context.Context) error {
		if k.config.Lock != nil {
			id := fnv.New64a()
			_, _ = fmt.Fprintf(id, "walink %s %s", kind, name)
			if err := k.config.Lock(ctx, int64(id.Sum64())); err != nil { //nolint:gosec // any number will do
				return err
			}
		}
		return fn(ctx)
	})
}

// fail names the operation, the session and the database in err.
func (k *Keeper) fail(op, session string, err error) error {
	return k.config.Fail(fmt.Sprintf("%s %q", op, session), err)
}

// dead reports whether a Store is known to be dead by its mark.
func (k *Keeper) dead(ctx context.Context, mark string) bool {
	return mark != "" && k.config.Dead(ctx, mark)
}

// name is a session name, or another string that may hold any bytes, as a
// value of a column.
func (k *Keeper) name(name string) any {
	if k.db.Dialect == dbutil.Postgres {
		return []byte(name) // a text holds no zero byte, and UTF-8 alone
	}
	return name
}
