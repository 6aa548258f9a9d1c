package walink

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/walink/walink/internal/process"
	"github.com/walink/walink/store"
)

// The times of a lease. When its holder has died another program has the
// session within leaseTTL and leasePoll together.
const (
	leaseTTL   = 24 * time.Second // how long it is in force if nobody renews it
	leaseRetry = time.Second      // how soon again after a failure
	leasePoll  = 5 * time.Second  // how often Supervise asks for one that another has
	leaseAlarm = 6 * time.Second  // how long after an alarm of the Store it may take to renew it
	leaseAsk   = time.Second / 2  // how long it may take to hear who has a lease that is lost
)

// pace is how a lease is kept.
type pace struct {
	reach  time.Duration // how long after it was renewed the session may be used
	renew  time.Duration // how often it is renewed
	margin time.Duration // how long before the end of reach the connection is given up
}

// paceOf is the pace that a Store needs. One that can tell that a holder seems
// to be dead may be wrong: the server has seen a connection end, and the holder
// has not. What it has then is the grace.
func paceOf(leaser store.Leaser) pace {
	if _, alarming := leaser.(store.LeaseAlarm); alarming {
		return pace{reach: store.LeaseGrace, renew: 5 * time.Second, margin: 2 * time.Second}
	}
	return pace{reach: leaseTTL, renew: 8 * time.Second, margin: 5 * time.Second}
}

// tenure is the lease of a session for as long as a Linker has it. One
// goroutine renews it. What it may do is judged by this process's own clock,
// which also sees that the process was stopped for a while.
type tenure struct {
	leaser  store.Leaser
	pace    pace
	session string
	evicted func(*tenure, *Error) // is told once, by the goroutine, that the lease is lost

	stop context.CancelFunc
	done chan struct{} // closed when nothing is renewed any more

	mu    sync.Mutex
	lease store.Lease
	asked time.Time // before the last call that succeeded: the lease ends no earlier than its reach after it
	lost  *Error
}

// takeTenure leases session and keeps the lease until giveBack. life bounds the
// keeping, and ctx the taking.
func takeTenure(ctx, life context.Context, leaser store.Leaser, session string, evicted func(*tenure, *Error)) (*tenure, *Error) {
	const op = "lease session"
	asked := time.Now()
	lease, err := takeLease(ctx, leaser, session)
	if busy, ok := errors.AsType[*store.BusyError](err); ok {
		return nil, sessionBusy(op, busy.Lease)
	} else if err != nil {
		return nil, storeFailed(op, session, err)
	}
	t := &tenure{
		leaser: leaser, pace: paceOf(leaser), session: session, evicted: evicted,
		done: make(chan struct{}), lease: lease, asked: asked,
	}
	life, t.stop = context.WithCancel(context.WithoutCancel(life))
	go t.keep(life)
	return t, nil
}

// takeLease is TakeLease for one who may not wait for the answer: the lease
// that comes with it is given back.
func takeLease(ctx context.Context, leaser store.Leaser, session string) (store.Lease, error) {
	type answer struct {
		lease store.Lease
		err   error
	}
	// Not canceled with ctx: a lease might be stored all the same, and nobody would know.
	calling, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseTTL)
	answered := make(chan answer, 1)
	go func() {
		lease, err := leaser.TakeLease(calling, session, process.Name(), leaseTTL)
		answered <- answer{lease, err}
	}()
	select {
	case a := <-answered:
		cancel()
		return a.lease, a.err
	case <-ctx.Done():
	}
	giveBack := func(a answer) {
		defer cancel()
		if a.err == nil {
			_ = leaser.ReleaseLease(calling, a.lease) // it ends by itself, too
		}
	}
	timer := time.NewTimer(leaseRetry)
	defer timer.Stop()
	select {
	case a := <-answered: // most often at once, and then the next Link finds the session free
		giveBack(a)
	case <-timer.C:
		go func() { giveBack(<-answered) }()
	}
	return store.Lease{}, ctx.Err()
}

// sessionBusy is the error of a session that lease gives to another.
func sessionBusy(op string, lease store.Lease) *Error {
	return &Error{
		Reason: ErrSessionBusy, Op: op, Err: &store.BusyError{Lease: lease},
		RetryAfter: min(max(time.Until(lease.Until), leaseRetry), leaseTTL),
	}
}

// keep renews the lease until ctx ends or the lease is lost.
func (t *tenure) keep(ctx context.Context) {
	usual := t.pace.reach - t.pace.margin
	limit, retry := usual, leaseRetry // how old the lease may become, and how long a failure is slept over
	heard := false                    // an alarm, and no renewal has succeeded since
	timer := time.NewTimer(t.pace.renew)
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
			close(t.done)
			return
		case <-timer.C:
		case <-alarm:
			heard, limit, retry = true, min(usual, t.age()+leaseAlarm), leaseRetry/4
		}
		alarm = quiet(t.alarm()) // before: what is lost during the renewal may be what it relies on
		err := t.renew(ctx, limit)
		switch {
		case ctx.Err() != nil:
		case err == nil:
			heard, limit, retry = false, usual, leaseRetry
			timer.Reset(t.pace.renew)
			continue
		case !errors.Is(err, store.ErrLeaseLost) && t.age() < limit:
			timer.Reset(retry)
			continue
		}
		close(t.done)
		if ctx.Err() == nil {
			t.evicted(t, t.lose(ctx, err))
		}
		return
	}
}

// alarm returns the alarm of a Store that has one.
func (t *tenure) alarm() <-chan struct{} {
	if alarming, ok := t.leaser.(store.LeaseAlarm); ok {
		return alarming.LeaseAlarm()
	}
	return nil
}

// quiet returns an alarm that has not been given yet, and otherwise nil.
func quiet(alarm <-chan struct{}) <-chan struct{} {
	select {
	case <-alarm:
		return nil
	default:
		return alarm
	}
}

// renew renews the lease. It returns when the lease has the age limit, also
// where the Store does not heed its context.
func (t *tenure) renew(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, max(limit-t.age(), leaseRetry/4))
	defer cancel()
	t.mu.Lock()
	held, asked := t.lease, time.Now()
	t.mu.Unlock()
	lease, answered, err := ask(ctx, 0, func(ctx context.Context) (store.Lease, error) {
		return t.leaser.RenewLease(ctx, held, leaseTTL)
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
func (t *tenure) lose(ctx context.Context, err error) *Error {
	const op = "renew lease"
	lost := storeFailed(op, t.session, errors.Join(errNotRenewed, err))
	t.noteLost(lost) // from here on nothing passes on the connection
	if !errors.Is(err, store.ErrLeaseLost) {
		return lost
	}
	ctx, cancel := context.WithTimeout(ctx, leaseAsk)
	defer cancel()
	lost = &Error{Reason: ErrSessionBusy, Op: op, Err: err}
	other, _, err := ask(ctx, 0, func(ctx context.Context) (store.Lease, error) { return t.leaser.PeekLease(ctx, t.session) })
	if err == nil {
		lost = sessionBusy(op, other)
	}
	t.noteLost(lost)
	return lost
}

func (t *tenure) noteLost(err *Error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lost = err
}

// age is how long ago the lease was last known to be ours. The wall clock
// counts the time in which the machine slept, too, and the other one what a
// change of the wall clock hides.
func (t *tenure) age() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	return max(now.Sub(t.asked), now.Round(0).Sub(t.asked.Round(0)))
}

// holds reports whether the lease cannot have passed to another. Without one
// there is nothing to lose.
func (t *tenure) holds() bool { return t == nil || t.failure() == nil && t.age() < t.pace.reach }

// failure says why the lease is lost; nil if it is not known to be.
func (t *tenure) failure() *Error {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lost
}

// giveBack ends the lease once nothing of the session is connected any more.
func (t *tenure) giveBack(ctx context.Context) {
	if t == nil {
		return
	}
	t.stop()
	<-t.done
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseRetry)
	defer cancel()
	t.mu.Lock()
	lease := t.lease
	t.mu.Unlock()
	_, _, _ = ask(ctx, 0, func(ctx context.Context) (struct{}, error) { // a lease ends by itself, too
		return struct{}{}, t.leaser.ReleaseLease(ctx, lease)
	})
}

// evicted ends whatever uses a session whose lease is lost.
func (l *Linker) evicted(t *tenure, err *Error) {
	l.settings.logger.Warn("the lease of the session is lost", "session", mask(l.settings.session), "error", err)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.inbox != nil:
		l.inbox.post(inStop{err})
	case l.tenure != t:
	case l.supervisor != nil:
		l.supervisor.inbox.post(inLost{err: err, tries: -1})
	default:
		letGo := l.release(Status{State: StateFailed, Err: err})
		l.evictions.Go(letGo)
	}
}

// hold takes the lease of the session, if the Store lends them and the Link
// does not have it yet.
func (a *attempt) hold() *Error {
	leaser, ok := a.linker.store.(store.Leaser)
	if !ok {
		return nil
	}
	old := a.leased()
	if old != nil && old.holds() {
		return nil
	}
	old.giveBack(a.life)
	t, err := takeTenure(a.work, a.life, leaser, a.settings.session, a.linker.evicted)
	if err != nil {
		return err
	}
	a.loaded.mu.Lock()
	defer a.loaded.mu.Unlock()
	if a.loaded.over { // nobody waited for this
		go t.giveBack(a.life)
		return &Error{Reason: ErrCanceled, Op: "lease session"}
	}
	a.loaded.tenure = t
	return nil
}

// leased returns the lease of the session, or nil.
func (a *attempt) leased() *tenure {
	a.loaded.mu.Lock()
	defer a.loaded.mu.Unlock()
	return a.loaded.tenure
}

var (
	errNotRenewed = errors.New("the lease of the session could not be renewed in time")
	errNoRenewal  = errors.New("the store did not answer in time")
	errLapsed     = errors.New("the lease of the session has run out")
)
