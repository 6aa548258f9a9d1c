package walink

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"sync"

	"go.mau.fi/whatsmeow"

	"github.com/walink/walink/internal/absent"
	"github.com/walink/walink/internal/advice"
	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/internal/ledger"
	"github.com/walink/walink/internal/logcall"
	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/queue"
	"github.com/walink/walink/internal/tenure"
	"github.com/walink/walink/internal/wire"
	"github.com/walink/walink/store"
)

// Linker links one session of a Store to a WhatsApp account, and holds its connection
// afterwards. Make it with [New]: the zero Linker is closed. All methods may be called
// from several goroutines at once.
type Linker struct {
	store  store.Store
	ledger store.Ledger
	set    *resolved
	log    *logcall.Calls

	mu             sync.Mutex
	closed         bool
	status         Status
	unlinking      bool           // Unlink is running
	running        *attempt       // the running Link; nil when none is running
	conn           *wire.Conn     // of the last Linked; nil when nothing is connected
	lease          *tenure.Tenure // the lease that conn needs; nil if there is none
	kept           *tenure.Tenure // the lease of a fleet, which serves all that the Linker does; otherwise nil
	seen           seen           // has its own lock
	keeper         *keeper        // of conn, once it was linked without a Supervise
	evictions      sync.WaitGroup // the goroutines that give up a session that is lost
	supervisor     *supervisor    // of the running Supervise; nil when none is running
	stopSupervisor context.CancelCauseFunc
	supervised     chan struct{} // closed when the running Supervise has cleaned up
}

// New returns a Linker for one session of st. It does no I/O and starts nothing.
// The caller keeps the Store, and closes it after the Linker.
//
// New reports every fault of the settings at once, in an [*Error] with the Reason
// [ErrInvalidSettings]. The error also wraps [ErrInvalidPhone] if the phone number
// is at fault.
func New(st store.Store, settings Settings) (*Linker, error) {
	set, err := settings.resolve()
	if err != nil {
		return nil, err
	}
	if absent.Is(st) {
		return nil, &Error{Reason: ErrInvalidSettings, Op: "new", Err: hint.New(errors.New("the store is nil"), "Give New an open store.")}
	}
	if err := wire.Unfit(false); err != nil {
		return nil, &Error{Reason: ErrInvalidSettings, Op: "new", Err: err}
	}
	set.conn.HTTP, set.conn.Direct = wire.NewHTTPClient(settings.HTTPClient, set.conn.Proxy)
	l := &Linker{store: st, set: &set, status: Status{State: StateIdle}}
	set.conn.Reject = l.reject
	set.logger, l.log = logcall.Wrap(set.logger)
	set.conn.Log = set.logger
	l.ledger = ledger.Process()
	if own, ok := st.(store.Ledger); ok {
		l.ledger = own
	}
	return l, nil
}

// Link links the session, or connects a session that is stored already, and reports
// each step on the channel that it returns.
//
// The channel delivers all events in order, even if it is read slowly. Exactly one
// [Linked] or [Failed] comes last, also when ctx ends or the Linker is closed; then
// the channel closes. After Linked the client stays connected until Close, even if
// ctx ends.
//
// The error is for misuse only: [ErrClosed], or [ErrInProgress] while an earlier
// Link, an Unlink or a Supervise is running. Another Link may follow once the last
// event has been read. If the session is still connected then, that Link sends
// Linked at once.
func (l *Linker) Link(ctx context.Context) (<-chan Event, error) {
	return l.begin(ctx, "link", false)
}

// begin starts a Link. For Unlink, the Link only logs a stored session in.
func (l *Linker) begin(ctx context.Context, op string, unlinking bool) (<-chan Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.busy(op); err != nil {
		return nil, err
	}
	l.unlinking = unlinking
	l.seen.forget()
	return l.start(ctx, l.set.machine), nil
}

// busy returns why nothing can be started now, and nil if something can. The caller
// holds l.mu.
func (l *Linker) busy(op string) error {
	switch {
	case l.closed || l.set == nil:
		return &Error{Reason: ErrClosed, Op: op}
	case l.running != nil || l.supervisor != nil || l.unlinking:
		return &Error{Reason: ErrInProgress, Op: op}
	}
	return nil
}

// start begins a Link. For Unlink, the Link logs a stored session in, and fails with
// ErrLoggedOut if none is stored. The caller holds l.mu.
func (l *Linker) start(ctx context.Context, cfg machine.Config) <-chan Event {
	cfg.ResumeOnly = cfg.ResumeOnly || l.unlinking
	a := &attempt{
		linker: l, set: l.set, machine: machine.New(cfg), inbox: queue.New[machine.Input](),
		events: make(chan Event, eventBuffer), out: queue.New[Event](), lease: cmp.Or(l.lease, l.kept),
		base: context.WithoutCancel(ctx), done: make(chan struct{}), stopHook: func() {}, previous: func() {},
		unlinking: l.unlinking, leaseFirst: l.unlinking || cfg.Brief,
	}
	if l.unlinking {
		a.facts.at = advice.AtUnlink
	}
	ctx, a.cancel = context.WithCancelCause(ctx)
	l.running = a
	if l.supervisor == nil { // under Supervise the events alone change the status
		l.status = Status{State: StateConnecting}
	}
	go a.run(ctx, l.conn)
	return a.events
}

// Attend says that somebody is at the phone and at the screen now. A Supervise that
// pauses between rounds of codes that nobody took offers codes at once. Attend may be
// called at any time, also when nothing is running. Call it for what a person does: each
// call ends a pause, so a page that calls Attend by itself undoes the pauses.
func (l *Linker) Attend() {
	l.attended()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.supervisor != nil {
		select {
		case l.supervisor.attended <- struct{}{}:
		default:
		}
	}
}

// attended says to the running Link that somebody is there.
func (l *Linker) attended() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running != nil {
		l.running.inbox.Put(machine.Attended{})
	}
}

// ended records the outcome of a Link before the terminal event is sent, and returns
// that event. It turns Linked into Failed if the Linker was closed, or the lease lost,
// in the last moment.
func (l *Linker) ended(end Event, conn *wire.Conn, lease *tenure.Tenure) Event {
	l.mu.Lock()
	if lost := lease.Failure(); conn != nil && (l.closed || lost != nil) {
		l.mu.Unlock()
		conn.Shut()
		lease.Release()
		l.mu.Lock()
		err := errorOf(lost)
		if l.closed {
			err = &Error{Reason: ErrClosed, Op: "link"}
		}
		conn, lease, end = nil, nil, failedBy(err)
	}
	defer l.mu.Unlock()
	l.conn, l.lease = conn, lease
	if _, failed := end.(Failed); !failed || l.supervisor == nil { // Supervise says what follows
		l.status = l.status.Apply(end)
	}
	l.running.cancel(nil)
	close(l.running.done)
	l.running = nil
	if k := l.keeper; isLostForGood(k.failure()) {
		go l.giveBack(k)
	}
	return end
}

// observe keeps the status up to date.
func (l *Linker) observe(event Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status = l.status.Apply(event)
}

// Client returns the connected whatsmeow client after [Linked]. It returns nil before
// Linked, and after Failed, Unlink and Close. whatsmeow reconnects the client by
// itself. Add event handlers in Settings.OnClient if they must not miss an event.
func (l *Linker) Client() *whatsmeow.Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil || l.status.State != StateLinked && l.status.State != StateOffline {
		return nil
	}
	return l.conn.Client()
}

// Status returns a snapshot for programs that poll instead of reading events, and for
// pages that come late. It holds the codes that are on the screen now, which are secrets.
func (l *Linker) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

// AnswerPasskey gives the answer to a [PasskeyRequired]: the JSON of
// PublicKeyCredential.toJSON(), as a browser or another authenticator made it
// for the challenge. It returns nil once WhatsApp has accepted the answer; a
// [PasskeyConfirmation] follows.
//
// AnswerPasskey returns [ErrPasskey] if no passkey is asked for, if the passkey was
// answered before, or if WhatsApp refuses the assertion. It returns [ErrPasskey], and
// sends nothing, if the assertion has the wrong form or is for another challenge.
// After any of these errors the challenge may be answered again, until the challenge
// expires or three answers were refused. The answers of Settings.Passkey count too.
//
// Every other error ends the attempt: [ErrRateLimited], [ErrServer], [ErrNetwork],
// [ErrStalled], or the error that ends the connection or the Link meanwhile. When ctx
// ends, AnswerPasskey returns [ErrCanceled] or [ErrTimeout]; WhatsApp may then still
// accept the answer.
func (l *Linker) AnswerPasskey(ctx context.Context, assertion []byte) error {
	assertion = bytes.Clone(assertion)
	return l.ask(ctx, "answer passkey", machine.ErrNoPasskey, func(call int) machine.Input {
		return machine.Answer{Answer: call, Assertion: assertion}
	})
}

// ConfirmPasskey says that the code of a [PasskeyConfirmation] is the one on the
// phone. It returns nil once WhatsApp has taken the confirmation, [ErrPasskey] if
// there is nothing to confirm or WhatsApp refuses, and otherwise the errors of
// [Linker.AnswerPasskey].
func (l *Linker) ConfirmPasskey(ctx context.Context) error {
	return l.ask(ctx, "confirm passkey", machine.ErrNoConfirmation, func(call int) machine.Input {
		return machine.Confirm{Answer: call}
	})
}

// ask posts an input to the running Link and waits for the reply. If no Link is
// running, it returns an error with the cause idle.
func (l *Linker) ask(ctx context.Context, op string, idle error, in func(call int) machine.Input) error {
	l.mu.Lock()
	a := l.running
	l.mu.Unlock()
	switch {
	case l.set == nil:
		return &Error{Reason: ErrClosed, Op: op}
	case a == nil:
		return &Error{Reason: ErrPasskey, Op: op, Err: idle}
	}
	call, reply := a.calls.Begin()
	a.inbox.Put(in(call))
	select {
	case err := <-reply:
		return err
	case <-a.done:
	case <-ctx.Done():
	}
	select {
	case err := <-reply: // the reply has come too
		return err
	default:
	}
	if ctx.Err() != nil {
		return errorOf(stopped(ctx, op))
	}
	return &Error{Reason: ErrPasskey, Op: op, Err: idle}
}

// Unlink logs the device out at WhatsApp, and then deletes the session. A session that
// is not connected is connected first, within ctx and Settings.Timeout. If WhatsApp
// has removed the device meanwhile, Unlink deletes the session and succeeds. Once WhatsApp
// has answered, Unlink deletes the session even if ctx ends.
//
// If WhatsApp refuses the login ([ErrServer], [ErrForbidden] or [ErrBanned]), Unlink deletes
// the session nevertheless, and returns [ErrNotTold]: the phone may go on listing the device.
//
// Unlink returns [ErrClosed] after Close, [ErrInProgress] while a Link is running, and
// [ErrLoggedOut] if nothing is stored under the session. Any other error says why the
// device was not unlinked; the session then stays stored.
func (l *Linker) Unlink(ctx context.Context) error {
	const op = "unlink"
	events, err := l.begin(ctx, op, true)
	if err != nil {
		return err
	}
	defer func() {
		l.mu.Lock()
		l.unlinking = false
		k := l.keeper
		l.mu.Unlock()
		if k != nil {
			l.giveBack(k) // if the session was lost for good meanwhile
		}
	}()
	for event := range events {
		failed, ok := event.(Failed)
		switch {
		case !ok:
		case failed.Err.Reason == ErrLoggedOut && !errors.Is(failed.Err, machine.ErrNotStored):
			l.forget(Status{State: StateIdle})
			return nil
		case ctx.Err() == nil && refusesLogin(failed.Err):
			if failure := l.deleteLeased(ctx, op); failure != nil {
				return errorOf(failure)
			}
			l.forget(Status{State: StateIdle})
			return &Error{Reason: ErrNotTold, Op: op, Err: failed.Err}
		default:
			return failed.Err
		}
	}
	l.mu.Lock()
	conn := l.conn
	l.mu.Unlock()
	if conn == nil {
		return &Error{Reason: ErrClosed, Op: op}
	}
	if failure := conn.Logout(ctx); failure != nil {
		if ctx.Err() != nil {
			failure = stopped(ctx, op)
		}
		return errorAt(advice.AtUnlink, failure)
	}
	// The session is deleted before forget releases the lease. WhatsApp has removed the
	// device, so the end of ctx must not keep the session.
	failure := l.deleteSession(context.WithoutCancel(ctx), deleteLimit, op)
	l.forget(Status{State: StateIdle})
	if failure != nil {
		return errorOf(failure)
	}
	return nil
}

// refusesLogin reports whether WhatsApp has refused the login of a stored session.
func refusesLogin(err *Error) bool {
	for _, reason := range []Reason{ErrServer, ErrForbidden, ErrBanned} {
		if err.Reason != ErrClosed && errors.Is(err, reason) {
			return true
		}
	}
	return false
}

// deleteLeased deletes the stored session under a lease, because that of the Link has
// been released.
func (l *Linker) deleteLeased(ctx context.Context, op string) *machine.Failure {
	if leaser, ok := l.store.(store.Leaser); ok && l.kept == nil {
		lease := tenure.New(ctx, leaser, l.set.session, "", func(*tenure.Tenure, *machine.Failure) {})
		defer lease.Release()
		if failure := lease.Take(ctx); failure != nil {
			return failure
		}
	}
	return l.deleteSession(ctx, deleteLimit, op)
}

// Close ends a running Link or Supervise, disconnects, and then returns. The session
// stays stored, so that another Linker can resume it. Close may be called twice, and
// before Link. It always returns nil. A handler of Settings.Logger may call Close, which
// then does not wait for the log.
func (l *Linker) Close() error {
	l.mu.Lock()
	l.closed = true
	running := l.running
	stop, supervised := l.stopSupervisor, l.supervised
	l.mu.Unlock()
	if l.set == nil { // a zero Linker
		return nil
	}
	l.log.Leave() // the handler of the log may be what calls Close
	if stop != nil {
		stop(ErrClosed)
		<-supervised
	} else if running != nil {
		running.cancel(ErrClosed)
		<-running.done
	}
	l.forget(l.Status().closed())
	l.evictions.Wait()
	if l.set.conn.Proxy != nil {
		l.set.conn.HTTP.CloseIdleConnections() // their transport is walink's own
	}
	return nil
}
