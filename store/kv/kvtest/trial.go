package kvtest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink/store/kv"
)

// A case may take two minutes, many times what a slow disk needs. Once a case
// has hung, the others get less time, because they probably hang too.
const (
	patience = 2 * time.Minute
	hurry    = 5 * time.Second
)

// moment is how long a case waits for something that may happen, or must not.
const moment = 50 * time.Millisecond

// soon waits a moment for done, and reports whether it came.
func soon(done <-chan struct{}) bool {
	timer := time.NewTimer(moment)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// trial is a running case with its DB. It has the methods of a [testing.T], but
// its goroutine may never end.
type trial struct {
	db      *watched
	testing testing.TB
	reopens func(closed kv.DB) kv.DB // nil without WithReopen

	outside chan func()   // calls for the goroutine of the test to make
	over    chan struct{} // closed when nothing receives from outside any more

	mu      sync.Mutex
	found   []string
	skipped string
}

// try runs a case. It returns what the case found, or why the case was skipped.
// It returns when patience is over, even if the case has not.
func (c example) try(tb testing.TB, db kv.DB, reopens func(closed kv.DB) kv.DB, patience func() time.Duration) (found []string, skipped string, hung bool) {
	tb.Helper()
	t := &trial{testing: tb, reopens: reopens, outside: make(chan func()), over: make(chan struct{})}
	t.db = &watched{db: db, trial: t}
	defer close(t.over)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer t.recovers()
		defer t.close()
		defer t.recovers() // before Close, which may hang after a panic
		c.run(t)
	}()
	begun := time.Now()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for ended := false; !ended && !hung; {
		select {
		case <-done:
			ended = true
		case fn := <-t.outside:
			fn()
		case <-ticker.C:
			if hung = time.Since(begun) >= patience(); hung {
				t.Errorf("the case has not ended after %v; still running: %s", time.Since(begun).Round(time.Second), t.db.running())
			}
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.found), t.skipped, hung
}

// recovers reports a panic as an error.
func (t *trial) recovers() {
	if value := recover(); value != nil {
		t.Errorf("panic: %v\n%s", value, debug.Stack())
	}
}

// Context returns the context of the test.
func (t *trial) Context() context.Context { return t.testing.Context() }

// Errorf records what is wrong.
func (t *trial) Errorf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.found = append(t.found, fmt.Sprintf(format, args...))
}

// Fatalf records what is wrong, and ends the goroutine.
func (t *trial) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	runtime.Goexit()
}

// Skip records why the case cannot run, and ends the goroutine.
func (t *trial) Skip(why string) {
	t.mu.Lock()
	t.skipped = why
	t.mu.Unlock()
	runtime.Goexit()
}

// close closes the DB if it is an io.Closer.
func (t *trial) close() {
	if err := t.db.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// reopen closes the DB and opens it again, or skips the case.
func (t *trial) reopen() {
	if t.reopens == nil {
		t.Skip("kvtest.WithReopen would say how to open the DB again")
	}
	t.close()
	opened := make(chan kv.DB, 1)
	select {
	case t.outside <- func() { opened <- t.reopens(t.db.db) }:
		t.db.db = <-opened
	case <-t.over:
		runtime.Goexit()
	}
}

// pair is a key with its value.
type pair struct{ Key, Value string }

// set stores pairs in one transaction.
func (t *trial) set(pairs ...pair) {
	err := t.db.Txn(t.Context(), true, func(tx kv.Tx) error { return put(tx, pairs...) })
	if err != nil {
		t.Fatalf("Txn: %v", err)
	}
}

// write runs fn in a transaction that must succeed.
func (t *trial) write(fn func(tx kv.Tx) error) {
	if err := t.db.Txn(t.Context(), true, fn); err != nil {
		t.Errorf("Txn: %v", err)
	}
}

// read runs fn in a reading transaction.
func (t *trial) read(fn func(tx kv.Tx) error) {
	if err := t.db.Txn(t.Context(), false, fn); err != nil {
		t.Errorf("reading Txn: %v", err)
	}
}

func put(tx kv.Tx, pairs ...pair) error {
	for _, p := range pairs {
		if err := tx.Set([]byte(p.Key), []byte(p.Value)); err != nil {
			return err
		}
	}
	return nil
}

// list returns what a Scan finds.
func list(tx kv.Tx, prefix string) (found []pair, err error) {
	found = []pair{}
	err = tx.Scan([]byte(prefix), func(key, value []byte) error {
		found = append(found, pair{string(key), string(value)})
		return nil
	})
	return found, err
}

// want compares the DB under prefix with pairs, by Scan and by Get.
func (t *trial) want(prefix string, pairs ...pair) {
	t.read(func(tx kv.Tx) error {
		said, err := differs(tx, prefix, pairs...)
		if said != "" {
			t.Errorf("%s", said)
		}
		return err
	})
}

// differs returns how the DB under prefix differs from pairs.
func differs(tx kv.Tx, prefix string, pairs ...pair) (said string, err error) {
	found, err := list(tx, prefix)
	if err != nil {
		return "", fmt.Errorf("Scan of %q: %w", prefix, err)
	}
	var all strings.Builder
	if !slices.Equal(found, pairs) {
		fmt.Fprintf(&all, "Scan of %q (-want +got):\n%s", prefix, cmp.Diff(shortened(pairs), shortened(found)))
	}
	for _, p := range pairs {
		value, err := tx.Get([]byte(p.Key))
		if err != nil {
			return "", fmt.Errorf("Get of %q: %w", shorten(p.Key), err)
		}
		if string(value) != p.Value {
			fmt.Fprintf(&all, "Get of %q is %q, want %q\n", shorten(p.Key), shorten(string(value)), shorten(p.Value))
		}
	}
	return all.String(), nil
}

// missing returns an error unless none of keys exists.
func missing(tx kv.Tx, keys ...string) error {
	for _, key := range keys {
		if value, err := tx.Get([]byte(key)); err != nil || value != nil {
			return errors.Join(err, fmt.Errorf("Get of the missing key %q is %q (nil: %t), want nil", shorten(key), shorten(string(value)), value == nil))
		}
	}
	return nil
}

// shorten keeps failures readable.
func shorten(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	return fmt.Sprintf("%s… (%d bytes)", s[:most], len(s))
}

func shortened(pairs []pair) []pair {
	short := make([]pair, len(pairs))
	for i, p := range pairs {
		short[i] = pair{shorten(p.Key), shorten(p.Value)}
	}
	return short
}

// together calls fn in count goroutines, and waits for them.
func together(count int, fn func(i int)) {
	var group sync.WaitGroup
	for i := range count {
		group.Go(func() { fn(i) })
	}
	group.Wait()
}

// hangs records that a case of the suite has hung, for the other cases.
type hangs struct{ seen atomic.Bool }

func (h *hangs) patience() time.Duration {
	if h.seen.Load() {
		return hurry
	}
	return patience
}
