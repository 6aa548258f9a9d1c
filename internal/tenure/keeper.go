package tenure

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
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
	current map[place]*keeper  // who takes the next session of a Store
	holders map[string]*keeper // by the ID of their holder, also of one that is lost, until nothing is connected under it
}

// place is a Store, and the name under which its sessions are held; "" is the program's.
type place struct {
	leaser store.Leaser
	as     string
}

//nolint:gochecknoglobals // the leases belong to the process
var all = newKeepers(process.ID(), now)

func newKeepers(own string, clock func() moment) *keepers {
	return &keepers{own: own, clock: clock, current: map[place]*keeper{}, holders: map[string]*keeper{}}
}

// isShared reports whether all Tenures of a Leaser with one name have one keeper. Otherwise each has its
// own, because nothing shows that two of them have the same Leaser.
func isShared(leaser store.Leaser) bool { return reflect.ValueOf(leaser).Comparable() }

// keeper keeps one holder in force: one goroutine renews it while sessions are in use. The
// keeper is that of all Tenures of one Store and name. The first Tenure begins the holder with
// its own lease, in one transaction, and the last one ends the holder. The age of the holder
// counts from before the last renewal that succeeded.
type keeper struct {
	group *keepers
	place
	life context.Context // of the goroutine
	stop context.CancelFunc

	one   chan struct{} // has a token while a Tenure begins the holder
	begun chan struct{} // closed when the Store has the holder
	asked atomic.Pointer[moment]

	holder   store.Holder       // guarded by group.mu until begun is closed
	sessions map[string]*Tenure // who uses them, or is about to; guarded by group.mu
	sweeping bool               // a goroutine releases what is not in use; guarded by group.mu
	late     time.Time          // until then the Store may lend sessions that nobody waits for; guarded by group.mu
}

// join makes t the user of its session, and gives it the keeper of its Store. It returns
// the Tenure that uses the session already, or nil.
func (g *keepers) join(t *Tenure) (other *Tenure) {
	g.mu.Lock()
	defer g.mu.Unlock()
	shared := isShared(t.leaser)
	var k *keeper
	if shared {
		k = g.current[t.place]
	}
	if k == nil {
		k = &keeper{
			group: g, place: t.place, one: make(chan struct{}, 1), begun: make(chan struct{}), sessions: map[string]*Tenure{},
		}
		k.life, k.stop = context.WithCancel(context.WithoutCancel(t.life))
		if shared {
			g.current[t.place] = k
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
	if isShared(k.leaser) && k.group.current[k.place] == k {
		delete(k.group.current, k.place)
	}
}

// most is how many sessions one call of a Store takes at the most.
const most = 64

// answer is what the Store says of a session: its lease, or why it cannot be had.
type answer struct {
	lease store.Lease
	err   error
}

// takeAll takes the leases of Tenures that have joined k, some at a time.
func (k *keeper) takeAll(list []*Tenure) {
	for part := range slices.Chunk(list, most) {
		k.take(part)
	}
}

// take takes the leases of Tenures that have joined k with one call of the Store, and
// settles them. The call gets the values of the first one's life.
func (k *keeper) take(list []*Tenure) {
	// Release does not cancel the call: a lease might still be stored, and
	// nobody would know.
	ctx, cancel := context.WithTimeout(list[0].life, limit)
	defer cancel()
	answers := k.ask(ctx, list)
	var again []*Tenure // which have met what this process has left
	for _, t := range list {
		busy, ok := errors.AsType[*store.BusyError](answers[t.session].err)
		if !ok {
			continue
		}
		release := k.group.leftOver(k.leaser, busy.Lease, t)
		if release == nil {
			continue
		}
		if err := release(ctx); err != nil {
			answers[t.session] = answer{err: err}
		} else {
			again = append(again, t)
		}
	}
	if len(again) > 0 {
		maps.Copy(answers, k.ask(ctx, again))
	}
	var lost []*Tenure
	for _, t := range list {
		if t.settle(answers[t.session]) {
			lost = append(lost, t)
		}
	}
	joinAll(lost)
}

// ask asks the Store for the leases of Tenures, and returns its answers by session.
func (k *keeper) ask(ctx context.Context, list []*Tenure) map[string]answer {
	sessions := make([]string, len(list))
	for i, t := range list {
		sessions[i] = t.session
	}
	taken, busy, err := k.call(ctx, sessions)
	answers := map[string]answer{}
	for _, session := range sessions {
		answers[session] = answer{err: cmp.Or(err, errNoAnswer)}
	}
	for _, lease := range taken {
		answers[lease.Session] = answer{lease: lease}
	}
	for _, lease := range busy {
		answers[lease.Session] = answer{err: &store.BusyError{Lease: lease}}
	}
	return answers
}

// call takes the leases of sessions, and begins the holder with the first.
func (k *keeper) call(ctx context.Context, sessions []string) (taken, busy []store.Lease, err error) {
	select {
	case <-k.begun:
	case k.one <- struct{}{}:
		select {
		case <-k.begun:
			<-k.one
		default:
			defer func() { <-k.one }()
			return k.begin(ctx, sessions)
		}
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	return k.leaser.TakeLeases(ctx, sessions, k.holder, ttl)
}

// begin begins a holder with a new ID. The Store may have begun the earlier holder,
// although it returned an error, and nobody renews that holder.
func (k *keeper) begin(ctx context.Context, sessions []string) (taken, busy []store.Lease, err error) {
	holder := store.Holder{ID: k.group.own + rand.Text(), Name: cmp.Or(k.as, process.Name())}
	k.name(holder)
	asked := k.group.clock()
	taken, busy, err = k.leaser.TakeLeases(ctx, sessions, holder, ttl)
	if err != nil || len(taken) == 0 {
		return nil, busy, err
	}
	holder.Until = taken[0].Until
	k.name(holder)
	k.asked.Store(&asked)
	close(k.begun)
	go k.keep()
	return taken, busy, nil
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
	timer := time.NewTimer(max(renewTime-k.age(), 0)) // the first answer may have come late
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
	last, asked := k.asked.Load(), k.group.clock()
	ctx, cancel := context.WithTimeout(k.life, max(min(tryTime, limit-k.age()), retryTime))
	defer cancel()
	_, answered, err := bound.Call(ctx, 0, func(ctx context.Context) (store.Holder, error) {
		return k.leaser.RenewHolder(ctx, k.holder, ttl)
	})
	switch {
	case !answered:
		return errNoRenewal
	case err == nil && last != nil:
		k.asked.CompareAndSwap(last, &asked) // unless the holder was lost meanwhile
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

// lose ends the use of all sessions, and reports the holders if others have them. lose
// returns at once, and may be called again.
func (k *keeper) lose(err error) {
	k.group.mu.Lock()
	defer k.group.mu.Unlock()
	if k.asked.Swap(nil) == nil { // from here on nothing passes on the connections
		return
	}
	k.retire()
	k.stop()
	var lost []*Tenure
	for _, t := range k.sessions {
		if t.held {
			lost = append(lost, t)
		}
	}
	go k.evict(lost, err)
}

func (k *keeper) evict(lost []*Tenure, err error) {
	others := map[string]store.Lease{}
	if errors.Is(err, store.ErrLeaseLost) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(k.life), askTime)
		defer cancel()
		leases, _, _ := bound.Call(ctx, 0, k.leaser.Leases) // without an answer nobody is named
		for _, lease := range leases {
			others[lease.Session] = lease
		}
	}
	for _, t := range lost {
		const op = "renew lease"
		why := storeFailed(op, t.session, fmt.Errorf("%w: %w", ErrNotRenewed, err))
		if other, ok := others[t.session]; ok {
			why = sessionBusy(op, other)
		}
		go t.lose(why)
	}
}
