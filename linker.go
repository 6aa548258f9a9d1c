package walink

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.mau.fi/whatsmeow"
	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/internal/ledger"
	"github.com/walink/walink/store"
)

// codeWindow is the time in which Settings.CodeBudget counts.
const codeWindow = 15 * time.Minute

// Linker links one session of a Store to a WhatsApp account, and holds its
// connection afterwards. Make it with [New]. All methods may be called from
// several goroutines at once.
type Linker struct {
	store    store.Store
	ledger   store.Ledger
	http     *http.Client // without a tracker
	settings *resolved
	version  atomic.Pointer[wastore.WAVersionContainer] // fetched after a 405

	mu        sync.Mutex
	closed    bool
	status    Status
	unlinking bool                    // Unlink is running
	cancel    context.CancelCauseFunc // of the running Link; nil when none is running
	done      chan struct{}           // closed when the running Link has put everything away
	inbox     *inbox                  // of the running Link
	live      *socket                 // of the last Linked
	kill      context.CancelFunc      // ends the life of live
	tenure    *tenure                 // the lease of the last Link; nil if there is none
	evictions sync.WaitGroup          // what lets go of a connection whose lease is lost

	supervisor     *supervisor // of the running Supervise; nil when none is running
	stopSupervisor context.CancelCauseFunc
	supervised     chan struct{} // closed when the running Supervise has put everything away
}

// New returns a Linker for one session of st. It does no I/O and starts
// nothing. The Store stays the caller's, to be closed after the Linker.
//
// Every fault of the settings is reported at once, in an [*Error] with the
// Reason [ErrInvalidSettings] that wraps [ErrInvalidPhone] where the number is
// at fault.
func New(st store.Store, settings Settings) (*Linker, error) {
	set, err := settings.resolve()
	if err != nil {
		return nil, err
	}
	if st == nil {
		return nil, &Error{Reason: ErrInvalidSettings, Op: "new", Err: errors.New("the store is nil")}
	}
	if _, ok := http.DefaultTransport.(*http.Transport); !ok {
		// whatsmeow's NewClient clones it, and panics.
		return nil, &Error{Reason: ErrInvalidSettings, Op: "new", Err: hint.New(
			errors.New("http.DefaultTransport was replaced by something that is not a *http.Transport"),
			"Leave http.DefaultTransport as it is, and set Settings.HTTPClient.",
		)}
	}
	l := &Linker{store: st, settings: &set, http: set.newHTTPClient(), status: Status{State: StateIdle}}
	if own, ok := st.(store.Ledger); ok {
		l.ledger = own
	} else {
		l.ledger = ledger.Process()
	}
	return l, nil
}

// Link links the session, or connects it if it is stored already, and tells
// how it goes on the channel that it returns.
//
// The channel gets events in order, and none is lost, however slowly it is
// read. The last one is exactly one [Linked] or [Failed], also when ctx ends
// or the Linker is closed; then the channel closes. After Linked the client
// stays connected until Close, whatever becomes of ctx.
//
// The error is for misuse only: [ErrClosed], or [ErrInProgress] while an
// earlier Link, an Unlink or a Supervise is running. Once the last event has
// been read another Link may follow; on a session that is still connected it
// sends Linked at once.
func (l *Linker) Link(ctx context.Context) (<-chan Event, error) {
	return l.begin(ctx, "link", false)
}

// begin starts a Link, or for Unlink one that only logs a stored session in.
func (l *Linker) begin(ctx context.Context, op string, unlinking bool) (<-chan Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.busy(op); err != nil {
		return nil, err
	}
	l.unlinking = unlinking
	return l.start(ctx, unlinking), nil
}

// busy says why nothing can be started now; nil if something can. It is called
// with l.mu held.
func (l *Linker) busy(op string) error {
	switch {
	case l.closed:
		return &Error{Reason: ErrClosed, Op: op}
	case l.cancel != nil || l.supervisor != nil || l.unlinking:
		return &Error{Reason: ErrInProgress, Op: op}
	}
	return nil
}

// start begins a Link. With resumeOnly it logs a stored session in, and fails
// with ErrLoggedOut where there is none. It is called with l.mu held.
func (l *Linker) start(ctx context.Context, resumeOnly bool) <-chan Event {
	set := l.settings
	a := &attempt{
		linker: l, settings: set, inbox: newInbox(), outbox: newOutbox(), http: l.http,
		stopAsking: func() {}, goodbye: func() {},
		machine: newMachine(config{
			phone: set.phone, code: set.wantCode, qr: set.wantQR, fallback: set.qrFallback,
			versionRefresh: set.versionRefresh, resumeOnly: resumeOnly, timeout: set.timeout, probation: set.probation,
			patient: set.patient, passkeyHook: set.passkey != nil, checkCode: set.compareCode,
			jitter: rand.Float64,
		}),
	}
	a.loaded.tenure = l.tenure
	a.life, a.kill = context.WithCancel(context.WithoutCancel(ctx))
	ctx, l.cancel = context.WithCancelCause(ctx)
	l.done, l.inbox = make(chan struct{}), a.inbox
	l.status = Status{State: StateConnecting}
	go a.run(ctx, l.live, l.kill)
	return a.events
}

// watch returns the inbox of whoever watches a connection after Linked; nil if
// nobody does.
func (l *Linker) watch() *inbox {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.supervisor == nil {
		return nil
	}
	return l.supervisor.inbox
}

// ended takes the outcome of a Link, before anyone can have read it, and
// returns what is to be told.
func (l *Linker) ended(end Event, sock *socket, kill context.CancelFunc, lease *tenure) Event {
	l.mu.Lock()
	if err := lease.failure(); sock != nil && (l.closed || err != nil) {
		l.mu.Unlock()
		sock.shut()
		kill()
		lease.giveBack(sock.life)
		l.mu.Lock()
		if l.closed {
			err = &Error{Reason: ErrClosed, Op: "link"}
		}
		sock, lease, end = nil, nil, Failed{Err: err}
	}
	defer l.mu.Unlock()
	l.live, l.kill, l.tenure = sock, kill, lease
	l.status.apply(end)
	l.cancel(nil)
	l.cancel, l.inbox = nil, nil
	close(l.done)
	return end
}

// observe keeps the status up to date.
func (l *Linker) observe(event Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.apply(event)
}

// Client returns the connected whatsmeow client after [Linked], and nil
// before, and after Failed, Unlink and Close. Its reconnects are whatsmeow's
// own. Event handlers that must miss nothing are added through
// Settings.OnClient.
func (l *Linker) Client() *whatsmeow.Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.live == nil || l.status.State != StateLinked {
		return nil
	}
	return l.live.whatsmeow()
}

// Status returns a snapshot for programs that poll instead of reading events.
// It holds the codes that are on the screen now, which are secrets.
func (l *Linker) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

// Unlink logs the device out at WhatsApp, and then forgets the session. If the
// session is not connected, it is connected first, within ctx and
// Settings.Timeout. A device that WhatsApp has removed meanwhile is forgotten,
// and that is a success.
//
// It returns [ErrClosed], [ErrInProgress] while a Link is running,
// [ErrLoggedOut] if nothing is stored under the session, and otherwise the
// reason why WhatsApp could not be told; then the session stays stored.
func (l *Linker) Unlink(ctx context.Context) error {
	const op = "unlink"
	events, err := l.begin(ctx, op, true)
	if err != nil {
		return err
	}
	defer func() {
		l.mu.Lock()
		l.unlinking = false
		l.mu.Unlock()
	}()
	for event := range events {
		failed, ok := event.(Failed)
		switch {
		case !ok:
		case failed.Err.Reason == ErrLoggedOut && !errors.Is(failed.Err, errNotStored):
			l.forget(Status{State: StateIdle})
			return nil
		default:
			return failed.Err
		}
	}
	l.mu.Lock()
	sock := l.live
	l.mu.Unlock()
	if sock == nil {
		return &Error{Reason: ErrClosed, Op: op}
	}
	if err := sock.logout(ctx); err != nil {
		return err
	}
	deleted := l.deleteSession(ctx, op) // while the lease is ours
	l.forget(Status{State: StateIdle})
	if deleted != nil {
		return deleted
	}
	return nil
}

// deleteSession forgets what is stored, if anything is.
func (l *Linker) deleteSession(ctx context.Context, op string) *Error {
	if err := l.store.Delete(ctx, l.settings.session); err != nil && !errors.Is(err, store.ErrNotFound) {
		return storeFailed(op, l.settings.session, err)
	}
	return nil
}

// forget lets go of the connection, if there is one.
func (l *Linker) forget(status Status) {
	l.mu.Lock()
	letGo := l.release(status)
	l.mu.Unlock()
	letGo()
}

// release takes the connection out of the Linker, and returns what lets go of
// it. It is called with l.mu held.
func (l *Linker) release(status Status) (letGo func()) {
	live, kill, lease := l.live, l.kill, l.tenure
	l.live, l.kill, l.tenure, l.status = nil, nil, nil, status
	if live == nil {
		return func() {}
	}
	return func() {
		live.shut()
		kill()
		lease.giveBack(live.life)
	}
}

// Close ends a running Link or Supervise, disconnects, and returns when that is
// done. What is stored stays, so that another Linker can resume it. It is safe
// to call twice, and before Link; it always returns nil.
func (l *Linker) Close() error {
	l.mu.Lock()
	l.closed = true
	cancel, done := l.cancel, l.done
	stop, supervised := l.stopSupervisor, l.supervised
	l.mu.Unlock()
	if stop != nil {
		stop(ErrClosed)
		<-supervised
	} else if cancel != nil {
		cancel(ErrClosed)
		<-done
	}
	l.forget(l.Status().closed())
	l.evictions.Wait()
	if l.settings.proxy != nil {
		l.http.CloseIdleConnections() // of a transport that is walink's own
	}
	return nil
}
