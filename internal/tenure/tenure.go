// Package tenure holds the lease of one session for as long as a Linker uses it.
package tenure

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/walink/walink/internal/bound"
	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/process"
	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/store"
)

// The times of a lease. If its holder has died, another program has the session
// within ttl and [Poll] together.
const (
	ttl     = 24 * time.Second // how long a lease is in force if nobody renews it
	retry   = time.Second      // how soon a failed renewal is tried again
	alarmed = 6 * time.Second  // how long a renewal may take after an alarm of the Store
	askTime = time.Second / 2  // how long the Store may take to name the next holder

	// Poll is how often a Supervise asks for a lease that another program has.
	Poll = 5 * time.Second
)

// pace is how a lease is kept.
type pace struct {
	reach  time.Duration // how long after a renewal the session may be used
	renew  time.Duration // how often the lease is renewed
	margin time.Duration // how long before the end of reach the connection is given up
}

// paceOf returns the pace that a Store needs. A Store with an alarm may wrongly take a
// holder for dead: the server has seen the holder's connection end, and the holder has
// not. Then the holder has only the grace of the Store.
func paceOf(leaser store.Leaser) pace {
	if _, alarming := leaser.(store.LeaseAlarm); alarming {
		return pace{reach: store.LeaseGrace, renew: 5 * time.Second, margin: 2 * time.Second}
	}
	return pace{reach: ttl, renew: 8 * time.Second, margin: 5 * time.Second}
}

// Tenure is one lease, from before it is taken until it is released or lost. One
// goroutine takes and renews it. Whether the lease is in force is judged by this
// process's own clocks, which also show that the process was stopped for a while.
//
// A nil *Tenure belongs to a Store without leases: it holds for ever.
type Tenure struct {
	leaser  store.Leaser
	pace    pace
	session string
	evicted func(*Tenure, *machine.Failure)

	begin sync.Once
	taken chan struct{}      // closed when it is known whether the lease could be taken
	done  chan struct{}      // closed when nothing renews the lease any more
	life  context.Context    //nolint:containedctx // of the goroutine
	stop  context.CancelFunc // ends life

	mu    sync.Mutex
	lease store.Lease
	asked time.Time // when the last successful call began, from which reach counts; zero before the first
	lost  *machine.Failure
}

// New returns a Tenure whose lease has not been taken. If the lease is lost later, the
// goroutine that renews the lease calls evicted, once. The calls of the Store get the
// values of life; the end of life does not end the lease.
func New(life context.Context, leaser store.Leaser, session string, evicted func(*Tenure, *machine.Failure)) *Tenure {
	t := &Tenure{
		leaser: leaser, pace: paceOf(leaser), session: session, evicted: evicted,
		taken: make(chan struct{}), done: make(chan struct{}),
	}
	t.life, t.stop = context.WithCancel(context.WithoutCancel(life))
	return t
}

// Start begins to take the lease, and returns at once.
func (t *Tenure) Start() {
	if t != nil {
		t.begin.Do(func() { go t.take() })
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
		return t.storeFailed(opTake, ctx.Err())
	}
}

const opTake = "lease session"

// take takes the lease, and starts the goroutine that keeps it. That is another
// goroutine, because the call of a Store leaves a large stack behind.
func (t *Tenure) take() {
	asked := time.Now()
	// Release does not cancel the call: the lease might be stored all the same, and
	// nobody would know.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.life), ttl)
	defer cancel()
	lease, err := t.leaser.TakeLease(ctx, t.session, process.Name(), ttl)
	if busy, ok := errors.AsType[*store.BusyError](err); ok && unused.has(t.leaser, busy.Lease) {
		// Nobody waits for this process: it still has the lease that it gave up.
		if err = t.leaser.ReleaseLease(ctx, busy.Lease); err == nil {
			unused.remove(t.leaser, busy.Lease)
			asked = time.Now()
			lease, err = t.leaser.TakeLease(ctx, t.session, process.Name(), ttl)
		}
	}
	t.mu.Lock()
	switch busy, isBusy := errors.AsType[*store.BusyError](err); {
	case isBusy:
		t.lost = sessionBusy(opTake, busy.Lease)
	case err != nil:
		t.lost = t.storeFailed(opTake, err)
	default:
		t.lease, t.asked = lease, asked
		if time.Since(asked) >= t.pace.reach-t.pace.margin { // it may be another's soon
			t.lost = t.storeFailed(opTake, errNoRenewal)
		}
	}
	lost := t.lost
	t.mu.Unlock()
	close(t.taken)
	if lost != nil {
		close(t.done)
		return
	}
	go func() {
		defer close(t.done)
		t.keep(t.life)
	}()
}

func (t *Tenure) storeFailed(op string, err error) *machine.Failure {
	return &machine.Failure{Reason: machine.ReasonStore, Op: op, Err: redact.Session(err, t.session)}
}

// sessionBusy returns the failure for a session that another program holds.
func sessionBusy(op string, lease store.Lease) *machine.Failure {
	return &machine.Failure{
		Reason: machine.ReasonSessionBusy, Op: op, Err: &store.BusyError{Lease: lease},
		RetryAfter: min(max(time.Until(lease.Until), retry), ttl),
	}
}

// keep renews the lease until ctx ends or the lease is lost.
func (t *Tenure) keep(ctx context.Context) {
	usual := t.pace.reach - t.pace.margin
	limit, wait := usual, retry // how old the lease may become, and the wait after a failed renewal
	heard := false              // there was an alarm, and no renewal has succeeded since
	timer := time.NewTimer(t.pace.renew - t.age())
	defer timer.Stop()
	alarm := t.alarm()
	for {
		switch {
		case heard:
			alarm = nil
		case alarm == nil:
			alarm = t.alarm()
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-alarm:
			heard, limit, wait = true, min(usual, t.age()+alarmed), retry/4
		}
		// Read the alarm before the renewal: an alarm that comes during the renewal may
		// be about what the renewal relies on.
		alarm = silent(t.alarm())
		err := t.renew(ctx, limit)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			heard, limit, wait = false, usual, retry
			timer.Reset(t.pace.renew)
		case !errors.Is(err, store.ErrLeaseLost) && t.age() < limit:
			timer.Reset(wait)
		default:
			t.evicted(t, t.lose(ctx, err))
			return
		}
	}
}

// alarm returns the alarm of the Store, or nil.
func (t *Tenure) alarm() <-chan struct{} {
	if alarming, ok := t.leaser.(store.LeaseAlarm); ok {
		return alarming.LeaseAlarm()
	}
	return nil
}

// silent returns an alarm that has not been given yet, and otherwise nil.
func silent(alarm <-chan struct{}) <-chan struct{} {
	select {
	case <-alarm:
		return nil
	default:
		return alarm
	}
}

// renew renews the lease. It returns when the age of the lease has reached limit, even
// if the Store ignores its context.
func (t *Tenure) renew(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, max(limit-t.age(), retry/4))
	defer cancel()
	t.mu.Lock()
	held, asked := t.lease, time.Now()
	t.mu.Unlock()
	lease, answered, err := bound.Call(ctx, 0, func(ctx context.Context) (store.Lease, error) {
		return t.leaser.RenewLease(ctx, held, ttl)
	})
	switch {
	case !answered:
		return errNoRenewal
	case err == nil:
		t.mu.Lock()
		t.lease, t.asked = lease, asked
		t.mu.Unlock()
	}
	return err
}

// lose notes that the lease is lost, and returns why.
func (t *Tenure) lose(ctx context.Context, err error) *machine.Failure {
	const op = "renew lease"
	lost := t.storeFailed(op, errors.Join(ErrNotRenewed, err))
	t.noteLost(lost) // from here on nothing passes on the connection
	if !errors.Is(err, store.ErrLeaseLost) {
		return lost
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	lost = &machine.Failure{Reason: machine.ReasonSessionBusy, Op: op, Err: err}
	other, _, err := bound.Call(ctx, 0, func(ctx context.Context) (store.Lease, error) { return t.leaser.PeekLease(ctx, t.session) })
	if err == nil {
		lost = sessionBusy(op, other)
	}
	t.noteLost(lost)
	return lost
}

func (t *Tenure) noteLost(err *machine.Failure) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lost = err
}

// age returns how long ago the lease was last known to be ours, by the clock that has
// run further. The wall clock also counts the time in which the machine slept. The
// monotonic clock also counts what a change of the wall clock hides.
func (t *Tenure) age() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	return max(now.Sub(t.asked), now.Round(0).Sub(t.asked.Round(0)))
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
		return t.age() < t.pace.reach
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

// Release ends the lease. Call it once nothing of the session is connected any
// more. A lease that is still being taken is released as soon as it is there.
func (t *Tenure) Release() {
	if t == nil {
		return
	}
	t.stop()
	begun := true
	t.begin.Do(func() { begun = false })
	if !begun {
		return
	}
	timer := time.NewTimer(retry)
	defer timer.Stop()
	select {
	case <-t.done: // most often at once, so that the next Link finds the session free
		t.release()
	case <-timer.C:
		go func() {
			<-t.done
			t.release()
		}()
	}
}

func (t *Tenure) release() {
	if t.asked.IsZero() {
		return // it was never taken
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.life), retry)
	defer cancel()
	unused.add(t.leaser, t.lease)
	_, answered, err := bound.Call(ctx, 0, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, t.leaser.ReleaseLease(ctx, t.lease)
	})
	if answered && err == nil {
		unused.remove(t.leaser, t.lease)
	}
}

var (
	// ErrNotRenewed is in the chain of a failure after which the lease may still be
	// ours once the Store answers again.
	ErrNotRenewed = errors.New("the lease of the session could not be renewed in time")
	errNoRenewal  = errors.New("the store did not answer in time")
)
