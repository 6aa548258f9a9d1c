// Package storecrash tests what the packages of durable stores say about a
// crash: nothing that was reported as stored is lost, and nothing is stored in
// part.
//
// [Kill] kills a program that writes, and [Restart] the server that a program
// writes to. The load is the same. Several goroutines write what a message
// changes in one DoDecryptionTxn, secrets of messages, and entries. They link sessions
// with the 812 prekeys of a first login in one commit, and delete them again.
// They report what is stored once the call has returned. Afterwards the tests
// require:
//
//   - The Store opens, and lists exactly the sessions that have a device.
//   - Everything that was reported is there, or what was written after it.
//   - Each transaction is there completely or not at all, and so are the
//     prekeys.
//   - A deleted session has not come back, and neither has its device.
//
// WALINK_CRASHES is the number of kills. Each test prints the seed of their
// moments; WALINK_CRASH_SEED repeats them, as far as a clock can.
package storecrash

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/walink/walink/store"
)

// envWhere is set in a child, and says where the child writes.
const envWhere = "WALINK_STORECRASH_WHERE"

// Child is for TestMain. In a process that [Kill] has started, Child writes to
// the Store that open opens until it is killed, and returns true.
func Child(open func(ctx context.Context, where string) (store.Store, error)) bool {
	where := os.Getenv(envWhere)
	if where == "" {
		return false
	}
	if err := write(context.Background(), where, open); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

func write(ctx context.Context, where string, open func(ctx context.Context, where string) (store.Store, error)) error {
	st, err := open(ctx, where)
	if err != nil {
		return err
	}
	var out sync.Mutex
	l := load{st: st, say: func(line string) error {
		out.Lock()
		defer out.Unlock()
		_, err := fmt.Println(line) // fails when the parent has ended
		return err
	}}
	var group sync.WaitGroup
	steps := l.steps()
	errs := make([]error, len(steps))
	for i, step := range steps {
		group.Go(func() {
			for errs[i] == nil {
				errs[i] = step(ctx)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// Config says what Kill kills.
type Config struct {
	// Where is what a child opens, with the function that TestMain gives to
	// Child.
	Where string
	// Open opens the same Store.
	Open func(ctx context.Context, where string) (store.Store, error)
	// After examines what a kill has left, before it is opened. It may be nil.
	After func(t *testing.T)
	// Empty examines what is left at the end, when all sessions were deleted
	// and the Store was closed. It may be nil.
	Empty func(t *testing.T)
}

// Kill kills a program that writes to a Store, again and again with the same
// Store.
func Kill(t *testing.T, config Config) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGKILL")
	}
	kills, random := crashes(t)
	said := newBook()
	for kill := range kills {
		wait := time.Duration(random.IntN(int(150 * time.Millisecond)))
		crash(t, config.Where, wait, random.IntN(4) == 0, said)
		if config.After != nil {
			config.After(t)
		}
		st, err := config.Open(t.Context(), config.Where)
		if err != nil {
			t.Fatalf("after kill %d: %v", kill, err)
		}
		said.examine(t, st)
		if kill == kills-1 && !t.Failed() {
			empty(t, st)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("after kill %d", kill)
		}
	}
	if config.Empty != nil {
		config.Empty(t)
	}
	t.Logf("%d kills, %v", kills, said)
}

// crashes returns the number of kills, and what chooses their moments.
func crashes(t *testing.T) (count int, random *rand.Rand) {
	t.Helper()
	seed := number(t, "WALINK_CRASH_SEED", uint64(time.Now().UnixNano()))
	t.Logf("WALINK_CRASH_SEED=%d", seed)
	return int(number(t, "WALINK_CRASHES", 6)), rand.New(rand.NewPCG(seed, 0))
}

func number(t *testing.T, env string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(env)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// crash runs a child, kills it at a time after its start or after its first
// report, and records what it reported until then.
func crash(t *testing.T, where string, wait time.Duration, early bool, said *book) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0]) // killed when ctx ends
	child.Env = append(os.Environ(), envWhere+"="+where)
	var complaint strings.Builder
	child.Stderr = &complaint
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	timed := early
	if early {
		time.AfterFunc(wait, cancel)
	}
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // an incomplete line was not reported
		}
		if !timed {
			timed = true
			time.AfterFunc(wait, cancel)
		}
		said.hear(strings.TrimSuffix(line, "\n"))
	}
	_ = child.Wait() // it was killed
	if complaint.Len() > 0 {
		t.Fatalf("the child: %s", complaint.String())
	}
}
