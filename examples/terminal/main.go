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
	exitLinked = 0 // or, with -doctor, nothing keeps it from linking
	exitFailed = 1
	exitUsage  = 2
)

// memory is the database that is no file.
const memory = ":memory:"

func main() {
	quiet()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	p := program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(p.run(ctx, os.Args[1:]))
}

// quiet takes from libsignal, which is below whatsmeow, the logger that prints
// on stdout, where a script reads events.
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
	stdin          io.Reader // read once a passkey is asked for; nil for none
	stdout, stderr io.Writer
	transport      http.RoundTripper // in place of the network; nil outside of tests
	extension      string            // where the passkey extension is kept, "" outside of tests
	thinking       time.Duration     // of the simulated phone, zero outside of tests

	opts   options
	screen *screen
	desk   *desk
}

// run does it all and returns the exit code.
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
		p.screen.size = nil // the events would run through what is drawn
	}
	settings := opts.settings
	if opts.verbose {
		log := p.stderr
		if opts.json || p.screen.live() && terminal(p.stderr) != nil {
			log = p.screen // that is where the log would be written to as well
		}
		settings.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if p.transport != nil {
		settings.HTTPClient = &http.Client{Transport: p.transport}
	}
	if opts.doctor {
		return p.examine(ctx, settings)
	}
	// New does no I/O, so faults of the settings are found before a file is made.
	if _, err := walink.New(struct{ store.Store }{}, settings); err != nil {
		p.printf(p.stderr, "%s\n", reason(err))
		p.printf(p.stderr, "Run with -h for all flags and examples.\n")
		return exitUsage
	}
	return p.open(ctx, settings)
}

// open opens the database, and the sandbox where one is asked for, and links.
func (p *program) open(ctx context.Context, settings walink.Settings) int {
	st, err := sqlite.Open(ctx, p.opts.db)
	if err != nil {
		return p.unusable(ctx, err)
	}
	defer func() {
		if err := st.Close(); err != nil {
			p.printf(p.stderr, "The database was not closed properly: %v\n", err)
		}
	}()

	var sb *sandbox
	if p.opts.sandbox {
		sb, err = startSandbox(ctx, st, cmp.Or(settings.Phone, sandboxPhone), p.opts.passkey, cmp.Or(p.thinking, thinking))
		if err != nil {
			return p.unusable(ctx, fmt.Errorf("the sandbox cannot use %s: %w", p.database(), err))
		}
		defer sb.Close()
		settings.HTTPClient = sb.server.HTTPClient()
		p.screen.Note("Sandbox: WhatsApp and the phone are simulated, nothing real is linked.")
		switch {
		case p.opts.db == memory:
		case p.opts.apart:
			p.screen.Note("Its sessions are kept apart from real ones, in " + p.database() + ".")
		default:
			p.screen.Note("Warning: its sessions go into " + p.database() + ". Do not use that file without -sandbox.")
		}
	}

	p.desk = newDesk(p.screen.Note, p.extension)
	defer func() {
		if err := p.desk.Close(); err != nil {
			p.printf(p.stderr, "What was made for the passkey was not removed: %v\n", err)
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

// link links, shows how it goes, and returns the exit code.
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
	var says <-chan string // never ready without a sandbox
	if sb != nil {
		says = sb.says
	}
	var ticks <-chan time.Time // never ready where nothing is drawn
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
		case line := <-p.desk.told:
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
			case walink.Connecting, walink.PairingCode, walink.QRCode, walink.Withdrawn, walink.Paired, walink.Retrying, walink.Disconnected, walink.Reconnected:
			}
		}
	}
}

// printJSON writes an event as a line of its own.
func (p *program) printJSON(event walink.Event) {
	line, err := walink.MarshalEvent(event)
	if err != nil {
		p.printf(p.stderr, "An event cannot be written: %v\n", err)
		return
	}
	p.printf(p.stdout, "%s\n", line)
}

// linked says who is linked, where it is kept, and what to do next.
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
		p.screen.Note("Start again: the same command resumes this session. Begin anew: delete the file.")
	default:
		p.screen.Note(kept)
		p.screen.Note("Whoever can read that file can read and write as this account.")
		p.screen.Note("Start again: the same command connects without a code.")
	}
	if !p.opts.sandbox {
		p.screen.Note(`Unlink: on the phone, in Linked devices, tap this device and Log out.`)
	}
}

// linkedKey returns the key of the device that is stored under the session, or
// the zero key.
func (p *program) linkedKey(ctx context.Context, st store.Store) (key [32]byte, err error) {
	device, err := st.Device(ctx, p.session())
	if err != nil || device.ID == nil {
		return key, err
	}
	return *device.NoiseKey.Pub, nil
}

// stopped says what a Link that was canceled has left behind. It asks the
// store: the phone may have accepted just then.
func (p *program) stopped(ctx context.Context, st store.Store, before [32]byte) {
	after, err := p.linkedKey(context.WithoutCancel(ctx), st)
	switch {
	case err != nil:
		p.printf(p.stderr, "Stopped. Whether a device was linked is not known: %v\n", err)
	case after == before || after == [32]byte{}:
		p.printf(p.stderr, "Stopped. Nothing new was linked.\n")
	case p.opts.db == memory:
		p.printf(p.stderr, "Stopped. The phone has accepted already, and nothing is kept: on the phone, in Linked devices, remove this device.\n")
	default:
		p.printf(p.stderr, "Stopped. The phone has accepted already: start again to connect, no code is needed.\n")
	}
}

// failed says why nothing is linked, and what to do about it.
func (p *program) failed(err *walink.Error) {
	p.printf(p.stderr, "Not linked: %s.\nWhat to do: %s\n", reason(err), err.Remedy())
	if err.RetryAfter > 0 {
		p.printf(p.stderr, "Try again in %s, at %s.\n", err.RetryAfter.Round(time.Second), clock(time.Now().Add(err.RetryAfter)))
	}
}

// printf writes where an error has nowhere to be told.
func (p *program) printf(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, format, args...)
}

// unusable says that the database cannot be used, and returns the exit code.
func (p *program) unusable(ctx context.Context, err error) int {
	if ctx.Err() != nil {
		p.printf(p.stderr, "Stopped. Nothing new was linked.\n")
	} else {
		p.printf(p.stderr, "Not linked: %v.\nWhat to do: mend what it says, or choose another file with -db.\n", err)
	}
	return exitFailed
}

// session is the name of the session.
func (p *program) session() string { return cmp.Or(p.opts.settings.Session, "default") }

// database is the file that keeps the session, as a path that is good in every directory.
func (p *program) database() string {
	if path, err := filepath.Abs(p.opts.db); err == nil {
		return path
	}
	return p.opts.db
}
