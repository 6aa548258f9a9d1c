package walink

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/queue"
	"github.com/walink/walink/internal/tenure"
)

// The times of Supervise.
const (
	// reconnectGrace is how long whatsmeow may take to reconnect by itself before
	// Supervise connects the session anew. whatsmeow tries after 0, 2, 4, … seconds:
	// autoReconnect in its client.go.
	reconnectGrace = 5 * time.Minute
	// longestPause is the longest wait between two Links that failed for a reason
	// without a RetryAfter.
	longestPause = time.Minute
)

// Supervise is Link for programs that run for months: it links the session, watches
// the connection, and links again when WhatsApp has removed the device. If the person
// removes the device on the phone, a new code follows within seconds.
//
// The channel carries the events of one Link after another. Each Link ends with
// [Linked], or with a [Retrying] that says why the Link failed and when the next one
// starts. While linked, [Disconnected] says that the connection has ended, and
// [Reconnected] that it is back, on the same client. If whatsmeow does not reconnect
// within five minutes, a new Link follows, with a new client.
//
// If another program has the session, Supervise waits, with a [Retrying] for
// [ErrSessionBusy] every few seconds, and links when the session is free: at most half
// a minute after the other program has died. That needs a Store with leases
// ([store.Leaser]). Supervise also waits for a Store that fails after it has worked.
//
// The last event is one [Failed]; then the session is disconnected and the channel
// closes. Supervise ends when ctx ends, when the Linker is closed, and after a failure
// that no other Link can cure: [ErrBanned], [ErrTemporarilyBanned],
// [ErrClientOutdated], [ErrWrongAccount], [ErrMultideviceOff], [ErrReplaced], and
// [ErrStore] if the Store fails at the start or cannot delete a removed session.
// [ErrReplaced] is one of them because two programs on one session would throw each
// other out for ever.
//
// The error is [ErrClosed], or [ErrInProgress] while a Link or another Supervise is
// running. While Supervise runs, Link and Unlink return [ErrInProgress]. Read the
// channel: unread events stay in memory.
func (l *Linker) Supervise(ctx context.Context) (<-chan Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.busy("supervise"); err != nil {
		return nil, err
	}
	s := &supervisor{
		linker: l, events: make(chan Event, eventBuffer), out: queue.New[Event](), inbox: queue.New[machine.Input](),
		pause: machine.ShortestWait, attended: make(chan struct{}, 1),
	}
	ctx, cancel := context.WithCancelCause(ctx)
	l.supervisor, l.stopSupervisor, l.supervised = s, cancel, make(chan struct{})
	go s.run(ctx)
	return s.events, nil
}

// supervisor runs one Link after another. One goroutine owns the supervisor;
// whatsmeow's handlers only post to the inbox.
type supervisor struct {
	linker *Linker
	events chan Event
	out    *queue.Queue[Event]         // the events that the reader has not taken yet
	inbox  *queue.Queue[machine.Input] // of the connection after Linked

	attended chan struct{} // holds a token once Attend was called
	pause    time.Duration // before the next Link, if one has failed

	stored  bool             // the store has worked at least once
	standby bool             // another program had the session when the last Link failed
	lost    *machine.Failure // why the connection is down; nil while it is up
}

func (s *supervisor) run(ctx context.Context) {
	for {
		err := s.link(ctx)
		over := err != nil && s.permanent(err)
		s.stored = s.stored || err == nil || err.Reason != ErrStore
		s.standby = err != nil && err.Reason == ErrSessionBusy
		if err == nil {
			err = s.stay(ctx)
			over = permanent(err.Reason) && err.Reason != ErrClientOutdated && // after which a new Link fetches the version
				!errors.Is(err, tenure.ErrNotRenewed)
		}
		if ctx.Err() != nil {
			err, over = errorOf(stopped(ctx, "supervise")), true
		}
		if over {
			s.linker.unsupervised(err)
			s.out.Put(Failed{Err: err})
			drain(s.out, s.events)
			return
		}
	}
}

// permanent reports whether no other Link can cure a failure for this reason.
func permanent(reason Reason) bool {
	switch reason {
	case ErrBanned, ErrTemporarilyBanned, ErrClientOutdated, ErrReplaced, ErrWrongAccount, ErrMultideviceOff, ErrStore,
		ErrInvalidSettings, ErrInvalidPhone, ErrInProgress, ErrClosed:
		return true
	case ErrNetwork, ErrProxy, ErrTimeout, ErrCanceled, ErrCodeRefused, ErrRateLimited, ErrForbidden, ErrServer, ErrStalled,
		ErrPairing, ErrPasskey, ErrLoggedOut, ErrRemoved, ErrSessionBusy:
	}
	return false
}

// permanent reports whether err ends Supervise. A store that has worked once may work
// again: its database may be restarting.
func (s *supervisor) permanent(err *Error) bool {
	return permanent(err.Reason) && (!s.stored || err.Reason != ErrStore)
}

// link runs one Link, and waits for a while if it failed.
func (s *supervisor) link(ctx context.Context) *Error {
	s.linker.mu.Lock()
	if s.linker.closed {
		s.linker.mu.Unlock()
		return &Error{Reason: ErrClosed, Op: "link"}
	}
	s.inbox = queue.New[machine.Input]() // late inputs of an earlier client go into the old inbox
	events := s.linker.start(ctx, s.standby)
	s.linker.mu.Unlock()
	for {
		out, event := s.out.Head(s.events)
		select {
		case out <- event:
			s.out.Sent()
		case event := <-events:
			if failed, ok := event.(Failed); ok {
				if ctx.Err() == nil && !s.permanent(failed.Err) {
					s.wait(ctx, failed.Err)
				}
				return failed.Err
			}
			send(s.out, s.events, event)
			if _, ok := event.(Linked); ok {
				return nil
			}
		}
	}
}

// wait announces the next Link and waits for its time.
func (s *supervisor) wait(ctx context.Context, why *Error) {
	pause := s.pause/2 + time.Duration(rand.Float64()*float64(s.pause/2)) //nolint:gosec // jitter
	s.pause = min(2*s.pause, longestPause)
	pause = max(pause, why.RetryAfter)
	if why.Reason == ErrSessionBusy {
		pause = min(pause, tenure.Poll) // the holder may be gone sooner
	}
	s.emit(Retrying{Attempt: 1, Err: why, At: time.Now().Add(pause)})
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		out, event := s.out.Head(s.events)
		select {
		case out <- event:
			s.out.Sent()
		case <-timer.C:
			return
		case <-s.attended:
			return
		case <-ctx.Done():
			return
		}
	}
}

// emit sends an event of Supervise itself.
func (s *supervisor) emit(event Event) {
	s.linker.observe(event)
	send(s.out, s.events, event)
}

// unsupervised disconnects the session and ends the Supervise.
func (l *Linker) unsupervised(why *Error) {
	l.forget(Status{State: StateFailed, Err: why})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopSupervisor(nil)
	l.supervisor, l.stopSupervisor = nil, nil
	close(l.supervised)
}
