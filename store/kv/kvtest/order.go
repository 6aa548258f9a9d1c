package kvtest

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/walink/walink/store/kv"
)

func runOrder(t *testing.T, open func(t *testing.T) kv.DB) {
	t.Helper()
	t.Run("clause 3: writing transactions lose nothing of each other", func(t *testing.T) {
		t.Parallel()
		const goroutines, times = 8, 10
		db := open(t)
		var group sync.WaitGroup
		for i := range goroutines {
			group.Go(func() {
				for range times {
					calls := 0
					err := db.Txn(t.Context(), true, func(tx kv.Tx) error {
						calls++
						return errors.Join(count(tx, "all"), count(tx, fmt.Sprintf("one %d", i)))
					})
					if err != nil || calls != 1 {
						t.Errorf("Txn: %v, and %d calls of fn, want one", err, calls)
					}
				}
			})
		}
		group.Wait()
		pairs := []pair{{"all", strconv.Itoa(goroutines * times)}}
		for i := range goroutines {
			pairs = append(pairs, pair{fmt.Sprintf("one %d", i), strconv.Itoa(times)})
		}
		want(t, db, "", pairs...)
	})

	t.Run("clause 3: one that fails takes none of the others along", func(t *testing.T) {
		t.Parallel()
		db := open(t)
		failure := errors.New("the failure")
		var group sync.WaitGroup
		for i := range 32 {
			group.Go(func() {
				err := db.Txn(t.Context(), true, func(tx kv.Tx) error {
					if err := errors.Join(count(tx, "all"), tx.Set(fmt.Appendf(nil, "key %d", i), []byte("value"))); err != nil {
						return err
					}
					if i%2 == 0 {
						return failure
					}
					return nil
				})
				if i%2 == 0 != errors.Is(err, failure) || i%2 == 1 && err != nil {
					t.Errorf("transaction %d: %v", i, err)
				}
			})
		}
		group.Wait()
		want(t, db, "all", pair{"all", "16"})
		want(t, db, "key 30")
		want(t, db, "key 31", pair{"key 31", "value"})
	})

	t.Run("clause 4: a reader sees one state, and waits for no writer", func(t *testing.T) {
		t.Parallel()
		db := open(t)
		set(t, db, pair{"a", "1"}, pair{"b", "1"})
		err := db.Txn(t.Context(), true, func(tx kv.Tx) error {
			if err := put(tx, pair{"a", "2"}, pair{"b", "2"}); err != nil {
				return err
			}
			want(t, db, "", pair{"a", "1"}, pair{"b", "1"}) // begins inside
			return nil
		})
		if err != nil {
			t.Fatalf("Txn: %v", err)
		}
		want(t, db, "", pair{"a", "2"}, pair{"b", "2"})
	})

	t.Run("clause 4: readers beside writers never see half", func(t *testing.T) {
		t.Parallel()
		db := open(t)
		set(t, db, pair{"a", "0"}, pair{"b", "0"})
		done := make(chan struct{})
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					var found []pair
					err := db.Txn(t.Context(), false, func(tx kv.Tx) error {
						value, err := tx.Get([]byte("b"))
						if err != nil {
							return err
						}
						found, err = list(tx, "")
						found = append(found, pair{"b", string(value)})
						return err
					})
					if err != nil || len(found) != 3 || found[0].Value != found[1].Value || found[0].Value != found[2].Value {
						t.Errorf("Txn: %v, and it saw %v", err, found)
						return
					}
				}
			})
		}
		for range 50 {
			err := db.Txn(t.Context(), true, func(tx kv.Tx) error { return errors.Join(count(tx, "a"), count(tx, "b")) })
			if err != nil {
				t.Errorf("Txn: %v", err)
			}
		}
		close(done)
		group.Wait()
	})

	t.Run("clause 4: a reader cannot write", func(t *testing.T) {
		t.Parallel()
		db := open(t)
		set(t, db, pair{"a", "1"})
		_ = db.Txn(t.Context(), false, func(tx kv.Tx) error {
			if tx.Set([]byte("a"), []byte("2")) == nil {
				t.Error("Set succeeded")
			}
			if tx.Delete([]byte("a")) == nil {
				t.Error("Delete succeeded")
			}
			return nil
		})
		want(t, db, "", pair{"a", "1"})
	})
}

// count adds one to the number under key.
func count(tx kv.Tx, key string) error {
	value, err := tx.Get([]byte(key))
	if err != nil {
		return err
	}
	n, _ := strconv.Atoi(string(value))
	return put(tx, pair{key, strconv.Itoa(n + 1)})
}
