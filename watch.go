package walink

import (
	"context"
	"sync"
	"time"

	"github.com/walink/walink/internal/door"
	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/queue"
	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/internal/tenure"
	"github.com/walink/walink/internal/wire"
)

// watch returns what gets the inputs of the linked connection: the inbox of the running
// Supervise, and otherwise a keeper.
func (l *Linker) watch(conn *wire.Conn) wire.Inbox {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.supervisor != nil {
		return l.supervisor.inbox
	}
	if l.keeper == nil || l.keeper.conn != conn {
		l.keeper = &keeper{linker: l, conn: conn}
	}
	return l.keeper
}

// isSupervised reports whether a Supervise is running.
func (l *Linker) isSupervised() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.supervisor != nil
}

// keeper gets the inputs of a linked connection while nothing supervises it.
type keeper struct {
	linker *Linker
	conn   *wire.Conn

	mu   sync.Mutex
	lost *machine.Failure // why the connection is down; nil while it is up
}

// Put notes whether the connection is up. If the session is lost for good, the Linker
// gives it back.
func (k *keeper) Put(in machine.Input) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if lost, ok := in.(machine.Lost); ok {
		k.lost = lost.Err
		if isLostForGood(lost.Err) {
			go k.linker.giveBack(k) // Put must not wait for the Linker
		}
	} else if _, ok := in.(machine.LoggedIn); ok {
		k.lost = nil
	}
}

func (k *keeper) failure() *machine.Failure {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.lost
}

// isLostForGood reports whether a connection does not come back by itself. Where the
// network is at fault, it may: also after the program's own Disconnect.
func isLostForGood(why *machine.Failure) bool {
	return why != nil && why.Reason != machine.ReasonNetwork && !wire.Reconnects(why)
}

// giveBack gives up a session that is lost for good.
func (l *Linker) giveBack(k *keeper) {
	why := k.failure()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == k.conn && l.running == nil && l.supervisor == nil && !l.unlinking && !l.closed && isLostForGood(why) {
		l.evict(why)
	}
}

// dropLimit is how long a Link or a Close waits for the session of a removed device to be
// deleted. If the Store takes longer, the next Link deletes it: its login gets a 401.
const dropLimit = 3 * time.Second

// evict gives up the session, which nothing supervises. The caller holds l.mu.
func (l *Linker) evict(why *machine.Failure) {
	old := l.untie(l.status.Apply(Failed{Err: errorOf(why)}))
	l.evictions.Go(func() {
		if failure := l.drop(old.conn.Context(), dropLimit, old, why); failure != nil {
			l.set.logger.Warn("the session of a removed device is still stored", "session", redact.Name(l.set.session), "error", errorOf(failure))
		}
	})
}

// takeOver reports whether the connection of an earlier Link is up, and redirects its
// inputs. Each loss is seen: by the keeper before the redirection, and by the new inbox
// after it.
func (l *Linker) takeOver(conn *wire.Conn) bool {
	l.mu.Lock()
	before := l.keeper
	l.mu.Unlock()
	to := l.watch(conn)
	conn.Redirect(to)
	if (before == nil || before.conn != conn || before.failure() == nil) && conn.IsUp() {
		return true
	}
	nobody := queue.New[machine.Input]()
	nobody.Close()
	conn.Redirect(nobody)
	if inbox, ok := to.(*queue.Queue[machine.Input]); ok {
		inbox.Take()
	}
	return false
}

// evicted ends the Link or the connection that uses a session whose lease is lost.
func (l *Linker) evicted(lease *tenure.Tenure, why *machine.Failure) {
	l.set.logger.Warn("the lease of the session is lost", "session", redact.Name(l.set.session), "error", errorOf(why))
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case lease.Released(): // what runs now has another lease
	case l.running != nil:
		l.running.inbox.Put(machine.Stop{Err: why})
	case l.lease != lease:
	case l.supervisor != nil:
		l.supervisor.inbox.Put(machine.Lost{Err: why, Tries: machine.NoTries})
	default:
		l.evict(why)
	}
}

// A tie is a connection and its lease.
type tie struct {
	conn  *wire.Conn
	lease *tenure.Tenure
}

// untie takes the tie out of the Linker. The caller holds l.mu.
func (l *Linker) untie(status Status) tie {
	old := tie{l.conn, l.lease}
	l.conn, l.lease, l.status = nil, nil, status
	return old
}

// forget closes the connection, if there is one, and releases the lease.
func (l *Linker) forget(status Status) {
	l.mu.Lock()
	old := l.untie(status)
	l.mu.Unlock()
	if old.conn != nil {
		old.conn.Shut()
	}
	old.lease.Release()
}

// drop closes a connection that is lost, and releases its lease. In between it deletes the
// session if WhatsApp has removed the device: whatsmeow may have missed that, and without
// the lease another program might link the session again.
func (l *Linker) drop(ctx context.Context, limit time.Duration, old tie, lost *machine.Failure) *machine.Failure {
	defer old.lease.Release()
	old.conn.Shut()
	if (lost.Reason == machine.ReasonLoggedOut || lost.Reason == machine.ReasonRemoved) && old.lease.Holds() {
		return l.deleteSession(ctx, limit, "drop session")
	}
	return nil
}

// stay watches the connection until it is lost for good, and returns why, and whether
// the connection was good for a while. It has then disconnected the session, and
// deleted it if WhatsApp has removed the device.
func (s *supervisor) stay(ctx context.Context) (why *Error, stable bool) {
	linked := time.Now()
	s.lost, s.late = nil, nil // no timer yet: of thousands of sessions few are offline
	for over := false; !over; {
		out, event := s.out.Head(s.events)
		select {
		case out <- event:
			s.out.Sent()
		case <-s.attended: // no code is wanted
		case <-s.inbox.Ready():
			for _, in := range s.inbox.Take() {
				if !over {
					over = s.hear(in)
				}
			}
		case <-s.late:
			over = true
		case <-ctx.Done():
			s.lost, over = stopped(ctx, opSupervise), true
		}
	}
	why = errorOf(s.drop(ctx))
	return why, why.RetryAfter == 0 && time.Since(linked) >= machine.StableAfter
}

// hear takes an input of the connection, and reports whether that is lost for good.
func (s *supervisor) hear(in machine.Input) bool {
	if in, ok := in.(machine.Lost); ok {
		if s.lost == nil || !wire.Reconnects(in.Err) {
			s.emit(Disconnected{Err: errorOf(in.Err)})
			s.late = time.After(reconnectGrace)
		}
		s.lost = in.Err
		return !wire.Reconnects(in.Err)
	}
	if _, ok := in.(machine.RestartWanted); ok { // under Supervise walink reconnects after a 515, and whatsmeow does not
		s.lost = &machine.Failure{Reason: machine.ReasonNetwork, Op: "stream", Err: wire.ErrRestart}
		s.emit(Disconnected{Err: errorOf(s.lost)})
		return true
	}
	if in, ok := in.(machine.LoggedIn); ok && s.lost != nil {
		s.lost, s.late = nil, nil
		s.emit(Reconnected{Account: accountOf(in.Account)})
	}
	return false
}

// drop gives up the session, and returns why it is lost, or why it could not be deleted.
func (s *supervisor) drop(ctx context.Context) *machine.Failure {
	l := s.linker
	l.mu.Lock()
	old := l.untie(l.status) // events alone change the status
	l.mu.Unlock()
	if failure := l.drop(ctx, deleteLimit, old, s.lost); failure != nil {
		return failure
	}
	return s.lost
}

// inFleet is a Linker as package fleet uses it.
type inFleet struct{ *Linker }

//nolint:gochecknoinits // package fleet comes in by this door
func init() {
	door.Of = func(linker any) door.Linker { l, _ := linker.(*Linker); return inFleet{l} }
}

func (l inFleet) Keep(lease *tenure.Tenure, pace *wire.Pace) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept, l.set.pace = lease, pace
}

func (l inFleet) Supervise(ctx context.Context, terms door.Terms) error {
	l.mu.Lock()
	if err := l.busy(opSupervise); err != nil {
		l.mu.Unlock()
		return err
	}
	s := &supervisor{linker: l.Linker, terms: &terms}
	if terms.Ask {
		s.attend()
	}
	ctx = s.begin(ctx)
	l.mu.Unlock()
	return s.run(ctx)
}
