package kvtest_test

import (
	"context"
	"errors"
	"sync"

	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
)

const (
	storesAll     = "clause 1: all that fn did is stored when it returns nil"
	storesNothing = "clause 1: nothing is stored when fn returns an error"
	panics        = "clause 2: a panic stores nothing and reaches the caller"
	exits         = "clause 2: a goroutine that ends in fn leaves the DB usable"
	losesNothing  = "clause 3: writing transactions lose nothing of each other"
	oneByOne      = "clause 3: one writing transaction after the other"
	failsAlone    = "clause 3: one that fails does not affect the others"
	likeAMap      = "clauses 1 to 7: the DB behaves like a map"
)

// brokenTxns break what is around fn (clauses 1 to 3).
func brokenTxns() []mutant {
	return []mutant{
		{"nothing is stored", storesAll, "Scan", wrap(true, func(b *broken, ctx context.Context, fn func(kv.Tx) error) error {
			if err := b.good(ctx, true, func(tx kv.Tx) error { return errors.Join(fn(tx), errBroken) }); !errors.Is(err, errBroken) {
				return err
			}
			return nil
		})},
		{"fn is not called", storesAll, "Scan", wrap(true, func(*broken, context.Context, func(kv.Tx) error) error { return nil })},
		{"a writer hangs", storesAll, "still running: a writing Txn", wrap(true, func(b *broken, _ context.Context, _ func(kv.Tx) error) error { return b.hang() })},
		{"an error does not wrap that of fn", storesNothing, "want one that wraps", wrap(true, func(b *broken, ctx context.Context, fn func(kv.Tx) error) error {
			if err := b.good(ctx, true, fn); err != nil {
				return errors.New(err.Error())
			}
			return nil
		})},
		{"the error of a reader is lost", storesNothing, "reading Txn: <nil>", wrap(false, func(b *broken, ctx context.Context, fn func(kv.Tx) error) error {
			_ = b.good(ctx, false, fn)
			return nil
		})},
		{"what fails is stored", storesNothing, "Scan", wrap(true, func(b *broken, ctx context.Context, fn func(kv.Tx) error) (err error) {
			return errors.Join(b.good(ctx, true, func(tx kv.Tx) error {
				err = fn(tx)
				return nil
			}), err)
		})},
		{"what fails is stored with the next", storesNothing, "Scan", func(b *broken) {
			var failed []change
			inside(func(t *brokenTx, write bool) {
				if !write {
					return
				}
				_ = redo(t.Tx, failed)
				t.set = func(key, value []byte) error {
					failed = append(failed, change{string(key), value})
					return t.Tx.Set(key, value)
				}
			})(b)
		}},
		{"a panic becomes an error", panics, "recovered <nil>", wrap(true, func(b *broken, ctx context.Context, fn func(kv.Tx) error) (err error) {
			defer func() {
				if recover() != nil {
					err = errBroken
				}
			}()
			return b.good(ctx, true, fn)
		})},
		{"a panic of a reader becomes another", panics, "recovered broken", wrap(false, func(b *broken, ctx context.Context, fn func(kv.Tx) error) error {
			defer func() {
				if recover() != nil {
					panic(errBroken)
				}
			}()
			return b.good(ctx, false, fn)
		})},
		{"a panic stores what was done", panics, "Scan", wrap(true, func(b *broken, ctx context.Context, fn func(kv.Tx) error) error {
			var value any
			err := b.good(ctx, true, func(tx kv.Tx) error {
				defer func() { value = recover() }()
				return fn(tx)
			})
			if value != nil {
				panic(value)
			}
			return err
		})},
		{"a panic keeps the lock", panics, "still running: a writing Txn", func(b *broken) {
			lock := make(chan struct{}, 1)
			wrap(true, func(b *broken, ctx context.Context, fn func(kv.Tx) error) error {
				if !b.lock(lock) {
					return errBroken
				}
				err := b.good(ctx, true, fn)
				<-lock
				return err
			})(b)
		}},
		{"a goroutine that ends keeps the lock", exits, "still running: a writing Txn", func(b *broken) {
			lock := make(chan struct{}, 1)
			wrap(true, func(b *broken, ctx context.Context, fn func(kv.Tx) error) (err error) {
				if !b.lock(lock) {
					return errBroken
				}
				err = b.good(ctx, true, fn)
				<-lock
				return err
			})(b)
		}},
		{"fn has another goroutine", exits, "Txn returned though its goroutine had ended", wrap(true, func(b *broken, ctx context.Context, fn func(kv.Tx) error) error {
			return b.good(ctx, true, func(tx kv.Tx) (err error) {
				var group sync.WaitGroup
				group.Go(func() { err = fn(tx) })
				group.Wait()
				return err
			})
		})},
		{"a reader whose goroutine ends never ends", exits, "Close: broken", func(b *broken) {
			var mu sync.Mutex
			readers := 0
			add := func(n int) {
				mu.Lock()
				defer mu.Unlock()
				readers += n
			}
			wrap(false, func(b *broken, ctx context.Context, fn func(kv.Tx) error) error {
				add(1)
				err := b.good(ctx, false, fn)
				add(-1)
				return err
			})(b)
			b.close = func() error {
				mu.Lock()
				defer mu.Unlock()
				if readers != 0 {
					return errBroken
				}
				return b.goodClose()
			}
		}},
		{"fn is called to see what it does", losesNothing, "is called 2 times", wrap(true, func(b *broken, ctx context.Context, fn func(kv.Tx) error) error {
			_ = b.good(ctx, true, func(tx kv.Tx) error { return errors.Join(fn(tx), errBroken) })
			return b.good(ctx, true, fn)
		})},
		{"fn is called again after a conflict", oneByOne, "is called 2 times", concurrently(true)},
		{"a conflict is not seen", oneByOne, "Scan", concurrently(false)},
		{"nobody waits for a writer", oneByOne, "Txn: broken", func(b *broken) {
			lock := make(chan struct{}, 1)
			wrap(true, func(b *broken, ctx context.Context, fn func(kv.Tx) error) error {
				select {
				case lock <- struct{}{}:
				default:
					return errBroken
				}
				defer func() { <-lock }()
				return b.good(ctx, true, fn)
			})(b)
		}},
		{"one that fails takes the next along", failsAlone, "Scan", func(b *broken) {
			var mu sync.Mutex
			failed := false
			wrap(true, func(b *broken, ctx context.Context, fn func(kv.Tx) error) error {
				mu.Lock()
				defer mu.Unlock()
				err := b.good(ctx, true, func(tx kv.Tx) error {
					if err := fn(tx); err != nil || !failed {
						return err
					}
					return errBroken
				})
				failed = err != nil && !errors.Is(err, errBroken)
				if errors.Is(err, errBroken) {
					return nil
				}
				return err
			})(b)
		}},
		{"the tenth change of a transaction is lost", likeAMap, "transaction", inside(func(t *brokenTx, _ bool) {
			changes := 0
			t.set = func(key, value []byte) error {
				if changes++; changes == 10 {
					return nil
				}
				return t.Tx.Set(key, value)
			}
		})},
		{"what a key begins is deleted too", likeAMap, "transaction", inside(func(t *brokenTx, write bool) {
			t.del = func(key []byte) error {
				found, err := all(t.Tx, key)
				for _, s := range found {
					err = errors.Join(err, t.Tx.Delete(s.key))
				}
				if !write {
					return errBroken
				}
				return err
			}
		})},
	}
}

// concurrently runs writers at the same time, and calls fn again, or not, where
// another has written meanwhile.
func concurrently(again bool) func(*broken) {
	return func(b *broken) {
		var mu sync.Mutex
		version := 0
		now := func() int {
			mu.Lock()
			defer mu.Unlock()
			return version
		}
		wrap(true, func(b *broken, ctx context.Context, fn func(kv.Tx) error) error {
			for {
				began, copied := now(), memory.New()
				var found []stored
				if err := b.good(ctx, false, func(tx kv.Tx) (err error) { found, err = all(tx, nil); return err }); err != nil {
					return err
				}
				var changes *[]change
				err := copied.Txn(ctx, true, func(tx kv.Tx) error {
					t := &brokenTx{Tx: tx}
					for _, s := range found {
						_ = tx.Set(s.key, s.value)
					}
					changes = log(t)
					return fn(t)
				})
				if err != nil {
					return err
				}
				mu.Lock()
				if again && version != began {
					mu.Unlock()
					continue
				}
				version++
				err = b.good(ctx, true, func(tx kv.Tx) error { return redo(tx, *changes) })
				mu.Unlock()
				return err
			}
		})(b)
	}
}
