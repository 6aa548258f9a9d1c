package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/store"
)

// entry is the value that the Store has for a session next to its device. A stored session
// without an entry is wanted: another program has linked it.
type entry struct {
	Unwanted bool              `json:"unwanted,omitempty"`
	Settings walink.Settings   `json:"settings"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

// merged returns the settings of a session: what Link was given in place of the defaults.
func (f *Fleet) merged(session string, given walink.Settings) walink.Settings {
	set := f.set.Defaults
	if given.LinkingMode != "" {
		set.PreferPairingCode = false // it belongs to the mode
	}
	to, from := reflect.ValueOf(&set).Elem(), reflect.ValueOf(given)
	for i := range from.NumField() {
		if !from.Field(i).IsZero() {
			to.Field(i).Set(from.Field(i))
		}
	}
	set.Session = session
	return set
}

// readEntry returns the entry of a session, and whether there is one. If there is one that
// cannot be read, readEntry also returns why not.
func (f *Fleet) readEntry(ctx context.Context, session string) (entry, bool, error) {
	if f.registry == nil {
		return f.session(session).voice.kept()
	}
	const op = "read session entry"
	kept, err := ask(ctx, op, session, func(ctx context.Context) (store.Entry, error) { return f.registry.Entry(ctx, session) })
	if errors.Is(err, store.ErrNotFound) {
		return entry{}, false, nil
	}
	if err != nil {
		return entry{}, errors.Is(err, store.ErrDamaged), err
	}
	e, err := parseEntry(kept.Value)
	if err != nil {
		return entry{}, true, &walink.Error{Reason: walink.ErrStore, Op: op, Err: redact.Session(err, session)}
	}
	return e, true, nil
}

var errEntry = errors.New("the entry of the session is not one that this version of the program has written")

func parseEntry(value []byte) (e entry, err error) {
	if err := json.Unmarshal(value, &e); err != nil { // its text could show a number
		return entry{}, hint.New(errEntry, "Update this program, or call Link or Unlink for the session.")
	}
	return e, nil
}

// writeEntry stores the entry of a session that this process has.
func (f *Fleet) writeEntry(ctx context.Context, session string, e entry) error {
	value, err := json.Marshal(e)
	if err == nil && f.registry != nil {
		_, err = ask(ctx, "write session entry", session, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, f.registry.PutEntry(ctx, store.Entry{Session: session, Value: value})
		})
	}
	if err != nil {
		return err
	}
	s := f.session(session)
	s.mu.Lock()
	s.unwanted = e.Unwanted
	s.mu.Unlock()
	s.voice.keep(e, true)
	return nil
}

// dropEntry deletes the entry of a session.
func (f *Fleet) dropEntry(ctx context.Context, session string) error {
	if f.registry != nil {
		_, err := ask(ctx, "delete session entry", session, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, f.registry.DeleteEntry(ctx, session)
		})
		if err != nil {
			return err
		}
	}
	f.session(session).voice.keep(entry{}, false)
	return nil
}

// checkGiven checks what Link was given.
func (f *Fleet) checkGiven(session string, given walink.Settings) error {
	invalid := func(field, problem, fix string) error {
		return &walink.Error{Reason: walink.ErrInvalidSettings, Op: "link", Err: &walink.SettingError{Field: field, Problem: problem, Fix: fix}}
	}
	switch {
	case session == "":
		return invalid("session", "empty", "Give each session a name.")
	case given.Session != "" && given.Session != session:
		return invalid("Session", "names another session than Link does", "Leave it empty.")
	case given.HTTPClient != nil || given.Logger != nil || given.OnClient != nil || given.Passkey != nil:
		return invalid("HTTPClient, Logger, OnClient, Passkey", "cannot be stored with the session",
			fmt.Sprintf("Set them in Settings.Defaults, or use %s.", "Settings.OnClient and AnswerPasskey"))
	}
	return f.merged(session, given).Check()
}

// whole returns the error of a list of n rows, and nil if only some rows cannot be read, which
// it logs.
func (f *Fleet) whole(err error, n int) error {
	if err != nil && (n > 0 || errors.Is(err, store.ErrDamaged)) {
		f.log.Warn("a part of what the store has cannot be read", "error", err)
		return nil
	}
	return err
}

// readEntries returns the entries of all sessions. It leaves out an entry that
// cannot be read: the error is reported when the session is opened.
func (f *Fleet) readEntries(ctx context.Context) (map[string]entry, error) {
	found := map[string]entry{}
	if f.registry == nil {
		for _, s := range f.all() {
			if e, known, _ := s.voice.kept(); known {
				found[s.name] = e
			}
		}
		return found, nil
	}
	list, err := ask(ctx, "list session entries", "", f.registry.Entries)
	if err := f.whole(err, len(list)); err != nil {
		return nil, err
	}
	for _, kept := range list {
		if e, err := parseEntry(kept.Value); err == nil {
			found[kept.Session] = e
		}
	}
	return found, nil
}
