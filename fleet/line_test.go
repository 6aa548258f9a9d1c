package fleet_test

import (
	"context"
	"errors"
	"sync"

	"github.com/walink/walink/store/kv"
)

// line leads to a database. It can be cut, and counts the transactions that write.
type line struct {
	db kv.DB

	mu     sync.Mutex
	fails  bool
	hangs  chan struct{} // closed when the line works again; nil if it does
	writes int
}

var errCut = errors.New("the database is away")

// Txn implements kv.DB.
func (l *line) Txn(ctx context.Context, write bool, fn func(kv.Tx) error) error {
	l.mu.Lock()
	fails, hangs := l.fails, l.hangs
	if write {
		l.writes++
	}
	l.mu.Unlock()
	if hangs != nil {
		select {
		case <-hangs:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if fails {
		return errCut
	}
	return l.db.Txn(ctx, write, fn)
}

// cut has every call fail from now on, or hang.
func (l *line) cut(hang bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if hang && l.hangs == nil {
		l.hangs = make(chan struct{})
	}
	l.fails = !hang
}

// restore ends cut.
func (l *line) restore() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hangs != nil {
		close(l.hangs)
	}
	l.fails, l.hangs = false, nil
}

// written returns how many transactions have written.
func (l *line) written() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.writes
}
