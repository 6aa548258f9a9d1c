// Package interop_test has clients of other families link to package
// walinktest. walinktest is made after whatsmeow, and what is made after a client
// agrees with it also where both are wrong.
package interop_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/walinktest"
)

const (
	number = "5511987654321"
	// patience is for a test as a whole. It is real time: another process takes part.
	patience = 2 * time.Minute
)

func TestBaileysLinksByQR(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	baileys := rig.start("")
	if err := rig.phone.ScanQR(rig.ctx, baileys.await("qr").Payload); err != nil {
		t.Fatalf("the phone says: %v", err)
	}
	rig.wantLinked(baileys.await("open"), 1)
	baileys.stop()
}

func TestBaileysLinksByCode(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	baileys := rig.start(number)
	if err := rig.phone.EnterCode(rig.ctx, baileys.await("code").Code); err != nil {
		t.Fatalf("the phone says: %v", err)
	}
	rig.wantLinked(baileys.await("open"), 1)
	baileys.stop()
}

func TestBaileysResumesAndIsRemoved(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	first := rig.start("")
	if err := rig.phone.ScanQR(rig.ctx, first.await("qr").Payload); err != nil {
		t.Fatalf("the phone says: %v", err)
	}
	first.await("open")
	first.stop()

	second := rig.start("")
	jid := rig.wantLinked(second.next(), 2) // the first that it says: no code
	if !rig.phone.Remove(jid) {
		t.Fatalf("the phone does not list %v", jid)
	}
	second.wantLoggedOut("a removal while connected")
	second.stop()
	if left := rig.server.Devices(); len(left) != 0 {
		t.Errorf("the server still lists %v", left)
	}

	third := rig.start("")
	third.wantLoggedOut("a login after the removal")
	third.stop()
}

// TestBaileysSeesForgeries shows that the links above mean something: Baileys
// looks at what the server and the phone have signed.
func TestBaileysSeesForgeries(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		stage  walinktest.Stage
		action walinktest.Action
		status int // as Baileys reports it: Boom's default is 500
	}{
		{"certificate of another root", walinktest.StageHandshake, walinktest.BadSignature(), 400},
		{"identity that the phone has not signed", walinktest.StagePairSuccess, walinktest.BadSignature(), 500},
		{"identity under another secret", walinktest.StagePairSuccess, walinktest.BadHMAC(), 500},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			rig := newRig(t)
			rig.server.Script(test.stage, test.action)
			baileys := rig.start("")
			if test.stage != walinktest.StageHandshake {
				if err := rig.phone.ScanQR(rig.ctx, baileys.await("qr").Payload); !errors.Is(err, walinktest.ErrLinkFailed) {
					t.Errorf("the phone says: %v", err)
				}
			}
			if said := baileys.await("close"); said.Status != test.status || said.LoggedOut {
				t.Errorf("Baileys closes with status %d, logged out %t; want %d, false", said.Status, said.LoggedOut, test.status)
			}
			baileys.stop()
			if devices := rig.server.Devices(); len(devices) != 0 {
				t.Errorf("the server lists %v", devices)
			}
		})
	}
}

// rig is a server on loopback, a phone, and a folder where Baileys keeps its session.
type rig struct {
	t       *testing.T
	ctx     context.Context
	server  *walinktest.Server
	phone   *walinktest.Phone
	address string
	node    string
	folder  string
}

// newRig skips the test where there is no Baileys.
func newRig(t *testing.T) *rig {
	t.Helper()
	absent := t.Skipf
	if os.Getenv("WALINK_INTEROP") != "" { // set by the script run, which has installed it
		absent = t.Fatalf
	}
	node, err := exec.LookPath("node")
	if err != nil {
		absent("Baileys needs Node, and there is none: %v", err)
	}
	if _, err := os.Stat(filepath.Join("baileys", "node_modules", "baileys")); err != nil {
		absent("Baileys is not installed, interop/run does it: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	server := walinktest.NewServer(t)
	address, err := server.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return &rig{
		t:       t,
		ctx:     ctx,
		server:  server,
		phone:   server.NewPhone(number),
		address: address,
		node:    node,
		folder:  t.TempDir(),
	}
}

// wantLinked checks that Baileys is logged in and that the server knows it by
// the same addresses.
func (r *rig) wantLinked(said event, logins int) types.JID {
	r.t.Helper()
	if said.Event != "open" {
		r.t.Fatalf("Baileys says %q instead of open", said.Event)
	}
	devices := r.server.Devices()
	if len(devices) != 1 {
		r.t.Fatalf("the server lists %d devices, want one", len(devices))
	}
	device := devices[0]
	if device.JID.String() != said.JID {
		r.t.Errorf("the server lists %v, Baileys is %v", device.JID, said.JID)
	}
	if device.LID.String() != said.LID {
		r.t.Errorf("the server lists %v, Baileys is %v", device.LID, said.LID)
	}
	if !device.Online || device.Logins != logins || device.PreKeys == 0 {
		r.t.Errorf("online %t after %d logins with %d prekeys, want online after %d with some",
			device.Online, device.Logins, device.PreKeys, logins)
	}
	if device.OS != "Mac OS" || device.Platform != "CHROME" { // the browser of Baileys' DEFAULT_CONNECTION_CONFIG
		r.t.Errorf("the phone lists %q, %q", device.OS, device.Platform)
	}
	return device.JID
}

// event is a line that link.mjs prints.
type event struct {
	Event     string `json:"event"`
	Payload   string `json:"payload"`
	Code      string `json:"code"`
	JID       string `json:"jid"`
	LID       string `json:"lid"`
	Status    int    `json:"status"`
	LoggedOut bool   `json:"loggedOut"`
}

// process is a running link.mjs.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.Closer
	stdout *bufio.Scanner
	stderr *bytes.Buffer
}

// start starts Baileys. It asks for a code if there is a number, otherwise for a scan.
func (r *rig) start(number string) *process {
	r.t.Helper()
	root := r.server.RootKey()
	args := []string{"link.mjs", "ws://" + r.address + "/ws/chat", hex.EncodeToString(root[:]), r.folder}
	if number != "" {
		args = append(args, number)
	}
	p := &process{t: r.t, cmd: exec.CommandContext(r.ctx, r.node, args...), stderr: new(bytes.Buffer)}
	p.cmd.Dir = "baileys"
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
	// Where a test has stopped it, nothing is left to do; where a test has
	// failed before that, the test's context has ended by now, and the process with it.
	r.t.Cleanup(func() { _ = p.cmd.Wait() })
	return p
}

// next returns the next line.
func (p *process) next() event {
	p.t.Helper()
	if !p.stdout.Scan() {
		err := p.cmd.Wait()
		p.t.Fatalf("Baileys has ended: %v %v\n%s", p.stdout.Err(), err, p.stderr)
	}
	var said event
	if err := json.Unmarshal(p.stdout.Bytes(), &said); err != nil {
		p.t.Fatalf("Baileys says what is no event: %v", err)
	}
	return said
}

// await returns the next event of a kind. Baileys shows further QR codes as time
// passes; anything else that comes first is a failure.
func (p *process) await(kind string) event {
	p.t.Helper()
	for {
		switch said := p.next(); said.Event {
		case kind:
			return said
		case "qr":
		default:
			p.t.Fatalf("Baileys says %q with status %d instead of %s", said.Event, said.Status, kind)
		}
	}
}

// wantLoggedOut checks that Baileys has understood that it is no longer linked.
func (p *process) wantLoggedOut(after string) {
	p.t.Helper()
	if said := p.await("close"); said.Status != 401 || !said.LoggedOut { // Baileys' DisconnectReason.loggedOut
		p.t.Errorf("after %s Baileys says status %d, logged out %t", after, said.Status, said.LoggedOut)
	}
}

// stop ends Baileys as its user would, so that it saves its session.
func (p *process) stop() {
	p.t.Helper()
	if err := p.stdin.Close(); err != nil {
		p.t.Error(err)
	}
	for p.stdout.Scan() { // it may still have something to say, such as that it closes
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("Baileys ends with %v\n%s", err, p.stderr)
	}
}
