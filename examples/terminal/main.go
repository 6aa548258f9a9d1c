// Command terminal links a WhatsApp account from a terminal, by pairing code or
// by QR code, and keeps the session in a file:
//
//	go run ./examples/terminal -phone "+55 11 98765-4321"
//
// With -sandbox it does so against a simulated WhatsApp with a simulated phone.
// Run it with -h for the rest. Its exit code is 0 when the account is linked, 1
// when it is not, and 2 when it was used wrongly.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"go.mau.fi/libsignal/logger"

	"github.com/walink/walink"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/sqlite"
)

// The exit codes.
const (
	exitLinked = 0 // with -doctor: no check has failed
	exitFailed = 1
	exitUsage  = 2
)

// memory is the database that is not a file.
const memory = ":memory:"

func main() {
	quiet()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	p := program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(p.run(ctx, os.Args[1:]))
}

// quiet replaces the default logger of libsignal, which whatsmeow uses. That logger prints
// on stdout (logger/DefaultLogger.go), where a script reads events. Delete when libsignal's
// default logger does not print.
func quiet() {
	var none logger.Loggable = discard{}
	logger.Setup(&none)
}

type discard struct{}

func (discard) Debug(_, _ string)   {}
func (discard) Info(_, _ string)    {}
func (discard) Warning(_, _ string) {}
func (discard) Error(_, _ string)   {}
func (discard) Configure(string)    {}

// program is one run.
type program struct {
	stdin          io.Reader // the program reads it when WhatsApp wants a passkey; may be nil
	stdout, stderr io.Writer
	transport      http.RoundTripper // in place of the network; nil outside of tests
	extension      string            // the folder of the passkey extension; "" outside of tests
	thinking       time.Duration     // of the simulated phone; zero outside of tests

	opts   options
	screen *screen
	desk   *desk
}

// run is the whole program. It returns the exit code.
func (p *program) run(ctx context.Context, args []string) int {
	opts, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		p.printf(p.stdout, "%s", usage())
		return exitLinked
	case err != nil:
		p.printf(p.stderr, "%v\n", err)
		p.printf(p.stderr, "Run with -h for all flags and examples.\n")
		return exitUsage
	}
	p.opts = opts

	ui := p.stdout
	if opts.json {
		ui = p.stderr
	}
	p.screen = newScreen(ui)
	if opts.json && terminal(p.stdout) != nil {
		p.screen.size = nil // the events would overwrite the frame
	}
	settings := opts.settings
	if opts.verbose {
		log := p.stderr
		if opts.json || p.screen.live() && terminal(p.stderr) != nil {
			log = p.screen // both are the same terminal
		}
		settings.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if p.transport != nil {
		settings.HTTPClient = &http.Client{Transport: p.transport}
	}
	if opts.doctor {
		return p.examine(ctx, settings)
	}
	// The settings are checked before a file is made.
	if err := settings.Check(); err != nil {
		p.printf(p.stderr, "%s\n", reason(err))
		p.printf(p.stderr, "Run with -h for all flags and examples.\n")
		return exitUsage
	}
	return p.open(ctx, settings)
}

// open opens the database, starts the sandbox with -sandbox, and links.
func (p *program) open(ctx context.Context, settings walink.Settings) int {
	var sb *sandbox
	if p.opts.sandbox {
		var err error
		if sb, err = p.simulate(ctx, settings); err != nil { // before the database is opened, which may change it
			return p.unusable(ctx, fmt.Errorf("the sandbox cannot use %s: %w", p.database(), err))
		}
		defer sb.Close()
	}
	st, err := sqlite.Open(ctx, p.opts.db)
	if err != nil {
		return p.unusable(ctx, err)
	}
	defer func() {
		if err := st.Close(); err != nil {
			p.printf(p.stderr, "The database was not closed properly: %v\n", err)
		}
	}()
	if sb != nil {
		settings.HTTPClient = sb.server.HTTPClient()
		p.screen.Note("Sandbox: WhatsApp and the phone are simulated, nothing real is linked.")
		switch {
		case p.opts.db == memory:
		case p.opts.apart:
			p.screen.Note("The sandbox's sessions are kept apart from real ones, in " + p.database() + ".")
		default:
			p.screen.Note("Do not use " + p.database() + " without -sandbox: the sandbox keeps its sessions in that file.")
		}
	}

	p.desk = newDesk(p.screen.Note, settings.Phone, p.extension)
	defer func() {
		if err := p.desk.Close(); err != nil {
			p.printf(p.stderr, "Remove the files of the passkey yourself: %v\n", err)
		}
	}()
	linker, err := walink.New(st, settings)
	if err != nil {
		p.printf(p.stderr, "%s\n", reason(err))
		return exitUsage
	}
	defer func() { _ = linker.Close() }() // it always returns nil
	p.desk.linker = linker
	return p.link(ctx, st, linker, sb)
}

// simulate starts the sandbox with the sessions of the database, which it does not change.
func (p *program) simulate(ctx context.Context, settings walink.Settings) (_ *sandbox, err error) {
	st := p.inspect(ctx)
	defer func() { err = errors.Join(err, st.Close()) }()
	if failed, ok := st.(unopened); ok {
		if _, err := os.Lstat(failed.path); !errors.Is(err, fs.ErrNotExist) {
			return nil, failed.err
		}
	}
	return p.rehearse(ctx, st, settings)
}

// link links, shows the events, and returns the exit code.
func (p *program) link(ctx context.Context, st store.Store, linker *walink.Linker, sb *sandbox) int {
	before, err := p.linkedKey(ctx, st)
	if err != nil {
		return p.unusable(ctx, err)
	}
	events, err := linker.Link(ctx)
	if err != nil {
		p.printf(p.stderr, "Not linked: %s.\n", reason(err))
		return exitFailed
	}
	var says <-chan string // nil without a sandbox
	if sb != nil {
		says = sb.says
	}
	var ticks <-chan time.Time // nil if the screen draws nothing
	if p.screen.live() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		ticks = ticker.C
	}
	for {
		select {
		case now := <-ticks:
			p.screen.Tick(now)
		case line := <-says:
			p.screen.Note(line)
		case line := <-p.desk.lines:
			p.screen.Typed(time.Now())
			p.desk.Typed(ctx, line)
		case <-p.desk.late:
			p.desk.Late()
		case line := <-p.desk.results:
			p.screen.Note(line)
		case event := <-events:
			if p.opts.json {
				p.printJSON(event)
			}
			p.screen.Show(event, time.Now())
			if sb != nil {
				sb.See(event)
			}
			switch e := event.(type) {
			case walink.Linked:
				p.screen.Close()
				p.linked(e)
				return exitLinked
			case walink.Failed:
				p.screen.Close()
				if e.Err.Reason == walink.ErrCanceled {
					p.stopped(ctx, st, before)
				} else {
					p.failed(e.Err)
				}
				return exitFailed
			case walink.PasskeyRequired:
				line := p.desk.Ask(ctx, p.stdin, e)
				if sb != nil {
					sb.Browse(line, e.Challenge, linker)
				}
			case walink.PasskeyConfirmation:
				p.desk.Compare(e)
			case walink.Connecting, walink.PairingCode, walink.QRCode, walink.Withdrawn, walink.Paired, walink.Retrying, walink.Disconnected, walink.Reconnected,
				walink.Standby:
			}
		}
	}
}

// printJSON writes an event as a line of JSON.
func (p *program) printJSON(event walink.Event) {
	line, err := walink.MarshalEvent(event)
	if err != nil {
		p.printf(p.stderr, "An event cannot be written: %v\n", err)
		return
	}
	p.printf(p.stdout, "%s\n", line)
}

// linked says who is linked, which file keeps the session, and what to do next.
func (p *program) linked(e walink.Linked) {
	who := e.Account.Phone.International()
	if e.Account.BusinessName != "" {
		who += " (" + e.Account.BusinessName + ")"
	}
	if e.Resumed {
		p.screen.Note(fmt.Sprintf("Resumed: %s was linked already, no code was needed.", who))
	} else {
		p.screen.Note(fmt.Sprintf("Linked: %s, as device %d of the account.", who, e.Account.JID.Device))
	}
	kept := fmt.Sprintf("Session %q is kept in %s.", p.session(), p.database())
	switch {
	case p.opts.db == memory:
		p.screen.Note(fmt.Sprintf("Session %q is in memory and ends with this program: nothing is kept.", p.session()))
	case p.opts.sandbox:
		p.screen.Note(kept)
		p.screen.Note("Start the same command again to resume this session. Delete the file to begin anew.")
	default:
		p.screen.Note(kept)
		p.screen.Note("Keep that file to yourself: whoever reads the file can read and write as this account.")
		p.screen.Note("Start the same command again to connect without a code.")
	}
	if !p.opts.sandbox {
		p.screen.Note("To unlink, tap this device on the phone, in Linked devices, then Log out.")
	}
}

// linkedKey returns the key of the device that st keeps under the session; the zero key
// if there is none.
func (p *program) linkedKey(ctx context.Context, st store.Store) (key [32]byte, err error) {
	device, err := st.Device(ctx, p.session())
	if err != nil || device.ID == nil {
		return key, err
	}
	return *device.NoiseKey.Pub, nil
}

// stopped says what a canceled Link has left behind. It asks the store, because the
// phone may have accepted at that moment.
func (p *program) stopped(ctx context.Context, st store.Store, before [32]byte) {
	after, err := p.linkedKey(context.WithoutCancel(ctx), st)
	switch {
	case err != nil:
		p.printf(p.stderr, "Stopped. Whether a device was linked is not known: %v\n", err)
	case after == before || after == [32]byte{}:
		p.printf(p.stderr, "Stopped. Nothing new was linked.\n")
	case p.opts.db == memory:
		p.printf(p.stderr, "Stopped. Remove this device on the phone, in Linked devices: the phone has accepted already, and nothing is kept.\n")
	default:
		p.printf(p.stderr, "Stopped. Start again to connect without a code: the phone has accepted already.\n")
	}
}

// failed says why no device is linked, and what to do about it.
func (p *program) failed(err *walink.Error) {
	p.printf(p.stderr, "Not linked: %s.\nWhat to do: %s\n", reason(err), err.Remedy())
	if err.RetryAfter > 0 {
		p.printf(p.stderr, "Try again at %s.\n", clock(time.Now().Add(err.RetryAfter)))
	}
}

// printf writes to an output whose errors nobody could read.
func (p *program) printf(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, format, args...)
}

// unusable says that the database cannot be used, and returns the exit code.
func (p *program) unusable(ctx context.Context, err error) int {
	if ctx.Err() != nil {
		p.printf(p.stderr, "Stopped. Nothing new was linked.\n")
	} else {
		p.printf(p.stderr, "Not linked: %v.\nWhat to do: fix what the error names, or choose another file with -db.\n", err)
	}
	return exitFailed
}

// session is the name of the session.
func (p *program) session() string { return cmp.Or(p.opts.settings.Session, "default") }

// database is the absolute path of the file that keeps the session.
func (p *program) database() string {
	if path, err := filepath.Abs(p.opts.db); err == nil {
		return path
	}
	return p.opts.db
}
