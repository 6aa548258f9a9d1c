package transfer

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/walink/walink/internal/process"
	"github.com/walink/walink/store"
)

const (
	leaseTime   = 2 * time.Minute // how long a session stays leased after the copying process has died
	releaseTime = 5 * time.Second // how long the release of a lease may take
)

// held is a holder with the lease of one session. It is renewed until it is
// released. A nil *held is that of a Store that is no Leaser.
type held struct {
	leaser store.Leaser
	holder store.Holder
	stop   context.CancelFunc
	done   chan struct{} // closed when keep has returned
}

// hold leases a session, and calls lost if another holder takes the lease.
func hold(ctx context.Context, st store.Store, session string, lost context.CancelCauseFunc) (*held, error) {
	leaser, ok := st.(store.Leaser)
	if !ok {
		return nil, nil
	}
	h := &held{leaser: leaser, holder: store.Holder{ID: rand.Text(), Name: "a copy, " + process.Name()}, done: make(chan struct{})}
	switch _, busy, err := leaser.TakeLeases(ctx, []string{session}, h.holder, leaseTime); {
	case err != nil:
		return nil, err
	case len(busy) > 0:
		return nil, &store.BusyError{Lease: busy[0]}
	}
	ctx, h.stop = context.WithCancel(ctx)
	go h.keep(ctx, lost)
	return h, nil
}

// keep renews the lease until ctx ends. In the target a renewal may wait until
// the session is stored, and so does everybody who wants to take the lease.
func (h *held) keep(ctx context.Context, lost context.CancelCauseFunc) {
	defer close(h.done)
	ticker := time.NewTicker(leaseTime / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := h.renew(ctx); errors.Is(err, store.ErrLeaseLost) { // after any other error keep retries
				lost(err)
				return
			}
		}
	}
}

// renew fails if another holder has taken the session since it was leased, however
// long ago that was.
func (h *held) renew(ctx context.Context) error {
	if h == nil {
		return nil
	}
	_, err := h.leaser.RenewHolder(ctx, h.holder, leaseTime)
	return err
}

// release ends the lease, even after ctx has ended.
func (h *held) release(ctx context.Context) {
	if h == nil {
		return
	}
	h.stop()
	<-h.done
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	_ = h.leaser.EndHolder(ctx, h.holder) // if this fails the lease expires
}
