package walink_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/util/keys"

	"github.com/walink/walink"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/store/transfer"
	"github.com/walink/walink/walinktest"
)

const number = "+5511987654321"

// rig is a Linker in front of a fake WhatsApp, inside a bubble.
type rig struct {
	t      *testing.T
	srv    *walinktest.Server
	store  store.Store
	phone  *walinktest.Phone
	linker *walink.Linker
	events <-chan walink.Event
	seen   []walink.Event
}

// bubble runs a test in a synctest bubble, which is also the leak test: it
// fails if a goroutine is left.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// newRig makes a Linker with a store in memory. The settings get the server's client.
func newRig(t *testing.T, settings walink.Settings) *rig {
	t.Helper()
	return newRigOver(t, memoryStore(t), settings)
}

// newRigOver makes a Linker with a store, a server of its own and a phone.
func newRigOver(t *testing.T, st store.Store, settings walink.Settings) *rig {
	t.Helper()
	srv := walinktest.NewServer(t)
	r := newRigOn(t, srv, st, settings)
	r.phone = srv.NewPhone(number)
	return r
}

// memoryStore is a store that is opened in no time, unlike a database, whose
// tables are made first. What depends on the store is tested with sqliteStore.
func memoryStore(t *testing.T) store.Store {
	t.Helper()
	return cheapStore{kvStore(t)}
}

func kvStore(t *testing.T) *kv.Store {
	t.Helper()
	st := kv.New(memory.New())
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

func sqliteStore(t *testing.T) *sqlite.Store {
	t.Helper()
	st, err := sqlite.Open(t.Context(), ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

// fullStore is a store with all that a Linker makes use of.
type fullStore interface {
	store.Store
	store.Ledger
	store.Leaser
	store.Checker
	transfer.Exporter
	transfer.Importer
}

// cheapStore is a store whose devices all upload the same 812 prekeys, since
// making them anew takes most of a test's time under -race.
type cheapStore struct{ fullStore }

func (s cheapStore) Device(ctx context.Context, session string) (*wastore.Device, error) {
	device, err := s.fullStore.Device(ctx, session)
	if err != nil {
		return nil, err
	}
	if device.ID == nil {
		device.Container = cheapContainer{device.Container}
	} else {
		device.PreKeys = cheapPreKeys{device.PreKeys}
	}
	return device, nil
}

type cheapContainer struct{ wastore.DeviceContainer }

func (c cheapContainer) PutDevice(ctx context.Context, device *wastore.Device) error {
	if err := c.DeviceContainer.PutDevice(ctx, device); err != nil {
		return err
	}
	device.PreKeys = cheapPreKeys{device.PreKeys}
	return nil
}

type cheapPreKeys struct{ wastore.PreKeyStore }

var somePreKeys = sync.OnceValue(func() []*keys.PreKey {
	list := make([]*keys.PreKey, 812)
	for i := range list {
		list[i] = keys.NewPreKey(uint32(i + 1))
	}
	return list
})

func (cheapPreKeys) GetOrGenPreKeys(context.Context, uint32) ([]*keys.PreKey, error) {
	return somePreKeys(), nil
}

func newRigOn(t *testing.T, srv *walinktest.Server, st store.Store, settings walink.Settings) *rig {
	t.Helper()
	settings.HTTPClient = srv.HTTPClient()
	linker, err := walink.New(st, settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := linker.Close(); err != nil {
			t.Error(err)
		}
	})
	return &rig{t: t, srv: srv, store: st, linker: linker}
}

func (r *rig) link(ctx context.Context) {
	r.t.Helper()
	events, err := r.linker.Link(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	r.events, r.seen = events, nil
}

// linkByQR links, as a person does who scans the first code.
func (r *rig) linkByQR() walink.Linked {
	r.t.Helper()
	r.link(r.t.Context())
	r.scan(await[walink.QRCode](r))
	return r.linked()
}

// again closes the Linker and returns another on the same server, store and phone.
func (r *rig) again(settings walink.Settings) *rig {
	r.t.Helper()
	if err := r.linker.Close(); err != nil {
		r.t.Fatal(err)
	}
	again := newRigOn(r.t, r.srv, r.store, settings)
	again.phone = r.phone
	return again
}

// next returns the next event, and fails the test if there is none.
func (r *rig) next() walink.Event {
	r.t.Helper()
	event, ok := <-r.events
	if !ok {
		r.t.Fatalf("the channel is closed after\n%s", r.story())
	}
	r.seen = append(r.seen, event)
	return event
}

// await reads until an event of type E.
func await[E walink.Event](r *rig) E {
	r.t.Helper()
	for {
		event := r.next()
		if e, ok := event.(E); ok {
			return e
		}
		switch event.(type) {
		case walink.Linked, walink.Failed:
			var want E
			r.t.Fatalf("the Link ended without %s:\n%s", want.Kind(), r.story())
		}
	}
}

// end reads to the end and returns the terminal event.
func (r *rig) end() walink.Event {
	r.t.Helper()
	for event := range r.events {
		r.seen = append(r.seen, event)
	}
	if len(r.seen) == 0 {
		r.t.Fatal("the channel closed without an event")
	}
	return r.seen[len(r.seen)-1]
}

func (r *rig) failed() *walink.Error {
	r.t.Helper()
	failed, ok := r.end().(walink.Failed)
	if !ok {
		r.t.Fatalf("not failed:\n%s", r.story())
	}
	return failed.Err
}

func (r *rig) linked() walink.Linked {
	r.t.Helper()
	linked, ok := r.end().(walink.Linked)
	if !ok {
		r.t.Fatalf("not linked:\n%s", r.story())
	}
	return linked
}

// kinds are the kinds of all events so far.
func (r *rig) kinds() string {
	kinds := make([]string, len(r.seen))
	for i, event := range r.seen {
		kinds[i] = string(event.Kind())
	}
	return strings.Join(kinds, " ")
}

func (r *rig) story() string {
	var b strings.Builder
	for _, event := range r.seen {
		fmt.Fprintf(&b, "  %s %v\n", event.Kind(), event)
	}
	return b.String()
}

func (r *rig) enter(code walink.PairingCode) {
	r.t.Helper()
	if err := r.phone.EnterCode(r.t.Context(), code.Code); err != nil {
		r.t.Fatalf("the phone says: %v\n%s", err, r.story())
	}
}

func (r *rig) scan(code walink.QRCode) {
	r.t.Helper()
	if err := r.phone.ScanQR(r.t.Context(), code.Payload); err != nil {
		r.t.Fatalf("the phone says: %v\n%s", err, r.story())
	}
}

// sessions are the names of what is stored.
func (r *rig) sessions() []string {
	r.t.Helper()
	list, err := r.store.Sessions(context.WithoutCancel(r.t.Context()))
	if err != nil {
		r.t.Fatal(err)
	}
	names := []string{}
	for _, s := range list {
		names = append(names, s.Name)
	}
	return names
}

// usable fails the test unless the client works, which a ping shows.
func (r *rig) usable() {
	r.t.Helper()
	client := r.linker.Client()
	if client == nil || !client.IsConnected() || !client.IsLoggedIn() {
		r.t.Fatalf("the client is not connected and logged in after\n%s", r.story())
	}
	if err := client.SetPassive(r.t.Context(), false); err != nil {
		r.t.Fatalf("the client is not usable: %v", err)
	}
}

func wantReason(t *testing.T, err *walink.Error, want ...walink.Reason) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %v", want)
	}
	for _, reason := range want {
		if !errors.Is(err, reason) {
			t.Errorf("error %v is not %v", err, reason)
		}
	}
	if err.Remedy() == "" {
		t.Errorf("error %v has no remedy", err)
	}
}

// take enters a code or scans a QR code, in a goroutine of its own, since the
// phone may be refused, or hang.
func (r *rig) take(ctx context.Context, event walink.Event) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	switch e := event.(type) {
	case walink.PairingCode:
		go func() {
			defer cancel()
			_ = r.phone.EnterCode(ctx, e.Code)
		}()
	case walink.QRCode:
		go func() {
			defer cancel()
			_ = r.phone.ScanQR(ctx, e.Payload)
		}()
	default:
		cancel()
	}
}

// untilLinked takes each code that is shown, as a patient person would.
func untilLinked(r *rig) {
	r.t.Helper()
	for {
		event := r.next()
		r.take(r.t.Context(), event)
		switch event.(type) {
		case walink.Linked:
			return
		case walink.Failed:
			r.t.Fatalf("failed:\n%s", r.story())
		}
	}
}
