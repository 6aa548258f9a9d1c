package bench_test

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/walink/walink/internal/fleetload"
	"github.com/walink/walink/walinktest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	var err error
	switch flag.Arg(0) {
	case "server":
		err = serve()
	case "fleet-server":
		err = fleetload.Serve()
	case "job":
		err = fleetJob(flag.Arg(1))
	case "load":
		err = load(flag.Arg(1), flag.Arg(2))
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// self returns a command that runs this test binary as a server or a load.
func self(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Stderr = os.Stderr
	return cmd
}

// remote is the fake server. The server has its own process, so that neither its
// work nor its memory is in a number or a profile of the benchmarks.
type remote struct {
	Address string   // where clients connect
	RootKey [32]byte // signs the server's certificates
	Phones  string   // the URL of the phones

	whatsapp *http.Client // leads whatsmeow to Address
	stdin    io.Closer    // open for as long as the server runs
}

// serve is the process of the server. It ends with its standard input, and so
// with the process that started it.
func serve() error {
	srv, err := walinktest.Start()
	if err != nil {
		return err
	}
	defer srv.Close()
	phones := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		phone := srv.NewPhone(r.FormValue("number"))
		answer := phone.ScanQR
		if r.FormValue("by") == string(code) {
			answer = phone.EnterCode
		}
		if err := answer(r.Context(), r.FormValue("code")); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
		}
	}))
	phones.Config.SetKeepAlivesEnabled(false) // no goroutine is left at the other end
	phones.Start()
	defer phones.Close()
	address, err := srv.Listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(remote{Address: address, RootKey: srv.RootKey(), Phones: phones.URL}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// server starts the fake server when the first benchmark needs it.
var server = sync.OnceValues(func() (*remote, error) {
	cmd := self("server")
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if err := cmp.Or(inErr, outErr, cmd.Start()); err != nil {
		return nil, err
	}
	r := &remote{stdin: in}
	if err := json.NewDecoder(out).Decode(r); err != nil {
		return nil, err
	}
	r.whatsapp = walinktest.RemoteClient(r.Address, r.RootKey)
	return r, nil
})

// answer has a new phone enter or scan the code that a device shows.
func (r *remote) answer(d *device) error {
	resp, err := http.PostForm(r.Phones, url.Values{"number": {d.number}, "by": {string(d.by)}, "code": {d.code}})
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	said, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the phone says: %s", said)
	}
	return err
}
