package tenure

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
)

var worlds = flag.Int("worlds", 10, "how many worlds TestNoTwoProcessesHaveOneSession tries")

// Three processes share the sessions of one Store. Their clocks and that of the Store drift
// and jump, the processes and their machines stop, their calls are slow, get lost, or are
// done long after anybody waits for them. At no time do two processes have one session, and
// no session is long without a process.
//
// Two things are left out, because no clock shows them: a clock of the Store that jumps
// ahead, and a machine that sleeps while its wall clock is set back.
func TestNoTwoProcessesHaveOneSession(t *testing.T) {
	t.Parallel()
	for range *worlds {
		seed := rand.Uint64()
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { newWorld(t, seed).live(10 * time.Minute) })
		})
	}
}

const worldSessions = 3

// How long a session may be without a process, all of which want it.
const (
	steadyIdle = time.Minute
	idle       = 4 * time.Minute // all processes may be away at once
)

// world is a Store and the processes that share it. Time in the bubble is the real one.
type world struct {
	t      *testing.T
	start  time.Time
	store  clockModel
	procs  []*proc
	steady bool // only calls fail, and each process has one more session all the time, so that its holder stays
	group  sync.WaitGroup

	mu     sync.Mutex
	random *rand.Rand
	last   [worldSessions]*proc     // who had a session last
	idle   [worldSessions]time.Time // since when nobody has it
	passed int                      // how often a session passed from one process to another
	lost   int                      // how often a process has lost a session
}

// clockModel is a clock. It runs at its own rate, and jumps.
type clockModel struct {
	rate float64
	jump time.Duration
}

func (c clockModel) read(elapsed time.Duration) time.Time {
	return time.Unix(1e9, 0).Add(time.Duration(float64(elapsed)*c.rate) + c.jump)
}

// proc is a process on its own machine.
type proc struct {
	*kv.Store

	world   *world
	keepers *keepers
	sleeps  bool // its machine sleeps at times; otherwise its wall clock jumps

	mu     sync.Mutex
	clock  clockModel
	slept  time.Duration // for how long the monotonic clock did not run
	paused time.Time     // until then it does nothing
	cut    time.Time     // until then its calls do not reach the Store
	has    [worldSessions]*Tenure
}

var errLost = errors.New("the connection is lost")

// db is a DB with the clock of the world's Store.
type db struct {
	*memory.DB
	world *world
}

func (d db) Now(context.Context) (time.Time, error) {
	d.world.mu.Lock()
	defer d.world.mu.Unlock()
	return d.world.store.read(time.Since(d.world.start)), nil
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{t: t, start: time.Now(), random: rand.New(rand.NewPCG(seed, 0))}
	drift := func() float64 { return 0.985 + w.random.Float64()*0.03 }
	w.store.rate, w.steady = drift(), w.random.Float64() < 0.3
	st := kv.New(db{memory.New(), w})
	for i := range 3 {
		p := &proc{Store: st, world: w, clock: clockModel{rate: drift()}, sleeps: w.random.Float64() < 0.5}
		p.keepers = newKeepers(fmt.Sprint("process ", i, " "), p.now)
		w.procs = append(w.procs, p)
	}
	return w
}

// roll returns a random time, and whether something happens that does so with that chance.
func (w *world) roll(chance float64, longest time.Duration) (bool, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.Float64() < chance, time.Duration(w.random.Float64() * float64(longest))
}

func (w *world) live(length time.Duration) {
	ctx, cancel := context.WithTimeout(w.t.Context(), length)
	defer cancel()
	for i, p := range w.procs {
		for session := range worldSessions {
			w.idle[session] = w.start
			w.group.Go(func() {
				p.use(ctx, fmt.Sprint("session ", session), time.Minute, func(tenure *Tenure) { p.set(session, tenure) })
			})
		}
		if w.steady {
			w.group.Go(func() { p.use(ctx, fmt.Sprint("session of ", i), length, func(*Tenure) {}) })
		} else {
			w.group.Go(func() { p.suffer(ctx) })
		}
	}
	for ctx.Err() == nil && !w.t.Failed() {
		w.look()
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	w.group.Wait()
	time.Sleep(2 * time.Minute) // what was begun ends
	if !w.t.Failed() && (w.passed < 10 || w.lost < 3 && !w.steady) {
		w.t.Errorf("nothing happened: sessions passed from one process to another %d times, and %d were lost", w.passed, w.lost)
	}
}

// look fails the test if two processes have one session. A process that is paused uses none.
func (w *world) look() {
	for session := range worldSessions {
		var holders []*proc
		for _, p := range w.procs {
			p.mu.Lock()
			tenure, awake := p.has[session], !time.Now().Before(p.paused)
			p.mu.Unlock()
			if awake && tenure != nil && tenure.Holds() {
				holders = append(holders, p)
			}
		}
		if len(holders) > 1 {
			w.t.Errorf("after %v, %d processes have session %d", time.Since(w.start), len(holders), session)
		}
		if len(holders) > 0 {
			w.idle[session] = time.Now()
		}
		most := idle
		if w.steady {
			most = steadyIdle
		}
		if idle := time.Since(w.idle[session]); idle > most {
			w.t.Errorf("after %v, session %d is without a process for %v", time.Since(w.start), session, idle)
		}
		if len(holders) == 1 {
			w.mu.Lock()
			if w.last[session] != holders[0] {
				w.last[session], w.passed = holders[0], w.passed+1
			}
			w.mu.Unlock()
		}
	}
}

// awake returns once the process is not paused.
func (p *proc) awake() {
	for {
		p.mu.Lock()
		pause := time.Until(p.paused)
		p.mu.Unlock()
		if pause <= 0 {
			return
		}
		time.Sleep(pause)
	}
}

func (p *proc) now() moment {
	p.awake()
	p.mu.Lock()
	defer p.mu.Unlock()
	elapsed := time.Since(p.world.start)
	return moment{running: clockModel{rate: p.clock.rate}.read(elapsed - p.slept), wall: p.clock.read(elapsed)}
}

// use takes a session again and again, and uses it for a while. If another process has it,
// the process stands by until it has the session, as Supervise does.
func (p *proc) use(ctx context.Context, session string, longest time.Duration, note func(*Tenure)) {
	standby := false
	for ctx.Err() == nil {
		evicted := make(chan struct{})
		tenure := newIn(ctx, p.keepers, p, session, func(*Tenure, *machine.Failure) { close(evicted) })
		failure := tenure.Take(ctx)
		p.awake()
		if failure == nil {
			note(tenure)
			_, length := p.world.roll(0, longest)
			timer := time.NewTimer(length)
			select {
			case <-timer.C:
			case <-ctx.Done():
			case <-evicted:
				p.world.mu.Lock()
				p.world.lost++
				p.world.mu.Unlock()
			}
			timer.Stop()
			p.awake()
			note(nil)
		}
		tenure.Release()
		_, pause := p.world.roll(0, 2*time.Second)
		time.Sleep(pause)
		standby = failure != nil && (standby || failure.Reason == machine.ReasonSessionBusy)
		for standby && ctx.Err() == nil && Busy(ctx, p, session) {
			time.Sleep(Poll)
		}
	}
}

func (p *proc) set(session int, tenure *Tenure) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.has[session] = tenure
}

// suffer stops the process or its machine, cuts its network, and changes the clocks.
func (p *proc) suffer(ctx context.Context) {
	for ctx.Err() == nil {
		_, pause := p.world.roll(0, 20*time.Second)
		time.Sleep(pause)
		p.awake()
		_, length := p.world.roll(0, 25*time.Second)
		_, jump := p.world.roll(0, 2*time.Hour)
		_, which := p.world.roll(0, 4)
		p.mu.Lock()
		switch int(which) {
		case 0: // the process is stopped
			p.paused = time.Now().Add(length)
		case 1:
			if p.sleeps {
				p.paused, p.slept = time.Now().Add(length), p.slept+length
			} else {
				p.clock.jump += jump - time.Hour
			}
		case 2:
			p.cut = time.Now().Add(length)
		}
		p.mu.Unlock()
		if which == 3 {
			p.world.mu.Lock()
			p.world.store.jump -= jump
			p.world.mu.Unlock()
		}
	}
}

// call makes a call of the Store, which may be slow, fail before or after it was done, or
// be done when nobody waits for it any more.
func call[T any](ctx context.Context, p *proc, do func(context.Context) (T, error)) (T, error) {
	p.awake()
	_, delay := p.world.roll(0, 200*time.Millisecond)
	if slow, longer := p.world.roll(0.05, 30*time.Second); slow {
		delay = longer
	}
	p.mu.Lock()
	delay = max(delay, time.Until(p.cut))
	p.mu.Unlock()
	fails, _ := p.world.roll(0.05, 0)
	unheard, _ := p.world.roll(0.05, 0)
	done := make(chan struct{})
	var value T
	err := errLost
	go func() {
		defer close(done)
		time.Sleep(delay)
		if !fails {
			value, err = do(context.WithoutCancel(ctx))
		}
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return *new(T), ctx.Err()
	}
	p.awake()
	if unheard {
		return *new(T), errLost
	}
	return value, err
}

func (p *proc) TakeLeases(
	ctx context.Context, sessions []string, holder store.Holder, ttl time.Duration,
) (taken, busy []store.Lease, err error) {
	both, err := call(ctx, p, func(ctx context.Context) (both [2][]store.Lease, err error) {
		both[0], both[1], err = p.Store.TakeLeases(ctx, sessions, holder, ttl)
		return both, err
	})
	return both[0], both[1], err
}

func (p *proc) RenewHolder(ctx context.Context, holder store.Holder, ttl time.Duration) (store.Holder, error) {
	return call(ctx, p, func(ctx context.Context) (store.Holder, error) { return p.Store.RenewHolder(ctx, holder, ttl) })
}

func (p *proc) ReleaseLease(ctx context.Context, lease store.Lease) error {
	_, err := call(ctx, p, func(ctx context.Context) (struct{}, error) { return struct{}{}, p.Store.ReleaseLease(ctx, lease) })
	return err
}

func (p *proc) EndHolder(ctx context.Context, holder store.Holder) error {
	_, err := call(ctx, p, func(ctx context.Context) (struct{}, error) { return struct{}{}, p.Store.EndHolder(ctx, holder) })
	return err
}

func (p *proc) Leases(ctx context.Context) ([]store.Lease, error) {
	return call(ctx, p, p.Store.Leases)
}

func (p *proc) PeekLease(ctx context.Context, session string) (store.Lease, error) {
	return call(ctx, p, func(ctx context.Context) (store.Lease, error) { return p.Store.PeekLease(ctx, session) })
}
