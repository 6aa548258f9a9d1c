package leasetest

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/fleet"
	"github.com/walink/walink/store"
	"github.com/walink/walink/walinktest"
)

func programName(number int) string { return "program " + strconv.Itoa(number) }

// runFleet is a program with a Fleet. A SIGTERM ends it, too.
func runFleet(open Opener, address string) error {
	key, err := hex.DecodeString(os.Getenv(envRoot))
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	st, err := open(ctx, os.Getenv(envStore))
	if err != nil {
		return err
	}
	f, err := fleet.New(st, fleet.Settings{
		Holder:   os.Getenv(envFleet),
		Defaults: walink.Settings{HTTPClient: walinktest.RemoteClient(address, [32]byte(key))},
		OnUpdate: func(u fleet.Update) {
			switch e := u.Event.(type) {
			case walink.Failed:
				tell("failed", u.Session, e.Err)
			case walink.Disconnected:
				if e.Err.Reason == walink.ErrReplaced {
					tell("replaced", u.Session)
				}
			}
		},
	})
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the parent closes it, or ends
		stop()
	}()
	return errors.Join(f.Run(ctx), st.Close())
}

// The goals of fleet, for all sessions of a program, and how long the test waits.
const (
	afterKill  = 12 * time.Second
	afterEnd   = 2 * time.Second
	afterStart = time.Minute      // until the sessions are shared evenly, or elsewhere
	stopped    = 15 * time.Second // how long a program is stopped
)

// RunFleets has three programs with a Fleet each, which share the sessions of one Store. One
// is killed, one ends, one is stopped, and then each is started again. The test fails if a
// session is ever connected twice or is forgotten, and prints how long others took to have
// the sessions. WALINK_FLEET is how many sessions there are for each program.
func RunFleets(t *testing.T, config Config) {
	t.Helper()
	each, err := strconv.Atoi(os.Getenv("WALINK_FLEET"))
	if err != nil {
		t.Skip("This takes more than a minute; make leases runs it.")
	}
	config.Children, config.Sessions, config.fleets = 3, 3*each, true
	f := &fleets{run: run{
		t: t, config: config, srv: walinktest.NewServer(t), holders: map[int]*child{}, changed: make(chan struct{}, 1),
	}, missing: map[string]time.Time{}}
	if f.address, err = f.srv.Listen("127.0.0.1:0", 0); err != nil {
		t.Fatal(err)
	}
	f.link()
	st, err := config.Open(t.Context(), config.Name(-1))
	if err != nil {
		t.Fatal(err)
	}
	f.store = st
	watching, stop := context.WithCancel(t.Context())
	var watch sync.WaitGroup
	began := time.Now()
	for i := range config.Children {
		f.children = append(f.children, f.start(i))
	}
	t.Cleanup(func() {
		for _, c := range f.children {
			c.end(t)
		}
		stop()
		watch.Wait()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	f.even("at the start")
	t.Logf("%d sessions are shared evenly %v after the start of 3 programs", config.Sessions, since(began))
	watch.Go(func() { f.watch(watching) })

	f.measure("program 0 was killed", 0, afterKill, f.children[0].kill)
	f.again(0)
	f.measure("program 1 was told to end", 1, afterEnd, f.children[1].terminate)
	f.again(1)
	if n := f.srv.Stats().Replaced; n > 0 {
		t.Errorf("%d sessions were connected twice when programs were killed, ended and started", n)
	}
	f.stop(2)
	replaced := f.srv.Stats().Replaced

	f.rest()
	for i := range f.children {
		f.measure(programName(i)+" was told to end", i, afterEnd, f.children[i].terminate)
		f.again(i)
	}
	t.Logf("the longest pause of a session while 3 programs were started again one after the other: %v", f.rest())
	if more := f.srv.Stats().Replaced - replaced; more > 0 {
		t.Errorf("%d sessions were connected twice in a rolling restart", more)
	}
}

type fleets struct {
	run
	store store.Store

	pauses  sync.Mutex
	missing map[string]time.Time // since when a device is offline
	longest time.Duration        // that one was
}

func (c *child) terminate() error { return c.cmd.Process.Signal(syscall.SIGTERM) }

func since(start time.Time) time.Duration { return time.Since(start).Round(10 * time.Millisecond) }

// watch notes how long devices are offline, until ctx ends.
func (f *fleets) watch(ctx context.Context) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for ctx.Err() == nil {
		f.pauses.Lock()
		for _, device := range f.srv.Devices() {
			id := device.JID.String()
			start, isMissing := f.missing[id]
			switch {
			case !device.Online && !isMissing:
				f.missing[id] = time.Now()
			case device.Online && isMissing:
				f.longest = max(f.longest, since(start))
				delete(f.missing, id)
			}
		}
		f.pauses.Unlock()
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// rest returns the longest time that a device was offline since the last call.
func (f *fleets) rest() time.Duration {
	f.pauses.Lock()
	defer f.pauses.Unlock()
	longest := f.longest
	f.longest = 0
	return longest
}

// until waits until what the programs have of the sessions, by their holders, is as wanted,
// and every device is online. A device of a program that is stopped is online, too.
func (f *fleets) until(when string, limit time.Duration, wanted func(has map[string]int) bool) time.Duration {
	f.t.Helper()
	start := time.Now()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		leases, err := f.store.(store.Leaser).Leases(f.t.Context()) //nolint:errcheck // every Store here has leases
		if err != nil {
			f.t.Fatal(err)
		}
		has := map[string]int{}
		for _, lease := range leases {
			if strings.HasPrefix(lease.Session, "session ") {
				has[lease.Holder]++
			}
		}
		online := 0
		for _, device := range f.srv.Devices() {
			if device.Online {
				online++
			}
		}
		held := 0
		for _, n := range has {
			held += n
		}
		if held == f.config.Sessions && online == f.config.Sessions && wanted(has) {
			return since(start)
		}
		if time.Since(start) > limit {
			f.t.Fatalf("%s: after %v %d of %d sessions are online, and the programs have %v",
				when, since(start), online, f.config.Sessions, has)
		}
		<-ticker.C
	}
}

// even waits until all programs have their share.
func (f *fleets) even(when string) time.Duration {
	f.t.Helper()
	return f.until(when, afterStart, func(has map[string]int) bool {
		counts := slices.Collect(maps.Values(has))
		return len(counts) == f.config.Children && slices.Max(counts)-slices.Min(counts) <= 1
	})
}

// measure does something to a program, and waits until the others have its sessions. It only
// prints the time: a machine with other work is slower.
func (f *fleets) measure(what string, number int, goal time.Duration, do func() error) {
	f.t.Helper()
	if err := do(); err != nil {
		f.t.Fatal(err)
	}
	took := f.until("after "+what, afterStart, func(has map[string]int) bool { return has[programName(number)] == 0 })
	f.t.Logf("the others have all sessions %v after %s; the goal is %v", took, what, goal)
}

// again starts a program that has ended, and waits until it has its share.
func (f *fleets) again(number int) {
	f.t.Helper()
	f.children[number].end(f.t)
	f.children[number] = f.start(number)
	f.t.Logf("the sessions are shared evenly %v after %s was started again", f.even("after a start"), programName(number))
}

// stop stops a program for a while. Meanwhile the others get its sessions. Then the program
// must send nothing on its old connections, and connect no session that others have.
func (f *fleets) stop(number int) {
	f.t.Helper()
	c, end, before := f.children[number], time.NewTimer(stopped), f.srv.Stats().Replaced
	defer end.Stop()
	f.measure(programName(number)+" was stopped", number, afterKill, func() error { f.pause(c); return nil })
	<-end.C
	replaced := f.srv.Stats().Replaced // its connections are open
	if limit := (f.config.Sessions + f.config.Children - 1) / f.config.Children; replaced-before > limit {
		f.t.Errorf("%d connections were replaced, although a program that was stopped had %d", replaced-before, limit)
	}
	sent := map[*link]int64{}
	for _, l := range c.proxy.open() {
		sent[l] = l.sent.Load()
	}
	if err := resume(c.cmd.Process); err != nil {
		f.t.Fatal(err)
	}
	f.t.Logf("the sessions are shared evenly %v after %s went on", f.even("after a program went on"), programName(number))
	for l, before := range sent {
		if more := l.sent.Load() - before; more > 0 {
			f.t.Errorf("a program that was stopped has sent %d more bytes on a connection whose session others have", more)
		}
	}
	if more := f.srv.Stats().Replaced - replaced; more > 0 {
		f.t.Errorf("%d sessions were connected twice after a program that was stopped went on", more)
	}
}
