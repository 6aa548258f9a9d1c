package fleet

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/tenure"
	"github.com/walink/walink/store"
)

// The times of Run.
const (
	// lookTime is how often Run looks at the leases: it is a read, and part of the 2
	// seconds within which the sessions of a process that has ended are here. A Store that
	// is slow at it is asked less often: one part in lookShare of the time, but after
	// slowTime at the latest.
	lookTime  = 900 * time.Millisecond
	lookShare = 30
	slowTime  = 5 * time.Second
	// listTime is how often Run lists the stored sessions, for those that another program
	// has stored.
	listTime = time.Minute
)

// keep is Run.
func (f *Fleet) keep(ctx context.Context) error {
	ctx, cancel := f.during(ctx)
	defer cancel()
	lists := make(chan []*session, 1)
	f.begin(func() { f.open(ctx, lists) })
	share := &share{fleet: f, lists: lists, seed: maphash.MakeSeed(), lent: f.lent(nil)}
	defer share.leave()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		began := time.Now()
		if err := share.look(ctx); errors.Is(err, store.ErrClosed) {
			return ErrStoreClosed
		} else if err != nil && ctx.Err() == nil {
			f.log.Warn("the store did not say which sessions are free", "error", err)
		}
		timer.Reset(min(max(lookTime, lookShare*time.Since(began)), slowTime))
	}
}

// claimMost is how many sessions are claimed with one call of the Store.
const claimMost = 64

// open opens the sessions of the latest list, as many at once as there are turns. They are
// claimed in larger groups: a transaction for each would take most of the time.
func (f *Fleet) open(ctx context.Context, lists <-chan []*session) {
	var list, claimed []*session
	for {
		for len(claimed) == 0 && len(list) > 0 {
			group := list[:min(len(list), claimMost)]
			list = list[len(group):]
			claimed = f.claimAll(ctx, group)
		}
		var turns chan<- struct{}
		if len(claimed) > 0 {
			turns = f.turns
		}
		select {
		case list = <-lists:
		case turns <- struct{}{}:
			s, opened := claimed[0], f.turnTaken()
			claimed = claimed[1:]
			if !f.begin(func() { f.adopt(ctx, s, opened) }) {
				opened()
			}
		case <-ctx.Done():
			return
		}
	}
}

// adopt logs a session in that is here, unless somebody has been faster. A lease that was
// lost meanwhile is taken again by the next look.
func (f *Fleet) adopt(ctx context.Context, s *session, opened func()) {
	if !s.tryLock() {
		opened()
		return
	}
	defer s.unlock()
	started := false
	defer func() {
		if !started {
			opened()
		}
	}()
	s.mu.Lock()
	due := s.here && s.run == nil && !s.retryAt.IsZero() // otherwise a Link or Stop has come first
	s.mu.Unlock()
	if !due {
		return
	}
	e, _, err := f.readEntry(ctx, s.name)
	switch {
	case err != nil:
		if own, ok := errors.AsType[*walink.Error](err); ok && ctx.Err() == nil {
			s.putAside(own)
		}
	case e.Unwanted:
		s.mu.Lock()
		s.unwanted = true
		s.mu.Unlock()
		s.release()
	default:
		s.voice.keep(e, true)
		if err = s.start(e.Settings, false, opened); err == nil {
			started = true
		} else if own, ok := errors.AsType[*walink.Error](err); ok { // of the entry or of the defaults: it stays here
			s.mu.Lock()
			s.retryAt = time.Time{}
			s.mu.Unlock()
			s.voice.report(walink.Failed{Err: own})
		}
	}
}

// share decides which sessions this process takes and gives. It belongs to Run.
//
// Nobody coordinates. Run reads the holders about once a second, and the leases if the holders
// have changed. The leases say who is there, who has what, and which sessions are free: each
// Fleet shows itself with another lease, whose session name no session can have. Every
// process computes the even share from the same leases ([spread]). It takes free sessions up to
// its share, those first that it had before. What it has beyond its share it gives away if
// another process lacks sessions. Two that want the same session meet at its lease.
type share struct {
	fleet *Fleet
	lists chan []*session
	seed  maphash.Seed

	lease  *tenure.Tenure // shows that this Fleet is there
	listed time.Time      // when the sessions were listed

	holders []store.HolderLeases // as Run has seen them last, without their Until
	lent    lent                 // what their leases say
}

// look looks at the Store once, and has the sessions opened that this process should have.
func (w *share) look(ctx context.Context) error {
	f := w.fleet
	if f.leaser != nil {
		if err := w.join(ctx); err != nil {
			return err
		}
	}
	asked := time.Now()
	if err := w.read(ctx); err != nil {
		return err
	}
	if w.listed.IsZero() || time.Since(w.listed) >= listTime {
		if err := w.list(ctx); err != nil {
			return err
		}
	}
	seen := f.sort(w.lent, asked)
	if seen.ended { // another process may have unlinked or stopped what it had
		if err := w.list(ctx); err != nil {
			return err
		}
		seen = f.sort(w.lent, asked)
	}
	w.hand(seen)
	w.give(min(seen.excess(), cap(f.turns)))
	return nil
}

// read reads the leases, unless they have not changed since the last look.
func (w *share) read(ctx context.Context) error {
	if w.fleet.leaser == nil {
		return nil
	}
	holders, err := ask(ctx, "list holders", "", w.fleet.leaser.Holders)
	if err != nil {
		return err
	}
	for i := range holders {
		holders[i].Until = time.Time{} // each renewal changes it
	}
	if w.holders != nil && slices.Equal(holders, w.holders) {
		return nil
	}
	leases, err := ask(ctx, "list leases", "", w.fleet.leaser.Leases)
	if err == nil {
		w.holders, w.lent = holders, w.fleet.lent(leases)
	}
	return err
}

// list is [Fleet.list], and notes the time.
func (w *share) list(ctx context.Context) error {
	began := time.Now()
	err := w.fleet.list(ctx, w.lent)
	if err == nil {
		w.listed = began
	}
	return err
}

// join takes the lease that shows that this Fleet is there.
func (w *share) join(ctx context.Context) error {
	if w.lease != nil && w.lease.Holds() {
		return nil
	}
	w.leave()
	lease := tenure.New(ctx, w.fleet.leaser, w.fleet.member, w.fleet.set.Holder, func(*tenure.Tenure, *machine.Failure) {})
	if failure := lease.Take(ctx); failure != nil {
		lease.Release()
		return leaseError(failure)
	}
	w.lease = lease
	return nil
}

func (w *share) leave() {
	w.lease.Release()
	w.lease = nil
}

// hand gives [Fleet.open] the sessions to open, in place of those of the last look.
func (w *share) hand(seen sight) {
	slices.SortFunc(seen.free, func(a, b *session) int {
		return cmp.Or(-compare(a.wasHere(), b.wasHere()), cmp.Compare(maphash.String(w.seed, a.name), maphash.String(w.seed, b.name)))
	})
	list := slices.Concat(seen.aside, seen.free[:min(len(seen.free), seen.room())])
	select {
	case <-w.lists:
	default:
	}
	w.lists <- list
}

func compare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// wasHere reports whether this process had the session last, as far as it knows.
func (s *session) wasHere() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.given && s.voice.latest().Epoch > 0
}

// settleTime is how long a session that was linked stays where it is: the phone is sending
// its history.
const settleTime = 2 * time.Minute

// isSettled reports whether the session may move.
func (s *session) isSettled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.paired) >= settleTime
}

// give gives n sessions to other processes: none that is being linked, or was a moment ago.
func (w *share) give(n int) {
	for _, s := range w.fleet.all() {
		if n <= 0 {
			return
		}
		r, here := s.current()
		if !here || r == nil || s.voice.status().State != walink.StateLinked || !s.isSettled() {
			continue
		}
		n--
		w.fleet.begin(func() {
			if !s.tryLock() {
				return
			}
			defer s.unlock()
			if now, _ := s.current(); now != r || s.voice.status().State != walink.StateLinked {
				return
			}
			s.end()
			s.mu.Lock()
			s.given = true
			s.mu.Unlock()
			s.voice.standby("", &walink.Error{Reason: walink.ErrSessionBusy, Op: "share sessions", Err: errGiven})
			s.release()
		})
	}
}

var errGiven = errors.New("this process has handed the session over to another one")
