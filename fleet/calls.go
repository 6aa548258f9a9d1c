package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"time"

	"go.mau.fi/whatsmeow"
	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/door"
	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/internal/number"
	"github.com/walink/walink/store"
)

// LinkOption is an option of [Fleet.Link].
type LinkOption func(*entry)

// WithMetadata keeps metadata with the session, for example the name of a customer, in
// place of what an earlier Link has given. It comes with every [Update]. Without this
// option the metadata stays as it is.
func WithMetadata(metadata map[string]string) LinkOption {
	metadata = maps.Clone(metadata)
	return func(e *entry) { e.Metadata = metadata }
}

// during returns a context that ends with ctx and with the Fleet.
func (f *Fleet) during(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(f.life, func() { cancel(ErrClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// change locks a session for a call of the program.
func (f *Fleet) change(ctx context.Context, name string) (*session, context.Context, func(), error) {
	if err := (walink.Settings{Session: name, ResumeOnly: true}).Check(); err != nil {
		return nil, nil, nil, err
	}
	ctx, cancel := f.during(ctx)
	s, err := f.lock(ctx, name)
	if err == nil && f.life.Err() != nil {
		s.unlock()
		err = ErrClosed
	}
	if err != nil {
		err = cmp.Or(f.closedBy(ctx), err)
		cancel()
		return nil, nil, nil, err
	}
	return s, ctx, func() {
		s.unlock()
		cancel()
	}, nil
}

func (f *Fleet) closedBy(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), ErrClosed) {
		return ErrClosed
	}
	return nil
}

// Link links the session, or logs a stored one in. Somebody is at the phone and at the
// screen. It returns once the Link has begun; [Fleet.Watch] shows the codes and the outcome.
// ctx bounds the call, and settings.Timeout the Link. A stopped session is wanted again.
// With ResumeOnly, Link shows no codes, and its error wraps [store.ErrNotFound] if no device is
// stored.
//
// Link keeps settings and metadata in the Store. They may not have what cannot be stored:
// HTTPClient, Logger, OnClient and Passkey. A field that is zero has the value of
// Settings.Defaults, which Link cannot take back.
//
// Link returns [ErrClosed], [ErrFull], [store.ErrNotFound], a [*store.BusyError] if another
// process has the session, and otherwise a [*walink.Error]: [walink.ErrInvalidSettings],
// [walink.ErrWrongAccount] if the session is linked to another number than settings.Phone,
// or [walink.ErrStore].
func (f *Fleet) Link(ctx context.Context, session string, settings walink.Settings, options ...LinkOption) error {
	if err := f.checkGiven(session, settings); err != nil {
		return err
	}
	if phone, err := walink.ParsePhone(settings.Phone); err == nil {
		settings.Phone = phone.String() // one form, so that the same number is the same Link
	}
	s, ctx, done, err := f.change(ctx, session)
	if err != nil {
		return err
	}
	defer done()
	r, here := s.current()
	if err := s.claim(ctx, f.set.Capacity); err != nil {
		if lease, peekErr := f.peek(ctx, session); errors.Is(err, ErrFull) && peekErr == nil {
			err = &store.BusyError{Lease: lease} // that process can link it
		}
		return cmp.Or(f.closedBy(ctx), err)
	}
	if err := f.link(ctx, s, r, settings, options); err != nil {
		if r, _ := s.current(); r == nil && !here {
			s.release()
		}
		return cmp.Or(f.closedBy(ctx), err)
	}
	return nil
}

// link links a session that this process has.
func (f *Fleet) link(ctx context.Context, s *session, r *run, settings walink.Settings, options []LinkOption) error {
	const op = "link"
	account, err := f.stored(ctx, op, s.name)
	if err != nil {
		return err
	}
	linked := account != ""
	if !linked && f.merged(s.name, settings).ResumeOnly {
		return errNothingStored
	}
	if expected, _ := walink.ParsePhone(settings.Phone); linked && settings.Phone != "" && !number.SameAccount(expected.Digits(), account) {
		return &walink.Error{Reason: walink.ErrWrongAccount, Op: op, Err: errOtherAccount}
	}
	old, known, err := f.readEntry(ctx, s.name)
	if err != nil && !known {
		return err
	}
	next := entry{Settings: settings, Metadata: old.Metadata}
	for _, option := range options {
		option(&next)
	}
	state := s.voice.status().State
	running := r.isRunning()
	settled := linked && running && (state == walink.StateLinked || state == walink.StateOffline)
	if settled && err == nil {
		next.Settings = old.Settings
	}
	if err != nil || !reflect.DeepEqual(old, next) || !s.voice.isKept() {
		if err := f.writeEntry(ctx, s.name, next); err != nil {
			return err
		}
	}
	if settled || running && r.given != nil && reflect.DeepEqual(*r.given, settings) && state != walink.StateRetrying {
		return nil
	}
	s.end()
	s.mu.Lock()
	s.stored = linked
	s.mu.Unlock()
	return s.start(settings, true, nil)
}

var errNothingStored error = hint.New(fmt.Errorf("fleet: link: %w", store.ErrNotFound), "Call Link without ResumeOnly, with a person at the phone.")

var errOtherAccount = errors.New("the session is linked to another number: unlink it first, or use another session")

// take locks a session that exists, and claims it for a call of the program. The error
// wraps [store.ErrNotFound] if the Store has neither a device nor an entry of it.
func (f *Fleet) take(ctx context.Context, name string) (s *session, inner context.Context, e entry, done func(), err error) {
	s, inner, done, err = f.change(ctx, name)
	if err != nil {
		return nil, nil, entry{}, nil, err
	}
	before := s.isHere()
	if err = s.claim(inner, 0); err == nil {
		var known bool
		var account string
		if e, known, err = f.readEntry(inner, name); known {
			err = nil // what cannot be read is replaced
		}
		if err == nil && !known {
			if account, err = f.stored(inner, "find session", name); err == nil && account == "" {
				err = errUnknown
			}
		}
	}
	if err != nil {
		if s.isHere() && !before {
			s.release()
		}
		err = cmp.Or(f.closedBy(inner), err)
		done()
		return nil, nil, entry{}, nil, err
	}
	return s, inner, e, done, nil
}

// stored returns the number of the account that a session is linked to, and "" if it is not
// stored.
func (f *Fleet) stored(ctx context.Context, op, name string) (account string, err error) {
	device, err := ask(ctx, op, name, func(ctx context.Context) (*wastore.Device, error) { return f.store.Device(ctx, name) })
	if err != nil || device.ID == nil {
		return "", err
	}
	return device.ID.User, nil
}

// Stop disconnects the session, ends its Link, and keeps Run from connecting it, here and in
// other processes, until the next Link. The session stays stored. Stop returns once the
// session is disconnected: nil, [ErrClosed], an error that wraps [store.ErrNotFound] if the
// session is not known, a [*store.BusyError] if another process has it, or
// [walink.ErrStore].
func (f *Fleet) Stop(ctx context.Context, session string) error {
	s, ctx, e, done, err := f.take(ctx, session)
	if err != nil {
		return err
	}
	defer done()
	defer s.releaseIdle()
	e.Unwanted = true
	if err := f.writeEntry(ctx, session, e); err != nil {
		return err
	}
	s.end()
	s.voice.set(walink.Status{State: walink.StateIdle})
	return nil
}

// releaseIdle gives the session up unless it is connected. The caller holds busy.
func (s *session) releaseIdle() {
	if r, here := s.current(); here && r == nil {
		s.release()
	}
}

// Unlinked says what Unlink has done.
type Unlinked struct {
	// Told says that WhatsApp knows that the device is gone: it was told now, or had
	// removed the device before. If Told is false and a device was linked, the phone may
	// go on listing it.
	Told bool `json:"told"`
	// Forgotten says that the Store has nothing of the session any more.
	Forgotten bool `json:"forgotten"`
}

// Unlink logs the device out at WhatsApp and then deletes the session, its settings and its
// metadata. A session that is not linked is deleted. No process links it again by itself. If
// WhatsApp refuses the login, the session is deleted without a word to WhatsApp.
//
// The error is nil if the session is forgotten, and otherwise says why it is not: as
// [walink.Linker.Unlink], or as [Fleet.Stop]. The session is then stopped.
func (f *Fleet) Unlink(ctx context.Context, session string) (Unlinked, error) {
	s, ctx, e, done, err := f.take(ctx, session)
	if err != nil {
		return Unlinked{}, err
	}
	defer done()
	defer s.releaseIdle()
	e.Unwanted = true // also if this process dies on the way
	if err := f.writeEntry(ctx, session, e); err != nil {
		return Unlinked{}, err
	}
	s.end()
	s.voice.set(walink.Status{State: walink.StateIdle})
	out, err := s.logout(ctx, e.Settings)
	if err != nil {
		return out, cmp.Or(f.closedBy(ctx), err)
	}
	if err := f.dropEntry(context.WithoutCancel(ctx), session); err != nil {
		return out, err
	}
	s.mu.Lock()
	s.stored = false
	s.mu.Unlock()
	out.Forgotten = true
	return out, nil
}

// logout unlinks the device, if one is stored, by the proxy that it was linked by.
func (s *session) logout(ctx context.Context, given walink.Settings) (Unlinked, error) {
	account, err := s.fleet.stored(ctx, "find session", s.name)
	if err != nil || account == "" {
		return Unlinked{}, err
	}
	set := s.fleet.merged(s.name, walink.Settings{Proxy: given.Proxy, Timeout: given.Timeout, ResumeOnly: true})
	set.LinkingMode, set.PreferPairingCode = "", false
	set.OnClient = s.onClient(&run{stop: func(error) {}}, set.OnClient)
	linker, err := walink.New(s.fleet.store, set)
	if err != nil {
		return Unlinked{}, err
	}
	defer linker.Close() //nolint:errcheck // it returns nil
	s.mu.Lock()
	door.Of(linker).Keep(s.lease, &s.pace)
	s.mu.Unlock()
	switch err := linker.Unlink(ctx); {
	case errors.Is(err, walink.ErrNotTold):
		return Unlinked{}, nil
	case err != nil:
		return Unlinked{}, err
	}
	return Unlinked{Told: true}, nil
}

// Client returns the connected client of a session of this process, and nil otherwise.
func (f *Fleet) Client(session string) *whatsmeow.Client {
	if s := f.known(session); s != nil {
		return s.client()
	}
	return nil
}

// AnswerPasskey gives the answer to a passkey challenge, as [walink.Linker.AnswerPasskey].
// It returns a [*store.BusyError] if another process has the session.
func (f *Fleet) AnswerPasskey(ctx context.Context, session string, assertion []byte) error {
	return f.passkey(ctx, "answer passkey", session, func(l *walink.Linker) error { return l.AnswerPasskey(ctx, assertion) })
}

// ConfirmPasskey says that the codes are the same, as [walink.Linker.ConfirmPasskey]. It
// returns a [*store.BusyError] if another process has the session.
func (f *Fleet) ConfirmPasskey(ctx context.Context, session string) error {
	return f.passkey(ctx, "confirm passkey", session, func(l *walink.Linker) error { return l.ConfirmPasskey(ctx) })
}

func (f *Fleet) passkey(ctx context.Context, op, name string, call func(*walink.Linker) error) error {
	if f.life.Err() != nil {
		return ErrClosed
	}
	if s := f.known(name); s != nil {
		if r, _ := s.current(); r != nil {
			return call(r.linker)
		}
	}
	if s := f.known(name); s == nil || !s.isHere() {
		if lease, err := f.peek(ctx, name); err == nil {
			return &store.BusyError{Lease: lease}
		}
		if _, err := f.Session(ctx, name); err != nil {
			return err
		}
	}
	return &walink.Error{Reason: walink.ErrPasskey, Op: op, Err: errors.New("no Link of the session is running")}
}

func (f *Fleet) peek(ctx context.Context, name string) (store.Lease, error) {
	if f.leaser == nil {
		return store.Lease{}, store.ErrNotFound
	}
	return ask(ctx, "peek lease", name, func(ctx context.Context) (store.Lease, error) { return f.leaser.PeekLease(ctx, name) })
}

// Watch returns a channel with a snapshot of the session and then each change, until ctx
// ends or the Fleet is closed. Any number of watchers may watch a session, also one that is
// not there yet. A watcher that reads slowly misses steps, and never the last state:
// Update.Sequence shows the gap, and Update.Status is always whole. After Link the snapshot
// is one of that Link. While another process has the session, its watchers see only
// [walink.StateStandby].
func (f *Fleet) Watch(ctx context.Context, session string) <-chan Update {
	first := Update{Session: session, At: time.Now(), Status: walink.Status{State: walink.StateIdle}}
	if s := f.known(session); s == nil || !s.isHere() { // otherwise the Store has nothing to say
		if known, err := f.Session(ctx, session); err == nil {
			first.Status, first.Metadata = known.Status, known.Metadata
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.get(session).voice.watch(ctx, first)
}
