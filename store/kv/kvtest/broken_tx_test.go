package kvtest_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/walink/walink/store/kv"
)

const (
	seesItsOwn    = "clause 5: a transaction sees its own changes"
	setAndDeleted = "clause 5: a key is set and deleted many times in a transaction"
	ordered       = "clause 6: a scan is ordered by bytes and ends with its prefix"
	scansItsOwn   = "clause 6: a scan sees what its own transaction has changed"
	endsScan      = "clause 6: an error ends a scan, and the scan returns it"
	nested        = "clause 6: Get and Scan inside a scan"
	scansMany     = "clause 6: a scan of many keys"
)

// brokenTxs break Get, Set and Delete (clause 5).
func brokenTxs() []mutant {
	return []mutant{
		{"Get hangs", seesItsOwn, "still running: a writing Txn, then the fn of a writing Txn, then Get", func(b *broken) {
			inside(func(t *brokenTx, _ bool) {
				t.get = func([]byte) ([]byte, error) { return nil, b.hang() }
			})(b)
		}},
		{"Get panics", seesItsOwn, "panic: broken", inside(func(t *brokenTx, _ bool) {
			t.get = func([]byte) ([]byte, error) { panic(errBroken) }
		})},
		{"Get sees only what is stored", seesItsOwn, "in the transaction: Get", before(true, false)},
		{"Scan sees only what is stored", seesItsOwn, "in the transaction: Scan", before(false, true)},
		{"a key that is deleted stays deleted", setAndDeleted, "after step 2", inside(func(t *brokenTx, write bool) {
			deleted := map[string]bool{}
			t.del = func(key []byte) error {
				deleted[string(key)] = true
				return t.Tx.Delete(key)
			}
			t.set = func(key, value []byte) error {
				if write && deleted[string(key)] {
					return nil
				}
				return t.Tx.Set(key, value)
			}
		})},
		{"a key that is set stays set", setAndDeleted, "after step 2", inside(func(t *brokenTx, write bool) {
			set := map[string]bool{}
			t.set = func(key, value []byte) error {
				set[string(key)] = true
				return t.Tx.Set(key, value)
			}
			t.del = func(key []byte) error {
				if write && set[string(key)] {
					return nil
				}
				return t.Tx.Delete(key)
			}
		})},
		{"deleting what is not there fails", seesItsOwn, "Txn: broken", inside(func(t *brokenTx, _ bool) {
			t.del = func(key []byte) error {
				if value, err := t.Tx.Get(key); err != nil || value == nil {
					return errors.Join(err, errBroken)
				}
				return t.Tx.Delete(key)
			}
		})},
		{"what is not there is empty", seesItsOwn, "want nil", inside(func(t *brokenTx, _ bool) {
			t.get = func(key []byte) ([]byte, error) {
				value, err := t.Tx.Get(key)
				return append([]byte{}, value...), err
			}
		})},
		{"what is not there is an error", seesItsOwn, "Txn: broken", inside(func(t *brokenTx, _ bool) {
			t.get = func(key []byte) ([]byte, error) {
				value, err := t.Tx.Get(key)
				if value == nil {
					err = errBroken
				}
				return value, err
			}
		})},
	}
}

// before has a writer read what was there before it.
func before(get, scan bool) func(*broken) {
	return wrap(true, func(b *broken, ctx context.Context, fn func(kv.Tx) error) error {
		return b.good(ctx, true, func(tx kv.Tx) error {
			return b.good(ctx, false, func(was kv.Tx) error {
				t := &brokenTx{Tx: tx}
				if get {
					t.get = was.Get
				}
				if scan {
					t.scan = was.Scan
				}
				return fn(t)
			})
		})
	})
}

// scans spoils each Scan.
func scans(scan func(tx kv.Tx, prefix []byte, fn func(key, value []byte) error) error) func(*broken) {
	return inside(func(t *brokenTx, _ bool) {
		t.scan = func(prefix []byte, fn func(key, value []byte) error) error { return scan(t.Tx, prefix, fn) }
	})
}

// resorted has each Scan give what it finds in another order.
func resorted(compare func(a, b stored) int) func(*broken) {
	return scans(func(tx kv.Tx, prefix []byte, fn func(key, value []byte) error) error {
		found, err := all(tx, prefix)
		slices.SortStableFunc(found, compare)
		return errors.Join(err, scanned(found, fn))
	})
}

// until has each Scan end where end says.
func until(end func(prefix, key []byte) bool) func(*broken) {
	return scans(func(tx kv.Tx, prefix []byte, fn func(key, value []byte) error) error {
		found, err := all(tx, nil)
		if err != nil {
			return err
		}
		for _, s := range found {
			if bytes.Compare(s.key, prefix) < 0 {
				continue
			}
			if end(prefix, s.key) {
				break
			}
			if err := fn(s.key, s.value); err != nil {
				return err
			}
		}
		return nil
	})
}

// brokenScans break Scan (clause 6).
func brokenScans() []mutant {
	return []mutant{
		{"a scan goes backwards", ordered, "Scan", resorted(func(a, b stored) int { return bytes.Compare(b.key, a.key) })},
		{"a scan has the order of a language", ordered, "Scan", resorted(func(a, b stored) int {
			return strings.Compare(strings.ToLower(string(a.key)), strings.ToLower(string(b.key)))
		})},
		{"a scan has the order of signed bytes", ordered, "Scan", resorted(func(a, b stored) int {
			return slices.CompareFunc(a.key, b.key, func(a, b byte) int { return int(int8(a)) - int(int8(b)) })
		})},
		{"a scan has short keys first", ordered, "Scan", resorted(func(a, b stored) int { return len(a.key) - len(b.key) })},
		{"a scan of no prefix finds nothing", ordered, `Scan of ""`, until(func(prefix, _ []byte) bool { return len(prefix) == 0 })},
		{"a scan goes on after its prefix", ordered, "Scan", until(func(_, _ []byte) bool { return false })},
		{"a scan ends before the next byte, which is zero after 255", ordered, `Scan of "\xff"`, until(func(prefix, key []byte) bool {
			end := bytes.Clone(prefix)
			if len(end) > 0 {
				end[len(end)-1]++
			}
			return len(end) > 0 && bytes.Compare(key, end) >= 0
		})},
		{"a scan ends at its prefix and ten bytes 255", ordered, "Scan", until(func(prefix, key []byte) bool {
			return bytes.Compare(key, append(bytes.Clone(prefix), "\xff\xff"...)) >= 0
		})},
		{"a scan has not its prefix itself", ordered, "Scan", scans(func(tx kv.Tx, prefix []byte, fn func(key, value []byte) error) error {
			return tx.Scan(prefix, func(key, value []byte) error {
				if bytes.Equal(key, prefix) {
					return nil
				}
				return fn(key, value)
			})
		})},
		{"a scan has what is new at its end", scansItsOwn, "Scan", inside(func(t *brokenTx, _ bool) {
			own := map[string]bool{}
			t.set = func(key, value []byte) error {
				if old, _ := t.Tx.Get(key); old == nil {
					own[string(key)] = true
				}
				return t.Tx.Set(key, value)
			}
			t.scan = func(prefix []byte, fn func(key, value []byte) error) error {
				found, err := all(t.Tx, prefix)
				isNew := func(s stored) bool { return own[string(s.key)] }
				late := slices.DeleteFunc(slices.Clone(found), func(s stored) bool { return !isNew(s) })
				return errors.Join(err, scanned(append(slices.DeleteFunc(found, isNew), late...), fn))
			}
		})},
		{"the error of a scan is wrapped", endsScan, "want that very error", scans(func(tx kv.Tx, prefix []byte, fn func(key, value []byte) error) error {
			if err := tx.Scan(prefix, fn); err != nil {
				return errors.Join(err)
			}
			return nil
		})},
		{"the error of a scan is lost", endsScan, "<nil>", scans(func(tx kv.Tx, prefix []byte, fn func(key, value []byte) error) error {
			_ = tx.Scan(prefix, fn)
			return nil
		})},
		{"a scan goes on after an error", endsScan, `fails at "a" saw "abc`, scans(func(tx kv.Tx, prefix []byte, fn func(key, value []byte) error) error {
			var first error
			err := tx.Scan(prefix, func(key, value []byte) error {
				if err := fn(key, value); first == nil {
					first = err
				}
				return nil
			})
			if first != nil {
				return first
			}
			return err
		})},
		{"an error of a scan fails the transaction", endsScan, "though fn returned nil", func(b *broken) {
			b.txn = func(ctx context.Context, write bool, fn func(kv.Tx) error) error {
				return b.good(ctx, write, func(tx kv.Tx) (err error) {
					t := &brokenTx{Tx: tx}
					t.scan = func(prefix []byte, fn func(key, value []byte) error) error {
						failed := tx.Scan(prefix, fn)
						err = errors.Join(err, failed)
						return failed
					}
					return errors.Join(fn(t), err)
				})
			}
		}},
		{"a scan inside another fails", nested, "broken", counted(func(_ *brokenTx, _ bool) error { return errBroken }, nil)},
		{"Get inside a scan of a writer fails", nested, "write true: broken", counted(nil, func(write bool) error {
			if write {
				return errBroken
			}
			return nil
		})},
		{"a scan inside another ends it", nested, "a Scan with others inside saw", inside(func(t *brokenTx, _ bool) {
			begun := 0
			t.scan = func(prefix []byte, fn func(key, value []byte) error) error {
				begun++
				mine := begun
				err := t.Tx.Scan(prefix, func(key, value []byte) error {
					if begun != mine {
						return errBroken
					}
					return fn(key, value)
				})
				if errors.Is(err, errBroken) {
					return nil
				}
				return err
			}
		})},
		{"a scan ends after a thousand keys", scansMany, "Scan", scans(func(tx kv.Tx, prefix []byte, fn func(key, value []byte) error) error {
			found, err := all(tx, prefix)
			return errors.Join(err, scanned(found[:min(len(found), 1000)], fn))
		})},
	}
}

// counted spoils Scan and Get inside a Scan.
func counted(scan func(t *brokenTx, write bool) error, get func(write bool) error) func(*broken) {
	return inside(func(t *brokenTx, write bool) {
		depth := 0
		t.scan = func(prefix []byte, fn func(key, value []byte) error) error {
			if depth > 0 && scan != nil {
				return scan(t, write)
			}
			depth++
			defer func() { depth-- }()
			return t.Tx.Scan(prefix, fn)
		}
		t.get = func(key []byte) ([]byte, error) {
			if depth > 0 && get != nil {
				if err := get(write); err != nil {
					return nil, err
				}
			}
			return t.Tx.Get(key)
		}
	})
}
