package fleet

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/absent"
	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/internal/tenure"
	"github.com/walink/walink/store"
)

// Settings says how a Fleet works. The zero value is a good default.
type Settings struct {
	// Defaults are the settings of every session. The fields that a Link sets take their
	// place. Session must be empty. Defaults.Logger gets the log of the Fleet, too. A
	// panic of Defaults.Passkey counts as an error that it returns.
	Defaults walink.Settings
	// Holder is this Fleet in the leases: what other processes name in their errors and
	// states, for example the address at which they reach this one. Each Fleet needs its
	// own. "" is the program, its process number and the host.
	Holder string
	// Opening is how many sessions connect at once when Run resumes them; 0 is 32.
	Opening int
	// Capacity is how many sessions this process takes; 0 is no limit.
	Capacity int
	// OnClient gets each new client before the client connects, as Settings.OnClient of
	// package walink. If it panics, the session fails, and no other one.
	OnClient func(session string, client *whatsmeow.Client)
	// OnUpdate gets every change of every session of this process. For the sessions of other
	// processes it gets their holders. The calls for one session follow each other; those for
	// several sessions run at the same time. A call that does not return delays the updates
	// of its session only; of more than 256 that wait, the oldest are dropped.
	OnUpdate func(Update)
}

const defaultOpening = 32

// The errors of a Fleet. Those of single sessions are of package walink, [store.ErrNotFound]
// and [*store.BusyError].
var (
	// ErrClosed is returned after Close, and after Run has ended.
	ErrClosed error = hint.New(errors.New("fleet: closed"), "Make a new Fleet.")
	// ErrRunning is returned by a second Run.
	ErrRunning error = hint.New(errors.New("fleet: Run was called already"), "Call Run once for each Fleet.")
	// ErrFull is returned by Link if this process has Settings.Capacity sessions. The
	// session can be linked by another process.
	ErrFull error = hint.New(errors.New("fleet: this process has as many sessions as its capacity allows"),
		"Link the session in another process, or raise Settings.Capacity.")
	// ErrShared is returned by Run for a Store without leases that another Fleet of this
	// process runs on.
	ErrShared error = hint.New(errors.New("fleet: another Fleet runs on this Store, which has no leases"),
		"Use one Fleet for each Store, or a Store with leases.")
	// ErrStoreClosed is returned by Run if the Store was closed underneath.
	ErrStoreClosed error = hint.New(errors.New("fleet: the store was closed"), "Close the Fleet before its Store.")
)

// Fleet keeps the sessions of one Store. Make it with [New]. All methods may be called
// from several goroutines at once.
type Fleet struct {
	store    store.Store
	leaser   store.Leaser   // nil: no other process has the Store
	registry store.Registry // nil: the entries live in the sessions alone
	set      Settings
	log      *slog.Logger
	turns    chan struct{} // has a token for each session that is connecting
	member   string        // the session name of the lease that shows that this Fleet is there

	life  context.Context // of all sessions: it ends with Close
	stop  context.CancelFunc
	ended chan struct{}  // closed when Close is done
	group sync.WaitGroup // the goroutines of the sessions and of Run

	mu       sync.Mutex
	running  bool
	closed   bool
	taken    int // how many sessions this process has
	sessions map[string]*session
}

// New returns a Fleet for the sessions of st. It does no I/O and starts nothing. The caller
// keeps the Store, and closes it after the Fleet.
//
// A Store without a [store.Leaser] serves one process only: nothing keeps two of them from
// connecting one session. A Store without a [store.Registry] forgets the settings of a
// Link, its metadata, and which sessions were stopped, when the process ends.
//
// The error is a [*walink.Error] with the Reason [walink.ErrInvalidSettings].
func New(st store.Store, settings Settings) (*Fleet, error) {
	invalid := func(field, value, problem, fix string) error {
		return &walink.Error{Reason: walink.ErrInvalidSettings, Op: "new fleet", Err: &walink.SettingError{
			Field: field, Value: value, Problem: problem, Fix: fix,
		}}
	}
	defaults := settings.Defaults
	if defaults.LinkingMode == "" && defaults.PreferPairingCode || defaults.LinkingMode == walink.ModePairing || defaults.LinkingMode == walink.ModeBoth {
		defaults.ResumeOnly = true // the phone comes with the Link
	}
	switch err := defaults.Check(); {
	case absent.Is(st):
		return nil, invalid("Store", "nil", "needed", "Give New an open store.")
	case err != nil:
		return nil, err
	case defaults.Session != "":
		return nil, invalid("Defaults.Session", "", "set, although each session has its own", "Leave it empty, and name the session in Link.")
	case settings.Opening < 0 || settings.Capacity < 0:
		return nil, invalid("Opening, Capacity", "", "negative", "Set them to 0 for the defaults, or to positive numbers.")
	}
	f := &Fleet{
		store: st, set: settings, log: cmp.Or(settings.Defaults.Logger, slog.New(slog.DiscardHandler)),
		turns: make(chan struct{}, cmp.Or(settings.Opening, defaultOpening)), member: newMember(settings.Capacity),
		ended: make(chan struct{}), sessions: map[string]*session{},
	}
	f.life, f.stop = context.WithCancel(context.Background()) //nolint:forbidigo // it ends with Close
	f.leaser, _ = st.(store.Leaser)
	f.registry, _ = st.(store.Registry)
	return f, nil
}

// alone has the Stores without leases on which a Fleet runs.
//
//nolint:gochecknoglobals // nothing else knows of two Fleets in one process
var alone sync.Map

// isAlone reports whether no other Fleet may run on the Store.
func (f *Fleet) isAlone() bool { return f.leaser == nil && reflect.ValueOf(f.store).Comparable() }

// Run resumes the stored sessions that are wanted, and from then on keeps this process's
// share of them, until ctx ends or Close is called. Then it closes the Fleet and returns nil.
// It returns [ErrRunning], [ErrClosed] or [ErrShared] if it cannot begin, and
// [ErrStoreClosed] if the Store was closed. While the Store does not answer otherwise, Run
// goes on: the sessions come back when the Store does.
func (f *Fleet) Run(ctx context.Context) error {
	f.mu.Lock()
	switch {
	case f.closed:
		f.mu.Unlock()
		return ErrClosed
	case f.running:
		f.mu.Unlock()
		return ErrRunning
	}
	if f.isAlone() {
		if _, shared := alone.LoadOrStore(f.store, f); shared {
			f.mu.Unlock()
			return ErrShared
		}
	}
	f.running = true
	f.group.Add(1)
	f.mu.Unlock()
	err := f.keep(ctx)
	f.group.Done()
	return errors.Join(err, f.Close())
}

// closeLimit is how long Close waits for callbacks that do not return.
const closeLimit = 5 * time.Second

// Close disconnects all sessions, gives them to the other processes, and closes the channels
// of the watchers. The sessions stay stored, and wanted. Close may be called twice, and
// always returns nil. It may be called in OnUpdate and OnClient, for which it then waits up
// to 5 seconds.
func (f *Fleet) Close() error {
	f.mu.Lock()
	first := !f.closed
	f.closed = true
	f.mu.Unlock()
	if !first {
		<-f.ended
		return nil
	}
	defer close(f.ended)
	f.stop()
	f.group.Wait()
	var leases []*tenure.Tenure
	sessions := f.all()
	for _, s := range sessions {
		if lease := s.letGo(); lease != nil {
			leases = append(leases, lease)
		}
	}
	tenure.EndAll(leases)
	if f.isAlone() {
		alone.CompareAndDelete(f.store, f)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.life), closeLimit)
	defer cancel()
	for _, s := range sessions {
		s.voice.end()
	}
	for _, s := range sessions {
		s.voice.wait(ctx)
	}
	return nil
}

// begin runs do in a goroutine that Close waits for. It reports whether the Fleet is open.
func (f *Fleet) begin(do func()) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false
	}
	f.group.Go(do)
	return true
}

// reserve counts one more session as one of this process, if it then has most at most, or
// most is 0.
func (f *Fleet) reserve(most int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if most > 0 && f.taken >= most {
		return false
	}
	f.taken++
	return true
}

func (f *Fleet) unreserve() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken--
}

// all returns the sessions that this process knows.
func (f *Fleet) all() []*session {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]*session, 0, len(f.sessions))
	for _, s := range f.sessions {
		list = append(list, s)
	}
	return list
}

// known returns the session if this process knows it, and nil otherwise.
func (f *Fleet) known(name string) *session {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sessions[name]
}

// session returns the session, which may be new to this process.
func (f *Fleet) session(name string) *session {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.get(name)
}

// get is session for a caller that holds f.mu.
func (f *Fleet) get(name string) *session {
	s := f.sessions[name]
	if s == nil {
		s = newSession(f, name)
		f.sessions[name] = s
	}
	return s
}
