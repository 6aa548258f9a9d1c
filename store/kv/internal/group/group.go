// Package group runs the writing transactions of a [kv.DB] one after the other
// and commits those that wait for each other together: where a commit is what
// costs, as an fsync or a round trip, many writers pay for one.
//
// The fn of each transaction runs alone, in the goroutine of its caller, on an
// overlay of its own, so that one that fails takes nothing along. Who finds
// nobody waiting lets those run that can, and if still nobody waits, commits for
// all since the last commit: no clock ever holds anything back in the hope of
// company.
package group

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/walink/walink/store/kv"
)

// Base is a transaction of the DB below. Set and Delete must not fail because
// of what they are given.
type Base interface {
	kv.Tx
	// Use says whose ctx holds for what is read from now on.
	Use(ctx context.Context)
	// Commit stores what was set and deleted, and ends the Base.
	Commit(ctx context.Context) error
	// Rollback ends the Base without that.
	Rollback()
}

// Breakable is an optional interface of a [Base] that can end by itself, as
// one under a lock that was lost. Broken then says why nothing of it can be
// stored any more; it is nil as long as the Base holds.
type Breakable interface{ Broken() error }

// ErrClosed is returned by a Writer that is closed.
var ErrClosed = errors.New("the database is closed")

// most is the number of transactions that are committed together at most, so
// that the first of them does not wait too long.
const most = 128

// yields is how often who would commit lets others run first. Each time all that
// are ready to run on the same processor do, and several come a step closer.
const yields = 3

// Writer runs writing transactions. Use [New].
type Writer struct {
	// Span is how long a batch takes more transactions, if it is not zero. It
	// is set before the first of them.
	Span time.Duration

	begin func(ctx context.Context) (Base, error)

	mu      sync.Mutex
	busy    bool            // somebody has the turn
	waiting []chan struct{} // for the turn, in this order
	closed  bool

	// batch belongs to who has the turn.
	batch *batch
}

// batch is what is committed together.
type batch struct {
	base Base
	size int           // how many transactions have changed something
	from time.Time     // when it was begun
	done chan struct{} // closed when the batch has ended
	err  error         // set before
}

// New returns a Writer for the DB on which begin begins transactions. It has
// one of them open at a time.
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
		return err // what it has changed is not in the batch
	}
	return fmt.Errorf("whether the transaction is stored is not known: %w", ctx.Err())
}

// run is Txn for who has the turn, which it gives away. It returns the batch
// on whose end the answer depends.
func (w *Writer) run(ctx context.Context, fn func(kv.Tx) error) (b *batch, err error) {
	defer w.leave() // also when fn panics
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
	case b.err != nil: // also for who has only read: it may be out of date
	case err == nil && tx.Len() > 0:
		b.size++
		// What fails here fails for all: it may be half done.
		b.err = tx.flush()
	case b.size == 0:
		return nil, err // it has seen nothing that is not stored yet
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
		return ErrClosed
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
	w.leave() // it has the turn by now, and others count on it
	return ctx.Err()
}

// leave gives the turn to the next, with the batch, or ends the batch before:
// in the background, so that nobody waits for a commit longer than its ctx.
func (w *Writer) leave() {
	b := w.batch
	switch {
	case b == nil:
	case b.err != nil, b.size >= most, w.Span > 0 && time.Since(b.from) >= w.Span, w.alone():
		w.batch = nil
		go func() { // Close waits for it, since this has the turn
			b.finish()
			w.pass()
		}()
		return
	}
	w.pass()
}

// pass gives the turn to the next.
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
	w.leave() // who was waiting has given up since
}

// alone reports whether nobody is waiting for the turn, and nobody is about to.
// Those whose batch has just ended are awake but have not run yet, and most of
// them come back with what they do next: without them each batch of many would
// be followed by one of few. Where nothing else can run this takes no time.
func (w *Writer) alone() bool {
	for range yields {
		if !w.last() {
			return false
		}
		runtime.Gosched()
	}
	return w.last()
}

// last reports whether nobody is waiting for the turn.
func (w *Writer) last() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.waiting) == 0
}

// finish ends a batch. It has no ctx, since it is of several transactions.
func (b *batch) finish() {
	defer close(b.done)
	if b.err != nil || b.size == 0 {
		b.base.Rollback()
		return
	}
	b.err = b.base.Commit(context.Background()) //nolint:forbidigo // no caller's ctx may end what is of others too
}

// Close waits for the transactions that run or wait, and lets no other begin.
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
	if b := w.batch; b != nil { // of those who have seen that somebody waits
		w.batch = nil
		b.finish()
	}
	w.pass()
	w.mu.Lock()
}
