// Package rig sets up a [walink.Linker] in front of a fake WhatsApp, for the tests
// of this repository. A test runs in a bubble, where hours pass in milliseconds:
//
//	rig.Bubble(t, func(t *testing.T) {
//		r := rig.New(t, walink.Settings{})
//		r.Link(t.Context())
//		r.Scan(rig.Await[walink.QRCode](r))
//		r.Linked()
//		r.CheckUsable()
//	})
//
// Every helper that cannot do what its name says ends the test, and shows the
// events so far.
package rig

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/walink/walink"
	"github.com/walink/walink/store"
	"github.com/walink/walink/walinktest"
)

// Number is the number of the phone, in E.164.
const Number = "+5511987654321"

// A Rig is a Linker with all that it needs. It belongs to the goroutine of its test.
type Rig struct {
	Server *walinktest.Server
	Store  store.Store
	Phone  *walinktest.Phone
	Linker *walink.Linker

	// Seen has the events of the latest Link or Supervise that the test has read.
	Seen []walink.Event

	tb     testing.TB
	client *http.Client
	events <-chan walink.Event
}

// An Option changes a part of a Rig.
type Option func(*Rig)

// WithStore takes a Store in place of the one that the Rig would have.
func WithStore(st store.Store) Option {
	return func(r *Rig) { r.Store = st }
}

// WithPhone sets up a phone for Number with options.
func WithPhone(options ...walinktest.PhoneOption) Option {
	return func(r *Rig) { r.Phone = r.Server.NewPhone(Number, options...) }
}

// WithTransport puts what wrap returns between whatsmeow and the server. The
// argument of wrap is the transport to the server.
func WithTransport(wrap func(http.RoundTripper) http.RoundTripper) Option {
	return func(r *Rig) { r.client = &http.Client{Transport: wrap(r.client.Transport)} }
}

// Bubble runs a test in a bubble of [synctest]. It is the leak test, too: the
// test fails if a goroutine is left at its end.
func Bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// New returns a Rig with its own server, its own phone and a [MemoryStore],
// unless options say otherwise. The settings get the server's HTTPClient.
func New(tb testing.TB, settings walink.Settings, options ...Option) *Rig {
	tb.Helper()
	srv := walinktest.NewServer(tb)
	r := &Rig{Server: srv, tb: tb, client: srv.HTTPClient()}
	r.assemble(settings, options)
	return r
}

// Another returns a Rig with another Linker on the server, the phone and the
// Store of r, unless options say otherwise. It leaves r as it is.
func (r *Rig) Another(settings walink.Settings, options ...Option) *Rig {
	r.tb.Helper()
	another := *r
	another.events, another.Seen = nil, nil
	another.assemble(settings, options)
	return &another
}

// Again closes the Linker of r and returns [Rig.Another], as after a restart of
// the program.
func (r *Rig) Again(settings walink.Settings, options ...Option) *Rig {
	r.tb.Helper()
	r.Close()
	return r.Another(settings, options...)
}

// Close closes the Linker. The end of the test does so, too.
func (r *Rig) Close() {
	r.tb.Helper()
	if err := r.Linker.Close(); err != nil {
		r.tb.Fatal(err)
	}
}

// assemble applies the options, fills in what is missing, and makes the Linker.
func (r *Rig) assemble(settings walink.Settings, options []Option) {
	r.tb.Helper()
	for _, option := range options {
		option(r)
	}
	if r.Store == nil {
		r.Store = MemoryStore(r.tb)
	}
	if r.Phone == nil {
		r.Phone = r.Server.NewPhone(Number)
	}
	settings.HTTPClient = r.client
	linker, err := walink.New(r.Store, settings)
	if err != nil {
		r.tb.Fatal(err)
	}
	r.tb.Cleanup(func() {
		if err := linker.Close(); err != nil {
			r.tb.Error(err)
		}
	})
	r.Linker = linker
}

// Sessions returns the names of the sessions in the Store.
func (r *Rig) Sessions() []string {
	r.tb.Helper()
	list, err := r.Store.Sessions(context.WithoutCancel(r.tb.Context()))
	if err != nil {
		r.tb.Fatal(err)
	}
	names := make([]string, len(list))
	for i, session := range list {
		names[i] = session.Name
	}
	return names
}

// CheckUsable ends the test unless the client is logged in and WhatsApp answers it.
func (r *Rig) CheckUsable() {
	r.tb.Helper()
	client := r.Linker.Client()
	if client == nil || !client.IsConnected() || !client.IsLoggedIn() {
		r.tb.Fatalf("the client is not connected and logged in after\n%s", r.Story())
	}
	if err := client.SetPassive(r.tb.Context(), false); err != nil {
		r.tb.Fatalf("WhatsApp does not answer the client: %v", err)
	}
}

// WantReason fails the test unless err has every reason that is wanted, and a remedy.
func WantReason(tb testing.TB, err error, want ...walink.Reason) {
	tb.Helper()
	failure, ok := errors.AsType[*walink.Error](err)
	if !ok || failure == nil {
		tb.Fatalf("the error is %v, want %v", err, want)
	}
	for _, reason := range want {
		if !errors.Is(err, reason) {
			tb.Errorf("the error is %v, want %v", err, reason)
		}
	}
	if failure.Remedy() == "" {
		tb.Errorf("the error %v has no remedy", err)
	}
}
