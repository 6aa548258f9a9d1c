// Package measure links devices with walink and with hand-written plain
// whatsmeow, on one server, and takes the times and the memory of both.
package measure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/rpc"
	"os"
	"os/exec"
	"sync/atomic"
	"time"

	"github.com/walink/walink/walinktest"
)

// roleVariable tells a process that the Lab has started what it is to be.
const roleVariable = "WALINK_BENCH_ROLE"

const (
	roleServer = "server"
	roleMemory = "memory"
)

// Child runs the part of a process that a measurement has started, and does
// not return from there. In every other process it does nothing. A program
// that measures calls it first of all, because it starts itself again.
func Child() {
	run := map[string]func() error{roleServer: serve, roleMemory: weigh}[os.Getenv(roleVariable)]
	if run == nil {
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// self returns a command that runs this program again in another role.
func self(ctx context.Context, role string) (*exec.Cmd, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path) //nolint:gosec // this program itself
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	return cmd, nil
}

// Lab is a fake WhatsApp in a process of its own, so that neither its work nor
// its memory is in a profile or a heap of this one, and a folder for databases.
type Lab struct {
	dir   string
	cmd   *exec.Cmd
	calls *rpc.Client
	http  *http.Client
	next  atomic.Int64
}

// NewLab starts the server. Databases are made in dir. A process may have one
// Lab after the other, and not two at a time.
func NewLab(ctx context.Context, dir string) (*Lab, error) {
	cmd, err := self(ctx, roleServer)
	if err != nil {
		return nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lab := &Lab{dir: dir, cmd: cmd, calls: rpc.NewClient(stdio{out, in})}
	var address Address
	if err := lab.calls.Call("Host.Open", "127.0.0.1:0", &address); err != nil {
		return nil, errors.Join(err, lab.Close())
	}
	lab.http = walinktest.RemoteClient(address.Address, address.Root)
	return lab, nil
}

// Close ends the server.
func (l *Lab) Close() error {
	return errors.Join(l.calls.Close(), l.cmd.Wait())
}

// number returns a phone number that the server has not seen yet.
func (l *Lab) number() string {
	return fmt.Sprintf("+%d", 5511900000000+l.next.Add(1))
}

// folder makes an empty folder for the databases of one sample.
func (l *Lab) folder() (path string, remove func(), err error) {
	path, err = os.MkdirTemp(l.dir, "sample-*")
	return path, func() { _ = os.RemoveAll(path) }, err
}

// answer has a phone enter a pairing code or scan a QR code.
func (l *Lab) answer(method Method, number, shown string) error {
	return l.calls.Call("Host.Answer", Answer{Method: method, Number: number, Shown: shown}, new(struct{}))
}

// stdio is a connection made of two pipes.
type stdio struct {
	io.ReadCloser
	in io.WriteCloser
}

// Write writes to the other process.
func (s stdio) Write(p []byte) (int, error) { return s.in.Write(p) }

// Close closes both pipes, which ends the other process.
func (s stdio) Close() error { return errors.Join(s.in.Close(), s.ReadCloser.Close()) }

// Host is what the process of the server does for the Lab.
type Host struct{ srv *walinktest.Server }

// Address is where a server is, and what signs its certificates.
type Address struct {
	Address string
	Root    [32]byte
}

// Answer is what a phone is to do with a code on a screen.
type Answer struct {
	Method        Method
	Number, Shown string
}

// Open opens the server on a loopback address.
func (h *Host) Open(at string, address *Address) error {
	actual, err := h.srv.Listen(at)
	*address = Address{Address: actual, Root: h.srv.RootKey()}
	return err
}

// Answer has a new phone enter the code or scan it.
func (h *Host) Answer(answer Answer, _ *struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	phone := h.srv.NewPhone(answer.Number)
	if answer.Method == Code {
		return phone.EnterCode(ctx, answer.Shown)
	}
	return phone.ScanQR(ctx, answer.Shown)
}

// serve is the process of the server. It ends when the Lab closes its input.
func serve() error {
	srv, err := walinktest.Start()
	if err != nil {
		return err
	}
	defer srv.Close()
	calls := rpc.NewServer()
	if err := calls.Register(&Host{srv}); err != nil {
		return err
	}
	calls.ServeConn(stdio{os.Stdin, os.Stdout})
	return nil
}
