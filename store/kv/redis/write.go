package redis

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/store/kv/internal/group"
)

// commitTime is how long a call of a commit may take. Such a call has no ctx of
// a caller, because a commit belongs to several transactions.
const commitTime = 5 * time.Second

// batchTime is how long a batch takes more transactions.
const batchTime = lockTime / 10

// doneTime is how long the server remembers the last commit of a process.
const doneTime = 10 * time.Minute

// A commit larger than a step is sent in several steps. A commit larger than
// the most is refused, because the server does nothing else during a commit.
const (
	stepChanges = 1000
	stepBytes   = 1 << 20
	mostChanges = 1_000_000
	mostBytes   = 1 << 30
)

// base is a batch under the lock. Its changes go to the server with Commit.
type base struct {
	*group.Overlay
	reader *reader
	lock   *lock
}

var (
	_ group.Base      = (*base)(nil)
	_ group.Breakable = (*base)(nil)
)

// begin takes the lock.
func (db *DB) begin(ctx context.Context) (group.Base, error) {
	l, err := db.lock(ctx)
	if err != nil {
		return nil, err
	}
	r := &reader{ctx: ctx, db: db, lock: l}
	return &base{Overlay: group.NewOverlay(readOnly{r}), reader: r, lock: l}, nil
}

// Use implements [group.Base].
func (b *base) Use(ctx context.Context) {
	b.reader.ctx = ctx
	b.lock.use(ctx)
}

// Broken implements [group.Breakable].
func (b *base) Broken() error { return b.lock.broken() }

// Commit implements [group.Base].
func (b *base) Commit(ctx context.Context) error {
	b.lock.use(ctx)
	stored, err := b.commit(ctx)
	if err == nil && stored {
		b.end()
		return nil
	}
	b.Rollback()
	if err == nil {
		err = ErrLockLost
	}
	return err
}

func (b *base) commit(ctx context.Context) (stored bool, err error) {
	if err := b.lock.broken(); err != nil {
		return false, err
	}
	db, bytes := b.reader.db, 0
	err = b.Each(func(key string, value []byte) error {
		bytes += len(key) + len(value)
		return nil
	})
	if err != nil {
		return false, err
	}
	head := []any{b.lock.token, doneTime.Milliseconds()}
	switch {
	case b.Len() > mostChanges || bytes > mostBytes:
		return false, hint.New(
			fmt.Errorf("a transaction of %d changes and %d MiB, want at most %d and %d", b.Len(), bytes>>20, mostChanges, mostBytes>>20),
			"Split the transaction into smaller ones.",
		)
	case b.Len() > stepChanges || bytes > stepBytes:
		sets, deletes, err := b.stage(ctx)
		if err != nil {
			return false, err
		}
		// The script may take longer than the client waits for its answer.
		return db.runTwice(ctx, 10, commitScript, append(head, sets, deletes)...)
	}
	args := slices.Concat(head, []any{0, 0})
	err = b.Each(func(key string, value []byte) error {
		if value == nil {
			args = append(args, "d", key, "")
		} else {
			args = append(args, "s", key, value)
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	return db.runTwice(ctx, 2, commitScript, args...)
}

// stage sends the changes in steps to lists that nobody reads yet, and returns
// the lengths of the lists.
func (b *base) stage(ctx context.Context) (sets, deletes int, err error) {
	set, deleted := &step{base: b, list: setList}, &step{base: b, list: deleteList}
	err = b.Each(func(key string, value []byte) error {
		if value == nil {
			return deleted.add(ctx, len(key), key)
		}
		return set.add(ctx, len(key)+len(value), key, value)
	})
	if err == nil {
		err = set.send(ctx)
	}
	if err == nil {
		err = deleted.send(ctx)
	}
	return set.sent, deleted.sent, err
}

// step is the part of a list that is sent at once.
type step struct {
	base  *base
	list  int
	sent  int // the length of the list
	items []any
	bytes int
}

func (s *step) add(ctx context.Context, bytes int, items ...any) error {
	if len(s.items) > 0 && (len(s.items) >= stepChanges || s.bytes+bytes > stepBytes) {
		if err := s.send(ctx); err != nil {
			return err
		}
	}
	s.items, s.bytes = append(s.items, items...), s.bytes+bytes
	return nil
}

func (s *step) send(ctx context.Context) error {
	if len(s.items) == 0 {
		return nil
	}
	args := append([]any{s.base.lock.token, doneTime.Milliseconds(), s.list, s.sent}, s.items...)
	done, err := s.base.reader.db.runTwice(ctx, 2, stageScript, args...)
	if unknown, ok := err.(*unknownError); ok { //nolint:errorlint // runTwice does not wrap it
		return unknown.err // nothing is stored before everything is staged
	}
	if err == nil && !done {
		return ErrLockLost
	}
	s.sent, s.items, s.bytes = s.sent+len(s.items), nil, 0
	return err
}

func (b *base) end() {
	b.End()
	b.lock.end()
}

// Rollback implements [group.Base].
func (b *base) Rollback() {
	b.end()
	b.lock.unlock(context.WithoutCancel(b.reader.ctx))
}
