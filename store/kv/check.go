package kv

import (
	"context"
	"errors"

	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/store"
)

// Checker is an optional interface of a [DB]. Check tests whether the database
// is configured as it should be. [Store.Check] calls it.
type Checker interface {
	Check(ctx context.Context) error
}

// Check implements [store.Checker]. It tests whether the layout of the DB is
// known, calls the DB's Check if the DB is a [Checker], and stores a value that
// the same transaction deletes again. An empty DB stays empty.
func (s *Store) Check(ctx context.Context) error {
	err := s.check(ctx)
	if err != nil {
		return redact.Errorf("kv: check %s: %w", s.title(), err)
	}
	return nil
}

func (s *Store) check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closed.Load() {
		return store.ErrClosed
	}
	var advice *store.Advice
	if checker, ok := s.db.(Checker); ok {
		if err := checker.Check(ctx); err != nil && !errors.As(err, &advice) {
			return err
		}
	}
	err := s.db.Txn(ctx, true, func(tx Tx) error {
		known, err := checkFormat(tx, false, s.known.Load())
		if err != nil {
			return err
		}
		key := name(spaceFormat, "check")
		if err := tx.Set(key, newEncoder(0).b); err != nil {
			return err
		}
		if err := tx.Delete(key); err != nil {
			return err
		}
		if !known {
			return errEnough // rolls back what Encrypt has stored for it
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	if err == nil && advice != nil {
		return advice // only a warning
	}
	return err
}
