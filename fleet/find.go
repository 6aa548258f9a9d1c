package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/store"
)

// Session describes one session.
type Session struct {
	Name     string            `json:"name"`
	Status   walink.Status     `json:"status"`
	Account  *walink.Account   `json:"account,omitempty"`  // of the stored device; nil if none is stored
	Holder   string            `json:"holder,omitempty"`   // the process that has the session; "" if none has it, as for about a second when it moves, or if the Store has no leases
	Metadata map[string]string `json:"metadata,omitempty"` // of the last Link
	LinkedAt time.Time         `json:"linkedAt,omitzero"`  // when the device was stored
	Wanted   bool              `json:"wanted"`             // Run keeps the session connected, once it is linked; false after Stop
}

// Publish returns the session without the values that only the operator may see.
func (s Session) Publish() Session {
	s.Status, s.Holder = s.Status.Publish(), ""
	return s
}

// Session returns one session. The error wraps [store.ErrNotFound] if the Store has
// neither a device nor settings of it and it is not being linked here.
func (f *Fleet) Session(ctx context.Context, session string) (Session, error) {
	list, err := f.find(ctx, session)
	if err != nil {
		return Session{}, err
	}
	i, found := slices.BinarySearchFunc(list, session, func(s Session, name string) int { return cmp.Compare(s.Name, name) })
	if !found {
		return Session{}, errUnknown
	}
	return list[i], nil
}

// Sessions returns all sessions that the Store has a device or settings of, and those that
// failed here less than a minute ago, sorted by name, byte by byte.
func (f *Fleet) Sessions(ctx context.Context) ([]Session, error) {
	return f.find(ctx, "")
}

// find returns what the Store and this process know: of one session, or of all of them for
// an empty name.
func (f *Fleet) find(ctx context.Context, only string) ([]Session, error) {
	if f.life.Err() != nil {
		return nil, ErrClosed
	}
	stored, entries, leases, err := f.read(ctx, only)
	if err != nil {
		return nil, err
	}
	found := map[string]*Session{}
	at := func(name string) *Session {
		if found[name] == nil {
			found[name] = &Session{Name: name, Status: walink.Status{State: walink.StateIdle}}
		}
		return found[name]
	}
	for _, device := range stored {
		s := at(device.Name)
		s.Account, s.LinkedAt, s.Wanted = accountOf(device.JID, device.LID), device.LinkedAt, true
	}
	for name, e := range entries {
		s := at(name)
		s.Wanted, s.Metadata = !e.Unwanted, e.Metadata
	}
	for _, local := range f.all() {
		if last := local.voice.latest(); local.isTold(last) && (only == "" || only == local.name) {
			s := at(local.name)
			s.Status = last.Status
			if s.Account == nil {
				s.Account = last.Status.Account
			}
		}
	}
	for _, lease := range leases {
		if s := found[lease.Session]; s != nil {
			s.Holder = redact.Line(lease.Holder)
			if local := f.known(lease.Session); local == nil || !local.isHere() {
				s.Status = walink.Status{State: walink.StateStandby, Holder: s.Holder, Account: s.Account}
			}
		}
	}
	list := make([]Session, 0, len(found)) // not nil: in JSON it is a list also if it is empty
	for _, s := range found {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b Session) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

var errUnknown error = hint.New(fmt.Errorf("fleet: %w", store.ErrNotFound), "Check the name of the session, or call Link for it.")

// isTold reports whether the status of this process counts: the session is here, or has
// failed here a short while ago.
func (s *session) isTold(last Update) bool {
	return s.isHere() || last.Status.State == walink.StateFailed && time.Since(last.At) < listTime
}

func (s *session) isHere() bool {
	_, here := s.current()
	return here
}

// read reads one session from the Store, or all of them for an empty name.
func (f *Fleet) read(ctx context.Context, only string) ([]store.Session, map[string]entry, []store.Lease, error) {
	if only != "" {
		stored, err := f.readSessions(ctx)
		if err != nil {
			return nil, nil, nil, err
		}
		stored = slices.DeleteFunc(stored, func(s store.Session) bool { return s.Name != only })
		entries := map[string]entry{}
		e, known, err := f.readEntry(ctx, only)
		if err != nil && !known {
			return nil, nil, nil, err
		}
		if known {
			entries[only] = e
		}
		lease, err := f.peek(ctx, only)
		if errors.Is(err, store.ErrNotFound) {
			return stored, entries, nil, nil
		}
		return stored, entries, []store.Lease{lease}, err
	}
	stored, entries, err := f.readAll(ctx)
	if err != nil || f.leaser == nil {
		return stored, entries, nil, err
	}
	leases, err := ask(ctx, "list leases", only, f.leaser.Leases)
	return stored, entries, leases, err
}

// readAll reads the devices and the entries of all sessions.
func (f *Fleet) readAll(ctx context.Context) ([]store.Session, map[string]entry, error) {
	stored, err := f.readSessions(ctx)
	if err != nil {
		return nil, nil, err
	}
	entries, err := f.readEntries(ctx)
	return stored, entries, err
}

func (f *Fleet) readSessions(ctx context.Context) ([]store.Session, error) {
	stored, err := ask(ctx, "list sessions", "", f.store.Sessions)
	return stored, f.whole(err, len(stored))
}

func accountOf(jid, lid types.JID) *walink.Account {
	phone, _ := walink.ParsePhone("+" + jid.User)
	return &walink.Account{JID: jid, LID: lid, Phone: phone}
}
