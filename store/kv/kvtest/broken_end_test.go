package kvtest_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
)

const (
	endedBefore  = "clause 9: a ctx that has ended stores nothing"
	endedInside  = "clause 9: a ctx that ends in fn stores nothing"
	waitsWithCtx = "clause 9: a transaction waits for a writer no longer than its ctx"
	endsWithFn   = "clause 10: a Tx ends with fn"
)

// brokenCtxs break what ends a transaction (clauses 9 and 10).
func brokenCtxs() []mutant {
	return []mutant{
		{"a ctx that has ended is ignored", endedBefore, "Txn whose ctx had ended: <nil>", wrap(true, func(b *broken, ctx context.Context, fn func(kv.Tx) error) error {
			return b.good(context.WithoutCancel(ctx), true, fn)
		})},
		{"a ctx that has ended is ignored by a reader", endedBefore, "reading Txn whose ctx had ended: <nil>", wrap(false, func(b *broken, ctx context.Context, fn func(kv.Tx) error) error {
			return b.good(context.WithoutCancel(ctx), false, fn)
		})},
		{"a ctx that has ended is always canceled", endedBefore, "want context deadline exceeded", wrap(true, func(b *broken, ctx context.Context, fn func(kv.Tx) error) error {
			if ctx.Err() != nil {
				return context.Canceled
			}
			return b.good(ctx, true, fn)
		})},
		{"a ctx that ends in fn is ignored", endedInside, "write true: <nil>", unheeded(true)},
		{"a ctx that ends in the fn of a reader is ignored", endedInside, "write false: <nil>", unheeded(false)},
		{"a ctx that ends in fn is heeded too late", endedInside, "Scan", wrap(true, func(b *broken, ctx context.Context, fn func(kv.Tx) error) error {
			if err := b.good(context.WithoutCancel(ctx), true, fn); err != nil {
				return err
			}
			return ctx.Err()
		})},
		{"who waits heeds no ctx", waitsWithCtx, "still running", func(b *broken) {
			lock := make(chan struct{}, 1)
			wrap(true, func(b *broken, ctx context.Context, fn func(kv.Tx) error) error {
				if !b.lock(lock) {
					return errBroken
				}
				defer func() { <-lock }()
				return b.good(ctx, true, fn)
			})(b)
		}},
		{"who no longer waits keeps its place", waitsWithCtx, "still running: a writing Txn", func(b *broken) {
			lock := make(chan struct{}, 1)
			wrap(true, func(b *broken, ctx context.Context, fn func(kv.Tx) error) error {
				taken := make(chan bool, 1)
				go func() { taken <- b.lock(lock) }()
				select {
				case ok := <-taken:
					if !ok {
						return errBroken
					}
				case <-ctx.Done():
					return ctx.Err()
				}
				defer func() { <-lock }()
				return b.good(ctx, true, fn)
			})(b)
		}},
		{"Get works after the end", endsWithFn, "Get of a Tx that ended with success", inside(func(t *brokenTx, _ bool) {
			t.get = func(key []byte) ([]byte, error) {
				value, _ := t.Tx.Get(key)
				return value, nil
			}
		})},
		{"Set works after the end", endsWithFn, "Set of a Tx that ended with success", forgiving(func(t *brokenTx) {
			t.set = func(key, value []byte) error {
				_ = t.Tx.Set(key, value)
				return nil
			}
		})},
		{"Delete works after the end", endsWithFn, "Delete of a Tx that ended with success", forgiving(func(t *brokenTx) {
			t.del = func(key []byte) error {
				_ = t.Tx.Delete(key)
				return nil
			}
		})},
		{"Scan works after the end", endsWithFn, "Scan of a Tx that ended with success", inside(func(t *brokenTx, _ bool) {
			t.scan = func(prefix []byte, fn func(key, value []byte) error) error {
				_ = t.Tx.Scan(prefix, fn)
				return nil
			}
		})},
		{"Get works after a panic", endsWithFn, "Get of a Tx that ended with a panic", func(b *broken) {
			b.txn = func(ctx context.Context, write bool, fn func(kv.Tx) error) error {
				return b.good(ctx, write, func(tx kv.Tx) error {
					ended := false
					t := &brokenTx{Tx: tx, get: func(key []byte) ([]byte, error) {
						if ended {
							return nil, errBroken
						}
						value, _ := tx.Get(key)
						return value, nil
					}}
					err := fn(t)
					ended = true
					return err
				})
			}
		}},
	}
}

// unheeded has the ctx of transactions end only before they begin.
func unheeded(write bool) func(*broken) {
	return wrap(write, func(b *broken, ctx context.Context, fn func(kv.Tx) error) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return b.good(context.WithoutCancel(ctx), write, fn)
	})
}

// forgiving spoils transactions that write.
func forgiving(spoil func(t *brokenTx)) func(*broken) {
	return inside(func(t *brokenTx, write bool) {
		if write {
			spoil(t)
		}
	})
}

const (
	closesTwice         = "clause 11: Close may be called twice and ends everything"
	closeWaitsForReader = "clause 11: Close waits for a transaction that reads"
	closeWaitsForWriter = "clause 11: Close waits for a transaction that writes"
	closeDuring         = "clause 11: Close during transactions"
	survives            = "clause 11: what was stored survives Close"
	bytesSurvive        = "clause 11: any bytes survive Close"
	survivesItsClose    = "clause 11: what was stored during Close survives it"
	clockGoesOn         = "Clock: the time goes on"
	clockEnds           = "Clock: a ctx that has ended"
	named               = "Stringer: the DB has a name"
)

// brokenCloses break Close, what survives it, and what a DB may be (clause 11).
func brokenCloses() []mutant {
	at := func(now func() time.Time) func(b *broken) {
		return func(b *broken) { b.now = func(ctx context.Context) (time.Time, error) { return now(), ctx.Err() } }
	}
	return []mutant{
		{"Close can be called once", closesTwice, "Close: broken", func(b *broken) {
			b.close = func() error {
				if b.isShut() {
					return errBroken
				}
				return b.goodClose()
			}
		}},
		{"Close hangs when it is called twice", closesTwice, "still running: Close", func(b *broken) {
			b.close = func() error {
				if b.isShut() {
					return b.hang()
				}
				return b.goodClose()
			}
		}},
		{"Close closes nothing", closesTwice, "Txn after Close succeeded", func(b *broken) { b.close = func() error { return nil } }},
		{"readers go on after Close", closesTwice, "Txn after Close succeeded, write false", wrap(false, func(b *broken, ctx context.Context, fn func(kv.Tx) error) error {
			return b.disk.Txn(ctx, false, fn)
		})},
		{"Close waits for nobody", closeWaitsForReader, "Close returned while a transaction ran", impatient},
		{"Close waits for nobody, and not for a writer", closeWaitsForWriter, "Close returned while a transaction ran", impatient},
		{"Close fails during a transaction", closeWaitsForReader, "Close: broken", func(b *broken) {
			var mu sync.Mutex
			running := 0
			add := func(n int) int {
				mu.Lock()
				defer mu.Unlock()
				running += n
				return running
			}
			b.txn = func(ctx context.Context, write bool, fn func(kv.Tx) error) error {
				add(1)
				defer add(-1)
				return b.good(ctx, write, fn)
			}
			b.close = func() error {
				if add(0) > 0 {
					return errBroken
				}
				return b.goodClose()
			}
		}},
		{"Close takes the data from a reader", closeWaitsForReader, "Txn that ran when Close was called: Scan", func(b *broken) {
			inside(func(t *brokenTx, _ bool) {
				t.scan = func(prefix []byte, fn func(key, value []byte) error) error {
					if b.isShut() {
						return errBroken
					}
					return t.Tx.Scan(prefix, fn)
				}
			})(b)
		}},
		{"Close ends a transaction that writes", closeWaitsForWriter, "Txn that ran when Close was called: broken", wrap(true, func(b *broken, ctx context.Context, fn func(kv.Tx) error) error {
			return b.good(ctx, true, func(tx kv.Tx) error {
				err := fn(tx)
				if b.isShut() {
					return errBroken
				}
				return err
			})
		})},
		{"Close forgets a transaction that writes", closeWaitsForWriter, "Scan", wrap(true, func(b *broken, ctx context.Context, fn func(kv.Tx) error) error {
			err := b.good(ctx, true, func(tx kv.Tx) error {
				err := fn(tx)
				if b.isShut() {
					return errBroken
				}
				return err
			})
			if errors.Is(err, errBroken) {
				return nil
			}
			return err
		})},
		{"Txn hangs after Close", closeDuring, "still running", func(b *broken) {
			b.txn = func(ctx context.Context, write bool, fn func(kv.Tx) error) error {
				if b.isShut() {
					return b.hang()
				}
				return b.good(ctx, write, fn)
			}
		}},
		{"Close stores nothing", survives, "Scan", func(b *broken) {
			b.reopened = func(disk *memory.DB) {
				rewrite(disk, func([]stored) []stored { return nil })
			}
		}},
		{"what was deleted comes back", survives, "Scan", func(b *broken) {
			var deleted []stored
			inside(func(t *brokenTx, _ bool) {
				t.del = func(key []byte) error {
					if value, _ := t.Tx.Get(key); value != nil {
						deleted = append(deleted, stored{bytes.Clone(key), value})
					}
					return t.Tx.Delete(key)
				}
			})(b)
			b.reopened = func(disk *memory.DB) {
				rewrite(disk, func(found []stored) []stored { return append(found, deleted...) })
			}
		}},
		{"a file has lines", bytesSurvive, "Get of", func(b *broken) {
			b.reopened = func(disk *memory.DB) {
				rewrite(disk, func(found []stored) []stored {
					for i, s := range found {
						found[i].value = bytes.ReplaceAll(s.value, []byte("\r\n"), []byte("\n"))
					}
					return found
				})
			}
		}},
		{"a file has no more than 8 MiB of a value", bytesSurvive, "Get of", func(b *broken) {
			b.reopened = func(disk *memory.DB) {
				rewrite(disk, func(found []stored) []stored {
					return slices.DeleteFunc(found, func(s stored) bool { return len(s.value) > 8<<20 })
				})
			}
		}},
		{"the last transaction is lost", survivesItsClose, "were reported as stored", func(b *broken) {
			var mu sync.Mutex
			var was []stored
			wrap(true, func(b *broken, ctx context.Context, fn func(kv.Tx) error) error {
				mu.Lock()
				defer mu.Unlock()
				return b.good(ctx, true, func(tx kv.Tx) (err error) {
					if was, err = all(tx, nil); err != nil {
						return err
					}
					return fn(tx)
				})
			})(b)
			b.reopened = func(disk *memory.DB) { rewrite(disk, func([]stored) []stored { return was }) }
		}},
		{"the clock stands still", clockGoesOn, "after five seconds", at(func() time.Time { return time.Unix(2e9, 0) })},
		{"the clock begins at zero", clockGoesOn, "want a time", at(func() time.Time { return time.Unix(0, 0) })},
		{"the clock goes back", clockGoesOn, "went back", at(func() time.Time { return time.Unix(2e9, 0).Add(-time.Since(time.Unix(2e9, 0))) })},
		{"the clock hangs", clockGoesOn, "still running: Now", func(b *broken) {
			b.now = func(context.Context) (time.Time, error) { return time.Time{}, b.hang() }
		}},
		{"the clock heeds no ctx", clockEnds, "want context", func(b *broken) {
			b.now = func(context.Context) (time.Time, error) { return time.Now(), nil }
		}},
		{"the name is empty", named, "String is empty", func(b *broken) { b.name = func() string { return "" } }},
		{"the name changes", named, "after Close", func(b *broken) {
			b.name = func() string {
				if b.isShut() {
					return "closed"
				}
				return "open"
			}
		}},
	}
}

// impatient has Close not wait.
func impatient(b *broken) {
	b.close = func() error {
		b.shut()
		return nil
	}
}

// rewrite has disk hold something else than it does.
func rewrite(disk *memory.DB, to func(found []stored) []stored) {
	err := disk.Txn(context.Background(), true, func(tx kv.Tx) error {
		found, err := all(tx, nil)
		if err != nil {
			return err
		}
		next := to(slices.Clone(found))
		for _, s := range found {
			err = errors.Join(err, tx.Delete(s.key))
		}
		for _, s := range next {
			err = errors.Join(err, tx.Set(s.key, s.value))
		}
		return err
	})
	if err != nil {
		panic(err)
	}
}
