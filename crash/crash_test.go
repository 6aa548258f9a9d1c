// Package crash_test kills programs that link. A child process, which is this
// test binary run again, links with store/sqlite on a real file, against a
// server in the parent over loopback, and gets SIGKILL at a random moment, once
// or twice in a row. What is demanded of the file afterwards:
//
//   - It passes PRAGMA integrity_check, and store/sqlite opens it.
//   - A device that the phone lists is stored: nothing that the person believes
//     to be linked is lost.
//   - The session is stored and the phone lists it: the next Link resumes it,
//     without a code.
//   - The session is absent: the next Link shows a code, and links.
//   - The child was killed between the commit of its session and its
//     confirmation: the phone has said that it could not link, and the session
//     is stored. Nobody but WhatsApp can know that. The next Link must be told
//     by WhatsApp (401), drop the session, say so in a Retrying with
//     ErrLoggedOut, show a code and link. That counts as absent: "dropped".
//
// 8 kills are the default, CI sets WALINK_CRASHES to hundreds. The seed of the
// moments is printed; WALINK_CRASH_SEED repeats them, as far as a clock can.
package crash_test

import (
	"bufio"
	"context"
	"encoding/hex"
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

// The environment of a child: address, root key and file.
const (
	envAddress = "WALINK_CRASH_ADDRESS"
	envRoot    = "WALINK_CRASH_ROOT"
	envFile    = "WALINK_CRASH_FILE"
)

func TestMain(m *testing.M) {
	if address := os.Getenv(envAddress); address != "" {
		if err := link(address, os.Getenv(envRoot), os.Getenv(envFile)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// link is the child: it links, tells on standard output what the parent has to
// know, and waits to be killed.
func link(address, rootKey, file string) error {
	key, err := hex.DecodeString(rootKey)
	if err != nil {
		return err
	}
	ctx := context.Background()
	st, err := sqlite.Open(ctx, file)
	if err != nil {
		return err
	}
	linker, err := walink.New(st, walink.Settings{HTTPClient: walinktest.RemoteClient(address, [32]byte(key))})
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
		case walink.Failed:
			return e.Err
		case walink.Linked:
			fmt.Println("linked")
		}
	}
	_, err = io.Copy(io.Discard, os.Stdin) // until the parent is gone
	return err
}

// lab is the server that all children link to, and what came of them.
type lab struct {
	srv     *walinktest.Server
	address string

	random  *rand.Rand
	whole   time.Duration // that a child needs from its start to Linked
	shown   time.Duration // of that, until the QR code
	figures map[string]int
}

func TestCrash(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGKILL")
	}
	crashes := 8
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
	l := &lab{srv: walinktest.NewServer(t), random: rand.New(rand.NewPCG(seed, 0)), figures: map[string]int{}}
	var err error
	if l.address, err = l.srv.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	l.measure(t)
	// One after the other: two at once would wait for each other's moments.
	for kills, number := 0, 0; kills < crashes && !t.Failed(); number++ {
		inARow := min(1+l.random.IntN(6)/4, crashes-kills) // now and then two: what is resumed can be killed too
		kills += inARow
		t.Run(fmt.Sprintf("phone %d, killed %d times", number, inARow), func(t *testing.T) { l.round(t, number, inARow) })
	}
	t.Logf("%d kills within %v: %v", crashes, l.whole.Round(time.Millisecond), l.figures)
	for _, outcome := range []string{"resumed", "absent"} {
		if crashes >= 100 && l.figures[outcome] == 0 {
			t.Errorf("no session was %s: the moments are badly spread", outcome)
		}
	}
}

// measure lets one child live until it is linked.
func (l *lab) measure(t *testing.T) {
	t.Helper()
	phone := l.srv.NewPhone("+5511900000000")
	start := time.Now()
	c := l.start(t, phone, t.TempDir()+"/walink.db")
	select {
	case <-c.linked:
	case <-time.After(time.Minute):
		t.Fatal("the child does not link")
	}
	l.whole, l.shown = time.Since(start), c.shown.Sub(start)
	c.kill(t)
}

// round kills children that link with one file and one phone, and looks at
// what they have left.
func (l *lab) round(t *testing.T, number, inARow int) {
	phone := l.srv.NewPhone(fmt.Sprintf("+55119%08d", number+1))
	file := t.TempDir() + "/walink.db"
	for range inARow {
		c := l.start(t, phone, file)
		if l.random.IntN(2) == 0 { // anywhere
			l.after(time.Duration(l.random.Int64N(int64(l.whole))), c.linked)
		} else { // while the person links
			l.after(10*l.whole, c.ready)
			early := l.random.Float64() // the pairing comes first, and is the shorter part
			l.after(time.Duration(early*early*float64(l.whole-l.shown)), c.linked)
		}
		c.kill(t)
	}
	l.examine(t, phone, file)
}

// after waits for d, or for less once done is closed: then the child has
// nothing left to do.
func (l *lab) after(d time.Duration, done <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-done:
	}
}

// child is a program that links.
type child struct {
	cmd    *exec.Cmd
	errors strings.Builder
	shown  time.Time     // when the first QR code came
	ready  chan struct{} // closed with the first QR code
	linked chan struct{} // closed when it is linked
	phone  sync.WaitGroup
	reader sync.WaitGroup
}

// start starts a child, whose codes the phone scans as they are shown.
func (l *lab) start(t *testing.T, phone *walinktest.Phone, file string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0]), ready: make(chan struct{}), linked: make(chan struct{})}
	root := l.srv.RootKey()
	c.cmd.Env = append(os.Environ(),
		envAddress+"="+l.address, envRoot+"="+hex.EncodeToString(root[:]), envFile+"="+file)
	c.cmd.Stderr = &c.errors
	output, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.reader.Go(func() {
		lines := bufio.NewScanner(output)
		for lines.Scan() {
			what, payload, _ := strings.Cut(lines.Text(), " ")
			switch {
			case what == "linked":
				close(c.linked)
			case what == "qr" && c.shown.IsZero():
				c.shown = time.Now()
				close(c.ready)
				fallthrough
			case what == "qr":
				c.phone.Go(func() { _ = phone.ScanQR(t.Context(), payload) })
			}
		}
	})
	return c
}

// kill ends the child as a power cut would, and waits until the phone has said
// what became of it.
func (c *child) kill(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Errorf("kill: %v", err)
	}
	c.reader.Wait()
	_ = c.cmd.Wait() // it was killed
	c.phone.Wait()
	if c.errors.Len() > 0 {
		t.Errorf("the child says: %s", c.errors.String())
	}
}
