package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.mau.fi/whatsmeow"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/door"
	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/redact"
)

// run is one Supervise of a session, in one goroutine, which is all that a connected session
// costs next to whatsmeow's. It goes through package door: the Fleet takes the lease and gives
// it to the Linker, and gets the events by a function and not by a channel. When somebody has
// to decide, the Fleet decides itself what follows: session.over.
type run struct {
	linker *walink.Linker
	given  *walink.Settings // what the Link was given; nil if nobody has called Link
	stop   context.CancelCauseFunc
	done   chan struct{} // closed when the session is disconnected
	err    error         // why the Supervise has ended; before done is closed
	linked atomic.Bool   // the session is stored, or will be in a moment
}

// isRunning reports whether the run has not ended.
func (r *run) isRunning() bool {
	if r == nil {
		return false
	}
	select {
	case <-r.done:
		return false
	default:
		return true
	}
}

// start supervises the session, which this process has. turn, if it is not nil, is the
// session's turn to connect. The caller holds busy, and no run is there.
func (s *session) start(given walink.Settings, ask bool, turn func()) error {
	f := s.fleet
	r := &run{done: make(chan struct{})}
	if ask {
		r.given = &given
	}
	set := f.merged(s.name, given)
	if !ask { // how a Link shows codes does not matter, and must not contradict the defaults of today
		set.ResumeOnly, set.LinkingMode, set.PreferPairingCode, set.QRFallback = true, "", false, false
	}
	set.OnClient, set.Passkey = s.onClient(r, set.OnClient), s.onPasskey(set.Passkey)
	linker, err := walink.New(f.store, set)
	if err != nil {
		return err
	}
	r.linker = linker
	ctx, stop := context.WithCancelCause(f.life)
	r.stop = stop
	s.mu.Lock()
	lease := s.lease
	s.run, s.retryAt = r, time.Time{}
	s.mu.Unlock()
	in := door.Of(linker)
	in.Keep(lease, &s.pace)
	terms := door.Terms{Ask: ask && !set.ResumeOnly, Stop: stop, Emit: func(event any) { s.hear(r, event) }, Open: func(ctx context.Context) func() {
		if opened := turn; opened != nil {
			turn = nil
			return opened
		}
		return f.turn(ctx)
	}}
	connecting := walink.Status{State: walink.StateConnecting}
	if !ask {
		connecting.Account = s.voice.status().Account
	}
	s.voice.set(connecting)
	begun := f.begin(func() {
		if failure := lease.Failure(); failure != nil { // it was lost before the run was known
			stop(door.Stopped{Failure: failure})
		}
		r.err = in.Supervise(ctx, terms)
		if turn != nil {
			turn()
		}
		stop(nil)
		close(r.done)
		s.over(r)
	})
	if !begun {
		s.mu.Lock()
		s.run = nil
		s.mu.Unlock()
		stop(nil)
		return ErrClosed
	}
	return nil
}

// turnLimit is how long a session may take to connect before the next one may.
const turnLimit = 30 * time.Second

// turn waits until the session may connect. It returns nil if ctx has ended.
func (f *Fleet) turn(ctx context.Context) (opened func()) {
	select {
	case f.turns <- struct{}{}:
		return f.turnTaken()
	case <-ctx.Done():
		return nil
	}
}

// turnTaken returns the function that ends a turn.
func (f *Fleet) turnTaken() (opened func()) {
	end := sync.OnceFunc(func() { <-f.turns })
	timer := time.AfterFunc(turnLimit, end)
	return func() {
		timer.Stop()
		end()
	}
}

// end ends the run, if there is one, and waits until the session is disconnected. The
// caller holds busy.
func (s *session) end() {
	s.mu.Lock()
	r := s.run
	s.run = nil
	s.mu.Unlock()
	if r != nil {
		r.stop(walink.ErrClosed)
		<-r.done
	}
}

// hear gets the events of a run.
func (s *session) hear(r *run, event any) {
	e, _ := event.(walink.Event)
	if kind := e.Kind(); kind == walink.KindPaired || kind == walink.KindLinked {
		r.linked.Store(true)
		s.mu.Lock()
		s.stored = true
		if kind == walink.KindPaired {
			s.paired = time.Now()
		}
		s.mu.Unlock()
	}
	s.voice.report(e)
}

// over decides what follows the end of a run.
func (s *session) over(r *run) {
	f := s.fleet
	select {
	case s.busy <- struct{}{}:
	case <-f.life.Done():
		return
	}
	defer s.unlock()
	s.mu.Lock()
	ours := s.run == r
	if ours {
		s.run = nil
	}
	lease, stored := s.lease, r.linked.Load() || r.given == nil || s.stored
	s.mu.Unlock()
	err, _ := errors.AsType[*walink.Error](r.err)
	if !ours || err == nil || f.life.Err() != nil {
		return // Stop, Unlink, Link or Close has ended it
	}
	switch {
	case err.Reason == walink.ErrSessionBusy:
		s.voice.standby(holderOf(err), err)
		s.release()
	case lease.Failure() != nil && stored:
		s.voice.report(walink.Disconnected{Err: err})
		s.release()
	case r.given == nil && errors.Is(err, machine.ErrNotStored): // another process has unlinked it
		s.mu.Lock()
		s.stored = false
		s.mu.Unlock()
		s.voice.set(walink.Status{State: walink.StateIdle})
		s.release()
	case err.Reason == walink.ErrLoggedOut || err.Reason == walink.ErrRemoved:
		s.forget(context.WithoutCancel(f.life)) // before the event: its watchers may ask for the session
		s.voice.report(walink.Failed{Err: err})
	case !stored:
		s.voice.report(walink.Failed{Err: err})
		s.release()
	case err.Reason == walink.ErrStore:
		s.putAside(err)
	default: // somebody has to decide: the session stays here, so that no other process tries the same
		s.voice.report(walink.Failed{Err: err})
	}
}

// onClient returns the Settings.OnClient of a run.
func (s *session) onClient(r *run, own func(*whatsmeow.Client)) func(*whatsmeow.Client) {
	if own == nil && s.fleet.set.OnClient == nil {
		return nil
	}
	return func(client *whatsmeow.Client) {
		defer func() {
			if p := recover(); p != nil {
				why := s.panicked("OnClient", p)
				r.stop(door.Stopped{Failure: &machine.Failure{Reason: machine.Reason(walink.ErrInvalidSettings), Op: "on client", Err: why}})
			}
		}()
		if own != nil {
			own(client)
		}
		if s.fleet.set.OnClient != nil {
			s.fleet.set.OnClient(s.name, client)
		}
	}
}

// onPasskey returns the Settings.Passkey of a run.
func (s *session) onPasskey(
	passkey func(context.Context, json.RawMessage) (json.RawMessage, error),
) func(context.Context, json.RawMessage) (json.RawMessage, error) {
	if passkey == nil {
		return nil
	}
	return func(ctx context.Context, challenge json.RawMessage) (assertion json.RawMessage, err error) {
		defer func() {
			if p := recover(); p != nil {
				err = s.panicked("Passkey", p)
			}
		}()
		return passkey(ctx, challenge)
	}
}

// panicked logs that a callback has panicked, and returns the error for that.
func (s *session) panicked(callback string, with any) error {
	why := hint.New(fmt.Errorf("%s has panicked: %s", callback, redact.Text(fmt.Sprint(with))),
		fmt.Sprintf("Correct %s, and call Link for the session again.", callback))
	s.fleet.log.Error(callback+" has panicked", "session", redact.Name(s.name), "error", why)
	return why
}
