package kvtest

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/walink/walink/store/kv"
)

// closer skips the case if the DB cannot be closed.
func (t *trial) closer() {
	if _, ok := t.db.db.(io.Closer); !ok {
		t.Skip("the DB is no io.Closer")
	}
}

func closesTwice(t *trial) {
	t.closer()
	t.set(pair{"a", "1"})
	for range 2 {
		if err := t.db.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		for _, write := range []bool{true, false} {
			if t.db.Txn(t.Context(), write, func(kv.Tx) error { return nil }) == nil {
				t.Errorf("Txn after Close succeeded, write %t", write)
			}
		}
	}
}

func closeWaitsForReader(t *trial) { closeWaits(t, false) }

func closeWaitsForWriter(t *trial) { closeWaits(t, true) }

// closeWaits closes the DB while a transaction runs.
func closeWaits(t *trial, write bool) {
	t.closer()
	t.set(before()...)
	var group sync.WaitGroup
	var once sync.Once
	var ended atomic.Bool
	err := t.db.Txn(t.Context(), write, func(tx kv.Tx) error { // a reader perhaps more than once
		closed := make(chan struct{})
		once.Do(func() {
			group.Go(func() {
				defer close(closed)
				if err := t.db.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				if !ended.Load() {
					t.Errorf("Close returned while a transaction ran, write %t", write)
				}
			})
			soon(closed)
		})
		said, err := differs(tx, "", before()...)
		if said != "" {
			t.Errorf("in a transaction while the DB is closed: %s", said)
		}
		if write {
			err = errors.Join(err, spoil(tx))
		}
		ended.Store(true)
		return err
	})
	if err != nil {
		t.Errorf("Txn that ran when Close was called: %v, write %t", err, write)
	}
	group.Wait()
	if write && err == nil && t.reopens != nil {
		t.reopen()
		t.want("", pair{"a", "changed"}, pair{"c", "new"})
	}
}

func closeDuring(t *trial) {
	t.closer()
	t.set(pair{"a", "1"})
	var group sync.WaitGroup
	running := make(chan struct{}, 8)
	for i := range 8 {
		group.Go(func() {
			for n := range 1000 { // until it is closed
				err := t.db.Txn(t.Context(), i%2 == 0, func(tx kv.Tx) error {
					if p, err := get(tx, "a"); err != nil || p.Value != "1" {
						return errors.Join(err, fmt.Errorf("Get during Close: %q", p.Value))
					}
					return nil
				})
				if n == 0 {
					running <- struct{}{}
				}
				if err != nil {
					return
				}
			}
		})
	}
	<-running
	if err := t.db.Close(); err != nil {
		t.Errorf("Close during transactions: %v", err)
	}
	for _, write := range []bool{true, false} {
		if t.db.Txn(t.Context(), write, func(kv.Tx) error { return nil }) == nil {
			t.Errorf("Txn after Close succeeded, write %t", write)
		}
	}
	group.Wait()
}

func survives(t *trial) {
	t.set(pair{"a", "1"}, pair{"b", "2"}, pair{"c", "3"})
	t.write(func(tx kv.Tx) error {
		return errors.Join(put(tx, pair{"a", "one"}), tx.Delete([]byte("b")))
	})
	_ = t.db.Txn(t.Context(), true, func(tx kv.Tx) error { return errors.Join(spoil(tx), errFailure) })
	t.reopen()
	t.want("", pair{"a", "one"}, pair{"c", "3"})
	t.set(pair{"d", "4"})
	t.reopen()
	t.want("", pair{"a", "one"}, pair{"c", "3"}, pair{"d", "4"})
	t.write(func(tx kv.Tx) error {
		return errors.Join(tx.Delete([]byte("a")), tx.Delete([]byte("c")), tx.Delete([]byte("d")))
	})
	t.reopen()
	t.want("")
}

func bytesSurvive(t *trial) {
	pairs := append(odd(), pair{"\xff\xff large", string(make([]byte, 16<<20))})
	t.set(pairs...)
	t.reopen()
	t.want("", pairs...)
}

// survivesItsClose counts until the DB is closed. What Txn has reported as
// stored must exist afterwards. What the last Txn failed with may exist.
func survivesItsClose(t *trial) {
	t.closer()
	const goroutines = 4
	var stored [goroutines]int
	var group sync.WaitGroup
	running := make(chan struct{}, goroutines)
	for i := range goroutines {
		group.Go(func() {
			for n := range 1000 {
				err := t.db.Txn(t.Context(), true, func(tx kv.Tx) error { return count(tx, strconv.Itoa(i)) })
				if err == nil {
					stored[i]++
				}
				if n == 0 {
					running <- struct{}{}
				}
				if err != nil {
					return
				}
			}
		})
	}
	for range goroutines {
		<-running
	}
	if err := t.db.Close(); err != nil {
		t.Errorf("Close during transactions: %v", err)
	}
	group.Wait()
	t.reopen()
	t.read(func(tx kv.Tx) error {
		for i, want := range stored {
			p, err := get(tx, strconv.Itoa(i))
			if err != nil {
				return err
			}
			if n, _ := strconv.Atoi(p.Value); n != want && n != want+1 {
				t.Errorf("%d transactions were reported as stored, and %d are there after Close", want, n)
			}
		}
		return nil
	})
}
