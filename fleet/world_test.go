package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/walink/walink"
	"github.com/walink/walink/fleet"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/walinktest"
)

// world is a fake WhatsApp and one database, for Fleets that share it. Its own Store
// makes each Fleet another process, as far as the leases are concerned. The end of a test
// fails if WhatsApp has seen two connections of one device, or the updates of a Fleet are
// out of order.
type world struct {
	*testing.T

	server *walinktest.Server
	db     *memory.DB

	mu      sync.Mutex
	phones  map[string]*walinktest.Phone // by session
	updates []reported                   // of all Fleets
}

// reported is an update of a process.
type reported struct {
	by *process
	fleet.Update
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, server: walinktest.NewServer(t), db: memory.New(), phones: map[string]*walinktest.Phone{}}
	t.Cleanup(func() {
		if err := w.db.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// process is a Fleet with its own Store on the database of the world.
type process struct {
	*fleet.Fleet

	world *world
	store store.Store
	line  *line

	capacity int
	lossy    bool // its OnUpdate misses updates
}

// process returns a Fleet, which the end of the test closes.
func (w *world) process(set fleet.Settings) *process {
	w.Helper()
	p := &process{world: w, line: &line{db: w.db}}
	p.store = rig.Memory{Store: kv.New(p.line)}
	p.open(p.store, set)
	return p
}

// open makes the Fleet of p on a Store.
func (p *process) open(st store.Store, set fleet.Settings) {
	w := p.world
	w.Helper()
	set.Defaults.HTTPClient = w.server.HTTPClient()
	onUpdate, onClient := set.OnUpdate, set.OnClient
	last := map[string]fleet.Update{}
	set.OnUpdate = func(u fleet.Update) {
		w.mu.Lock()
		w.updates = append(w.updates, reported{p, u})
		before := last[u.Session]
		if u.Epoch == 0 && u.Sequence == 1 { // the Fleet has forgotten the session meanwhile
			before = fleet.Update{}
		}
		if p.lossy {
			before = fleet.Update{Epoch: u.Epoch, Sequence: u.Sequence - 1}
		}
		if u.Epoch < before.Epoch || u.Epoch == before.Epoch && u.Sequence != before.Sequence+1 ||
			u.Epoch > before.Epoch && u.Sequence != 1 {
			w.Errorf("session %s: %d-%d follows %d-%d", u.Session, u.Epoch, u.Sequence, before.Epoch, before.Sequence)
		}
		last[u.Session] = u
		w.mu.Unlock()
		if onUpdate != nil {
			onUpdate(u)
		}
	}
	set.OnClient = func(session string, client *whatsmeow.Client) {
		client.AddEventHandler(func(event any) {
			if _, ok := event.(*events.StreamReplaced); ok {
				w.Errorf("session %s was connected twice", session)
			}
		})
		if onClient != nil {
			onClient(session, client)
		}
	}
	f, err := fleet.New(st, set)
	if err != nil {
		w.Fatal(err)
	}
	p.Fleet = f
	w.Cleanup(func() {
		p.line.restore()
		p.close()
	})
}

func (p *process) close() {
	p.world.Helper()
	if err := p.Close(); err != nil {
		p.world.Error(err)
	}
}

// run runs the Fleet, until the end of the test or of the Fleet.
func (p *process) run() *process {
	go func() {
		if err := p.Run(p.world.Context()); err != nil && !errors.Is(err, fleet.ErrClosed) { // closed before it began
			p.world.Error(err)
		}
	}()
	return p
}

// running is process and run.
func (w *world) running(set fleet.Settings) *process {
	w.Helper()
	return w.process(set).run()
}

// phone returns the phone for a session.
func (w *world) phone(session string) *walinktest.Phone {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.phones[session] == nil {
		w.phones[session] = w.server.NewPhone(fmt.Sprintf("+55119%08d", 10000000+len(w.phones)))
	}
	return w.phones[session]
}

// seed stores linked sessions, and returns their names.
func (w *world) seed(n int) (names []string) {
	w.Helper()
	p := w.process(fleet.Settings{})
	for i := range n {
		names = append(names, fmt.Sprintf("s%03d", i))
		p.link(names[i])
	}
	p.close()
	return names
}

// link links a session by QR code.
func (p *process) link(session string, options ...fleet.LinkOption) {
	w := p.world
	w.Helper()
	if err := p.Link(w.Context(), session, walink.Settings{}, options...); err != nil {
		w.Fatal(err)
	}
	p.until(session, func(u fleet.Update) bool {
		if code := u.Status.QRCode; code != nil {
			if err := w.phone(session).ScanQR(w.Context(), code.Payload); err != nil {
				w.Fatal(err)
			}
		}
		return u.Status.State == walink.StateLinked
	})
}

// until reads the updates of a session until one is as wanted, and returns that.
func (p *process) until(session string, wanted func(fleet.Update) bool) fleet.Update {
	w := p.world
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 24*time.Hour)
	defer cancel()
	var last fleet.Update
	for u := range p.Watch(ctx, session) {
		if last = u; wanted(u) {
			return u
		}
	}
	w.Fatalf("session %s ends with: %v, %v", session, last.Status.State, last)
	return last
}

// await reads until the session has a state.
func (p *process) await(session string, state walink.State) fleet.Update {
	p.world.Helper()
	return p.until(session, func(u fleet.Update) bool { return u.Status.State == state })
}

// kinds returns the kinds of the updates of a session that a process has reported so far. An
// update without event is the new state, with "=".
func (p *process) kinds(session string) (kinds []string) {
	synctest.Wait()
	p.world.mu.Lock()
	defer p.world.mu.Unlock()
	for _, u := range p.world.updates {
		switch {
		case u.Session != session || u.by != p:
		case u.Event == nil:
			kinds = append(kinds, "="+string(u.Status.State))
		default:
			kinds = append(kinds, string(u.Event.Kind()))
		}
	}
	return kinds
}

// wantKinds fails unless the kinds are as wanted, and forgets them.
func (p *process) wantKinds(session string, want ...string) {
	p.world.Helper()
	if got := p.kinds(session); !slices.Equal(got, want) {
		p.world.Errorf("session %s: %v, want %v", session, got, want)
	}
	p.world.forget()
}

// forget forgets the updates so far.
func (w *world) forget() {
	synctest.Wait() // OnUpdate gets them later than the watchers
	w.mu.Lock()
	defer w.mu.Unlock()
	w.updates = nil
}

// seen returns the updates that any process has reported so far.
func (w *world) seen() []reported {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.updates)
}

// failed fails if any update says that something failed for good.
func (w *world) failed() {
	w.Helper()
	for _, u := range w.seen() {
		if _, failed := u.Event.(walink.Failed); failed {
			w.Errorf("session %s: %v", u.Session, u.Event)
		}
	}
}

// connected returns how many of the sessions each process has connected, and fails if one
// is not connected exactly once.
func (w *world) connected(names []string, by ...*process) []int {
	w.Helper()
	shares := make([]int, len(by))
	for _, name := range names {
		n := 0
		for i, p := range by {
			if client := p.Client(name); client != nil && client.IsLoggedIn() {
				shares[i]++
				n++
			}
		}
		if n != 1 {
			w.Errorf("session %s is connected %d times", name, n)
		}
	}
	return shares
}

// even fails unless the shares are even.
func (w *world) even(shares []int) {
	w.Helper()
	if slices.Max(shares)-slices.Min(shares) > 1 {
		w.Errorf("the shares are %v", shares)
	}
}

// disconnect disconnects a client that is connected. While a client connects, Disconnect
// waits for a mutex, and the time of a bubble does not pass.
func (p *process) disconnect(session string) {
	synctest.Wait()
	online := slices.ContainsFunc(p.world.phone(session).LinkedDevices(), func(d walinktest.Device) bool { return d.Online })
	if client := p.Client(session); client != nil && online {
		client.Disconnect()
	}
}

// get returns what the Fleet knows of a session.
func (p *process) get(session string) fleet.Session {
	p.world.Helper()
	s, err := p.Session(p.world.Context(), session)
	if err != nil {
		p.world.Fatal(err)
	}
	return s
}

// gone fails unless the Fleet does not know the session.
func (p *process) gone(session string) {
	p.world.Helper()
	if s, err := p.Session(p.world.Context(), session); !errors.Is(err, store.ErrNotFound) {
		p.world.Errorf("session %s: %+v, %v, want ErrNotFound", session, s, err)
	}
}
