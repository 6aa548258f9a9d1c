package kvtest

import (
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/walink/walink/store/kv"
)

func losesNothing(t *trial) {
	const goroutines, times = 8, 10
	together(goroutines, func(i int) {
		for range times {
			t.write(func(tx kv.Tx) error { return errors.Join(count(tx, "all"), count(tx, fmt.Sprintf("one %d", i))) })
		}
	})
	pairs := []pair{{"all", strconv.Itoa(goroutines * times)}}
	for i := range goroutines {
		pairs = append(pairs, pair{fmt.Sprintf("one %d", i), strconv.Itoa(times)})
	}
	t.want("", pairs...)
}

// oneByOne begins a writing transaction while another one is in its fn. A DB
// that lets it run anyway must not run it twice, and must lose nothing.
func oneByOne(t *trial) {
	t.set(pair{"count", "0"})
	var group sync.WaitGroup
	t.write(func(tx kv.Tx) error {
		began := make(chan struct{})
		var once sync.Once
		err := count(tx, "count")
		group.Go(func() {
			t.write(func(tx kv.Tx) error {
				err := count(tx, "count")
				once.Do(func() { close(began) })
				return err
			})
		})
		soon(began)
		return errors.Join(err, put(tx, pair{"first", "1"}))
	})
	group.Wait()
	t.want("", pair{"count", "2"}, pair{"first", "1"})
}

func failsAlone(t *trial) {
	together(32, func(i int) {
		err := t.db.Txn(t.Context(), true, func(tx kv.Tx) error {
			if err := errors.Join(count(tx, "all"), tx.Set(fmt.Appendf(nil, "key %d", i), []byte("value"))); err != nil {
				return err
			}
			if i%2 == 0 {
				return errFailure
			}
			return nil
		})
		if i%2 == 0 != errors.Is(err, errFailure) || i%2 == 1 && err != nil {
			t.Errorf("transaction %d: %v", i, err)
		}
	})
	t.want("all", pair{"all", "16"})
	t.want("key 30")
	t.want("key 31", pair{"key 31", "value"})
}

func waitsForNoWriter(t *trial) {
	t.set(pair{"a", "1"}, pair{"b", "1"})
	t.write(func(tx kv.Tx) error {
		t.want("", pair{"a", "1"}, pair{"b", "1"})
		if err := errors.Join(put(tx, pair{"a", "2"}, pair{"c", "2"}), tx.Delete([]byte("b"))); err != nil {
			return err
		}
		t.want("", pair{"a", "1"}, pair{"b", "1"})
		together(2, func(int) { t.want("", pair{"a", "1"}, pair{"b", "1"}) })
		return nil
	})
	t.want("", pair{"a", "2"}, pair{"c", "2"})
}

// seesOneState stores another state while a reader runs. The reader waits for
// that only a moment, because a DB may let the writer wait for the reader.
func seesOneState(t *trial) {
	const keys = 40
	state := func(version int) (pairs []pair) {
		for i := range keys {
			pairs = append(pairs, pair{fmt.Sprintf("key %02d", i), strconv.Itoa(version)})
		}
		return pairs
	}
	t.set(state(0)...)
	for version, read := range []func(tx kv.Tx, meanwhile func()) ([]pair, error){
		func(tx kv.Tx, meanwhile func()) ([]pair, error) { // Get before Get and Scan
			first, err := get(tx, "key 00")
			if err != nil {
				return nil, err
			}
			meanwhile()
			last, err := get(tx, "key 39")
			if err != nil {
				return nil, err
			}
			again, err := get(tx, "key 00")
			if err != nil {
				return nil, err
			}
			all, err := list(tx, "")
			return append(all, first, last, again), err
		},
		func(tx kv.Tx, meanwhile func()) ([]pair, error) { // Scan before Scan and Get
			all, err := list(tx, "key 0")
			if err != nil {
				return nil, err
			}
			meanwhile()
			one, err := get(tx, "key 20")
			if err != nil {
				return nil, err
			}
			again, err := list(tx, "")
			return append(append(all, again...), one), err
		},
		func(tx kv.Tx, meanwhile func()) (all []pair, err error) { // inside a Scan
			err = tx.Scan([]byte("key"), func(key, value []byte) error {
				meanwhile()
				last, err := get(tx, "key 39")
				all = append(all, pair{string(key), string(value)}, last)
				return err
			})
			return all, err
		},
	} {
		var found []pair
		var once sync.Once
		var group sync.WaitGroup
		t.read(func(tx kv.Tx) (err error) { // perhaps more than once
			found, err = read(tx, func() {
				once.Do(func() {
					stored := make(chan struct{})
					group.Go(func() {
						defer close(stored)
						t.set(state(version + 1)...)
					})
					soon(stored)
				})
			})
			return err
		})
		group.Wait()
		for _, p := range found {
			if p.Value != found[0].Value {
				t.Errorf("a reader during a write saw two states: %q has %q and %q has %q", found[0].Key, found[0].Value, p.Key, p.Value)
				break
			}
		}
		t.want("", state(version+1)...)
	}
}

func get(tx kv.Tx, key string) (pair, error) {
	value, err := tx.Get([]byte(key))
	return pair{key, string(value)}, err
}

func neverHalf(t *trial) {
	t.set(pair{"a", "0"}, pair{"b", "0"})
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
				t.read(func(tx kv.Tx) error {
					b, err := get(tx, "b")
					if err != nil {
						return err
					}
					found, err = list(tx, "")
					found = append(found, b)
					return err
				})
				if len(found) != 3 || found[0].Value != found[1].Value || found[0].Value != found[2].Value {
					t.Errorf("a reader during a write saw %v", found)
					return
				}
			}
		})
	}
	for range 50 {
		t.write(func(tx kv.Tx) error { return errors.Join(count(tx, "a"), count(tx, "b")) })
	}
	close(done)
	group.Wait()
}

func readsOnly(t *trial) {
	t.set(pair{"a", "1"})
	_ = t.db.Txn(t.Context(), false, func(tx kv.Tx) error {
		if tx.Set([]byte("a"), []byte("2")) == nil {
			t.Errorf("Set in a reading transaction succeeded")
		}
		if tx.Set([]byte("b"), []byte("2")) == nil {
			t.Errorf("Set of a new key in a reading transaction succeeded")
		}
		if tx.Delete([]byte("a")) == nil {
			t.Errorf("Delete in a reading transaction succeeded")
		}
		return nil
	})
	t.want("", pair{"a", "1"})
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
