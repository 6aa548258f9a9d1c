package fleet

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/bound"
	"github.com/walink/walink/internal/door"
	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/internal/tenure"
	"github.com/walink/walink/internal/wire"
	"github.com/walink/walink/store"
)

// session is one session as this process knows it. A change (by Link, Stop, Unlink, the
// resumption, the end of a run) holds busy, so that one follows the other. Every entry in the
// Store is written under the session's lease.
type session struct {
	fleet *Fleet
	name  string
	busy  chan struct{} // has a token while the session is being changed
	voice voice         // has its own lock

	mu       sync.Mutex
	lease    *tenure.Tenure // nil if this process does not have the session, or the Store has no leases
	here     bool           // this process has the session
	run      *run           // nil while nothing is connected
	stored   bool           // as the Store said last
	unwanted bool           // as the Store said last
	lent     string         // the ID of the holder that has the session, or had it when the Store said last what is stored
	changed  time.Time      // when here changed last: what was read before says nothing
	retryAt  time.Time      // when a session that is here and was put aside is tried again; zero if it is not
	given    bool           // this process gave the session to another one
	paired   time.Time      // when this process linked it
	pace     wire.Pace      // of all its runs; has its own lock
}

// newSession returns a session that is new to this process. The caller holds f.mu.
func newSession(f *Fleet, name string) *session {
	s := &session{fleet: f, name: name, busy: make(chan struct{}, 1)}
	s.voice.begin(s, f.closed)
	return s
}

// lock locks a session against other changes. After it the session is in the Fleet.
func (f *Fleet) lock(ctx context.Context, name string) (*session, error) {
	for {
		s := f.session(name)
		select {
		case s.busy <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if f.known(name) == s {
			return s, nil
		}
		s.unlock()
	}
}

func (s *session) tryLock() bool {
	select {
	case s.busy <- struct{}{}:
	default:
		return false
	}
	if s.fleet.known(s.name) != s {
		s.unlock()
		return false
	}
	return true
}

func (s *session) unlock() { <-s.busy }

// current returns the run, or nil, and whether this process has the session.
func (s *session) current() (r *run, here bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run, s.here
}

// client returns the connected client, or nil.
func (s *session) client() *whatsmeow.Client {
	if r, _ := s.current(); r != nil {
		return r.linker.Client()
	}
	return nil
}

// claim makes the session one of this process, also beyond its capacity if most is 0. The
// error is [ErrFull], or a *store.BusyError if another process has the session. The caller
// holds busy.
func (s *session) claim(ctx context.Context, most int) error {
	s.mu.Lock()
	here, lost := s.here, s.lease.Failure() != nil
	s.mu.Unlock()
	switch {
	case here && !lost:
		return nil
	case here: // its run has not noticed yet
		s.end()
		s.release()
	}
	if !s.fleet.reserve(most) {
		return ErrFull
	}
	return s.settle(ctx, s.newLease(ctx))
}

// claimAll claims the sessions of a list that nobody else changes now, with one call of the
// Store, and returns those that are here and not connected.
func (f *Fleet) claimAll(ctx context.Context, list []*session) (claimed []*session) {
	var locked []*session
	var leases []*tenure.Tenure
	for _, s := range list {
		if !s.tryLock() {
			continue
		}
		if r, here := s.current(); here && r == nil {
			claimed = append(claimed, s)
		} else if !here && f.reserve(f.set.Capacity) {
			locked, leases = append(locked, s), append(leases, s.newLease(ctx))
			continue
		}
		s.unlock()
	}
	if f.leaser != nil {
		tenure.StartAll(leases)
	}
	for i, s := range locked {
		if s.settle(ctx, leases[i]) == nil {
			s.mu.Lock()
			s.retryAt = time.Now() // Run sees to it, whatever happens before the session has its turn
			s.mu.Unlock()
			claimed = append(claimed, s)
		}
		s.unlock()
	}
	return claimed
}

// newLease returns the lease that the session needs; it is not taken. It is nil if the Store
// has no leases.
func (s *session) newLease(ctx context.Context) *tenure.Tenure {
	if s.fleet.leaser == nil {
		return nil
	}
	lease := tenure.New(ctx, s.fleet.leaser, s.name, s.fleet.set.Holder, s.evicted)
	lease.Own()
	return lease
}

// settle waits for the lease, and makes the session, for which there is room, one of this
// process.
func (s *session) settle(ctx context.Context, lease *tenure.Tenure) error {
	epoch := max(uint64(time.Now().UnixMicro()), s.voice.latest().Epoch+1)
	failure := lease.Take(ctx)
	if failure == nil {
		if lease != nil {
			epoch = lease.Token()
		}
		s.mu.Lock()
		s.lease, s.here, s.given, s.lent, s.changed = lease, true, false, "", time.Now()
		s.mu.Unlock()
		s.voice.rise(epoch)
		if failure = lease.Failure(); failure == nil {
			return nil
		}
		s.giveUp() // the lease was lost before the session had it
	} else {
		lease.End()
	}
	s.fleet.unreserve()
	return leaseError(failure)
}

// leaseError returns the error for a lease that cannot be had: a *store.BusyError if another
// process has it.
func leaseError(failure *machine.Failure) error {
	if busy, ok := errors.AsType[*store.BusyError](failure.Err); ok {
		return busy
	}
	return &walink.Error{Reason: walink.Reason(failure.Reason), Op: failure.Op, Err: failure.Err}
}

// release gives the session up. Nothing of it is connected. The caller holds busy.
func (s *session) release() {
	s.giveUp()
	s.fleet.unreserve()
}

// giveUp is release while the session counts as one of this process.
func (s *session) giveUp() {
	s.mu.Lock()
	lease := s.lease
	s.mu.Unlock()
	if lease != nil {
		lease.End()
	}
	s.mu.Lock()
	s.lease, s.here, s.retryAt, s.changed = nil, false, time.Time{}, time.Now()
	s.mu.Unlock()
}

// forget deletes what the Store has for a session that is no longer linked, and gives it up.
func (s *session) forget(ctx context.Context) {
	if err := s.fleet.dropEntry(ctx, s.name); err != nil {
		s.fleet.log.Warn("the entry of a session was not deleted", "session", redact.Name(s.name), "error", err)
	}
	s.mu.Lock()
	s.stored = false
	s.mu.Unlock()
	s.release()
}

// asideTime is for how long a session is put aside that the Store keeps away. Supervise has
// the pauses for the others.
const asideTime = time.Minute

// putAside has Run try the session again later. The caller holds busy.
func (s *session) putAside(err *walink.Error) {
	s.mu.Lock()
	at := time.Now().Add(asideTime)
	s.retryAt = at
	s.mu.Unlock()
	s.voice.report(walink.Retrying{Attempt: 1, Err: err, At: at})
}

// evicted ends what uses a lease that is lost.
func (s *session) evicted(lease *tenure.Tenure, why *machine.Failure) {
	s.mu.Lock()
	ours, r := s.lease == lease, s.run
	s.mu.Unlock()
	switch {
	case !ours:
	case r != nil:
		r.stop(door.Stopped{Failure: why})
	default:
		s.fleet.begin(func() {
			s.busy <- struct{}{}
			defer s.unlock()
			s.mu.Lock()
			idle := s.lease == lease && s.run == nil
			s.mu.Unlock()
			if idle {
				s.release()
			}
		})
	}
}

// letGo takes the lease out of a session that nothing uses any more, for Close.
func (s *session) letGo() *tenure.Tenure {
	s.busy <- struct{}{}
	defer s.unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	lease := s.lease
	s.lease, s.here, s.run = nil, false, nil
	return lease
}

// holderOf returns the name of the process that has the session, or "".
func holderOf(err error) string {
	if busy, ok := errors.AsType[*store.BusyError](err); ok {
		return redact.Line(busy.Lease.Holder)
	}
	return ""
}

// storeLimit is how long one call of the Store may take.
const storeLimit = 15 * time.Second

// ask calls the Store. A Store that ignores its context is not waited for.
func ask[T any](ctx context.Context, op, session string, call func(context.Context) (T, error)) (T, error) {
	value, err := bound.Store(ctx, storeLimit, call)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		err = &walink.Error{Reason: walink.ErrStore, Op: op, Err: redact.Session(err, session)}
	}
	return value, err
}
