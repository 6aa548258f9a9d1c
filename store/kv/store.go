package kv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/walink/walink/internal/absent"
	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/transfer"
)

// Store keeps sessions in a [DB]. It implements [store.Store], [store.Ledger],
// [store.Leaser], [store.Registry], [store.Checker], [transfer.Exporter] and
// [transfer.Importer]. It is safe for concurrent use. Use [New].
type Store struct {
	db    DB
	known atomic.Bool // the DB was found to have walink's layout

	closing  sync.Once
	closed   atomic.Bool
	closeErr error
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

// New returns a Store that keeps everything in db. If db is an [io.Closer], the
// Store closes it. New does no I/O. If db cannot be used, or is nil, the first
// call of the Store fails, and changes nothing. [Store.Check] does no more than
// test that.
func New(db DB) *Store { return &Store{db: given(db)} }

// given returns db, or a DB whose every transaction fails if db is nil.
func given(db DB) DB {
	if absent.Is(db) {
		return noDB{}
	}
	return db
}

type noDB struct{}

var errNoDB error = hint.New(errors.New("the DB is nil"), "Give kv.New an open database.")

// Txn implements [DB].
func (noDB) Txn(context.Context, bool, func(Tx) error) error { return errNoDB }

// Close closes the DB. A second Close does nothing. Calls after Close return an
// error, even those through a device of the Store.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.closed.Store(true)
		closer, ok := s.db.(io.Closer)
		if !ok {
			return
		}
		if err := closer.Close(); err != nil {
			s.closeErr = redact.Errorf("kv: close %s: %w", s.title(), err)
		}
	})
	return s.closeErr
}

// title names the DB in errors.
func (s *Store) title() string { return title(s.db) }

func title(db DB) string {
	if named, ok := db.(fmt.Stringer); ok {
		return named.String()
	}
	return "the database"
}

// fail adds the operation, the session and the DB to err, in one line.
func (s *Store) fail(op, session string, err error) error {
	return redact.Errorf("kv: %s %q in %s: %w", op, session, s.title(), err)
}

// carried is the transaction that a ctx carries from DoDecryptionTxn to the
// calls inside it, which several goroutines may make.
type carried struct {
	mu    sync.Mutex
	tx    Tx
	ended bool
	undo  []func() // called if nothing is stored
}

type carriedKey struct{ store *Store }

// txn runs fn in one transaction, or in the one that ctx already carries.
func (s *Store) txn(ctx context.Context, write bool, fn func(tx Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closed.Load() {
		return store.ErrClosed
	}
	if c := s.carriedBy(ctx); c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.ended {
			return errors.New("the transaction of this ctx has ended")
		}
		return fn(c.tx)
	}
	before := s.known.Load()
	if before && !write {
		return s.db.Txn(ctx, write, fn)
	}
	var known bool
	err := s.db.Txn(ctx, write, func(tx Tx) (err error) {
		if known, err = checkFormat(tx, write, before); err != nil {
			return err
		}
		return fn(tx)
	})
	if err == nil && known { // only now: fn may have read what its own transaction wrote, which can still fail
		s.known.Store(true)
	}
	return err
}

// carry runs fn with a ctx that carries a writing transaction.
func (s *Store) carry(ctx context.Context, fn func(ctx context.Context) error) error {
	if s.carriedBy(ctx) != nil {
		return fn(ctx)
	}
	c := &carried{}
	stored := false
	defer func() {
		if !stored { // even after a panic
			for _, undo := range c.undo {
				undo()
			}
		}
	}()
	err := s.txn(ctx, true, func(tx Tx) error {
		c.tx = tx
		defer func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.ended = true
		}()
		return fn(context.WithValue(ctx, carriedKey{s}, c))
	})
	stored = err == nil
	return err
}

func (s *Store) carriedBy(ctx context.Context) *carried {
	c, _ := ctx.Value(carriedKey{s}).(*carried)
	return c
}

// onUndo registers undo to be called if the transaction that ctx carries stores
// nothing.
func (s *Store) onUndo(ctx context.Context, undo func()) {
	if c := s.carriedBy(ctx); c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.undo = append(c.undo, undo)
	}
}

// now returns the time by which leases end.
func (s *Store) now(ctx context.Context) (time.Time, error) {
	if clock, ok := s.db.(Clock); ok {
		return clock.Now(ctx)
	}
	return time.Now(), nil
}

// errEnough ends a scan early.
var errEnough = errors.New("enough")

// first returns the first key with the prefix, and its value, or nil.
func first(tx Tx, prefix []byte) (key, value []byte, err error) {
	err = tx.Scan(prefix, func(k, v []byte) error {
		key, value = k, v
		return errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return key, value, err
}

// lister is a Tx with its own way to list keys, including those of damaged
// values.
type lister interface {
	keysOf(prefix []byte) ([][]byte, error)
}

// keysOf returns all keys with the prefix.
func keysOf(tx Tx, prefix []byte) ([][]byte, error) {
	if own, ok := tx.(lister); ok {
		return own.keysOf(prefix)
	}
	var keys [][]byte
	err := tx.Scan(prefix, func(key, _ []byte) error {
		keys = append(keys, key)
		return nil
	})
	return keys, err
}

// clearPrefix deletes all keys with the prefix.
func clearPrefix(tx Tx, prefix []byte) error {
	keys, err := keysOf(tx, prefix)
	if err != nil {
		return err
	}
	return deleteAll(tx, keys)
}

func deleteAll(tx Tx, keys [][]byte) error {
	for _, key := range keys {
		if err := tx.Delete(key); err != nil {
			return err
		}
	}
	return nil
}
