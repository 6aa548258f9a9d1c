// Package crash_test kills programs that link. A child process runs this test binary. It
// links with store/sqlite on a real file, to a server in the parent over loopback, and
// gets SIGKILL at a random moment, once or twice in a row. Afterwards the test demands:
//
//   - The file passes PRAGMA integrity_check, and store/sqlite opens it.
//   - A device that the phone lists is stored: the person loses nothing that they believe
//     to be linked.
//   - If the session is stored and the phone lists it, the next Link resumes it, without a
//     code ("resumed").
//   - If the session is not stored, the next Link shows a code, and links ("absent").
//   - If the child was killed between the commit of its session and its confirmation, the
//     session is stored, and the phone has said that it could not link. Only WhatsApp knows
//     that. The next Link gets 401 from WhatsApp, drops the session, sends a Retrying with
//     ErrLoggedOut, shows a code and links ("dropped").
//
// The children link in turn by QR code, by pairing code, and by QR code to an account with
// a passkey. Half of the kills come at any moment up to Linked. The others come shortly
// after a step that the child prints: a code is shown, or the phone has accepted. If a
// child is linked before its kill, the test examines its file too, but does not count the
// kill.
//
// WALINK_CRASHES is the number of kills; the default is 9, and CI sets hundreds. The test
// prints the seed of its random moments. WALINK_CRASH_SEED repeats a seed, but the clock
// still differs.
package crash_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/walinktest"
)

// The environment of a child: address, root key, file and flow.
const (
	envAddress = "WALINK_CRASH_ADDRESS"
	envRoot    = "WALINK_CRASH_ROOT"
	envFile    = "WALINK_CRASH_FILE"
	envFlow    = "WALINK_CRASH_FLOW" // the number, for a pairing code; empty for QR codes
)

func TestMain(m *testing.M) {
	if address := os.Getenv(envAddress); address != "" {
		if err := link(address, os.Getenv(envRoot), os.Getenv(envFile), os.Getenv(envFlow)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// link is the child's program. It links, prints its steps on standard output for the
// parent, and waits to be killed.
func link(address, rootKey, file, number string) error {
	key, err := hex.DecodeString(rootKey)
	if err != nil {
		return err
	}
	ctx := context.Background()
	st, err := sqlite.Open(ctx, file)
	if err != nil {
		return err
	}
	linker, err := walink.New(st, walink.Settings{
		HTTPClient: walinktest.RemoteClient(address, [32]byte(key)), Phone: number, PreferPairingCode: number != "", CodeBudget: 100,
		// The parent has the passkey.
		Passkey: func(_ context.Context, challenge json.RawMessage) (json.RawMessage, error) {
			fmt.Println("passkey", string(challenge))
			answer, err := bufio.NewReader(os.Stdin).ReadBytes('\n')
			return answer, err
		},
	})
	if err != nil {
		return err
	}
	events, err := linker.Link(ctx)
	if err != nil {
		return err
	}
	for event := range events {
		switch e := event.(type) {
		case walink.QRCode:
			fmt.Println("qr", e.Payload)
		case walink.PairingCode:
			fmt.Println("code", e.Code)
		case walink.Paired:
			fmt.Println("paired")
		case walink.Failed:
			return e.Err
		case walink.Linked:
			fmt.Println("linked")
		}
	}
	_, err = io.Copy(io.Discard, os.Stdin) // until the parent ends
	return err
}

// lab is the server that all children link to, and the outcomes.
type lab struct {
	srv     *walinktest.Server
	address string

	random   *rand.Rand
	whole    [3]time.Duration // how long a child takes from its start to Linked, by flow
	outcomes map[string]int   // what the next Link did: resumed, absent, dropped
	windows  map[string]int   // how far the children had come when they were killed
}

// The flows in which children link.
const (
	byQR = iota
	byCode
	byPasskey
)

// phone returns a phone for a flow.
func (l *lab) phone(flow int, number string) *walinktest.Phone {
	if flow == byPasskey {
		return l.srv.NewPhone(number, walinktest.WithPasskey())
	}
	return l.srv.NewPhone(number)
}

func TestCrash(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGKILL")
	}
	crashes := 9
	if text := os.Getenv("WALINK_CRASHES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		crashes = n
	}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("WALINK_CRASH_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	t.Logf("WALINK_CRASH_SEED=%d", seed)
	l := &lab{
		srv: walinktest.NewServer(t), random: rand.New(rand.NewPCG(seed, 0)), outcomes: map[string]int{}, windows: map[string]int{},
	}
	var err error
	if l.address, err = l.srv.Listen("127.0.0.1:0", 0); err != nil {
		t.Fatal(err)
	}
	for flow := range l.whole {
		l.measure(t, flow)
	}
	// One after the other: two children at once would slow each other down.
	kills := 0
	for number := 0; kills < crashes && number < 3*crashes && !t.Failed(); number++ {
		inARow := 1 + l.random.IntN(6)/4 // sometimes two, to kill a child that resumes a session
		t.Run(fmt.Sprintf("phone %d, killed %d times", number, inARow), func(t *testing.T) { kills += l.round(t, number, inARow) })
	}
	t.Logf("%d kills before Linked, within %v: %v, %v", kills, l.whole, l.windows, l.outcomes)
	for _, window := range []string{"started", "shown", "paired"} {
		if l.windows[window] < crashes/12 {
			t.Errorf("%d of %d kills came when the child was %s: the moments are badly spread", l.windows[window], kills, window)
		}
	}
	if kills < crashes {
		t.Errorf("only %d kills of %d came before Linked", kills, crashes)
	}
	for _, outcome := range []string{"resumed", "absent"} {
		if crashes >= 100 && l.outcomes[outcome] == 0 {
			t.Errorf("no session was %s: the moments are badly spread", outcome)
		}
	}
}

// measure lets one child live until it is linked, and notes how long that takes.
func (l *lab) measure(t *testing.T, flow int) {
	t.Helper()
	number := fmt.Sprintf("+551190000000%d", flow)
	start := time.Now()
	c := l.start(t, l.phone(flow, number), flow, number, t.TempDir()+"/walink.db")
	c.reach(c.linked)
	l.whole[flow] = time.Since(start)
	if window := c.kill(t); window != "linked" {
		t.Fatalf("the child ends when it is %s", window)
	}
}

// round kills children that link with one file and one phone, and examines the file. It
// returns how many of them were not linked yet.
func (l *lab) round(t *testing.T, n, inARow int) (kills int) {
	flow, number := n%len(l.whole), fmt.Sprintf("+55119%08d", n+1000)
	phone := l.phone(flow, number)
	file := t.TempDir() + "/walink.db"
	for i := range inARow {
		whole, start := l.whole[flow], time.Now()
		c := l.start(t, phone, flow, number, file)
		switch l.random.IntN(4) {
		case 0, 1: // at any moment
			l.pass(whole, c)
		case 2: // while the person links
			c.reach(c.shown)
			l.pass(whole/4, c)
		default: // while the child logs in
			c.reach(c.paired)
			l.pass(whole/4, c)
		}
		took := time.Since(start)
		window := c.kill(t)
		l.windows[window]++
		switch {
		case window != "linked":
			kills++
		case i == 0: // the first child may have been measured while the machine was busy
			l.whole[flow] = min(whole, took)
		}
		st := reopen(t, file)
		if i == inARow-1 {
			l.examine(t, phone, st)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
	return kills
}

// pass waits for a random time below d, which makes the moment of the kill a random one. It
// waits for less if the child is linked, since the child does nothing after that.
func (l *lab) pass(d time.Duration, c *child) {
	timer := time.NewTimer(time.Duration(l.random.Int64N(int64(d))))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.linked:
	case <-c.ended:
	}
}

// child is a program that links.
type child struct {
	cmd    *exec.Cmd
	errors strings.Builder
	shown  chan struct{} // closed with the first code
	paired chan struct{} // closed when the phone has accepted
	linked chan struct{} // closed when the child is linked
	ended  chan struct{} // closed when the child has ended
	phone  sync.WaitGroup
}

// reach waits for a step of the child, or for its end. A child that resumes a session
// passes no step but linked.
func (c *child) reach(step <-chan struct{}) {
	select {
	case <-step:
	case <-c.linked:
	case <-c.ended:
	}
}

// start starts a child. The phone uses each code that the child shows.
func (l *lab) start(t *testing.T, phone *walinktest.Phone, flow int, number, file string) *child {
	t.Helper()
	c := &child{
		cmd:   exec.Command(os.Args[0]),
		shown: make(chan struct{}), paired: make(chan struct{}), linked: make(chan struct{}), ended: make(chan struct{}),
	}
	root := l.srv.RootKey()
	c.cmd.Env = append(os.Environ(),
		envAddress+"="+l.address, envRoot+"="+hex.EncodeToString(root[:]), envFile+"="+file)
	if flow == byCode {
		c.cmd.Env = append(c.cmd.Env, envFlow+"="+number)
	}
	c.cmd.Stderr = &c.errors
	output, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	input, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reached := map[chan struct{}]func(){}
	for _, step := range []chan struct{}{c.shown, c.paired, c.linked} {
		reached[step] = sync.OnceFunc(func() { close(step) })
	}
	go func() {
		defer close(c.ended)
		lines := bufio.NewScanner(output)
		for lines.Scan() {
			what, payload, _ := strings.Cut(lines.Text(), " ")
			switch what {
			case "qr":
				c.phone.Go(func() { _ = phone.ScanQR(t.Context(), payload) })
				reached[c.shown]()
			case "code":
				c.phone.Go(func() { _ = phone.EnterCode(t.Context(), payload) })
				reached[c.shown]()
			case "passkey":
				answer, err := phone.Assert([]byte(payload))
				if err != nil {
					t.Error(err)
				}
				_, _ = input.Write(append(answer, '\n')) // fails if the child has ended
			case "paired":
				reached[c.paired]()
			case "linked":
				reached[c.linked]()
			}
		}
	}()
	return c
}

// kill ends the child like a power cut, waits until the phone has its result, and returns
// how far the child had come.
func (c *child) kill(t *testing.T) (window string) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Errorf("kill: %v", err)
	}
	<-c.ended
	_ = c.cmd.Wait() // says that the child was killed
	c.phone.Wait()
	if c.errors.Len() > 0 {
		t.Errorf("the child fails: %s", c.errors.String())
	}
	window = "started"
	for _, step := range []struct {
		name    string
		reached chan struct{}
	}{{"shown", c.shown}, {"paired", c.paired}, {"linked", c.linked}} {
		select {
		case <-step.reached:
			window = step.name
		default:
		}
	}
	return window
}
