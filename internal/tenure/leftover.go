package tenure

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/walink/walink/internal/bound"
	"github.com/walink/walink/store"
)

// A release may fail, and a lease may have been taken though the answer was lost. The process
// itself releases such leases: keeper.sweep within seconds of the database's return, and
// for lateTime after a lost answer; or a Tenure that meets it earlier (leftOver).

// leftOver returns the call that releases a lease which this process has given up, and the
// Store has not released, for example because the database was away. It returns nil for
// a lease that is in use, by this process or another, by somebody else than t.
func (g *keepers) leftOver(leaser store.Leaser, lease store.Lease, t *Tenure) func(context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !strings.HasPrefix(lease.HolderID, g.own) {
		return nil
	}
	k := g.holders[lease.HolderID]
	switch {
	case k == nil: // nobody renews it
		return func(ctx context.Context) error { return leaser.EndHolder(ctx, store.Holder{ID: lease.HolderID}) }
	case k.sessions[lease.Session] == nil || k.sessions[lease.Session] == t:
		return func(ctx context.Context) error { return leaser.ReleaseLease(ctx, lease) }
	}
	return nil
}

// sweep releases the leases that no Tenure uses, until it has seen that there are none, and
// that none has come within late from now. It returns at once.
func (k *keeper) sweep(late time.Duration) {
	k.group.mu.Lock()
	defer k.group.mu.Unlock()
	if until := time.Now().Add(late); until.After(k.late) {
		k.late = until
	}
	if k.sweeping {
		return
	}
	k.sweeping = true
	go func() {
		timer := time.NewTimer(sweepTime)
		defer timer.Stop()
		for {
			select {
			case <-k.life.Done(): // the holder ends with its time
				return
			case <-timer.C:
			}
			asked := time.Now()
			err := k.releaseUnused()
			k.group.mu.Lock()
			k.sweeping = err != nil || !asked.After(k.late)
			done := !k.sweeping
			k.group.mu.Unlock()
			if done {
				return
			}
			timer.Reset(sweepTime)
		}
	}()
}

// releaseUnused releases the leases of this process that no Tenure uses.
func (k *keeper) releaseUnused() error {
	ctx, cancel := context.WithTimeout(k.life, tryTime)
	defer cancel()
	_, _, err := bound.Call(ctx, 0, func(ctx context.Context) (struct{}, error) {
		leases, err := k.leaser.Leases(ctx)
		for _, lease := range leases {
			if release := k.group.leftOver(k.leaser, lease, nil); release != nil {
				err = errors.Join(err, release(ctx))
			}
		}
		return struct{}{}, err
	})
	return err
}
