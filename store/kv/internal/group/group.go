// Package group runs the writing transactions of a [kv.DB] one after the other,
// and commits transactions that wait for each other together. If a commit is
// expensive, such as an fsync or a round trip, many writers share the cost.
//
// The fn of each transaction runs alone, in the goroutine of its caller, on its
// own overlay. So a transaction that fails does not affect the others. When a
// transaction is done and none waits, the goroutine yields to goroutines that
// are ready to run. If still no transaction waits, it commits all transactions
// since the last commit. No timer ever delays a commit to wait for more
// transactions.
package group

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
)

// Base is a transaction of the DB below. Set and Delete must not fail because
// of their arguments.
type Base interface {
	kv.Tx
	// Use sets the ctx of all reads from now on.
	Use(ctx context.Context)
	// Commit stores all changes, and ends the Base.
	Commit(ctx context.Context) error
	// Rollback ends the Base and stores nothing.
	Rollback()
}

// Breakable is an optional interface of a [Base] that can end by itself, for
// example because its lock was lost. Broken then returns why nothing of the
// Base can be stored any more. Otherwise Broken returns nil.
type Breakable interface{ Broken() error }

// most is the largest number of transactions in one commit, so that the first
// of them does not wait too long.
const most = 128

// yields is how often the goroutine that is about to commit lets others run
// first. Each time all goroutines that are ready on the same processor run, and
// some of them may then have a transaction.
const yields = 3

// Writer runs writing transactions. Use [New].
type Writer struct {
	// Span is how long a batch takes more transactions. Zero is without limit.
	// Set Span before the first transaction.
	Span time.Duration

	begin func(ctx context.Context) (Base, error)

	mu      sync.Mutex
	busy    bool            // a goroutine has the turn
	waiting []chan struct{} // for the turn, in order
	closed  bool

	// batch belongs to the goroutine that has the turn.
	batch *batch
}

// batch is a group of transactions that are committed together.
type batch struct {
	base Base
	size int           // how many transactions changed something
	from time.Time     // when the batch began
	done chan struct{} // closed when the batch has ended
	err  error         // set before done is closed
}

// New returns a Writer for a DB. begin begins a transaction of the DB; only one
// is open at a time.
func New(begin func(ctx context.Context) (Base, error)) *Writer {
	return &Writer{begin: begin}
}

// Txn runs fn like a writing transaction of [kv.DB].
func (w *Writer) Txn(ctx context.Context, fn func(kv.Tx) error) error {
	if err := w.enter(ctx); err != nil {
		return err
	}
	b, err := w.run(ctx, fn)
	if b == nil {
		return err
	}
	select {
	case <-b.done:
		return errors.Join(err, b.err)
	case <-ctx.Done():
	}
	select {
	case <-b.done:
		return errors.Join(err, b.err)
	default:
	}
	if err != nil {
		return err // its changes are not in the batch
	}
	return fmt.Errorf("it is not known whether the transaction is stored: %w", ctx.Err())
}

// run is Txn for the goroutine that has the turn, and passes the turn on. If
// the result depends on a batch, run returns the batch.
func (w *Writer) run(ctx context.Context, fn func(kv.Tx) error) (b *batch, err error) {
	defer w.leave() // even if fn panics
	if w.batch == nil {
		base, err := w.begin(ctx)
		if err != nil {
			return nil, err
		}
		w.batch = &batch{base: base, from: time.Now(), done: make(chan struct{})}
	}
	b = w.batch
	b.base.Use(ctx)
	tx := NewOverlay(b.base)
	defer tx.End()
	err = fn(tx)
	if err == nil {
		err = ctx.Err()
	}
	if breakable, ok := b.base.(Breakable); ok && b.err == nil {
		b.err = breakable.Broken()
	}
	switch {
	case b.err != nil: // even for a transaction that only read: what it read may be out of date
	case err == nil && tx.Len() > 0:
		b.size++
		// A failed flush may be half done, so the whole batch fails.
		b.err = tx.flush()
	case b.size == 0:
		return nil, err // everything that it read is stored
	}
	return b, err
}

// enter waits for the turn.
func (w *Writer) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return store.ErrClosed
	}
	if !w.busy {
		w.busy = true
		w.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	w.waiting = append(w.waiting, turn)
	w.mu.Unlock()

	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	w.mu.Lock()
	if i := slices.Index(w.waiting, turn); i >= 0 {
		w.waiting = slices.Delete(w.waiting, i, i+1)
		w.mu.Unlock()
		return ctx.Err()
	}
	w.mu.Unlock()
	w.leave() // this goroutine was given the turn meanwhile, and must pass it on
	return ctx.Err()
}

// leave passes the turn on, with the batch, or commits the batch first. The
// commit runs in another goroutine, so that nobody waits for a commit longer
// than its ctx.
func (w *Writer) leave() {
	b := w.batch
	switch {
	case b == nil:
	case b.err != nil, b.size >= most, w.Span > 0 && time.Since(b.from) >= w.Span, w.alone():
		w.batch = nil
		go func() { // Close waits for it, because it has the turn
			b.finish()
			w.pass()
		}()
		return
	}
	w.pass()
}

// pass gives the turn to the next goroutine.
func (w *Writer) pass() {
	w.mu.Lock()
	if len(w.waiting) > 0 {
		next := w.waiting[0]
		w.waiting = slices.Delete(w.waiting, 0, 1)
		close(next)
		w.mu.Unlock()
		return
	}
	if w.batch == nil {
		w.busy = false
		w.mu.Unlock()
		return
	}
	w.mu.Unlock()
	w.leave() // no goroutine waits any more
}

// alone reports whether no goroutine waits for the turn, even after others had
// a chance to run. The goroutines of the last batch are ready but have not run
// yet, and most of them come back with their next transaction. Without this, a
// large batch would always be followed by a small one. If no other goroutine is
// ready, alone takes no time.
func (w *Writer) alone() bool {
	for range yields {
		if !w.last() {
			return false
		}
		runtime.Gosched()
	}
	return w.last()
}

// last reports whether no goroutine waits for the turn.
func (w *Writer) last() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.waiting) == 0
}

// finish commits a batch, or rolls it back. It has no ctx, because the batch
// belongs to several transactions.
func (b *batch) finish() {
	defer close(b.done)
	if b.err != nil || b.size == 0 {
		b.base.Rollback()
		return
	}
	b.err = b.base.Commit(context.Background()) //nolint:forbidigo // no caller's ctx may end the commit of the others
}

// Close waits for running and waiting transactions, and lets no other begin.
func (w *Writer) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if !w.busy {
		return
	}
	turn := make(chan struct{})
	w.waiting = append(w.waiting, turn)
	w.mu.Unlock()
	<-turn
	if b := w.batch; b != nil { // its goroutines saw Close wait, and did not commit
		w.batch = nil
		b.finish()
	}
	w.pass()
	w.mu.Lock()
}
