package tenure

import (
	"context"
	"crypto/rand"
	"errors"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/walink/walink/internal/bound"
	"github.com/walink/walink/internal/process"
	"github.com/walink/walink/store"
)

// keepers has the keepers of a process.
type keepers struct {
	own   string        // the beginning of the IDs of this process's holders
	clock func() moment // of this process

	mu      sync.Mutex
	current map[store.Leaser]*keeper // who takes the next session of a Store
	holders map[string]*keeper       // by the ID of their holder, until nothing is connected under it
}

//nolint:gochecknoglobals // the leases belong to the process
var all = newKeepers(process.ID(), now)

func newKeepers(own string, clock func() moment) *keepers {
	return &keepers{own: own, clock: clock, current: map[store.Leaser]*keeper{}, holders: map[string]*keeper{}}
}

// keeper keeps one holder in force: one goroutine renews it while sessions are in use.
type keeper struct {
	group  *keepers
	leaser store.Leaser
	life   context.Context //nolint:containedctx // of the goroutine
	stop   context.CancelFunc

	one   chan struct{} // has a token while a Tenure begins the holder
	begun chan struct{} // closed when the Store has the holder
	asked atomic.Pointer[moment]

	holder   store.Holder       // guarded by group.mu until begun is closed
	sessions map[string]*Tenure // who uses them, or is about to; guarded by group.mu
}

// join makes t the user of its session, and gives it the keeper of its Store. It returns
// the Tenure that uses the session already, or nil.
func (g *keepers) join(t *Tenure) (other *Tenure) {
	g.mu.Lock()
	defer g.mu.Unlock()
	shared := reflect.ValueOf(t.leaser).Comparable() // otherwise each Tenure has its own keeper
	var k *keeper
	if shared {
		k = g.current[t.leaser]
	}
	if k == nil {
		k = &keeper{
			group: g, leaser: t.leaser, one: make(chan struct{}, 1), begun: make(chan struct{}), sessions: map[string]*Tenure{},
		}
		k.life, k.stop = context.WithCancel(context.WithoutCancel(t.life))
		if shared {
			g.current[t.leaser] = k
		}
	}
	if other := k.sessions[t.session]; other != nil {
		return other
	}
	k.sessions[t.session], t.keeper = t, k
	return nil
}

// leave takes t out of its keeper. It reports whether t was there, and whether it was the
// last: then the keeper is done.
func (k *keeper) leave(t *Tenure) (was, last bool) {
	k.group.mu.Lock()
	defer k.group.mu.Unlock()
	if k.sessions[t.session] != t {
		return false, false
	}
	delete(k.sessions, t.session)
	if last = len(k.sessions) == 0; last {
		k.retire()
		delete(k.group.holders, k.holder.ID)
		k.stop()
	}
	return true, last
}

// retire makes the next session of the Store get another keeper.
func (k *keeper) retire() {
	if reflect.ValueOf(k.leaser).Comparable() && k.group.current[k.leaser] == k {
		delete(k.group.current, k.leaser)
	}
}

// isLeftOver reports whether a lease that t has met is one that this process has given up,
// and that the Store has not released, for example because the database was away.
func (g *keepers) isLeftOver(lease store.Lease, t *Tenure) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !strings.HasPrefix(lease.HolderID, g.own) {
		return false
	}
	k := g.holders[lease.HolderID]
	return k == nil || k.sessions[lease.Session] == nil || k.sessions[lease.Session] == t
}

// take takes the lease of a session, and begins the holder with the first.
func (k *keeper) take(ctx context.Context, session string) (store.Lease, error) {
	select {
	case <-k.begun:
	case k.one <- struct{}{}:
		select {
		case <-k.begun:
			<-k.one
		default:
			defer func() { <-k.one }()
			return k.begin(ctx, session)
		}
	case <-ctx.Done():
		return store.Lease{}, ctx.Err()
	}
	return k.leaser.TakeLease(ctx, session, k.holder, ttl)
}

// begin begins a holder with a new ID. After an error the Store may have begun the
// holder of before all the same, which nobody renews.
func (k *keeper) begin(ctx context.Context, session string) (store.Lease, error) {
	holder := store.Holder{ID: k.group.own + rand.Text(), Name: process.Name()}
	k.name(holder)
	asked := k.group.clock()
	lease, err := k.leaser.TakeLease(ctx, session, holder, ttl)
	if err != nil {
		return store.Lease{}, err
	}
	holder.Until = lease.Until
	k.name(holder)
	k.asked.Store(&asked)
	close(k.begun)
	go k.keep()
	return lease, nil
}

func (k *keeper) name(holder store.Holder) {
	k.group.mu.Lock()
	defer k.group.mu.Unlock()
	delete(k.group.holders, k.holder.ID)
	k.group.holders[holder.ID], k.holder = k, holder
}

// end ends the holder, if it has begun.
func (k *keeper) end(ctx context.Context) error {
	select {
	case <-k.begun:
		return k.leaser.EndHolder(ctx, k.holder)
	default:
		return nil
	}
}

// keep renews the holder until no session is in use, or the holder is lost.
func (k *keeper) keep() {
	timer := time.NewTimer(renewTime)
	defer timer.Stop()
	var err error // of the last renewal
	for {
		select {
		case <-k.life.Done():
			return
		case <-timer.C:
		}
		if err == nil || k.age() < limit {
			err = k.renew()
		}
		switch age := k.age(); {
		case k.life.Err() != nil:
			return
		case err == nil:
			timer.Reset(max(renewTime-age, retryTime))
		case !errors.Is(err, store.ErrLeaseLost) && age < limit:
			timer.Reset(min(retryTime, limit-age))
		default:
			k.lose(err)
			return
		}
	}
}

// renew renews the holder. It returns in time for the end, even if the Store ignores its
// context. A process that was stopped for long tries too: if nobody has ended the holder
// meanwhile, the sessions are ours.
func (k *keeper) renew() error {
	asked := k.group.clock()
	ctx, cancel := context.WithTimeout(k.life, max(min(tryTime, limit-k.age()), retryTime))
	defer cancel()
	_, answered, err := bound.Call(ctx, 0, func(ctx context.Context) (store.Holder, error) {
		return k.leaser.RenewHolder(ctx, k.holder, ttl)
	})
	switch {
	case !answered:
		return errNoRenewal
	case err == nil:
		k.asked.Store(&asked)
	}
	return err
}

// age returns how long ago the holder was last known to be in force, by the clock that has
// run further. Before it has begun, and once it is lost, it is as old as can be.
func (k *keeper) age() time.Duration {
	asked := k.asked.Load()
	if asked == nil {
		return limit
	}
	now := k.group.clock()
	return max(now.running.Sub(asked.running), now.wall.Sub(asked.wall))
}

// moment is a time by two clocks. The wall clock also counts the time in which the machine
// slept. The monotonic clock also counts what a change of the wall clock hides.
type moment struct{ running, wall time.Time }

func now() moment {
	t := time.Now()
	return moment{t, t.Round(0)}
}

// lose ends the use of all sessions, and says who has them if others do.
func (k *keeper) lose(err error) {
	k.group.mu.Lock()
	k.asked.Store(nil) // from here on nothing passes on the connections
	k.retire()
	var lost []*Tenure
	for _, t := range k.sessions {
		if t.held {
			lost = append(lost, t)
		}
	}
	k.group.mu.Unlock()
	others := map[string]store.Lease{}
	if errors.Is(err, store.ErrLeaseLost) {
		ctx, cancel := context.WithTimeout(k.life, askTime)
		defer cancel()
		leases, _, _ := bound.Call(ctx, 0, k.leaser.Leases) // without an answer nobody is named
		for _, lease := range leases {
			others[lease.Session] = lease
		}
	}
	for _, t := range lost {
		const op = "renew lease"
		why := storeFailed(op, t.session, errors.Join(ErrNotRenewed, err))
		if other, ok := others[t.session]; ok {
			why = sessionBusy(op, other)
		}
		go t.lose(why)
	}
}
