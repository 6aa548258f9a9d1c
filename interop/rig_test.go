package interop_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/walinktest"
)

const (
	number = "5511987654321"
	// patience is for a whole test, in real time, since another process takes part.
	patience = 2 * time.Minute
	// latency gives Baileys the time to store a session that it has just used: docs/protocol.md.
	latency = 20 * time.Millisecond
)

// rig is a server on loopback, a phone, and the folder in which a client keeps its session.
type rig struct {
	t      *testing.T
	ctx    context.Context
	client string // the folder of its link.mjs: baileys or zapo
	server *walinktest.Server
	phone  *walinktest.Phone
	url    string
	node   string
	folder string
}

// withEach runs a test with each client, each with its own rig.
func withEach(t *testing.T, test func(r *rig)) {
	t.Helper()
	for _, client := range []string{"baileys", "zapo"} {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			test(newRig(t, client))
		})
	}
}

// newRig returns a rig. It skips the test if the clients are not installed.
func newRig(t *testing.T, client string, options ...walinktest.PhoneOption) *rig {
	t.Helper()
	node := installed(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	server := walinktest.NewServer(t)
	address, err := server.Listen("127.0.0.1:0", latency)
	if err != nil {
		t.Fatal(err)
	}
	if client == "zapo" { // reconnects by itself, and takes a 515 that comes before that for a logout
		server.Script(walinktest.StageLoginReconnect, walinktest.Silence().Always())
	}
	return &rig{
		t:      t,
		ctx:    ctx,
		client: client,
		server: server,
		phone:  server.NewPhone(number, options...),
		url:    "ws://" + address + "/ws/chat",
		node:   node,
		folder: t.TempDir(),
	}
}

// installed returns the path of Node. It skips the test if Node or the clients are not installed.
func installed(t *testing.T) string {
	t.Helper()
	absent := t.Skipf
	if os.Getenv("WALINK_INTEROP") != "" { // interop/run sets it, and has installed the clients
		absent = t.Fatalf
	}
	node, err := exec.LookPath("node")
	if err != nil {
		absent("Install Node, which the clients need: %v", err)
	}
	if _, err := os.Stat("node_modules"); err != nil {
		absent("Install the clients with bash interop/run: %v", err)
	}
	return node
}

// link starts the client, and scans its QR code.
func (r *rig) link() *process {
	r.t.Helper()
	client := r.start()
	r.says(r.phone.ScanQR(r.ctx, client.await("qr").Payload), nil)
	return client
}

// says checks what the phone says.
func (r *rig) says(got, want error) {
	r.t.Helper()
	if !errors.Is(got, want) {
		r.t.Fatalf("the phone says: %v, want: %v", got, want)
	}
}

// wantLinked checks that got says that the client is logged in, and that the server lists it
// with the same addresses.
func (r *rig) wantLinked(got event, logins int) types.JID {
	r.t.Helper()
	if got.Event != "open" {
		r.t.Fatalf("the client says %+v instead of open", got)
	}
	devices := r.server.Devices()
	if len(devices) != 1 {
		r.t.Fatalf("the server lists %d devices, want one", len(devices))
	}
	device := devices[0]
	if device.JID.String() != got.JID || device.LID.String() != got.LID {
		r.t.Errorf("the server lists %v and %v, the client is %v and %v", device.JID, device.LID, got.JID, got.LID)
	}
	if !device.Online || device.Logins != logins || device.PreKeys == 0 {
		r.t.Errorf("online %t after %d logins with %d prekeys, want online after %d with some",
			device.Online, device.Logins, device.PreKeys, logins)
	}
	// Baileys' default browser (DEFAULT_CONNECTION_CONFIG), which zapo/link.mjs names, too.
	if device.OS != "Mac OS" || device.Platform != "CHROME" {
		r.t.Errorf("the phone lists %q, %q", device.OS, device.Platform)
	}
	return device.JID
}

// event is a line that a link.mjs prints.
type event struct {
	Event     string `json:"event"`
	Payload   string `json:"payload"`
	Code      string `json:"code"`
	JID       string `json:"jid"`
	LID       string `json:"lid"`
	Name      string `json:"name"`
	Text      string `json:"text"`
	LoggedOut bool   `json:"loggedOut"`
	Handshake string `json:"handshake"`
}

// process is a running link.mjs.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Scanner
	stderr *bytes.Buffer
}

// start starts the client.
func (r *rig) start() *process {
	r.t.Helper()
	root := r.server.RootKey()
	p := &process{t: r.t, stderr: new(bytes.Buffer)}
	p.cmd = exec.CommandContext(r.ctx, r.node, "link.mjs", r.url, hex.EncodeToString(root[:]), r.folder)
	p.cmd.Dir = r.client
	p.cmd.Stderr = p.stderr
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	p.stdin, p.stdout = stdin, bufio.NewScanner(stdout)
	if err := p.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	// If the test has stopped the client, Wait does nothing. If the test has failed before
	// that, the end of its context has killed the process by now.
	r.t.Cleanup(func() { _ = p.cmd.Wait() })
	return p
}

// next returns the next line.
func (p *process) next() event {
	p.t.Helper()
	if !p.stdout.Scan() {
		err := p.cmd.Wait()
		p.t.Fatalf("the client has ended: %v %v\n%s", p.stdout.Err(), err, p.stderr)
	}
	var got event
	if err := json.Unmarshal(p.stdout.Bytes(), &got); err != nil {
		p.t.Fatalf("the client prints a line that is no event: %v", err)
	}
	return got
}

// await returns the next event of a kind. It skips QR codes, since clients show new ones as
// time passes. Any other event fails the test.
func (p *process) await(kind string) event {
	p.t.Helper()
	for {
		switch got := p.next(); got.Event {
		case kind:
			return got
		case "qr":
		default:
			p.t.Fatalf("the client says %+v instead of %s", got, kind)
		}
	}
}

// code returns the next pairing code of a client that has shown a QR code.
func (p *process) code() string {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.stdin, "code", number); err != nil {
		p.t.Fatal(err)
	}
	return p.await("code").Code
}

// wantLoggedOut checks that the client knows that it is no longer linked.
func (p *process) wantLoggedOut(after string) event {
	p.t.Helper()
	got := p.await("close")
	if !got.LoggedOut {
		p.t.Errorf("after %s the client says %+v, want that it is logged out", after, got)
	}
	return got
}

// stop ends the client like its user, so that it saves its session.
func (p *process) stop() {
	p.t.Helper()
	if err := p.stdin.Close(); err != nil {
		p.t.Error(err)
	}
	for p.stdout.Scan() { // the client may still print events, such as that it closes
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("the client ends with %v\n%s", err, p.stderr)
	}
}
