package kv

import (
	"context"
	"errors"
	"fmt"

	"github.com/walink/walink/store"
)

// Checker is an optional interface of a [DB]. [Store.Check] asks it whether
// what the DB stands on is set up as it should be.
type Checker interface {
	Check(ctx context.Context) error
}

// Check implements [store.Checker]. It looks whether the layout of the DB is
// known, asks the DB where that is a [Checker], and stores something that the
// same transaction deletes again.
func (s *Store) Check(ctx context.Context) error {
	err := s.check(ctx)
	if err != nil {
		return fmt.Errorf("kv: check %s: %w", s.title(), err)
	}
	return nil
}

func (s *Store) check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closed.Load() {
		return errClosed
	}
	var advice *store.Advice
	if checker, ok := s.db.(Checker); ok {
		if err := checker.Check(ctx); err != nil && !errors.As(err, &advice) {
			return err
		}
	}
	err := s.txn(ctx, true, func(tx Tx) error {
		key := name(spaceFormat, "check")
		if err := tx.Set(key, newEncoder(0).b); err != nil {
			return err
		}
		return tx.Delete(key)
	})
	if err == nil && advice != nil {
		return advice // no more than a warning
	}
	return err
}
