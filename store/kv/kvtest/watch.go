package kvtest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/walink/walink/store/kv"
)

// watched is a DB that knows which of its calls have not returned, and reports
// calls of fn that no DB may make.
type watched struct {
	db    kv.DB
	trial *trial

	mu    sync.Mutex
	calls []*string // in the order in which they began
}

// begin records a call until end is called.
func (w *watched) begin(call string) (end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := &call
	w.calls = append(w.calls, at)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.calls = slices.DeleteFunc(w.calls, func(other *string) bool { return other == at })
	}
}

// running names the calls that have not returned.
func (w *watched) running() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.calls) == 0 {
		return "no call of the DB"
	}
	names := make([]string, len(w.calls))
	for i, call := range w.calls {
		names[i] = *call
	}
	return strings.Join(names, ", then ")
}

// Txn implements [kv.DB].
func (w *watched) Txn(ctx context.Context, write bool, fn func(kv.Tx) error) error {
	kind := "a reading Txn"
	if write {
		kind = "a writing Txn"
	}
	defer w.begin(kind)()
	var calls, inside atomic.Int32
	var returned atomic.Bool
	defer returned.Store(true)
	return w.db.Txn(ctx, write, func(tx kv.Tx) error {
		defer w.begin("the fn of " + kind)()
		defer inside.Add(-1)
		switch {
		case inside.Add(1) > 1:
			w.trial.Errorf("the fn of %s runs twice at once", kind)
		case returned.Load():
			w.trial.Errorf("the fn of %s runs after Txn has returned", kind)
		case calls.Add(1) > 1 && write:
			w.trial.Errorf("clause 3: the fn of a writing Txn is called %d times", calls.Load())
		}
		return fn(watchedTx{tx, w})
	})
}

// Close closes the DB if it is an [io.Closer].
func (w *watched) Close() error {
	closer, ok := w.db.(io.Closer)
	if !ok {
		return nil
	}
	defer w.begin("Close")()
	return closer.Close()
}

// Now calls the DB's Now if the DB is a [kv.Clock].
func (w *watched) Now(ctx context.Context) (time.Time, error) {
	clock, ok := w.db.(kv.Clock)
	if !ok {
		return time.Time{}, fmt.Errorf("%T is no kv.Clock", w.db)
	}
	defer w.begin("Now")()
	return clock.Now(ctx)
}

// watchedTx is a transaction of a watched DB.
type watchedTx struct {
	tx kv.Tx
	db *watched
}

var _ kv.Tx = watchedTx{}

// Get implements [kv.Tx].
func (t watchedTx) Get(key []byte) ([]byte, error) {
	defer t.db.begin("Get")()
	return t.tx.Get(key)
}

// Set implements [kv.Tx].
func (t watchedTx) Set(key, value []byte) error {
	defer t.db.begin("Set")()
	return t.tx.Set(key, value)
}

// Delete implements [kv.Tx].
func (t watchedTx) Delete(key []byte) error {
	defer t.db.begin("Delete")()
	return t.tx.Delete(key)
}

// Scan implements [kv.Tx].
func (t watchedTx) Scan(prefix []byte, fn func(key, value []byte) error) error {
	defer t.db.begin("Scan")()
	return t.tx.Scan(prefix, fn)
}
