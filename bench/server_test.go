package bench_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/walink/walink/internal/fleetload"
)

func TestMain(m *testing.M) {
	flag.Parse()
	var err error
	switch flag.Arg(0) {
	case "server":
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
	*fleetload.Remote

	whatsapp *http.Client // leads whatsmeow to it
}

// server starts the fake server when the first benchmark needs it.
var server = sync.OnceValues(func() (*remote, error) {
	r, err := fleetload.Start(self("server"))
	if err != nil {
		return nil, err
	}
	return &remote{r, r.Client()}, nil
})

// answer has a new phone enter or scan the code that a device shows.
func (r *remote) answer(ctx context.Context, d *device) error {
	return r.Answer(ctx, d.number, string(d.by), d.code)
}
