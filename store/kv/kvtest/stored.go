package kvtest

import (
	"errors"
	"runtime"

	"github.com/walink/walink/store/kv"
)

var errFailure = errors.New("the failure of fn")

// before returns the pairs that are stored before spoil changes them.
func before() []pair { return []pair{{"a", "1"}, {"b", "2"}} }

func spoil(tx kv.Tx) error {
	return errors.Join(put(tx, pair{"a", "changed"}, pair{"c", "new"}), tx.Delete([]byte("b")))
}

func storesAll(t *trial) {
	t.want("")
	t.set(before()...)
	t.want("", before()...)
	t.write(spoil)
	t.want("", pair{"a", "changed"}, pair{"c", "new"})
	t.write(func(kv.Tx) error { return nil })
	t.want("", pair{"a", "changed"}, pair{"c", "new"})
	t.write(func(tx kv.Tx) error { return errors.Join(tx.Delete([]byte("a")), tx.Delete([]byte("c"))) })
	t.want("")
}

func storesNothing(t *trial) {
	t.set(before()...)
	err := t.db.Txn(t.Context(), true, func(tx kv.Tx) error { return errors.Join(spoil(tx), errFailure) })
	if !errors.Is(err, errFailure) {
		t.Errorf("Txn: %v, want one that wraps the error of fn", err)
	}
	t.want("", before()...)
	err = t.db.Txn(t.Context(), false, func(kv.Tx) error { return errFailure })
	if !errors.Is(err, errFailure) {
		t.Errorf("reading Txn: %v, want one that wraps the error of fn", err)
	}
	// The next transaction does not store the failed one either.
	t.set(pair{"d", "4"})
	t.want("", append(before(), pair{"d", "4"})...)
}

func panics(t *trial) {
	t.set(before()...)
	for _, write := range []bool{true, false} {
		var got any
		func() {
			defer func() { got = recover() }()
			_ = t.db.Txn(t.Context(), write, func(tx kv.Tx) error {
				if write {
					_ = spoil(tx)
				}
				panic("the panic")
			})
		}()
		if got != "the panic" {
			t.Errorf("recovered %v, want the panic of fn, write %t", got, write)
		}
		t.want("", before()...)
	}
	t.set(pair{"c", "3"})
	t.want("", append(before(), pair{"c", "3"})...)
}

func exits(t *trial) {
	t.set(before()...)
	for _, write := range []bool{true, false} {
		returned := false
		together(1, func(int) {
			_ = t.db.Txn(t.Context(), write, func(tx kv.Tx) error {
				if write {
					_ = spoil(tx)
				}
				runtime.Goexit()
				return nil
			})
			returned = true
		})
		if returned {
			t.Errorf("Txn returned though its goroutine had ended, write %t", write)
		}
		t.want("", before()...)
	}
	t.set(pair{"c", "3"})
	t.want("", append(before(), pair{"c", "3"})...)
}
