package fleet_test

import (
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/fleet"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/store"
	"github.com/walink/walink/walinktest"
)

// TestRandomWorlds has Fleets join, end, die and come back, people link, stop and unlink
// sessions, and the network, the Store and WhatsApp fail, at random, for hours. The rules
// hold at all times, and after 70 minutes in which nothing happens all sessions are where
// they should be. The environment variable WALINK_SEED repeats one world.
func TestRandomWorlds(t *testing.T) {
	t.Parallel()
	seeds := make([]uint64, 1)
	for i := range seeds {
		seeds[i] = new(maphash.Hash).Sum64()
	}
	if seed, err := strconv.ParseUint(os.Getenv("WALINK_SEED"), 10, 64); err == nil {
		seeds = []uint64{seed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				r := &random{world: newWorld(t), Rand: rand.New(rand.NewPCG(seed, 0)), asked: map[string]bool{}, people: map[string]string{}, logins: map[string][]time.Time{}}
				r.play()
			})
		})
	}
}

// random is a world in which things happen at random.
type random struct {
	*world
	*rand.Rand

	running []*process
	dead    []*process             // they still run, and reach the Store no more
	logins  map[string][]time.Time // by session
	people  map[string]string      // what the people think that a session is: linked, stopped or gone; nothing if they do not know

	askedMu sync.Mutex
	asked   map[string]bool // somebody is there for the session
}

func (r *random) play() {
	for _, name := range r.seed(15) {
		r.people[name] = "linked"
	}
	for range 3 {
		r.join()
	}
	for range 3 {
		for range 10 + r.IntN(20) {
			r.step()
			r.pass(time.Duration(r.ExpFloat64() * float64(20*time.Second)))
		}
		r.settle()
	}
}

// join starts a process.
func (r *random) join() {
	set := fleet.Settings{Holder: fmt.Sprint("process ", r.IntN(1000)), OnUpdate: r.hear}
	if r.IntN(3) == 0 {
		set.Capacity = 3 + r.IntN(10)
	}
	p := r.process(set).run()
	p.capacity = set.Capacity
	r.running = append(r.running, p)
}

// hear checks an update.
func (r *random) hear(u fleet.Update) {
	r.askedMu.Lock()
	defer r.askedMu.Unlock()
	switch u.Status.State {
	case walink.StateAwaitingPhone, walink.StateAwaitingPasskey, walink.StatePaired:
		if !r.asked[u.Session] {
			r.Errorf("session %s shows codes, and nobody is there: %v", u.Session, u)
		}
	case walink.StateIdle, walink.StateConnecting, walink.StateLinked, walink.StateOffline, walink.StateRetrying, walink.StateStandby,
		walink.StateFailed:
	}
}

func (r *random) ask(session string, asked bool) {
	r.askedMu.Lock()
	defer r.askedMu.Unlock()
	r.asked[session] = asked
}

// pass lets time pass, and counts the logins.
func (r *random) pass(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
		for _, device := range r.server.Devices() {
			name := device.JID.User
			list := r.logins[name]
			for range device.Logins - len(list) {
				list = append(list, time.Now())
			}
			r.logins[name] = list
			if n := len(list); n > 60 && list[n-1].Sub(list[n-61]) < 15*time.Minute {
				r.Fatalf("%s has logged in 61 times in %v", name, list[n-1].Sub(list[n-61]))
			}
		}
	}
}

// step lets something happen.
func (r *random) step() {
	p := r.running[r.IntN(len(r.running))]
	session := fmt.Sprintf("s%03d", r.IntN(24))
	switch r.IntN(16) {
	case 0:
		if len(r.running) < 5 {
			r.join()
		}
	case 1:
		if len(r.running) > 2 {
			r.remove(p)
			p.close()
		}
	case 2: // it dies
		if len(r.running) > 2 {
			r.remove(p)
			p.line.cut(true)
			r.dead = append(r.dead, p)
		}
	case 3: // its Store is away
		p.line.cut(r.IntN(2) == 0)
		r.pass(time.Duration(r.ExpFloat64() * float64(10*time.Second)))
		p.line.restore()
	case 4:
		for _, p := range r.running {
			p.line.cut(r.IntN(2) == 0)
		}
		r.pass(time.Duration(r.ExpFloat64() * float64(10*time.Second)))
		for _, p := range r.running {
			p.line.restore()
		}
	case 5:
		r.server.Restart()
	case 6:
		stages := []walinktest.Stage{walinktest.StageLogin, walinktest.StageUpgrade, walinktest.StageAfterLogin, walinktest.StagePairDevice}
		actions := []walinktest.Action{walinktest.Drop(), walinktest.Silence(), walinktest.Refuse(503)}
		stage := stages[r.IntN(len(stages))]
		r.server.Script(stage, actions[r.IntN(len(actions))].Times(1+r.IntN(30)))
		r.server.Restart()
		r.pass(time.Duration(r.ExpFloat64() * float64(20*time.Second)))
		r.server.Script(stage)
	case 7: // the phone removes the device
		for _, device := range r.phone(session).LinkedDevices() {
			r.phone(session).Remove(device.JID)
		}
		if r.people[session] = "gone"; p.Client(session) == nil { // it may be noticed much later
			delete(r.people, session)
		}
	case 8:
		p.disconnect(session)
	case 9:
		if !r.known(p, session, p.Stop(r.Context(), session)) {
			break
		}
		switch r.people[session] {
		case "linked":
			r.people[session] = "stopped"
		case "gone": // not yet
			delete(r.people, session)
		}
	case 10:
		_, err := p.Unlink(r.Context(), session)
		if r.known(p, session, err) {
			r.people[session] = "gone"
		}
	default:
		r.linkOne(p, session)
	}
}

// known reports whether a call has succeeded. It fails for an error that nothing explains.
func (r *random) known(p *process, session string, err error) bool {
	var busy *store.BusyError
	switch {
	case err == nil:
		return true
	case errors.As(err, &busy), errors.Is(err, store.ErrNotFound), errors.Is(err, fleet.ErrFull) && p.capacity > 0: // nothing was done
	case errors.Is(err, walink.ErrStore), errors.Is(err, walink.ErrNetwork), errors.Is(err, walink.ErrServer),
		errors.Is(err, walink.ErrTimeout), errors.Is(err, walink.ErrStalled):
		delete(r.people, session)
	default:
		r.Errorf("session %s: %v", session, err)
	}
	return false
}

// linkOne links a session, with a person who scans, or goes away.
func (r *random) linkOne(p *process, session string) {
	r.ask(session, true)
	if !r.known(p, session, p.Link(r.Context(), session, walink.Settings{Timeout: 2 * time.Minute})) {
		r.ask(session, false)
		return
	}
	delete(r.people, session)
	scans := r.IntN(4) > 0
	ctx := r.Context()
	end := time.Now().Add(3 * time.Minute)
	for time.Now().Before(end) {
		s, err := p.Session(ctx, session)
		if err == nil && s.Status.State == walink.StateLinked {
			r.people[session] = "linked"
		}
		if err != nil || s.Status.State == walink.StateLinked || s.Status.State == walink.StateFailed || s.Status.State == walink.StateStandby {
			break
		}
		if code := s.Status.QRCode; code != nil && scans {
			_ = r.phone(session).ScanQR(ctx, code.Payload)
		}
		r.pass(time.Second)
	}
	r.pass(time.Minute) // the Link is over
	r.ask(session, false)
}

func (r *random) remove(p *process) {
	for i := range r.running {
		if r.running[i] == p {
			r.running = append(r.running[:i:i], r.running[i+1:]...)
			return
		}
	}
}

// settle lets nothing happen for a while, and then looks at everything.
func (r *random) settle() {
	for _, p := range r.dead {
		p.close()
	}
	r.dead = nil
	r.pass(70 * time.Minute) // the longest pause of a session is an hour
	room, all, missing := 0, 0, 0
	for _, p := range r.running {
		if p.capacity == 0 {
			room = 1 << 20
		}
		room += p.capacity
	}
	shares := make([]int, len(r.running))
	people := maps.Clone(r.people)
	list, err := r.running[0].Sessions(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	for _, s := range list {
		is := "linked"
		if s.Account == nil {
			is = "gone"
		} else if !s.Wanted {
			is = "stopped"
		}
		if think := r.people[s.Name]; think != is && think != "" {
			r.Errorf("session %s is %s, and the people think that it is %s: %+v", s.Name, is, think, s)
		}
		delete(people, s.Name)
		if is != "linked" {
			continue
		}
		all++
		var at []int
		for i, p := range r.running {
			if client := p.Client(s.Name); client != nil && client.IsLoggedIn() {
				at = append(at, i)
				shares[i]++
			}
		}
		if len(at) > 1 {
			r.Errorf("session %s is connected at %v", s.Name, at)
		} else if len(at) == 0 {
			missing++
		}
	}
	if missing != max(all-room, 0) {
		r.Errorf("%d of %d sessions are not connected, and there is room for %d", missing, all, room)
	}
	for name, think := range people {
		if think != "gone" {
			r.Errorf("session %s is not there, and the people think that it is %s", name, think)
		}
	}
	r.Logf("%d sessions, shares %v", all, shares)
	most, least := 0, 1<<20
	for i, p := range r.running {
		if p.capacity > 0 && shares[i] > p.capacity {
			r.Errorf("%d sessions, and the capacity is %d", shares[i], p.capacity)
		}
		most = max(most, shares[i])
		if p.capacity == 0 || shares[i] < p.capacity {
			least = min(least, shares[i])
		}
	}
	if least < most-1 {
		r.Errorf("the shares are %v", shares)
	}
}
