package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/sqlite"
)

// examine looks for what is wrong, and returns the exit code. Whatever is wrong, it
// prints a report, and nothing is made or changed.
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
	report := walink.Diagnose(ctx, st, settings, p.opts.faults...)
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

// inspect opens the database as it is. Where that is not possible the doctor gets a
// store that says why.
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

// rehearse starts the sandbox with the sessions that can be read.
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

// unopened is a database that cannot be opened, and says why.
type unopened struct {
	path string
	err  error
}

func (u unopened) Path() string { return u.path }

func (u unopened) Device(context.Context, string) (*wastore.Device, error) { return nil, u.err }

func (u unopened) Sessions(context.Context) ([]store.Session, error) { return nil, u.err }

func (u unopened) Delete(context.Context, string) error { return u.err }

func (u unopened) Close() error { return nil }
