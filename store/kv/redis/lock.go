package redis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"
)

// lockTime is how long the lock of a process that died blocks others. queueTime
// is how long its place in the queue does. Both together are shorter than what a holder of
// leases survives without a renewal.
const (
	lockTime  = 5 * time.Second
	queueTime = 2 * time.Second
)

// lock is the lock on the server while this process has it. A goroutine renews
// it until release, as long as the ctx of its user has not ended.
type lock struct {
	db    *DB
	token string // the value of the lock

	mu   sync.Mutex
	ctx  context.Context // of the current user of the lock
	lost bool

	stop context.CancelFunc
	wait sync.WaitGroup
}

// lock takes the lock, after all that asked for it before.
func (db *DB) lock(ctx context.Context) (*lock, error) {
	l := &lock{db: db, ctx: ctx, token: db.holder + " " + strconv.FormatUint(db.batches.Add(1), 10)}
	for pause := time.Millisecond; ; pause *= 2 {
		place, err := db.run(ctx, lockScript, l.token, lockTime.Milliseconds(), queueTime.Milliseconds()).Int()
		if err != nil {
			// The lost answer may have been the lock, or a place in the queue.
			db.calls.Go(func() { l.unlock(context.WithoutCancel(ctx)) })
			return nil, err
		}
		if place < 0 {
			l.hold(ctx)
			return l, nil
		}
		pause = min(pause, 50*time.Millisecond)
		if place < 3 { // its turn comes soon
			pause = min(pause, 8*time.Millisecond)
		}
		timer := time.NewTimer(pause/2 + rand.N(pause)) //nolint:gosec // random, so that waiting processes do not ask all at once
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			db.calls.Go(func() { l.unlock(context.WithoutCancel(ctx)) })
			return nil, ctx.Err()
		}
	}
}

// hold renews the lock until release.
func (l *lock) hold(ctx context.Context) {
	ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	l.wait.Go(func() {
		ticker := time.NewTicker(lockTime / 4)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if l.using().Err() != nil {
				continue // a transaction that ignores its ctx must not block the others
			}
			held, err := l.db.run(ctx, renewScript, l.token, lockTime.Milliseconds()).Int()
			if err == nil && held == 0 {
				l.lose()
				return
			}
		}
	})
}

// use sets the ctx of the current user of the lock.
func (l *lock) use(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ctx = ctx
}

func (l *lock) using() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ctx
}

// lose records that another process has the lock.
func (l *lock) lose() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = true
}

// broken returns ErrLockLost once another process is known to have the lock.
func (l *lock) broken() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost {
		return ErrLockLost
	}
	return nil
}

// end stops renewing the lock.
func (l *lock) end() {
	l.stop()
	l.wait.Wait()
}

// unlock releases the lock, or the place in the queue. If it fails, the lock
// expires.
func (l *lock) unlock(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, commitTime)
	defer cancel()
	_ = l.db.run(ctx, unlockScript, l.token).Err()
}

// readLocked runs fn under the lock, so that nothing changes meanwhile. It does
// not wait for the writing transactions of this process, because its caller may
// run inside one, and gives up after a while.
func (db *DB) readLocked(ctx context.Context, fn func(tx *reader) error) error {
	waiting, cancel := context.WithTimeoutCause(ctx, lockTime+commitTime, errTorn)
	defer cancel()
	l, err := db.lock(waiting)
	if err != nil {
		if ctx.Err() == nil && waiting.Err() != nil {
			return fmt.Errorf("%w, and %w", errTorn, errBusy)
		}
		return err
	}
	defer func() {
		l.end()
		db.calls.Go(func() { l.unlock(context.WithoutCancel(ctx)) })
	}()
	l.use(ctx)
	r := &reader{ctx: ctx, db: db, lock: l}
	defer func() { r.ended = true }()
	if err := fn(r); err != nil {
		return err
	}
	return ctx.Err()
}

var errBusy = errors.New("another process has the lock")
