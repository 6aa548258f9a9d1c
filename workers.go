package walink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink/internal/bound"
	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/internal/ledger"
	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/number"
	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/internal/tenure"
	"github.com/walink/walink/internal/wire"
	"github.com/walink/walink/store"
)

// load leases the session and takes its device from the store at the same time. It
// posts a fresh device at once, so that the device connects while the lease is being
// taken, unless nobody waits for a code. A second look at the store, once the lease is
// taken, shows whether another program has linked the session meanwhile. A linked
// device is posted only then.
func (a *attempt) load(epoch int) {
	old := a.lease
	leaser, ok := a.linker.store.(store.Leaser)
	pending := ok && (old == nil || !old.Holds())
	if pending {
		a.lease = tenure.New(a.base, leaser, a.set.session, old.Holder(), a.linker.evicted)
	} else {
		old = nil
	}
	lease, early := a.lease, pending && !a.leaseFirst
	a.workers.Go(func() {
		a.previous() // WhatsApp lets a session have one connection only
		a.linker.evictions.Wait()
		old.Release()
		lease.Start()
		fresh := early && a.lookEarly(epoch, lease)
		if failure := lease.Take(a.work); failure != nil {
			a.inbox.Put(machine.Leased{Epoch: epoch, Err: failure})
			return
		}
		if in := a.device(a.work, epoch); !fresh || in.Linked || in.Err != nil {
			a.inbox.Put(in)
		}
		a.inbox.Put(machine.Leased{Epoch: epoch})
	})
}

// over returns why the attempt has to end, because its context has ended or its lease is
// lost, or nil.
func (a *attempt) over(ctx context.Context) *machine.Failure {
	if ctx.Err() != nil {
		return stopped(ctx, "link")
	}
	return a.lease.Failure()
}

// lookEarly posts the device if it is a fresh one and the store answers before the
// lease is there, and reports whether it did.
func (a *attempt) lookEarly(epoch int, lease *tenure.Tenure) bool {
	ctx, cancel := context.WithCancel(a.work)
	defer cancel()
	look := make(chan machine.DeviceLoaded, 1)
	a.workers.Go(func() { look <- a.device(ctx, epoch) })
	select {
	case in := <-look:
		fresh := in.Err == nil && !in.Linked
		if fresh {
			a.inbox.Put(in)
		}
		return fresh
	case <-lease.Taken():
		return false
	}
}

// look notes what the Store has for the session.
func (l *Linker) look(ctx context.Context) {
	device, err := bound.Store(ctx, machine.ServiceLimit, func(ctx context.Context) (*wastore.Device, error) {
		return l.store.Device(ctx, l.set.session)
	})
	if err == nil && wire.Usable(device) == nil {
		l.seen.load(device)
	}
}

// device takes the session's device from the store.
func (a *attempt) device(ctx context.Context, epoch int) machine.DeviceLoaded {
	device, err := a.linker.store.Device(ctx, a.set.session)
	if err == nil {
		err = wire.Usable(device)
	}
	if err != nil {
		return machine.DeviceLoaded{Epoch: epoch, Err: storeFailed("load session", a.set.session, err)}
	}
	in := machine.DeviceLoaded{Epoch: epoch, Device: device, Linked: device.ID != nil}
	if in.Linked && !a.unlinking {
		in.Err = a.set.rejectStored(device.ID.User)
	}
	return in
}

// connect opens a connection for the device.
func (a *attempt) connect(e machine.Connect) {
	if err := wire.Unfit(a.set.conn.Direct); err != nil {
		failure := machine.Failure{Reason: machine.Reason(ErrInvalidSettings), Op: "connect", Err: err}
		a.inbox.Put(machine.Lost{Epoch: e.Epoch, Err: &failure, Tries: machine.NoTries})
		return
	}
	device, _ := e.Device.(*wastore.Device)
	a.conn = wire.New(a.base, a.set.conn, a.set.pace, wire.Params{
		Epoch: e.Epoch, Device: device, Inbox: a.inbox, Held: a.lease.Holds, Patient: e.Resume, Supervised: a.linker.isSupervised(),
	})
	a.workers.Go(a.conn.Connect)
}

// countCode counts in the ledger a pairing code that is about to be requested, unless
// nobody is there. It returns why no code may be requested now, or nil.
func (a *attempt) countCode(alone bool) *machine.Failure {
	now := time.Now()
	next, err := bound.Store(a.work, machine.LedgerLimit, func(ctx context.Context) (time.Time, error) {
		if alone {
			_, next, err := a.linker.ledger.PeekCode(ctx, a.set.phone.Digits(), now, a.set.codeBudget, ledger.Window)
			return next, err
		}
		return a.linker.ledger.TakeCode(ctx, a.set.phone.Digits(), now, a.set.codeBudget, ledger.Window)
	})
	switch {
	case err != nil:
		return storeFailed("count pairing codes", a.set.session, err)
	case !next.IsZero():
		return &machine.Failure{Reason: machine.ReasonRateLimited, Op: "request code", RetryAfter: next.Sub(now), Err: errHeldBack}
	}
	return nil
}

// askHook lets Settings.Passkey answer a challenge.
func (a *attempt) askHook(e machine.AskHook) {
	a.stopHook()
	var ctx context.Context
	ctx, a.stopHook = context.WithDeadline(a.work, e.Expires)
	a.workers.Go(func() {
		assertion, err := a.set.passkey(ctx, bytes.Clone(e.Challenge))
		switch {
		case err == nil:
			a.inbox.Put(machine.HookAnswered{
				Epoch: e.Epoch, Challenge: e.Number, Answer: a.calls.Number(), Assertion: bytes.Clone(assertion),
			})
		case ctx.Err() == nil: // otherwise the machine has reached its own deadline, or has moved on
			a.inbox.Put(machine.HookFailed{Epoch: e.Epoch, Challenge: e.Number, Err: hookFailed(err)})
		}
	})
}

// hookFailed returns the failure for an error of Settings.Passkey.
func hookFailed(err error) *machine.Failure {
	if own, ok := errors.AsType[*Error](err); ok && own != nil {
		return &machine.Failure{Reason: machine.Reason(own.Reason), Op: own.Op, RetryAfter: own.RetryAfter, Err: own.Err}
	}
	return &machine.Failure{Reason: machine.ReasonPasskey, Op: "answer passkey", Err: err}
}

// deleteLimit is how long the Store may take to delete a session.
const deleteLimit = 15 * time.Second

// deleteSession deletes the stored session, if there is one.
func (l *Linker) deleteSession(ctx context.Context, limit time.Duration, op string) *machine.Failure {
	_, err := bound.Store(ctx, limit, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, l.store.Delete(ctx, l.set.session)
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return storeFailed(op, l.set.session, err)
	}
	l.seen.drop()
	return nil
}

// storeFailed returns the failure for an error of the Store.
func storeFailed(op, session string, err error) *machine.Failure {
	return &machine.Failure{Reason: machine.ReasonStore, Op: op, Err: redact.Session(err, session)}
}

var errHeldBack = errors.New("too many pairing codes were asked for, or WhatsApp has refused one, a short while ago")

// reject returns why the account must not be linked, and nil if it may be. Settings.Phone
// names the account that is expected; without it, the account that the session had.
func (l *Linker) reject(account string) *machine.Failure {
	if failure := l.set.reject(account); failure != nil {
		return failure
	}
	return wrongAccount(l.seen.expected(), account)
}

// reject returns why the account must not be linked, and nil if it may be.
func (r *resolved) reject(account string) *machine.Failure {
	return wrongAccount(r.phone.Digits(), account)
}

// wrongAccount returns the failure for another account than the expected one, and nil
// for the expected one, or if none is expected.
func wrongAccount(expected, account string) *machine.Failure {
	if expected == "" || number.SameAccount(expected, account) {
		return nil
	}
	shown := number.Redacted(expected)
	return &machine.Failure{Reason: machine.ReasonWrongAccount, Op: "pair", Err: hint.ForPerson(
		fmt.Errorf("%s answered, and %s was expected", number.Redacted(account), shown), "Use the phone that holds "+shown+".",
	)}
}

// rejectStored returns why the stored session must not be used, and nil if it may be.
func (r *resolved) rejectStored(account string) *machine.Failure {
	if r.reject(account) == nil {
		return nil
	}
	return &machine.Failure{Reason: machine.ReasonWrongAccount, Op: "resume", Err: hint.New(
		fmt.Errorf("the stored session belongs to %s, and not to %s", number.Redacted(account), r.phone.Redacted()),
		"Unlink the stored session first, or use another session name for this number.",
	)}
}

// seen is what a Link or a Supervise has seen of the Store since it began. It has its
// own lock, because whatsmeow's goroutines ask it too.
type seen struct {
	mu      sync.Mutex
	worked  bool   // the store has answered
	stored  bool   // the session is stored
	offered bool   // this Link has shown a code, or asked WhatsApp for one, which may end up on the phone
	account string // the number of the account that the session has or had; "" if none is known
}

func (s *seen) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.worked, s.stored, s.account = false, false, ""
}

// load notes what the Store has for the session.
func (s *seen) load(device *wastore.Device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.worked, s.stored = true, device.ID != nil
	if s.stored {
		s.account = device.ID.User
	}
}

// link notes that the session was linked to an account.
func (s *seen) link(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.worked, s.stored, s.account = true, true, account
}

// offer notes whether this Link offers codes: false when it begins.
func (s *seen) offer(offered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offered = offered
}

func (s *seen) hasOffered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.offered
}

// drop notes that the session was deleted.
func (s *seen) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored = false
}

// expected returns the number of the account that the session has or had, or "".
func (s *seen) expected() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.account
}

func (s *seen) hasWorked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.worked
}

func (s *seen) isStored() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stored
}
