package redis

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"
)

// lockTime is how long the lock of a process that died keeps others waiting,
// and queueTime how long its place in the queue does.
const (
	lockTime  = 10 * time.Second
	queueTime = 2 * time.Second
)

// lock is the lock of the server while it is held. A goroutine renews it until
// release, as long as the ctx of who uses it has not ended.
type lock struct {
	db    *DB
	token string // in the lock

	mu   sync.Mutex
	ctx  context.Context //nolint:containedctx // of who uses the lock now
	lost bool

	stop context.CancelFunc
	wait sync.WaitGroup
}

// lock takes the lock, once it is its turn among all that wait for it.
func (db *DB) lock(ctx context.Context) (*lock, error) {
	l := &lock{db: db, ctx: ctx, token: db.holder + " " + strconv.FormatUint(db.batches.Add(1), 10)}
	for pause := time.Millisecond; ; pause *= 2 {
		place, err := db.run(ctx, lockScript, l.token, lockTime.Milliseconds(), queueTime.Milliseconds()).Int()
		if err != nil {
			// An answer that was lost may have been a yes, or a place.
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
		timer := time.NewTimer(pause/2 + rand.N(pause)) //nolint:gosec // so that those who wait do not ask at once
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
				continue // who does not heed its ctx must not keep the others waiting
			}
			held, err := l.db.run(ctx, renewScript, l.token, lockTime.Milliseconds()).Int()
			if err == nil && held == 0 {
				l.lose()
				return
			}
		}
	})
}

// use says whose ctx holds from now on.
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

// lose notes that the lock is another's.
func (l *lock) lose() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = true
}

// broken returns ErrLockLost once the lock is known to be another's.
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

// unlock gives the lock back, or the place in the queue. A lock that it cannot
// take away ends by itself.
func (l *lock) unlock(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, commitTime)
	defer cancel()
	_ = l.db.run(ctx, unlockScript, l.token).Err()
}

// readLocked runs fn under the lock, where nothing changes. It does not take
// the turn of the writers of this process, which its caller may have, and
// gives up after a while.
func (db *DB) readLocked(ctx context.Context, fn func(tx *reader) error) error {
	waiting, cancel := context.WithTimeoutCause(ctx, lockTime+commitTime, errTorn)
	defer cancel()
	l, err := db.lock(waiting)
	if err != nil {
		if ctx.Err() == nil && waiting.Err() != nil {
			return errors.Join(errTorn, errBusy)
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

var errBusy = errors.New("and the lock is held by others")
