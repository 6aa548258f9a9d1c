package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink"
	"github.com/walink/walink/doctor"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/sqlite"
)

// examine prints the doctor's report and returns the exit code. It makes and changes
// nothing.
func (p *program) examine(ctx context.Context, settings walink.Settings) int {
	st := p.inspect(ctx)
	defer func() {
		if err := st.Close(); err != nil {
			p.printf(p.stderr, "The database was not closed properly: %v\n", err)
		}
	}()
	if p.opts.sandbox {
		sb, err := p.rehearse(ctx, st, settings)
		if err != nil {
			return p.unusable(ctx, err)
		}
		defer sb.Close()
		settings.HTTPClient = sb.server.HTTPClient()
		p.screen.Note("Sandbox: WhatsApp is simulated, so this says nothing about the network.")
	}
	report := doctor.Examine(ctx, st, settings, p.opts.faults...)
	if p.opts.json {
		line, err := json.Marshal(report)
		if err != nil {
			p.printf(p.stderr, "The report cannot be written: %v\n", err)
			return exitFailed
		}
		p.printf(p.stdout, "%s\n", line)
	} else {
		p.printf(p.stdout, "%s", report)
	}
	if !report.OK() {
		return exitFailed
	}
	return exitLinked
}

// inspect opens the database without changing it. If that fails, inspect returns a
// store whose calls return the error.
func (p *program) inspect(ctx context.Context) store.Store {
	path := p.opts.db
	if path != memory {
		path = p.database()
	}
	st, err := sqlite.Inspect(ctx, path)
	if err != nil {
		return unopened{path, err}
	}
	return st
}

// rehearse starts the sandbox with the sessions of st, or with none if the database
// could not be opened.
func (p *program) rehearse(ctx context.Context, st store.Store, settings walink.Settings) (_ *sandbox, err error) {
	if _, ok := st.(unopened); ok {
		empty, err := sqlite.Open(ctx, memory)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, empty.Close()) }()
		st = empty
	}
	return startSandbox(ctx, st, cmp.Or(settings.Phone, sandboxPhone), p.opts.passkey, cmp.Or(p.thinking, thinking))
}

// unopened is a database that could not be opened. Its calls return the error.
type unopened struct {
	path string
	err  error
}

func (u unopened) Path() string { return u.path }

func (u unopened) Device(context.Context, string) (*wastore.Device, error) { return nil, u.err }

func (u unopened) Sessions(context.Context) ([]store.Session, error) { return nil, u.err }

func (u unopened) Delete(context.Context, string) error { return u.err }

func (u unopened) Close() error { return nil }
