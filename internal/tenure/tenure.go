// Package tenure holds the leases of the sessions that the Linkers of this process use.
// The process is one holder for each Store, and one more for each name that a Fleet gives
// itself. As long as the holder is in force, all its sessions are. So the cost of leases does
// not depend on the number of sessions.
//
// The rule on which all depends is the third clause of [store.Leaser]: whoever takes a
// session whose holder has run out ends that holder in the same transaction. A process that
// was away keeps all its sessions if nobody has taken one of them, and otherwise loses all.
//
// If the holder cannot be renewed in time, the Linkers end each Link and each connection that
// uses one of its sessions, before another program can have them. A process that was stopped
// wakes up with its connections open: package wire asks [Tenure.Holds] before it passes on
// what it reads or writes. Messages that were read before the stop may still be stored,
// because a device's writes are not fenced.
//
// One thing keeps other processes out for longer than the times below: a process on SQLite
// that is stopped, and not killed, in the middle of a write keeps the lock of the file until
// it goes on. PostgreSQL ends such a transaction after 5 seconds.
//
// Two things no clock of a process shows. A machine may sleep while its wall clock is set
// back. And store/sqlite judges leases by the wall clock of its machine: one that jumps ahead
// by ten seconds lends sessions too early.
package tenure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/walink/walink/internal/bound"
	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/store"
)

// The times of leases. If a holder has died, another program has its sessions within ttl
// and [Poll] together, and the time to log in: 12 seconds.
const (
	// renewTime is how often a holder is renewed: less than one small write a second,
	// however many sessions the process has.
	renewTime = 1250 * time.Millisecond
	// retryTime is how soon a failed renewal is tried again: soon enough for a database
	// that is back in the last moment.
	retryTime = 250 * time.Millisecond
	// tryTime is how long one renewal may take: a database may be busy for that long, and
	// calls that get no answer leave time for three more.
	tryTime = 2 * time.Second
	// limit is how long after a renewal the sessions may be used. So nobody notices a
	// database that is away for 8 seconds and refuses calls, for example because it is
	// restarted: renewTime + 8 s + retryTime is less. If calls get no answer meanwhile, it
	// is 6 seconds, because the last of them ends tryTime later.
	limit = 9750 * time.Millisecond
	// ttl is how long the Store lends the sessions after a renewal: limit, and the time
	// to disconnect all of them.
	ttl = 10500 * time.Millisecond

	askTime     = time.Second / 2 // how long the Store may take to name the next holders
	releaseTime = time.Second     // how long the Store may take to release a lease
	sweepTime   = 5 * time.Second // how soon a failed release is tried again
	lateTime    = 2 * time.Minute // how long after its end a call may still reach the Store, as TCP sends it again

	// Poll is how often a Supervise asks for a session that another program has. To ask
	// is to read.
	Poll = time.Second
)

// Tenure is one lease, from before it is taken until it is released or lost. Whether the
// lease is in force is judged by this process's own clocks, which also show that the
// process was stopped for a while.
//
// A nil *Tenure belongs to a Store without leases: it holds for ever.
type Tenure struct {
	group *keepers
	place
	session string
	life    context.Context // its values are for the calls of the Store
	evicted func(*Tenure, *machine.Failure)

	begin    sync.Once
	taken    chan struct{} // closed when it is known whether the lease could be taken
	released atomic.Bool   // Release was called
	owned    atomic.Bool   // Release has no effect before End
	keeper   *keeper       // set before taken is closed
	again    bool          // the holder of the first keeper was lost
	lease    store.Lease   // guarded by group.mu
	held     bool          // the lease was taken; guarded by group.mu

	mu   sync.Mutex
	lost *machine.Failure
}

// New returns a Tenure whose lease has not been taken. If the lease is lost later, evicted
// is called once, in its own goroutine. The calls of the Store get the values of life; the
// end of life does not end the lease. holder is the name that others see; "" means the name
// of the program.
func New(life context.Context, leaser store.Leaser, session, holder string, evicted func(*Tenure, *machine.Failure)) *Tenure {
	return &Tenure{
		group: all, place: place{leaser, holder}, session: session, life: context.WithoutCancel(life), evicted: evicted, taken: make(chan struct{}),
	}
}

// Holder returns the name that others see; "" means the name of the program, or no Tenure.
func (t *Tenure) Holder() string {
	if t == nil {
		return ""
	}
	return t.as
}

// Start begins to take the lease, and returns at once.
func (t *Tenure) Start() { StartAll([]*Tenure{t}) }

// StartAll is Start for each of the Tenures, with few calls of their Stores. Take
// waits for one of them.
func StartAll(list []*Tenure) {
	var first []*Tenure
	for _, t := range list {
		if t != nil {
			t.begin.Do(func() { first = append(first, t) })
		}
	}
	joinAll(first)
}

// joinAll has the current keepers take the leases, and returns at once.
func joinAll(list []*Tenure) {
	joined := map[*keeper][]*Tenure{}
	for _, t := range list {
		if other := t.group.join(t); other != nil {
			go t.follow(other)
		} else {
			joined[t.keeper] = append(joined[t.keeper], t)
		}
	}
	for k, list := range joined {
		go k.takeAll(list)
	}
}

// Taken returns a channel that is closed when the outcome of Start is known.
func (t *Tenure) Taken() <-chan struct{} { return t.taken }

// Take waits until the session is leased. It returns nil, or why the session cannot be
// had. If ctx ends, Take returns before the Store has answered. It may be called again.
func (t *Tenure) Take(ctx context.Context) *machine.Failure {
	if t == nil {
		return nil
	}
	t.Start()
	select {
	case <-t.taken:
		return t.Failure()
	case <-ctx.Done():
		return storeFailed(opTake, t.session, ctx.Err())
	}
}

const opTake = "lease session"

// follow takes the lease if other, which uses the session, does not get it.
func (t *Tenure) follow(other *Tenure) {
	for ; other != nil; other = t.group.join(t) {
		<-other.taken
		if other.Failure() == nil {
			t.note(sessionBusy(opTake, other.kept()))
			close(t.taken)
			return
		}
	}
	t.keeper.take([]*Tenure{t})
}

// settle notes what the Store has said, unless another program has ended the holder, and
// the keeper did not know that. Then settle reports that the next keeper is to be asked.
func (t *Tenure) settle(a answer) (again bool) {
	if a.err == nil {
		t.group.mu.Lock()
		t.lease, t.held = a.lease, true
		t.group.mu.Unlock()
		if t.keeper.age() >= limit { // it may be another's soon
			a.err = fmt.Errorf("%w: %w", ErrNotRenewed, errNoRenewal)
		}
	}
	if a.err == nil {
		close(t.taken)
		return false
	}
	if _, last := t.keeper.leave(t); last {
		_ = t.end(t.keeper.end)
	}
	why := storeFailed(opTake, t.session, a.err)
	if busy, ok := errors.AsType[*store.BusyError](a.err); ok {
		why = sessionBusy(opTake, busy.Lease)
	} else if errors.Is(a.err, store.ErrLeaseLost) {
		t.keeper.lose(a.err)
		if !t.again {
			t.again = true
			return true
		}
	} else {
		t.keeper.sweep(lateTime)
	}
	t.note(why)
	close(t.taken)
	return false
}

func storeFailed(op, session string, err error) *machine.Failure {
	return &machine.Failure{Reason: machine.ReasonStore, Op: op, Err: redact.Session(err, session)}
}

// sessionBusy returns the failure for a session that another holder has.
func sessionBusy(op string, lease store.Lease) *machine.Failure {
	return &machine.Failure{
		Reason: machine.ReasonSessionBusy, Op: op, Err: &store.BusyError{Lease: lease},
		RetryAfter: min(max(time.Until(lease.Until), Poll), ttl),
	}
}

// Holds reports whether the session may be used, because no other program can have it.
// While the lease is being taken Holds returns true: only a device that is not linked
// yet is connected then, and no other program has that device.
func (t *Tenure) Holds() bool {
	if t == nil {
		return true
	}
	if t.Failure() != nil {
		return false
	}
	select {
	case <-t.taken:
		return t.keeper.age() < limit
	default:
		return true
	}
}

// Failure returns why the lease could not be taken, or is lost. It returns nil if
// neither is known.
func (t *Tenure) Failure() *machine.Failure {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lost
}

// note notes why the lease is lost, if it is.
func (t *Tenure) note(why *machine.Failure) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lost == nil {
		t.lost = why
	}
}

// lose notes that the lease is lost, and says so to the owner, unless that has released
// it.
func (t *Tenure) lose(why *machine.Failure) {
	t.note(why)
	if !t.Released() {
		t.evicted(t, why)
	}
}

// Released reports whether Release was called.
func (t *Tenure) Released() bool { return t != nil && t.released.Load() }

// Release ends the lease. Call it once nothing of the session is connected any
// more. A lease that is still being taken is released as soon as it is there.
func (t *Tenure) Release() {
	if t == nil || t.owned.Load() {
		return
	}
	t.released.Store(true)
	begun := true
	t.begin.Do(func() { begun = false })
	if !begun {
		return
	}
	timer := time.NewTimer(releaseTime)
	defer timer.Stop()
	select {
	case <-t.taken: // most often at once, so that the next Link finds the session free
		t.release()
	case <-timer.C:
		go func() {
			<-t.taken
			t.release()
		}()
	}
}

// Own makes Release have no effect. The caller of Own ends the lease with End.
func (t *Tenure) Own() { t.owned.Store(true) }

// End is Release for a lease with an owner.
func (t *Tenure) End() {
	if t == nil {
		return
	}
	t.owned.Store(false)
	t.Release()
}

// EndAll is End for leases that are taken. If nothing else of this process is in use, it
// ends all of them with one call of the Store.
func EndAll(leases []*Tenure) {
	var rest []*Tenure
	for _, t := range leases {
		t.owned.Store(false)
		t.released.Store(true)
		switch was, last := t.keeper.leave(t); {
		case last:
			_ = t.end(t.keeper.end)
			rest = slices.DeleteFunc(rest, func(other *Tenure) bool { return other.keeper == t.keeper })
		case was:
			rest = append(rest, t)
		}
	}
	for _, t := range rest {
		t.free()
	}
}

// Token returns the fencing token of a lease that was taken.
func (t *Tenure) Token() uint64 { return t.kept().Token }

// release ends the lease, or the holder if no session is in use any more.
func (t *Tenure) release() {
	if t.keeper == nil {
		return // another Tenure of this process has the session
	}
	switch was, last := t.keeper.leave(t); {
	case last: // if the call fails, the holder ends with its time
		_ = t.end(t.keeper.end)
	case was:
		t.free()
	}
}

// free ends the lease while others of the holder are in use. If the call fails, the keeper
// tries again.
func (t *Tenure) free() {
	if t.end(func(ctx context.Context) error { return t.leaser.ReleaseLease(ctx, t.kept()) }) != nil {
		t.keeper.sweep(0)
	}
}

// end makes a call of the Store that ends something.
func (t *Tenure) end(call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(t.life, releaseTime)
	defer cancel()
	_, _, err := bound.Call(ctx, 0, func(ctx context.Context) (struct{}, error) { return struct{}{}, call(ctx) })
	return err
}

func (t *Tenure) kept() store.Lease {
	t.group.mu.Lock()
	defer t.group.mu.Unlock()
	return t.lease
}

// Busy reports whether somebody has the session, or the Store does not say so in time.
func Busy(ctx context.Context, leaser store.Leaser, session string) bool {
	ctx, cancel := context.WithTimeout(ctx, Poll)
	defer cancel()
	_, answered, err := bound.Call(ctx, 0, func(ctx context.Context) (store.Lease, error) { return leaser.PeekLease(ctx, session) })
	return !answered || !errors.Is(err, store.ErrNotFound)
}

var (
	// ErrNotRenewed is in the chain of a failure after which the lease may still be
	// ours once the Store answers again.
	ErrNotRenewed = errors.New("the lease of the session could not be renewed in time")
	errNoRenewal  = bound.Slow(errors.New("the store did not answer in time"))
	errNoAnswer   = errors.New("the store has neither lent the session nor said who has it")
)
