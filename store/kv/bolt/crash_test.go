package bolt_test

import (
	"bufio"
	"bytes"
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

	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/bolt"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/storetest"
)

// A child process, which is this test binary run again, writes as fast as it
// can with several goroutines and says what is stored. It gets SIGKILL at a
// random moment, again and again on the same file. Demanded afterwards: the
// file opens, everything is there that was said to be, and no transaction is
// there in part. 8 kills are the default, WALINK_CRASHES sets another number;
// WALINK_CRASH_SEED repeats the moments, as far as a clock can.
const envFile = "WALINK_CRASH_BOLT"

const crashWriters = 4

func TestMain(m *testing.M) {
	if path := os.Getenv(envFile); path != "" {
		if err := crashChild(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	warm()
	os.Exit(m.Run())
}

// warm makes a device before the tests do so side by side: libsignal makes its
// global logger at first use, unguarded.
func warm() { _, _ = kv.New(memory.New()).Device(context.Background(), "") }

// crashChild writes rounds, and prints each that is stored.
func crashChild(path string) error {
	ctx := context.Background()
	db, err := bolt.Open(ctx, path)
	if err != nil {
		return err
	}
	st := kv.New(db)
	var out sync.Mutex
	var group sync.WaitGroup
	errs := make([]error, crashWriters)
	for i := range crashWriters {
		group.Go(func() {
			for errs[i] == nil {
				var round int
				if round, errs[i] = crashRound(ctx, st, i); errs[i] == nil {
					out.Lock()
					fmt.Printf("%d %d\n", i, round)
					out.Unlock()
				}
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// crashRound stores the number of the next round of a writer under two
// addresses, in one transaction.
func crashRound(ctx context.Context, st *kv.Store, writer int) (round int, err error) {
	device, err := st.Device(ctx, strconv.Itoa(writer))
	if err != nil {
		return 0, err
	}
	if device.ID == nil {
		storetest.Pair(device, storetest.JID("5511987654321", uint16(writer)+1))
		if err := device.Save(ctx); err != nil {
			return 0, err
		}
	}
	err = device.EventBuffer.DoDecryptionTxn(ctx, func(ctx context.Context) error {
		stored, err := device.Sessions.GetSession(ctx, "1:0")
		if err != nil {
			return err
		}
		round, _ = strconv.Atoi(string(bytes.TrimRight(stored, ".")))
		round++
		next := fmt.Appendf(nil, "%d%s", round, strings.Repeat(".", round%3000)) // pages split and join
		return errors.Join(device.Sessions.PutSession(ctx, "1:0", next), device.Sessions.PutSession(ctx, "2:0", next))
	})
	return round, err
}

func TestCrash(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGKILL")
	}
	kills := number(t, "WALINK_CRASHES", 8)
	seed := number(t, "WALINK_CRASH_SEED", uint64(time.Now().UnixNano()))
	t.Logf("WALINK_CRASH_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	path := temp(t)
	said := make([]int, crashWriters)
	for kill := range kills {
		crash(t, path, time.Duration(random.IntN(int(60*time.Millisecond))), said)
		st := kv.New(open(t, path))
		for writer, round := range said {
			examine(t, st, writer, round)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("after kill %d", kill)
		}
	}
	t.Logf("%d kills, rounds %v", kills, said)
}

// crash runs a child, kills it so long after the first thing that it said, and
// notes what it said until then.
func crash(t *testing.T, path string, after time.Duration, said []int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0]) // canceled with SIGKILL
	child.Env = append(os.Environ(), envFile+"="+path)
	var complaint strings.Builder
	child.Stderr = &complaint
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for first := true; lines.Scan(); first = false {
		if first {
			time.AfterFunc(after, cancel)
		}
		var writer, round int
		if n, _ := fmt.Sscan(lines.Text(), &writer, &round); n == 2 {
			said[writer] = max(said[writer], round)
		}
	}
	_ = child.Wait() // it was killed
	if complaint.Len() > 0 {
		t.Fatalf("the child: %s", complaint.String())
	}
}

// examine looks whether a writer's last round that was said to be stored is
// there, or a later one, and whole.
func examine(t *testing.T, st *kv.Store, writer, said int) {
	t.Helper()
	device, err := st.Device(t.Context(), strconv.Itoa(writer))
	if err != nil {
		t.Errorf("writer %d: %v", writer, err)
		return
	}
	if device.ID == nil {
		if said > 0 {
			t.Errorf("writer %d: the session is gone", writer)
		}
		return
	}
	sessions, err := device.Sessions.GetManySessions(t.Context(), []string{"1:0", "2:0"})
	if err != nil || !bytes.Equal(sessions["1:0"], sessions["2:0"]) {
		t.Errorf("writer %d: %q and %q, %v, want the same", writer, sessions["1:0"], sessions["2:0"], err)
	}
	if got, _ := strconv.Atoi(string(bytes.TrimRight(sessions["1:0"], "."))); got < said {
		t.Errorf("writer %d: round %d is stored, and it said %d", writer, got, said)
	}
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
