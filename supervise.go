package walink

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// The times of Supervise.
const (
	// patience is how long whatsmeow may take to reconnect by itself before the
	// session is connected anew. whatsmeow tries after 0, 2, 4, … seconds
	// (autoReconnect in its client.go).
	patience = 5 * time.Minute
	// longestPause is the longest wait between two Links that failed for a reason
	// that names no time of its own.
	longestPause = time.Minute
)

// Supervise is Link for programs that live on: it links the session, stays with
// it, and links again when WhatsApp has removed the device. A person who logs
// the device out on the phone finds a new code on the screen seconds later, as
// far as the Settings allow one.
//
// The channel carries the events of one Link after the other, each ending with
// [Linked] or with a [Retrying] that says why it failed and when the next one
// starts. While linked, [Disconnected] tells that the connection has ended, and
// [Reconnected] that it is back, on the same client. Where whatsmeow does not
// reconnect, or not within five minutes, a new Link follows, with a new client.
//
// Where another program has the session, Supervise stands by, with a [Retrying]
// for [ErrSessionBusy] every few seconds, and links when the session is free:
// at most half a minute after the other has died. That takes a Store that lends
// sessions ([store.Leaser]). It also waits for a Store that fails later on.
//
// The last event is one [Failed], after which the session is disconnected and
// the channel closes: when ctx ends or the Linker is closed, and for what no
// repetition can cure: [ErrBanned], [ErrTemporarilyBanned], [ErrClientOutdated],
// [ErrReplaced], since two programs on one session would throw each other out
// for ever, [ErrWrongAccount], [ErrMultideviceOff], and [ErrStore] at the
// start, or where a removed session cannot be deleted.
//
// The error is [ErrClosed], or [ErrInProgress] while a Link or another
// Supervise is running; while it runs, Link and Unlink return that too. Read
// the channel: what is not read is kept.
func (l *Linker) Supervise(ctx context.Context) (<-chan Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.busy("supervise"); err != nil {
		return nil, err
	}
	s := &supervisor{linker: l, outbox: newOutbox(), inbox: newInbox(), pause: shortestWait}
	ctx, cancel := context.WithCancelCause(ctx)
	l.supervisor, l.stopSupervisor, l.supervised = s, cancel, make(chan struct{})
	go s.run(ctx)
	return s.events, nil
}

// supervisor runs one Link after the other. Its goroutine owns it; whatsmeow's
// handlers only post to the inbox.
type supervisor struct {
	linker *Linker
	outbox
	inbox *inbox
	pause time.Duration // before the next Link, where one has failed

	stored bool   // the store has been good once at least
	lost   *Error // why the connection is down; nil while it is up
}

func (s *supervisor) run(ctx context.Context) {
	for {
		err := s.link(ctx)
		over := err != nil && s.hopeless(err)
		s.stored = s.stored || err == nil || err.Reason != ErrStore
		if err == nil {
			err = s.stay(ctx)
			over = hopeless(err.Reason) && err.Reason != ErrClientOutdated && // for which a Link fetches the version
				!errors.Is(err, errNotRenewed)
		}
		if ctx.Err() != nil {
			err, over = stopped(ctx), true
			err.Op = "supervise"
		}
		if over {
			s.linker.unsupervised(err)
			s.close(Failed{Err: err})
			return
		}
	}
}

// hopeless reports whether another Link cannot do better.
func hopeless(reason Reason) bool {
	switch reason {
	case ErrBanned, ErrTemporarilyBanned, ErrClientOutdated, ErrReplaced, ErrWrongAccount, ErrMultideviceOff, ErrStore,
		ErrInvalidSettings, ErrInvalidPhone, ErrInProgress, ErrClosed:
		return true
	case ErrNetwork, ErrProxy, ErrTimeout, ErrCanceled, ErrCodeRefused, ErrRateLimited, ErrForbidden, ErrServer, ErrStalled,
		ErrPairing, ErrPasskey, ErrLoggedOut, ErrRemoved, ErrSessionBusy:
	}
	return false
}

// hopeless reports whether a Link that failed is the last one. A store that has
// been good once may be so again, as a database that is started anew.
func (s *supervisor) hopeless(err *Error) bool {
	return hopeless(err.Reason) && (!s.stored || err.Reason != ErrStore)
}

// link runs one Link, and waits for a while if it failed.
func (s *supervisor) link(ctx context.Context) *Error {
	s.linker.mu.Lock()
	if s.linker.closed {
		s.linker.mu.Unlock()
		return &Error{Reason: ErrClosed, Op: "link"}
	}
	s.inbox = newInbox() // what comes late from an earlier client goes into the old one
	events := s.linker.start(ctx, false)
	s.linker.mu.Unlock()
	for {
		out, head := s.head()
		select {
		case out <- head:
			s.sent()
		case event := <-events:
			if failed, ok := event.(Failed); ok {
				if ctx.Err() == nil && !s.hopeless(failed.Err) {
					s.wait(ctx, failed.Err)
				}
				return failed.Err
			}
			s.push(event)
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
		pause = min(pause, leasePoll) // the holder may be gone sooner
	}
	s.tell(Retrying{Attempt: 1, Err: why, At: time.Now().Add(pause)})
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		out, head := s.head()
		select {
		case out <- head:
			s.sent()
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// tell sends an event of the supervisor's own.
func (s *supervisor) tell(event Event) {
	s.linker.observe(event)
	s.push(event)
}

// stay watches a connection until it is lost for good. The error says why; the
// session is disconnected then, and forgotten if WhatsApp has removed it.
func (s *supervisor) stay(ctx context.Context) *Error {
	linked := time.Now()
	timer := time.NewTimer(patience)
	timer.Stop()
	defer timer.Stop()
	s.lost = nil
	for over := false; !over; {
		out, head := s.head()
		select {
		case out <- head:
			s.sent()
		case <-s.inbox.ready:
			for _, in := range s.inbox.take() {
				if !over {
					over = s.hear(in, timer)
				}
			}
		case <-timer.C:
			over = true
		case <-ctx.Done():
			s.lost, over = stopped(ctx), true
		}
	}
	why := s.drop(ctx, s.lost)
	switch {
	case ctx.Err() != nil:
	case time.Since(linked) >= stableAfter && why.RetryAfter == 0:
		s.pause = shortestWait
	case why.Reason != ErrLoggedOut:
		s.wait(ctx, why)
	}
	return why
}

// hear takes what the connection tells, and reports whether it is down for good.
func (s *supervisor) hear(in input, timer *time.Timer) bool {
	if in, ok := in.(inLost); ok {
		if s.lost == nil || !returns(in.err) {
			s.tell(Disconnected{Err: in.err})
			timer.Reset(patience)
		}
		s.lost = in.err
		return !returns(in.err)
	}
	if _, ok := in.(inReconnect); ok { // a 515, which is left to walink
		s.lost = &Error{Reason: ErrNetwork, Op: "stream", Err: errRestart}
		s.tell(Disconnected{Err: s.lost})
		return true
	}
	if in, ok := in.(inLoggedIn); ok && s.lost != nil {
		s.lost = nil
		timer.Stop()
		s.tell(Reconnected{Account: in.account})
	}
	return false
}

// returns reports whether whatsmeow reconnects by itself after a loss: after the
// end of a connection and the server's own troubles (handleConnectFailure and
// handleStreamError in its connectionevents.go).
func returns(err *Error) bool {
	if code, ok := errors.AsType[failed](err.Err); ok {
		return code == 500 || code == 503
	}
	return err.Reason == ErrNetwork || err.Reason == ErrServer
}

// drop lets go of the connection, and of the session if WhatsApp has removed it.
func (s *supervisor) drop(ctx context.Context, why *Error) *Error {
	s.linker.forget(Status{State: StateConnecting, Err: why})
	if why.Reason != ErrLoggedOut && why.Reason != ErrRemoved {
		return why
	}
	ctx, cancel := context.WithTimeout(ctx, serviceLimit)
	defer cancel()
	failure, answered, _ := ask(ctx, 0, func(ctx context.Context) (*Error, error) {
		return s.linker.deleteSession(ctx, "drop session"), nil
	})
	switch {
	case !answered:
		return &Error{Reason: ErrStore, Op: "drop session", Err: errStoreStalled}
	case failure != nil:
		return failure
	}
	return why
}

// unsupervised ends the supervision: the session is disconnected.
func (l *Linker) unsupervised(why *Error) {
	l.forget(Status{State: StateFailed, Err: why})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopSupervisor(nil)
	l.supervisor, l.stopSupervisor = nil, nil
	close(l.supervised)
}

var errRestart = errors.New("WhatsApp asked for a new connection")
