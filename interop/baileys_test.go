// Package interop_test links Baileys, a client that shares no code with whatsmeow, to
// package walinktest. walinktest was written after whatsmeow, so a mistake of whatsmeow
// may be in both.
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
	"path/filepath"
	"testing"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/walinktest"
)

const (
	number = "5511987654321"
	// patience is for a whole test, in real time, since another process takes part.
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

func TestBaileysLinksByCodeAfterTwoWrongOnes(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	baileys := rig.start(number)
	code := baileys.await("code").Code
	for range 2 {
		if err := rig.phone.EnterCode(rig.ctx, "ABCD-EFGH"); !errors.Is(err, walinktest.ErrWrongCode) {
			t.Fatalf("the phone says: %v", err)
		}
	}
	if err := rig.phone.EnterCode(rig.ctx, code); err != nil {
		t.Fatalf("the phone says: %v", err)
	}
	rig.wantLinked(baileys.await("open"), 1)
	baileys.stop()
}

func TestBaileysLinksToAHostedAccount(t *testing.T) {
	t.Parallel()
	for _, devices := range []bool{false, true} {
		t.Run(fmt.Sprint("devices ", devices), func(t *testing.T) {
			t.Parallel()
			rig := newRig(t)
			phone := rig.server.NewPhone(number, walinktest.WithHosted(devices))
			baileys := rig.start("")
			if err := phone.ScanQR(rig.ctx, baileys.await("qr").Payload); err != nil {
				t.Fatalf("the phone says: %v", err)
			}
			rig.wantLinked(baileys.await("open"), 1)
			baileys.stop()
		})
	}
}

func TestBaileysResumesAndIsRemoved(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	rig.server.Script(walinktest.StageAfterLogin, walinktest.Send(waBinary.Node{Tag: "ib", Content: []waBinary.Node{{
		Tag: "edge_routing", Content: []waBinary.Node{{Tag: "routing_info", Content: []byte{8, 2, 8, 5}}},
	}}}))
	first := rig.start("")
	if err := rig.phone.ScanQR(rig.ctx, first.await("qr").Payload); err != nil {
		t.Fatalf("the phone says: %v", err)
	}
	first.await("open")
	first.stop()
	if creds, err := os.ReadFile(filepath.Join(rig.folder, "creds.json")); err != nil || !bytes.Contains(creds, []byte("routingInfo")) {
		t.Errorf("Baileys has not stored the routing_info, which goes before its next connection header: %v", err)
	}

	second := rig.start("")
	jid := rig.wantLinked(second.next(), 2) // its first event: Baileys shows no code
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

// TestBaileysSeesForgeries shows that the tests above prove something: Baileys verifies
// the signatures of the server and the phone.
func TestBaileysSeesForgeries(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		stage  walinktest.Stage
		action walinktest.Action
		status int // as Baileys reports it: Boom's default is 500
	}{
		{"certificate of another authority", walinktest.StageHandshake, walinktest.BadSignature(), 400},
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
			if got := baileys.await("close"); got.Status != test.status || got.LoggedOut {
				t.Errorf("Baileys closes with status %d, logged out %t; want %d, false", got.Status, got.LoggedOut, test.status)
			}
			baileys.stop()
			if devices := rig.server.Devices(); len(devices) != 0 {
				t.Errorf("the server lists %v", devices)
			}
		})
	}
}

// rig is a server on loopback, a phone, and the folder in which Baileys keeps its session.
type rig struct {
	t       *testing.T
	ctx     context.Context
	server  *walinktest.Server
	phone   *walinktest.Phone
	address string
	node    string
	folder  string
}

// newRig returns a rig. It skips the test if Baileys is not installed.
func newRig(t *testing.T) *rig {
	t.Helper()
	node := installed(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	server := walinktest.NewServer(t)
	address, err := server.Listen("127.0.0.1:0", 0)
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

// installed returns the path of Node. It skips the test if Node or Baileys is not installed.
func installed(t *testing.T) string {
	t.Helper()
	absent := t.Skipf
	if os.Getenv("WALINK_INTEROP") != "" { // interop/run sets it, and has installed Baileys
		absent = t.Fatalf
	}
	node, err := exec.LookPath("node")
	if err != nil {
		absent("Install Node, which Baileys needs: %v", err)
	}
	if _, err := os.Stat(filepath.Join("baileys", "node_modules", "baileys")); err != nil {
		absent("Install Baileys with bash interop/run: %v", err)
	}
	return node
}

// wantLinked checks that got says that Baileys is logged in, and that the server lists
// Baileys with the same addresses.
func (r *rig) wantLinked(got event, logins int) types.JID {
	r.t.Helper()
	if got.Event != "open" {
		r.t.Fatalf("Baileys says %q instead of open", got.Event)
	}
	devices := r.server.Devices()
	if len(devices) != 1 {
		r.t.Fatalf("the server lists %d devices, want one", len(devices))
	}
	device := devices[0]
	if device.JID.String() != got.JID {
		r.t.Errorf("the server lists %v, Baileys is %v", device.JID, got.JID)
	}
	if device.LID.String() != got.LID {
		r.t.Errorf("the server lists %v, Baileys is %v", device.LID, got.LID)
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
	// If the test has stopped Baileys, Wait does nothing. If the test has failed before
	// that, the end of its context has killed the process by now.
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
	var got event
	if err := json.Unmarshal(p.stdout.Bytes(), &got); err != nil {
		p.t.Fatalf("Baileys prints a line that is no event: %v", err)
	}
	return got
}

// await returns the next event of a kind. It skips QR codes, since Baileys shows new ones
// as time passes. Any other event fails the test.
func (p *process) await(kind string) event {
	p.t.Helper()
	for {
		switch got := p.next(); got.Event {
		case kind:
			return got
		case "qr":
		default:
			p.t.Fatalf("Baileys says %q with status %d instead of %s", got.Event, got.Status, kind)
		}
	}
}

// wantLoggedOut checks that Baileys knows that it is no longer linked.
func (p *process) wantLoggedOut(after string) {
	p.t.Helper()
	if got := p.await("close"); got.Status != 401 || !got.LoggedOut { // Baileys' DisconnectReason.loggedOut
		p.t.Errorf("after %s Baileys says status %d, logged out %t", after, got.Status, got.LoggedOut)
	}
}

// stop ends Baileys like its user, so that Baileys saves its session.
func (p *process) stop() {
	p.t.Helper()
	if err := p.stdin.Close(); err != nil {
		p.t.Error(err)
	}
	for p.stdout.Scan() { // Baileys may still print events, such as that it closes
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("Baileys ends with %v\n%s", err, p.stderr)
	}
}
