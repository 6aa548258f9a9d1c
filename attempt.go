package walink

import (
	"context"
	"errors"
	"sync"
	"time"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink/internal/bound"
	"github.com/walink/walink/internal/door"
	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/queue"
	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/internal/tenure"
	"github.com/walink/walink/internal/wire"
)

const (
	// workerGrace is how long the end of a Link waits for its workers. Giving up an
	// earlier session is what takes them longest: wire.ShutLimit, dropLimit, and a second
	// each for a Store that does not heed that limit and for the lease.
	workerGrace = wire.ShutLimit + 7*time.Second
	// refusalLimit is how long the ledger may take to record a refusal.
	refusalLimit = 3 * time.Second
	// eventBuffer is how many events wait in the channel itself for a slow reader.
	// A Link of ten minutes sends fewer.
	eventBuffer = 48
)

// attempt drives one Link. Its goroutine owns the machine, the connection, the lease
// and the timer, and turns effects into calls and facts into events. Every call that
// can block runs in a worker, which posts its result to the inbox. whatsmeow's
// handlers post to the same inbox, and never touch the attempt.
type attempt struct {
	linker  *Linker
	set     *resolved
	machine *machine.Machine
	inbox   *queue.Queue[machine.Input]
	events  chan Event
	out     *queue.Queue[Event] // the events that the reader has not taken yet
	end     Event               // the terminal event, held back until the Link has cleaned up
	facts   facts
	calls   queue.Replies // of AnswerPasskey and ConfirmPasskey; the machine knows each call by its number

	unlinking  bool // for Unlink: this attempt logs a stored session in, and links nothing
	leaseFirst bool // nobody waits for a code: nothing is dialed before the lease

	base    context.Context         // see run
	work    context.Context         // see run
	cancel  context.CancelCauseFunc // ends the Link
	done    chan struct{}           // closed when the Link has cleaned up
	workers sync.WaitGroup

	rest     []machine.Input    // the inputs that had come, and were not handled, when the Link ended
	stopHook context.CancelFunc // ends the context of Settings.Passkey
	previous func()             // shuts the connection of an earlier Link, before the first load

	conn  *wire.Conn     // of the current epoch; nil before Connect and after Shut
	lease *tenure.Tenure // nil if the Store has no leases
}

// run drives the Link to its end. previous is the connection of an earlier Link. If
// that connection is still up, the Link is done at once; otherwise it is shut first.
//
// There are three contexts. ctx is the caller's, and its end ends the Link. work is for
// the workers, and ends with ctx or with the Link. base has the caller's values and never
// ends. Connections and leases use base, because they outlive the Link; Shut and
// Release end them.
func (a *attempt) run(ctx context.Context, previous *wire.Conn) {
	a.linker.seen.offer(false)
	work, stop := context.WithCancel(ctx)
	defer stop()
	a.work = work
	if previous != nil {
		if a.linker.takeOver(previous) {
			a.conn = previous
			a.linker.seen.link(previous.Account().JID.User)
			a.end = Linked{Account: accountOf(previous.Account()), Resumed: true}
			a.finish()
			return
		}
		a.previous = sync.OnceFunc(previous.Shut)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	done := ctx.Done()
	a.step(machine.Start{})
	for a.end == nil {
		if next := a.machine.Next(); !next.IsZero() {
			timer.Reset(time.Until(next))
		}
		out, event := a.out.Head(a.events)
		select {
		case <-a.inbox.Ready():
			inputs := a.inbox.Take()
			if why := a.over(ctx); why != nil { // Stop comes before the inputs that the end has caused
				a.step(machine.Stop{Err: why})
			}
			for len(inputs) > 0 && a.end == nil {
				a.step(inputs[0])
				inputs = inputs[1:]
			}
			a.rest = inputs
		case <-timer.C:
			a.step(machine.Tick{})
		case <-done:
			done = nil
			a.step(machine.Stop{Err: stopped(ctx, "link")})
		case out <- event:
			a.out.Sent()
		}
	}
	stop()
	a.finish()
}

// stopped says why the context of a Link has ended.
func stopped(ctx context.Context, op string) *machine.Failure {
	cause := context.Cause(ctx)
	if with, ok := errors.AsType[door.Stopped](cause); ok {
		return with.Failure
	}
	switch {
	case errors.Is(cause, ErrClosed):
		return &machine.Failure{Reason: machine.ReasonClosed, Op: op}
	case errors.Is(ctx.Err(), context.DeadlineExceeded), errors.Is(cause, context.DeadlineExceeded):
		return &machine.Failure{Reason: machine.ReasonTimeout, Op: op, Err: cause}
	}
	return &machine.Failure{Reason: machine.ReasonCanceled, Op: op, Err: cause}
}

// finish cleans up, gives the Linker the outcome, and sends the terminal event last,
// because the reader of that event may start the next Link.
func (a *attempt) finish() {
	conn, lease := a.conn, a.lease
	if conn != nil {
		conn.HandOver(a.linker.watch(conn), a.inbox, a.rest)
	}
	a.inbox.Close()
	_, linked := a.end.(Linked)
	if !linked && conn != nil {
		conn.Shut()
		conn = nil
	}
	a.await()
	if !linked {
		lease.Release()
		lease = nil
	}
	a.out.Put(a.linker.ended(a.end, conn, lease))
	drain(a.out, a.events)
}

// send sends an event, after those before it, or leaves it in the queue if the reader
// is behind.
func send(out *queue.Queue[Event], events chan Event, event Event) {
	out.Put(event)
	for {
		to, first := out.Head(events)
		select {
		case to <- first: // never, if the queue is empty
			out.Sent()
		default:
			return
		}
	}
}

// drain sends the remaining events at the reader's pace, and then closes the channel.
func drain(out *queue.Queue[Event], events chan Event) {
	for _, event := range out.Take() {
		events <- event
	}
	close(events)
}

// await waits for the workers, for workerGrace at most. A Store that ignores its
// context, or an OnClient that does not return, must not keep the Link from ending.
func (a *attempt) await() {
	done := make(chan struct{})
	go func() {
		a.workers.Wait()
		close(done)
	}()
	timer := time.NewTimer(workerGrace)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// step feeds the machine and does what it wants.
func (a *attempt) step(in machine.Input) {
	if a.end != nil {
		return
	}
	if loaded, ok := in.(machine.DeviceLoaded); ok {
		if device, ok := loaded.Device.(*wastore.Device); ok { // in order with Paired, unlike the worker
			a.linker.seen.load(device)
		}
	}
	for _, effect := range a.machine.Step(time.Now(), in) {
		conn := a.conn // of this effect, whenever its worker runs
		switch e := effect.(type) {
		case machine.Tell:
			a.emit(a.facts.next(e.Fact, a.set.phone))
		case machine.Load:
			a.load(e.Epoch)
		case machine.Connect:
			a.connect(e)
		case machine.Relogin:
			a.workers.Go(conn.Reconnect)
		case machine.AllowCode:
			a.workers.Go(func() { a.inbox.Put(machine.CodeAllowed{Err: a.countCode(e.Alone)}) })
		case machine.RequestCode:
			a.linker.seen.offer(true)
			a.workers.Go(func() { a.requestCode(conn, e.Alone) })
		case machine.AskHook:
			a.askHook(e)
		case machine.SendAnswer:
			a.workers.Go(func() {
				a.inbox.Put(machine.AnswerSent{Epoch: e.Epoch, Answer: e.Answer, Err: conn.AnswerPasskey(e.Assertion)})
			})
		case machine.SendConfirm:
			a.workers.Go(func() {
				a.inbox.Put(machine.ConfirmSent{Epoch: e.Epoch, Challenge: e.Challenge, Answer: e.Answer, Err: conn.ConfirmPasskey()})
			})
		case machine.Reply:
			var err error
			if e.Err != nil { // a nil *Error in an error is not nil
				err = a.facts.error(e.Err)
			}
			a.calls.Reply(e.Answer, err)
		case machine.Shut:
			a.stopHook()
			if conn != nil && conn.Epoch() == e.Epoch {
				a.conn = nil
				a.workers.Go(conn.Shut)
			}
		case machine.RefreshVersion:
			a.workers.Go(func() {
				a.inbox.Put(machine.VersionRefreshed{Epoch: e.Epoch, Err: a.set.conn.RefreshVersion(a.work)})
			})
		case machine.DropSession:
			a.workers.Go(func() {
				a.inbox.Put(machine.SessionDropped{Epoch: e.Epoch, Err: a.linker.deleteSession(a.work, deleteLimit, "drop session")})
			})
		}
	}
}

// emit sends an event, or holds it back if it is the last one.
func (a *attempt) emit(event Event) {
	a.set.logger.DebugContext(a.base, "link event", "session", redact.Name(a.set.session), "kind", string(event.Kind()), "event", event)
	switch e := event.(type) {
	case Linked, Failed:
		a.end = event
		return
	case Paired:
		a.linker.seen.link(e.Account.JID.User)
	case QRCode:
		a.linker.seen.offer(true)
	case Connecting, PairingCode, Withdrawn, PasskeyRequired, PasskeyConfirmation, Retrying,
		Disconnected, Reconnected, Standby:
	}
	a.linker.observe(event)
	send(a.out, a.events, event)
}

// requestCode asks the server for a pairing code. A refusal that comes while nobody is
// there must not lengthen the wait of the person who comes back, so it is not recorded.
func (a *attempt) requestCode(conn *wire.Conn, alone bool) {
	code, failure := conn.RequestCode(a.set.phone.Digits())
	switch {
	case failure != nil:
		if failure.RetryAfter > 0 && !alone {
			a.recordRefusal(failure)
		}
		a.inbox.Put(machine.CodeFailed{Epoch: conn.Epoch(), Err: failure})
	case code != "":
		a.inbox.Put(machine.CodeConfirmed{Epoch: conn.Epoch(), Code: code})
	}
}

// recordRefusal records a refusal in the ledger, so that the next refusal lasts longer.
func (a *attempt) recordRefusal(failure *machine.Failure) {
	now := time.Now()
	until, err := bound.Store(a.work, refusalLimit, func(ctx context.Context) (time.Time, error) {
		return a.linker.ledger.RefuseCode(ctx, a.set.phone.Digits(), now, failure.RetryAfter)
	})
	if err != nil {
		a.set.logger.WarnContext(a.base, "a refusal was not recorded",
			"error", errorOf(storeFailed("record refusal", a.set.session, err)))
		return
	}
	failure.RetryAfter = until.Sub(now)
}
