package walink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/walink/walink/internal/bound"
	"github.com/walink/walink/internal/door"
	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/queue"
	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/internal/tenure"
	"github.com/walink/walink/internal/wire"
	"github.com/walink/walink/store"
)

// The times of Supervise. The pauses between two Links that fail double from the
// shortest to the longest one.
const (
	// reconnectGrace is how long whatsmeow may take to reconnect by itself before
	// Supervise connects the session anew. whatsmeow tries after 0, 2, 4, … seconds:
	// autoReconnect in its client.go.
	reconnectGrace = 5 * time.Minute
	// longestPause is for the network, the proxy and the Store, if the session is stored
	// or somebody is there.
	longestPause = time.Minute
	// longestRefused is for a stored session that WhatsApp refuses, and firstRefused is the
	// first pause in a fleet.
	longestRefused = time.Hour
	firstRefused   = time.Minute
	// A round of codes that nobody took is followed by the next one after
	// firstUntaken, and then at least every six hours. With the codes of the first
	// round, that is at most ten code requests in the first day.
	firstUntaken   = 20 * time.Minute
	longestUntaken = 345 * time.Minute
	// aloneCodes is how many codes Supervise requests at once after the device was
	// removed, because the person who removed it may want it back.
	aloneCodes = 3
	// refusedLong is how long WhatsApp refuses a session before the remedy names the
	// way out.
	refusedLong = 3 * time.Hour
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
// Nobody may be there. After codes that nobody took Supervise pauses, at first for 20
// minutes and later for nearly six hours, and then shows one code; [Linker.Attend] ends
// the pause. If WhatsApp refuses a stored session, the pauses grow to an hour. If the
// network, the proxy or the Store is at fault, they grow to a minute for a stored session,
// and while somebody is there.
//
// From the first time that the session is linked, or found in the Store, Supervise
// expects the same account: it refuses any other one as it refuses a wrong number.
//
// If another program has the session, Supervise says [Standby], waits, and logs the
// session in when it is free: within 12 seconds after the other program has died.
// That needs a Store with leases ([store.Leaser]). Supervise does not link
// again a session that the other program has unlinked: it ends with [ErrLoggedOut].
//
// The last event is one [Failed]; then the session is disconnected and the channel
// closes. Supervise ends when ctx ends, when the Linker is closed, and after a failure
// that no other Link can cure: [ErrBanned], [ErrTemporarilyBanned], [ErrWrongAccount],
// [ErrMultideviceOff], [ErrReplaced], and [ErrStore] if the Store cannot delete a removed
// session, or fails before it has worked once, other than by a timeout: it does not answer
// within 30 seconds, or an error in the chain has a method Timeout that returns true.
// [ErrReplaced] is one of them because two programs on one session would throw each other
// out for ever. Supervise ends with [ErrLoggedOut] after the program's own Client.Logout,
// and with Settings.ResumeOnly.
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
		linker: l, events: make(chan Event, eventBuffer), out: queue.New[Event](), attended: make(chan struct{}, 1),
	}
	s.attend()
	ctx = s.begin(ctx)
	go func() { _ = s.run(ctx) }() // its error is in the last event
	return s.events, nil
}

// begin makes s the supervisor of its Linker. The caller holds the Linker's lock.
func (s *supervisor) begin(ctx context.Context) context.Context {
	s.inbox = queue.New[machine.Input]()
	l := s.linker
	l.seen.forget()
	l.supervisor, l.supervised = s, make(chan struct{})
	if s.terms != nil {
		l.stopSupervisor = s.terms.Stop
	} else {
		ctx, l.stopSupervisor = context.WithCancelCause(ctx)
	}
	l.status = Status{State: StateConnecting}
	return ctx
}

// supervisor runs one Link after another. One goroutine owns the supervisor;
// whatsmeow's handlers only post to the inbox.
type supervisor struct {
	linker   *Linker
	events   chan Event
	out      *queue.Queue[Event]         // the events that the reader has not taken yet
	inbox    *queue.Queue[machine.Input] // of the connection after Linked
	attended chan struct{}               // holds a token once Attend was called
	terms    *door.Terms                 // of a fleet; otherwise nil
	linked   bool                        // a Link has succeeded

	until time.Time // until then somebody is there: the program has just started, or Attend was called
	gone  bool      // the next Link must find the session stored: another program has had it
	patience
	lost *machine.Failure // why the connection is down; nil while it is up
	late <-chan time.Time // says that whatsmeow has had its time to reconnect; nil while it is up
}

// run runs until no other Link follows, and returns why.
func (s *supervisor) run(ctx context.Context) *Error {
	for {
		why := s.link(ctx)
		over := why != nil && s.permanent(why)
		stable := false
		if why == nil {
			s.linked = true
			s.untaken, s.until = 0, time.Time{}
			if why, stable = s.stay(ctx); stable {
				s.patience = patience{}
			}
			over = permanent(why.Reason) && !errors.Is(why, tenure.ErrNotRenewed) || errors.Is(why, wire.ErrLeft) ||
				s.terms != nil && s.permanent(why)
		}
		switch {
		case ctx.Err() != nil:
			why, over = errorAt(s.linker.Status().situation(), stopped(ctx, opSupervise)), true
		case over || stable:
		case why.Reason == ErrSessionBusy:
			s.standBy(ctx, why)
		case why.Reason == ErrLoggedOut || why.Reason == ErrRemoved: // a new code follows at once
			s.patience = patience{}
		default:
			s.wait(ctx, why)
		}
		if over {
			s.linker.unsupervised(why)
			if s.terms == nil {
				s.out.Put(failedBy(why))
				drain(s.out, s.events)
			}
			return why
		}
	}
}

// permanent reports whether no other Link can cure a failure for this reason.
func permanent(reason Reason) bool {
	switch reason {
	case ErrBanned, ErrTemporarilyBanned, ErrReplaced, ErrWrongAccount, ErrMultideviceOff, ErrStore,
		ErrInvalidSettings, ErrInvalidPhone, ErrInProgress, ErrClosed:
		return true
	case ErrNetwork, ErrProxy, ErrTimeout, ErrCanceled, ErrCodeRefused, ErrRateLimited, ErrForbidden, ErrServer, ErrStalled,
		ErrPairing, ErrPasskey, ErrLoggedOut, ErrNotTold, ErrRemoved, ErrSessionBusy, ErrClientOutdated:
	}
	return false
}

// permanent reports whether the failure of a Link ends Supervise. A store that has
// worked once may work again: its database may be restarting. So may one that is slow:
// hundreds of sessions may be starting. A session that another program has unlinked, or
// that is not stored and must be, stays unlinked.
func (s *supervisor) permanent(err *Error) bool {
	switch {
	case s.terms == nil:
	case err.Reason == ErrLoggedOut, err.Reason == ErrRemoved, err.Reason == ErrSessionBusy, !s.linker.seen.isStored():
		return true
	}
	switch err.Reason {
	case ErrStore:
		return !s.linker.seen.hasWorked() && !bound.IsSlow(err) && !errors.Is(err, machine.ErrStoreStalled)
	case ErrLoggedOut, ErrRemoved:
		return s.linker.set.machine.ResumeOnly || errors.Is(err, machine.ErrNotStored)
	default:
		return permanent(err.Reason)
	}
}

// config returns what the next Link may do. With nobody there it asks for few codes, and
// after a failure it makes one connection only.
func (s *supervisor) config() machine.Config {
	cfg := s.linker.set.machine
	cfg.ResumeOnly = cfg.ResumeOnly || s.gone || s.terms != nil && (s.linked || !s.terms.Ask)
	cfg.Timeout = cmp.Or(cfg.Timeout, defaultTimeout) // every round ends
	if !s.present() {
		cfg.Codes = aloneCodes
		if s.failures > 0 || s.terms != nil {
			cfg.Codes, cfg.Brief = 1, true
		}
	}
	return cfg
}

// link runs one Link. It returns nil once the session is linked.
func (s *supervisor) link(ctx context.Context) *Error {
	if s.terms != nil && !s.present() {
		opened := s.terms.Open(ctx)
		if opened == nil {
			return errorOf(stopped(ctx, opSupervise))
		}
		defer opened()
	}
	s.linker.mu.Lock()
	if s.linker.closed {
		s.linker.mu.Unlock()
		return &Error{Reason: ErrClosed, Op: "link"}
	}
	s.inbox = queue.New[machine.Input]() // late inputs of an earlier client go into the old inbox
	events := s.linker.start(ctx, s.config())
	s.linker.mu.Unlock()
	s.gone = false
	for {
		out, event := s.out.Head(s.events)
		select {
		case out <- event:
			s.out.Sent()
		case <-s.attended:
			s.attend()
			s.linker.attended() // the call may have come before this Link
		case event := <-events:
			if failed, ok := event.(Failed); ok {
				return failed.Err
			}
			s.send(event)
			if event.Kind() == KindLinked {
				return nil
			}
		}
	}
}

// emit sends an event of Supervise itself.
func (s *supervisor) emit(event Event) {
	s.linker.observe(event)
	s.send(event)
}

func (s *supervisor) send(event Event) {
	if s.terms != nil {
		s.terms.Emit(event)
		return
	}
	send(s.out, s.events, event)
}

// wait announces the next Link and waits for its time, or until somebody is there.
func (s *supervisor) wait(ctx context.Context, why *Error) {
	pause, why := s.next(why, &s.linker.seen, s.present(), s.terms != nil)
	s.emit(Retrying{Attempt: 1, Err: why, At: time.Now().Add(pause)})
	if s.sleep(ctx, pause) {
		s.attend()
	}
}

// attend notes that somebody is there from now on, for the time of a Link.
func (s *supervisor) attend() {
	s.patience = patience{}
	s.until = time.Now().Add(cmp.Or(s.linker.set.machine.Timeout, defaultTimeout))
}

// present reports whether somebody is there, with time enough for another Link.
func (s *supervisor) present() bool { return time.Until(s.until) > machine.ShortestWait }

// sleep waits for a while, until ctx ends, or until Attend is called, which it reports.
func (s *supervisor) sleep(ctx context.Context, pause time.Duration) (attended bool) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		out, event := s.out.Head(s.events)
		select {
		case out <- event:
			s.out.Sent()
		case <-timer.C:
			return false
		case <-s.attended:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// standBy waits until another program gives the session up, and takes its lease. A
// session that was stored meanwhile, and no longer is, must not be linked again.
func (s *supervisor) standBy(ctx context.Context, why *Error) {
	busy := &store.BusyError{}
	errors.As(why, &busy)
	s.emit(Standby{Holder: redact.Line(busy.Lease.Holder), Err: why})
	l := s.linker
	leaser, _ := l.store.(store.Leaser) // the failure comes from its lease
	for ctx.Err() == nil {
		s.sleep(ctx, tenure.Poll-time.Duration(rand.Float64()*float64(tenure.Poll/4))) //nolint:gosec // jitter
		if l.seen.expected() == "" {
			l.look(ctx)
		}
		if tenure.Busy(ctx, leaser, l.set.session) {
			continue
		}
		lease := tenure.New(context.WithoutCancel(ctx), leaser, l.set.session, "", l.evicted)
		if lease.Take(ctx) != nil {
			lease.Release()
			continue
		}
		l.mu.Lock()
		l.lease = lease
		l.mu.Unlock()
		s.gone = l.seen.expected() != ""
		s.attend()
		return
	}
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

// patience decides how long Supervise waits after a Link that failed.
type patience struct {
	failures int       // Links in a row that failed
	untaken  int       // rounds of codes in a row that nobody took
	refused  time.Time // since when WhatsApp refuses the stored session; zero if it does not
}

// next returns the pause before the next Link, and the failure with the remedy that
// fits by then. present says that somebody is there; fleet says that many sessions may be
// refused at once. If the Store has not answered yet, the Link has failed for that.
func (p *patience) next(why *Error, seen *seen, present, fleet bool) (time.Duration, *Error) {
	p.failures++
	unread, stored, offered := !seen.hasWorked(), seen.isStored(), seen.hasOffered()
	is := func(reason Reason) bool { return errors.Is(why, reason) } // also if something else has cut the Link short
	local := unread || slices.ContainsFunc([]Reason{ErrNetwork, ErrProxy, ErrStore}, is) &&
		!slices.ContainsFunc([]Reason{ErrServer, ErrForbidden, ErrClientOutdated}, is)
	shortest, longest, times, jitter := machine.ShortestWait, longestUntaken, p.failures, 0.5
	switch {
	case local && (unread || stored || present):
		longest = longestPause
	case stored || why.Reason == ErrClientOutdated:
		longest = longestRefused
		if fleet {
			shortest, jitter = firstRefused, 0.1
		}
	case offered && !present:
		p.untaken++
		shortest, times, jitter = firstUntaken, p.untaken, 0.1
	}
	if !stored || local {
		p.refused = time.Time{}
	} else if p.refused.IsZero() {
		p.refused = time.Now()
	} else if since := time.Since(p.refused); since >= refusedLong && why.Reason != ErrStore {
		e := *why
		e.Err = hint.New(
			fmt.Errorf("%w (WhatsApp has refused this session for %d hours)", cmp.Or[error](why.Err, why.Reason), int(since.Hours())),
			"Unlink this session and link the account again, if the phone still lists the device and nothing else helps.",
		)
		why = &e
	}
	pause := min(shortest<<min(times-1, 20), longest)
	pause -= time.Duration(jitter * rand.Float64() * float64(pause)) //nolint:gosec // jitter
	return max(pause, why.RetryAfter), why
}
