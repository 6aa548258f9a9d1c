package storetest_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/storetest"
)

func TestRunLeaser(t *testing.T) {
	t.Parallel()
	storetest.RunLeaser(t, func(*testing.T) store.Leaser { return &leaser{leases: map[string]store.Lease{}} })
}

// leaser is a Leaser in memory, with something wrong if wrong is not empty.
type leaser struct {
	wrong  string
	mu     sync.Mutex
	token  uint64
	leases map[string]store.Lease
}

var _ store.Leaser = (*leaser)(nil)

func (l *leaser) TakeLease(ctx context.Context, session, holder string, ttl time.Duration) (store.Lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now().UTC().Round(0)
	if err := ctx.Err(); err != nil && l.wrong != "no ctx" {
		return store.Lease{}, err
	}
	if lease, ok := l.leases[l.key(session)]; ok && (now.Before(lease.Until) || l.wrong == "for ever") {
		switch {
		case l.wrong == "busy is no BusyError":
			return store.Lease{}, errOther
		case l.wrong == "busy is empty":
			return store.Lease{}, &store.BusyError{}
		case l.wrong != "reentrant" || lease.Holder != holder:
			return store.Lease{}, fmt.Errorf("take: %w", &store.BusyError{Lease: lease})
		}
	}
	l.token++
	if l.wrong == "tokens start again" {
		l.token = l.leases[session].Token + 1
	}
	lease := store.Lease{Session: session, Holder: holder, Token: l.token, Since: now, Until: now.Add(ttl)}
	if l.wrong == "longest is over" && ttl > 1<<62 {
		lease.Until = now
	}
	if l.wrong == "local time" {
		lease.Since = lease.Since.In(time.FixedZone("", 3600))
	}
	if l.wrong == "not atomic" {
		l.mu.Unlock()
		runtime.Gosched()
		l.mu.Lock()
	}
	l.leases[l.key(session)] = lease
	return lease, nil
}

func (l *leaser) RenewLease(ctx context.Context, lease store.Lease, ttl time.Duration) (store.Lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return store.Lease{}, err
	}
	held, ok := l.leases[l.key(lease.Session)]
	now := time.Now().UTC().Round(0)
	switch {
	case l.wrong == "any renewal":
		held = lease
	case !ok, !l.same(held, lease), l.wrong == "late is lost" && !now.Before(held.Until):
		return store.Lease{}, fmt.Errorf("renew: %w", store.ErrLeaseLost)
	}
	held.Until = now.Add(ttl)
	if l.wrong == "renewal adds" {
		held.Until = lease.Until.Add(ttl)
	}
	l.leases[l.key(lease.Session)] = held
	return held, nil
}

func (l *leaser) ReleaseLease(ctx context.Context, lease store.Lease) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.same(l.leases[l.key(lease.Session)], lease) || l.wrong == "any release" {
		delete(l.leases, l.key(lease.Session))
	} else if l.wrong == "release once" {
		return store.ErrLeaseLost
	}
	return nil
}

func (l *leaser) PeekLease(ctx context.Context, session string) (store.Lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return store.Lease{}, err
	}
	lease, ok := l.leases[l.key(session)]
	if !ok || !time.Now().Before(lease.Until) && l.wrong != "over is in force" {
		return store.Lease{}, fmt.Errorf("peek: %w", store.ErrNotFound)
	}
	return lease, nil
}

func (l *leaser) same(held, lease store.Lease) bool {
	return held.Token == lease.Token && (l.wrong == "token alone" || held.Holder == lease.Holder && held.Since.Equal(lease.Since))
}

func (l *leaser) key(session string) string {
	if l.wrong == "names without case" {
		return strings.ToLower(session)
	}
	return session
}

func TestLeaserCasesFindWhatIsBroken(t *testing.T) {
	t.Parallel()
	for wrong, by := range map[string]string{
		"reentrant":            "a session is lent to one at a time, and a name opens nothing",
		"busy is no BusyError": "a session is lent to one at a time, and a name opens nothing",
		"busy is empty":        "a session is lent to one at a time, and a name opens nothing",
		"tokens start again":   "tokens grow with each lending",
		"local time":           "a lease says since when and until when, in UTC",
		"renewal adds":         "a lease says since when and until when, in UTC",
		"for ever":             "a lease whose time is up can be taken, and is then lost",
		"any renewal":          "a lease whose time is up can be taken, and is then lost",
		"late is lost":         "a lease whose time is up and that nobody took is renewed",
		"over is in force":     "a lease whose time is up can be taken, and is then lost",
		"any release":          "releasing ends a lease, once, and no other",
		"token alone":          "a lease is more than its token",
		"longest is over":      "the longest ttl is in force",
		"release once":         "releasing ends a lease, once, and no other",
		"names without case":   "any string is a session",
		"no ctx":               "ctx is obeyed and nothing is lent",
		"not atomic":           "one of many wins",
	} {
		t.Run(wrong, func(t *testing.T) {
			t.Parallel()
			test := storetest.LeaseCases()[by]
			if test == nil {
				t.Fatalf("no case is named %q", by)
			}
			if !fails(t, func(tb testing.TB) {
				tb.Helper()
				test(tb, &leaser{wrong: wrong, leases: map[string]store.Lease{}})
			}) {
				t.Errorf("%q found nothing", by)
			}
		})
	}
}

// recorder is a TB that a test may fail.
type recorder struct {
	testing.TB
	failed atomic.Bool
}

func (r *recorder) Errorf(string, ...any) { r.failed.Store(true) }

func (r *recorder) Fatalf(string, ...any) {
	r.failed.Store(true)
	runtime.Goexit()
}

func fails(tb testing.TB, test func(tb testing.TB)) bool {
	tb.Helper()
	r := &recorder{TB: tb}
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(r)
	}()
	<-done
	return r.failed.Load()
}
