package leasetest

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/store"
	"github.com/walink/walink/walinktest"
)

// Config says what [Run] does.
type Config struct {
	// Open opens the store, here and in the children.
	Open Opener
	// Name returns the name by which a child opens its Store. The parent has
	// the number -1.
	Name func(child int) string
	// Children is the number of programs, and Sessions that of the sessions
	// that they share.
	Children, Sessions int
	// Kills and Stops are how often a program is killed, and stopped until
	// others have its leases. Cuts is how often one is cut off from the Store,
	// by Cut. The restore that Cut returns ends that. Restarts is how often the
	// server of the Store is restarted, by Restart.
	Kills, Stops, Cuts, Restarts int
	Cut                          func(child int) (restore func())
	Restart                      func() error

	fleets bool // each program has a Fleet
}

const (
	// takeover is how long sessions may be without a program: the time of a lease,
	// the time until another program asks for the lease, and the time to log in on
	// a busy machine.
	takeover = 30 * time.Second
	// aftermath is how long after a restart of the server of the Store a program would
	// give its sessions up if it had not renewed its leases.
	aftermath = 12 * time.Second
)

// Run starts programs that all supervise the same sessions. It kills, stops and
// cuts off one after the other. The test fails if a session is ever connected
// twice, or not taken over in time.
func Run(t *testing.T, config Config) {
	t.Helper()
	r := &run{
		t: t, config: config, srv: walinktest.NewServer(t),
		holders: map[int]*child{}, changed: make(chan struct{}, 1), slowest: map[string]time.Duration{},
	}
	var err error
	if r.address, err = r.srv.Listen("127.0.0.1:0", 0); err != nil {
		t.Fatal(err)
	}
	r.link()
	for i := range config.Children {
		r.children = append(r.children, r.start(i))
	}
	t.Cleanup(func() {
		for _, c := range r.children {
			r.mu.Lock()
			c.away = true // the others take its sessions
			r.mu.Unlock()
			c.end(t)
		}
	})
	r.settle("at the start")
	steps := []struct {
		times int
		do    func()
	}{{config.Kills, r.kill}, {config.Stops, r.stop}, {config.Cuts, r.cut}, {config.Restarts, r.restart}}
	for i := range max(config.Kills, config.Stops, config.Cuts, config.Restarts) {
		for _, step := range steps {
			if t.Failed() {
				return
			}
			if i < step.times {
				step.do()
			}
		}
	}
	t.Logf("%d sessions passed from one program to another, the slowest after these times: %v", r.passed, r.slowest)
}

type run struct {
	t        *testing.T
	config   Config
	srv      *walinktest.Server
	address  string
	children []*child

	mu      sync.Mutex
	holders map[int]*child // of sessions
	changed chan struct{}  // has a token when a child has said something

	passed  int
	slowest map[string]time.Duration // by what was done to a program
}

// link links all sessions. They have no first minute: those of hundreds of sessions at once
// load the Store so much that a test would be about that.
func (r *run) link() {
	t := r.t
	r.srv.Script(walinktest.StageFirstMinute, walinktest.Silence().Always())
	st, err := r.config.Open(t.Context(), r.config.Name(-1))
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.config.Sessions {
		linker, err := walink.New(st, walink.Settings{Session: sessionName(i), HTTPClient: r.srv.HTTPClient()})
		if err != nil {
			t.Fatal(err)
		}
		phone := r.srv.NewPhone(fmt.Sprintf("+55119%08d", i))
		events, err := linker.Link(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for event := range events {
			switch e := event.(type) {
			case walink.QRCode:
				err = phone.ScanQR(t.Context(), e.Payload)
			case walink.Failed:
				err = e.Err
			default:
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := linker.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}

// child is one of the programs.
type child struct {
	number int
	cmd    *exec.Cmd
	stdin  io.Closer
	proxy  *Proxy // to WhatsApp
	reader sync.WaitGroup

	killed bool

	away bool           // stopped, killed or ending; guarded by the run's mu
	lost map[int]string // sessions that it has reported as lost since then, with the reason
}

func (r *run) start(number int) *child {
	t := r.t
	t.Helper()
	c := &child{number: number, cmd: exec.Command(os.Args[0]), proxy: NewProxy(t, "tcp", r.address), lost: map[int]string{}}
	root := r.srv.RootKey()
	c.cmd.Env = append(os.Environ(),
		envAddress+"="+c.proxy.Addr(), envRoot+"="+hex.EncodeToString(root[:]),
		envStore+"="+r.config.Name(number), envSessions+"="+strconv.Itoa(r.config.Sessions))
	if r.config.fleets {
		c.cmd.Env = append(c.cmd.Env, envFleet+"="+programName(number))
	}
	c.cmd.Stderr = os.Stderr
	output, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.reader.Go(func() {
		lines := bufio.NewScanner(output)
		for lines.Scan() {
			r.hear(c, lines.Text())
		}
	})
	return c
}

func (c *child) kill() error {
	c.killed = true
	return c.cmd.Process.Kill()
}

// end makes the child end, and waits for that. The test fails if the child takes long, and
// prints its stacks, or if the child ends with an error and was not killed.
func (c *child) end(t *testing.T) {
	t.Helper()
	_ = c.stdin.Close()
	_ = resume(c.cmd.Process)
	slow := time.AfterFunc(takeover, func() {
		if c.cmd.Process.Signal(syscall.SIGQUIT) != nil {
			_ = c.cmd.Process.Kill()
		}
	})
	c.reader.Wait()
	slow.Stop()
	if err := c.cmd.Wait(); err != nil && !c.killed {
		t.Errorf("program %d has ended with %v", c.number, err)
	}
}

// hear records a line of a child.
func (r *run) hear(c *child, line string) {
	words := strings.Fields(line)
	session := -1
	if len(words) > 1 {
		session, _ = strconv.Atoi(words[1])
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch words[0] {
	case "linked", "back":
		if other := r.holders[session]; other != nil && other != c && !other.away && !c.away {
			r.t.Errorf("session %d is connected in program %d and in program %d", session, other.number, c.number)
		}
		if !c.away {
			r.holders[session] = c
		}
	case "lost":
		c.lost[session] = strings.Join(words[3:], " ")
		if words[2] == string(walink.ErrReplaced) {
			r.t.Errorf("session %d of program %d was replaced by another program", session, c.number)
		}
		if r.holders[session] == c {
			delete(r.holders, session)
		}
	default:
		r.t.Errorf("program %d says: %s", c.number, line)
	}
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// settle waits until every session is connected, and returns how long that
// took.
func (r *run) settle(when string) time.Duration {
	r.t.Helper()
	start := time.Now()
	timer := time.NewTimer(takeover)
	defer timer.Stop()
	for {
		r.mu.Lock()
		held := len(r.holders)
		r.mu.Unlock()
		if held == r.config.Sessions || r.t.Failed() {
			return time.Since(start)
		}
		select {
		case <-r.changed:
		case <-timer.C:
			r.t.Fatalf("%s, %d of %d sessions are connected after %v", when, held, r.config.Sessions, takeover)
		}
	}
}

// leave chooses the program that has most sessions, and records that it no
// longer has them. It returns the program and its sessions.
func (r *run) leave() (c *child, sessions []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	count := map[*child]int{}
	for _, holder := range r.holders {
		if count[holder]++; c == nil || count[holder] > count[c] {
			c = holder
		}
	}
	c.away = true
	clear(c.lost)
	for session, holder := range r.holders {
		if holder == c {
			sessions = append(sessions, session)
			delete(r.holders, session)
		}
	}
	return c, sessions
}

func (r *run) count(what string, sessions []int, took time.Duration) {
	r.passed += len(sessions)
	r.slowest[what] = max(r.slowest[what], took.Round(time.Millisecond))
}

// kill kills a program, and starts another in its place.
func (r *run) kill() {
	c, sessions := r.leave()
	if err := c.kill(); err != nil {
		r.t.Error(err)
	}
	c.end(r.t)
	r.children[c.number] = r.start(c.number)
	r.count("killed", sessions, r.settle("after a program was killed"))
}

// pause stops a program, but not in the middle of a write: the others could not write until
// the program goes on.
func (r *run) pause(c *child) {
	r.t.Helper()
	for tries := 1; ; tries++ {
		if err := pause(c.cmd.Process); err != nil {
			r.t.Fatal(err)
		}
		err := r.write()
		if err == nil {
			return
		}
		if tries == 30 {
			r.t.Fatal(err)
		}
		if err := resume(c.cmd.Process); err != nil {
			r.t.Fatal(err)
		}
	}
}

// write writes to the Store, and changes nothing.
func (r *run) write() error {
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Second)
	defer cancel()
	st, err := r.config.Open(ctx, r.config.Name(-1))
	if err != nil {
		return err
	}
	err = st.(store.Leaser).ReleaseLease(ctx, store.Lease{Session: "nobody's"}) //nolint:errcheck // every Store here has leases
	return errors.Join(err, st.Close())
}

// stop stops a program until others have its sessions. When the program
// continues, it must send nothing on its old connections.
func (r *run) stop() {
	c, sessions := r.leave()
	r.pause(c)
	r.count("stopped", sessions, r.settle("after a program was stopped"))
	before := map[*link]int64{}
	for _, l := range c.proxy.open() {
		before[l] = l.sent.Load()
	}
	r.mu.Lock()
	c.away = false
	r.mu.Unlock()
	if err := resume(c.cmd.Process); err != nil {
		r.t.Fatal(err)
	}
	timer := time.NewTimer(takeover)
	defer timer.Stop()
	for {
		r.mu.Lock()
		known := 0
		for _, session := range sessions {
			if c.lost[session] != "" {
				known++
			}
		}
		r.mu.Unlock()
		if known == len(sessions) {
			break
		}
		select {
		case <-r.changed:
		case <-timer.C:
			r.t.Fatalf("a program that was stopped knows of %d of the %d sessions that it has lost", known, len(sessions))
		}
	}
	for l, sent := range before {
		if more := l.sent.Load() - sent; more > 0 {
			r.t.Errorf("a program that was stopped has sent %d more bytes on a connection whose session was lent to another", more)
		}
	}
	r.settle("after a stopped program continued")
}
