package storetest_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/storetest"
)

func TestRunLeaser(t *testing.T) {
	t.Parallel()
	storetest.RunLeaser(t, func(*testing.T) store.Leaser { return &leaser{leases: map[string]store.Lease{}} })
}

// leaser is a Leaser in memory.
type leaser struct {
	mu     sync.Mutex
	token  uint64
	leases map[string]store.Lease
}

var _ store.Leaser = (*leaser)(nil)

func (l *leaser) TakeLease(ctx context.Context, session, holder string, ttl time.Duration) (store.Lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now().UTC().Round(0)
	if err := ctx.Err(); err != nil {
		return store.Lease{}, err
	}
	if lease, ok := l.leases[session]; ok && now.Before(lease.Until) {
		return store.Lease{}, fmt.Errorf("take: %w", &store.BusyError{Lease: lease})
	}
	l.token++
	lease := store.Lease{Session: session, Holder: holder, Token: l.token, Since: now, Until: now.Add(ttl)}
	l.leases[session] = lease
	return lease, nil
}

func (l *leaser) RenewLease(ctx context.Context, lease store.Lease, ttl time.Duration) (store.Lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return store.Lease{}, err
	}
	held, ok := l.leases[lease.Session]
	if !ok || held.Token != lease.Token {
		return store.Lease{}, fmt.Errorf("renew: %w", store.ErrLeaseLost)
	}
	held.Until = time.Now().UTC().Round(0).Add(ttl)
	l.leases[lease.Session] = held
	return held, nil
}

func (l *leaser) ReleaseLease(ctx context.Context, lease store.Lease) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.leases[lease.Session].Token == lease.Token {
		delete(l.leases, lease.Session)
	}
	return nil
}

func (l *leaser) PeekLease(ctx context.Context, session string) (store.Lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return store.Lease{}, err
	}
	lease, ok := l.leases[session]
	if !ok || !time.Now().Before(lease.Until) {
		return store.Lease{}, fmt.Errorf("peek: %w", store.ErrNotFound)
	}
	return lease, nil
}
