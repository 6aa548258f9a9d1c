package kvtest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
)

const (
	waitsForNoWriter = "clause 4: a reader waits for no writer, and sees nothing of it"
	seesOneState     = "clause 4: a reader sees one state, even if another is stored meanwhile"
	neverHalf        = "clause 4: readers never see half of a write"
	readsOnly        = "clause 4: a reader cannot write"
	severalAtOnce    = "clause 10: several goroutines at once"
)

// brokenReaders break what a reader sees (clause 4).
func brokenReaders() []mutant {
	return []mutant{
		{"a reader has no snapshot", seesOneState, "two states", func(b *broken) { newest(b, true, true) }},
		{"Get of a reader has no snapshot", seesOneState, "two states", func(b *broken) { newest(b, true, false) }},
		{"Scan of a reader has no snapshot", seesOneState, "two states", func(b *broken) { newest(b, false, true) }},
		{"Scan of a reader reads page by page", seesOneState, "two states", wrap(false, func(b *broken, ctx context.Context, fn func(kv.Tx) error) error {
			return b.good(ctx, false, func(tx kv.Tx) error {
				t := &brokenTx{Tx: tx}
				t.scan = func(prefix []byte, fn func(key, value []byte) error) error {
					found, err := all(tx, prefix)
					for i := 0; i < len(found) && err == nil; i++ {
						if i == 16 {
							err = b.good(ctx, false, func(tx kv.Tx) (err error) { found, err = all(tx, prefix); return err })
						}
						if err == nil && i < len(found) {
							err = fn(found[i].key, found[i].value)
						}
					}
					return err
				}
				return fn(t)
			})
		})},
		{"a reader waits for a writer", waitsForNoWriter, "still running: a writing Txn, then the fn of a writing Txn, then a reading Txn", func(b *broken) {
			lock := make(chan struct{}, 1)
			b.txn = func(ctx context.Context, write bool, fn func(kv.Tx) error) error {
				if !b.lock(lock) {
					return errBroken
				}
				defer func() { <-lock }()
				return b.good(ctx, write, fn)
			}
		}},
		{"a reader sees what is not stored", waitsForNoWriter, "Scan", func(b *broken) {
			var writer kv.Tx
			b.txn = func(ctx context.Context, write bool, fn func(kv.Tx) error) error {
				return b.good(ctx, write, func(tx kv.Tx) error {
					if write {
						writer = tx
						defer func() { writer = nil }()
					} else if writer != nil {
						return fn(&brokenTx{Tx: tx, get: writer.Get, scan: writer.Scan})
					}
					return fn(tx)
				})
			}
		}},
		{"a reader sees what was stored later", storesAll, "Scan", late},
		{"a reader hangs", storesAll, "still running: a reading Txn", wrap(false, func(b *broken, _ context.Context, _ func(kv.Tx) error) error { return b.hang() })},
		{"half of a transaction is stored before the rest", neverHalf, "a reader during a write saw", half},
		{"Set of a reader is ignored", readsOnly, "Set in a reading transaction succeeded", inside(func(t *brokenTx, write bool) {
			if !write {
				t.set = func(_, _ []byte) error { return nil }
			}
		})},
		{"Delete of a reader is ignored", readsOnly, "Delete in a reading transaction succeeded", inside(func(t *brokenTx, write bool) {
			if !write {
				t.del = func([]byte) error { return nil }
			}
		})},
		{"the end of a reader is that of all", severalAtOnce, "broken: the transaction has ended", func(b *broken) {
			var mu sync.Mutex
			ended := false
			is := func(now bool) {
				mu.Lock()
				defer mu.Unlock()
				ended = now
			}
			wrap(false, func(b *broken, ctx context.Context, fn func(kv.Tx) error) error {
				is(false)
				defer is(true)
				return b.good(ctx, false, func(tx kv.Tx) error {
					return fn(&brokenTx{Tx: tx, scan: func(prefix []byte, fn func(key, value []byte) error) error {
						mu.Lock()
						defer mu.Unlock()
						if ended {
							return fmt.Errorf("%w: the transaction has ended", errBroken)
						}
						return tx.Scan(prefix, fn)
					}})
				})
			})(b)
		}},
	}
}

// newest has readers ask for what is stored now.
func newest(b *broken, get, scan bool) {
	wrap(false, func(b *broken, ctx context.Context, fn func(kv.Tx) error) error {
		return b.good(ctx, false, func(tx kv.Tx) error {
			t := &brokenTx{Tx: tx}
			if get {
				t.get = func(key []byte) (value []byte, err error) {
					err = b.good(ctx, false, func(tx kv.Tx) error { value, err = tx.Get(key); return err })
					return value, err
				}
			}
			if scan {
				t.scan = func(prefix []byte, fn func(key, value []byte) error) error {
					return b.good(ctx, false, func(tx kv.Tx) error { return tx.Scan(prefix, fn) })
				}
			}
			return fn(t)
		})
	})(b)
}

// late has readers see a copy that is one transaction behind.
func late(b *broken) {
	behind := memory.New()
	var last []change
	b.txn = func(ctx context.Context, write bool, fn func(kv.Tx) error) error {
		if !write {
			return behind.Txn(ctx, false, fn)
		}
		var changes *[]change
		err := b.good(ctx, true, func(tx kv.Tx) error {
			t := &brokenTx{Tx: tx}
			changes = log(t)
			return fn(t)
		})
		if err == nil {
			err = behind.Txn(ctx, true, func(tx kv.Tx) error { return redo(tx, last) })
			last = *changes
		}
		return err
	}
}

// half stores the first change, lets others read, and stores the rest.
func half(b *broken) {
	read := make(chan struct{})
	b.txn = func(ctx context.Context, write bool, fn func(kv.Tx) error) error {
		if !write {
			defer func() {
				select {
				case read <- struct{}{}:
				default:
				}
			}()
			return b.good(ctx, false, fn)
		}
		var changes *[]change
		err := b.good(ctx, true, func(tx kv.Tx) error {
			t := &brokenTx{Tx: tx}
			changes = log(t)
			return errors.Join(fn(t), errBroken)
		})
		for i, c := range *changes {
			if i == 1 {
				for range 3 { // of which one began after the first change
					timer := time.NewTimer(time.Millisecond)
					select {
					case <-read:
					case <-timer.C:
					}
					timer.Stop()
				}
			}
			err = b.good(ctx, true, func(tx kv.Tx) error { return redo(tx, []change{c}) })
		}
		return err
	}
}
