package redis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walink/walink/store/kv/internal/group"
)

// lockTime is how long the lock of a process that died keeps others waiting.
const lockTime = 10 * time.Second

// commitTime is how long a commit may take. It does not end with a ctx, since
// it is of several transactions.
const commitTime = 5 * time.Second

// base is a batch under the lock. What is set in it goes to the server with
// Commit, in one script.
type base struct {
	*group.Overlay
	reader *reader
	token  string // in the lock
}

var _ group.Base = (*base)(nil)

// begin takes the lock.
func (db *DB) begin(ctx context.Context) (group.Base, error) {
	r := &reader{ctx: ctx, db: db}
	b := &base{
		Overlay: group.NewOverlay(readOnly{r}), reader: r,
		token: db.holder + " " + strconv.FormatUint(db.batches.Add(1), 10),
	}
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := db.client.SetArgs(ctx, db.names.lock, b.token, redis.SetArgs{Mode: "NX", TTL: lockTime}).Err()
		if err == nil {
			return b, nil
		}
		if !errors.Is(err, redis.Nil) {
			b.Rollback() // an answer that was lost may have been a yes
			return nil, err
		}
		timer := time.NewTimer(pause/2 + rand.N(pause)) //nolint:gosec // so that those who wait do not ask at once
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
	}
}

// Use implements [group.Base].
func (b *base) Use(ctx context.Context) { b.reader.ctx = ctx }

// Commit implements [group.Base].
func (b *base) Commit(ctx context.Context) error {
	defer b.End()
	if b.reader.torn {
		b.Rollback()
		return ErrLockLost
	}
	args := append(make([]any, 0, 1+3*b.Len()), b.token)
	err := b.Each(func(key string, value []byte) error {
		if value == nil {
			args = append(args, "d", key, "")
		} else {
			args = append(args, "s", key, value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, commitTime)
	defer cancel()
	done, err := b.reader.db.run(ctx, commitScript, args...).Int()
	var refused redis.Error
	switch {
	case errors.As(err, &refused):
		b.Rollback()
		return err
	case err != nil:
		return fmt.Errorf("whether the transaction is stored is not known: %w", err)
	case done == 0:
		return ErrLockLost
	}
	return nil
}

// Rollback implements [group.Base]. A lock that it cannot take away ends by
// itself.
func (b *base) Rollback() {
	b.End()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.reader.ctx), commitTime)
	defer cancel()
	_ = b.reader.db.run(ctx, unlockScript, b.token).Err()
}
