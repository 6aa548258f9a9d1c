package group_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/internal/group"
	"github.com/walink/walink/store/kv/kvtest"
)

// db is a DB that copies a map for each batch.
type db struct {
	*group.Writer
	mu      sync.Mutex
	state   map[string][]byte
	commits int
	fail    error // the error of a commit
}

func newDB() *db {
	d := &db{state: map[string][]byte{}}
	d.Writer = group.New(func(context.Context) (group.Base, error) { return &base{db: d, state: maps.Clone(d.now())}, nil })
	return d
}

func (d *db) now() map[string][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state
}

func (d *db) Txn(ctx context.Context, write bool, fn func(kv.Tx) error) error {
	if write {
		return d.Writer.Txn(ctx, fn)
	}
	tx := group.NewOverlay(&base{state: d.now()}) // nobody changes it
	defer tx.End()
	if err := errors.Join(ctx.Err(), fn(readOnly{tx})); err != nil {
		return err
	}
	return ctx.Err()
}

type base struct {
	db    *db
	state map[string][]byte
}

func (b *base) Get(key []byte) ([]byte, error) { return b.state[string(key)], nil }

func (b *base) Set(key, value []byte) error {
	b.state[string(key)] = value
	return nil
}

func (b *base) Delete(key []byte) error {
	delete(b.state, string(key))
	return nil
}

func (b *base) Scan(prefix []byte, fn func(key, value []byte) error) error {
	for _, key := range slices.Sorted(maps.Keys(b.state)) {
		if strings.HasPrefix(key, string(prefix)) {
			if err := fn([]byte(key), b.state[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *base) Commit(context.Context) error {
	b.db.mu.Lock()
	defer b.db.mu.Unlock()
	b.db.commits++
	if b.db.fail == nil {
		b.db.state = b.state
	}
	return b.db.fail
}

func (*base) Rollback() {}

func (*base) Use(context.Context) {}

type readOnly struct{ *group.Overlay }

var errReadOnly = errors.New("the transaction only reads")

func (readOnly) Set(_, _ []byte) error { return errReadOnly }
func (readOnly) Delete([]byte) error   { return errReadOnly }

func TestDB(t *testing.T) {
	t.Parallel()
	kvtest.Run(t, func(*testing.T) kv.DB { return newDB() })
}

// together runs count transactions that all wait for one that runs.
func together(t *testing.T, d *db, count int, fn func(i int) func(kv.Tx) error) []error {
	t.Helper()
	errs := make([]error, count)
	var wait sync.WaitGroup
	err := d.Txn(t.Context(), true, func(kv.Tx) error {
		var started sync.WaitGroup
		for i := range count {
			started.Add(1)
			wait.Go(func() {
				started.Done()
				errs[i] = d.Txn(t.Context(), true, fn(i))
			})
		}
		started.Wait()
		return nil
	})
	wait.Wait()
	if err != nil {
		t.Errorf("Txn: %v", err)
	}
	return errs
}

func TestWritersShareACommit(t *testing.T) {
	t.Parallel()
	const count = 100
	d := newDB()
	for i, err := range together(t, d, count, func(i int) func(kv.Tx) error {
		return func(tx kv.Tx) error { return tx.Set([]byte{byte(i)}, []byte("value")) }
	}) {
		if err != nil {
			t.Errorf("transaction %d: %v", i, err)
		}
	}
	if len(d.now()) != count || d.commits >= count {
		t.Errorf("%d keys in %d commits, want %d keys in fewer", len(d.now()), d.commits, count)
	}
}

func TestACommitThatFailsFailsForAll(t *testing.T) {
	t.Parallel()
	d := newDB()
	d.fail = errors.New("the disk is full")
	for i, err := range together(t, d, 20, func(i int) func(kv.Tx) error {
		return func(tx kv.Tx) error { return tx.Set([]byte{byte(i)}, []byte("value")) }
	}) {
		if !errors.Is(err, d.fail) {
			t.Errorf("transaction %d: %v, want the error of the commit", i, err)
		}
	}
	if len(d.now()) != 0 {
		t.Errorf("%d keys are stored", len(d.now()))
	}
	d.fail = nil
	if err := d.Txn(t.Context(), true, func(tx kv.Tx) error { return tx.Set([]byte("a"), []byte("1")) }); err != nil {
		t.Errorf("Txn afterwards: %v", err)
	}
}

// broken is a Base that ends by itself.
type broken struct {
	*base
	err error
}

func (b *broken) Broken() error { return b.err }

func TestABrokenBaseEndsItsBatch(t *testing.T) {
	t.Parallel()
	lost := errors.New("the lock is lost")
	d := newDB()
	bases := 0
	d.Writer = group.New(func(context.Context) (group.Base, error) {
		bases++
		b := &broken{base: &base{db: d, state: maps.Clone(d.now())}}
		if bases == 1 {
			b.err = lost
		}
		return b, nil
	})
	var errs []error
	var wait sync.WaitGroup
	first := d.Txn(t.Context(), true, func(kv.Tx) error {
		errs = begun(t, d, &wait, 10)
		return nil
	})
	wait.Wait()
	if !errors.Is(first, lost) {
		t.Errorf("Txn on the broken base: %v, want %v", first, lost)
	}
	for i, err := range errs {
		if err != nil {
			t.Errorf("transaction %d, begun later: %v", i, err)
		}
	}
}

// begun begins count transactions, and returns before they end.
func begun(t *testing.T, d *db, wait *sync.WaitGroup, count int) []error {
	t.Helper()
	errs := make([]error, count)
	var started sync.WaitGroup
	for i := range count {
		started.Add(1)
		wait.Go(func() {
			started.Done()
			errs[i] = d.Txn(t.Context(), true, func(tx kv.Tx) error { return tx.Set([]byte{byte(i)}, []byte("value")) })
		})
	}
	started.Wait()
	return errs
}

func TestABatchIsBoundedInTime(t *testing.T) {
	t.Parallel()
	d := newDB()
	d.Span = time.Nanosecond // so that every transaction is its own batch
	const count = 20
	for i, err := range together(t, d, count, func(i int) func(kv.Tx) error {
		return func(tx kv.Tx) error { return tx.Set([]byte{byte(i)}, []byte("value")) }
	}) {
		if err != nil {
			t.Errorf("transaction %d: %v", i, err)
		}
	}
	if d.commits != count {
		t.Errorf("%d commits of %d transactions that took longer than a batch may", d.commits, count)
	}
}

// stuck is a Base whose commit waits.
type stuck struct {
	*base
	begun, end chan struct{}
}

func (b *stuck) Commit(ctx context.Context) error {
	close(b.begun)
	<-b.end
	return b.base.Commit(ctx)
}

func TestNobodyWaitsForACommitLongerThanItsCtx(t *testing.T) {
	t.Parallel()
	d := newDB()
	b := &stuck{base: &base{db: d, state: maps.Clone(d.now())}, begun: make(chan struct{}), end: make(chan struct{})}
	d.Writer = group.New(func(context.Context) (group.Base, error) { return b, nil })
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() {
		<-b.begun
		cancel()
	})
	err := d.Txn(ctx, true, func(tx kv.Tx) error { return tx.Set([]byte("a"), []byte("1")) })
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "is not known") {
		t.Errorf("Txn: %v, want context.Canceled and that the outcome is not known", err)
	}
	wait.Wait()
	close(b.end)
	d.Close()
	if got := string(d.now()["a"]); got != "1" {
		t.Errorf("Close did not wait for the commit: %q is stored", got)
	}
}

// A goroutine that writes when Close is called leaves its batch to Close.
func TestCloseEndsTheBatchThatItIsGiven(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDB()
		b := &stuck{base: &base{db: d, state: maps.Clone(d.now())}, begun: make(chan struct{}), end: make(chan struct{})}
		d.Writer = group.New(func(context.Context) (group.Base, error) { return b, nil })
		closed := make(chan struct{})
		var wait sync.WaitGroup
		wait.Go(func() {
			err := d.Txn(t.Context(), true, func(tx kv.Tx) error {
				go func() {
					defer close(closed)
					d.Close()
				}()
				synctest.Wait()
				return tx.Set([]byte("a"), []byte("1"))
			})
			if err != nil {
				t.Errorf("Txn: %v", err)
			}
		})
		<-b.begun
		synctest.Wait()
		select {
		case <-closed:
			t.Error("Close returned before the commit did")
		default:
		}
		close(b.end)
		wait.Wait()
		<-closed
		if err := d.Txn(t.Context(), true, func(kv.Tx) error { return nil }); !errors.Is(err, store.ErrClosed) {
			t.Errorf("Txn after Close: %v, want ErrClosed", err)
		}
	})
}
