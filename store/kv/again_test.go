package kv_test

import (
	"context"
	"sync"
	"testing"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/storetest"
)

// hindsight runs fn of each reading transaction twice: first on the state before the last
// commit, and then on the latest one, which is the run that counts. A database does so when
// somebody has written while fn ran.
type hindsight struct {
	*memory.DB            // the latest state
	before     *memory.DB // the state before the last commit

	mu   sync.Mutex
	last []change // what the last commit changed
}

type change struct{ key, value []byte }

func newHindsight() *hindsight { return &hindsight{DB: memory.New(), before: memory.New()} }

func (h *hindsight) Txn(ctx context.Context, write bool, fn func(kv.Tx) error) error {
	if !write {
		_ = h.before.Txn(ctx, false, fn)
		return h.DB.Txn(ctx, false, fn)
	}
	return h.DB.Txn(ctx, true, func(tx kv.Tx) error {
		noted := &noting{Tx: tx}
		if err := fn(noted); err != nil || ctx.Err() != nil {
			return err
		}
		return h.commit(ctx, noted.changes)
	})
}

// commit brings the state before up to the commit before this one.
func (h *hindsight) commit(ctx context.Context, changes []change) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.before.Txn(ctx, true, func(tx kv.Tx) error {
		for _, c := range h.last {
			var err error
			if c.value == nil {
				err = tx.Delete(c.key)
			} else {
				err = tx.Set(c.key, c.value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		h.last = changes
	}
	return err
}

// noting notes what a transaction changes.
type noting struct {
	kv.Tx
	changes []change
}

func (n *noting) Set(key, value []byte) error {
	n.changes = append(n.changes, change{key, value})
	return n.Tx.Set(key, value)
}

func (n *noting) Delete(key []byte) error {
	n.changes = append(n.changes, change{key, nil})
	return n.Tx.Delete(key)
}

// onlyReads is a kv.Store without the copying, which may fail when the data changes.
type onlyReads struct {
	store.Store
	store.Ledger
	store.Leaser
	store.Registry
	store.Checker
}

// Only the last call of fn of a reading transaction counts, whatever the calls before it
// have seen: an empty database, a device that is not linked yet, a value of before.
func TestOnlyTheLastReadCounts(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) store.Store {
		st := kv.New(kv.Encrypt(newHindsight(), kv.NewKey()))
		return onlyReads{st, st, st, st, st}
	})
}
