package transfer_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/plaintest"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/store/storetest"
	"github.com/walink/walink/store/transfer"
	"github.com/walink/walink/walinktest"
)

// stores are those of this module.
func stores() map[string]func(t *testing.T) store.Store {
	return map[string]func(t *testing.T) store.Store{
		"sqlite": func(t *testing.T) store.Store {
			t.Helper()
			st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "walink.db"))
			if err != nil {
				t.Fatal(err)
			}
			return st
		},
		"memory":    func(*testing.T) store.Store { return kv.New(memory.New()) },
		"encrypted": func(*testing.T) store.Store { return kv.New(kv.Encrypt(memory.New(), kv.NewKey())) },
	}
}

func TestCopyBetweenStores(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{{"sqlite", "memory"}, {"memory", "sqlite"}, {"encrypted", "memory"}, {"sqlite", "encrypted"}} {
		t.Run(pair[1]+" to "+pair[0], func(t *testing.T) {
			t.Parallel()
			storetest.RunCopy(t, func(t *testing.T) (to, from store.Store) {
				t.Helper()
				return stores()[pair[0]](t), stores()[pair[1]](t)
			})
		})
	}
}

// linked links the session "shop" by QR code, in a new sqlite Store. The caller
// closes the Linker.
func linked(t *testing.T, srv *walinktest.Server) (st store.Store, linker *walink.Linker, jid types.JID) {
	t.Helper()
	st = stores()["sqlite"](t)
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	linker, err := walink.New(st, walink.Settings{Session: "shop", HTTPClient: srv.HTTPClient()})
	if err != nil {
		t.Fatal(err)
	}
	events, err := linker.Link(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	phone := srv.NewPhone("+5511987654321")
	var last walink.Event
	for last = range events {
		if code, ok := last.(walink.QRCode); ok {
			if err := phone.ScanQR(t.Context(), code.Payload); err != nil {
				t.Fatal(err)
			}
		}
	}
	end, ok := last.(walink.Linked)
	if !ok {
		t.Fatalf("the Link ended with %v", last)
	}
	return st, linker, end.Account.JID
}

func TestCopiedSessionLogsIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := walinktest.NewServer(t)
		st, linker, jid := linked(t, srv)
		err := transfer.Copy(t.Context(), kv.New(memory.New()), st)
		if _, ok := errors.AsType[*store.BusyError](err); !ok {
			t.Errorf("a Copy of a connected session: %v, want a BusyError", err)
		}
		if err := linker.Close(); err != nil {
			t.Fatal(err)
		}
		// Through every Store.
		last := st
		for _, next := range []store.Store{kv.New(memory.New()), kv.New(kv.Encrypt(memory.New(), kv.NewKey())), stores()["sqlite"](t)} {
			if err := transfer.Move(t.Context(), next, last); err != nil {
				t.Fatal(err)
			}
			plaintest.Resumes(t, srv, next, jid)
			last = next
		}
		if got := sessionCount(t, st); got != 0 {
			t.Errorf("the first Store still has %d sessions", got)
		}
		if err := last.Close(); err != nil {
			t.Error(err)
		}
	})
}

// thinStore has no optional interface.
type thinStore struct{ store.Store }

func TestCopyOfAForeignStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := walinktest.NewServer(t)
		st, linker, jid := linked(t, srv)
		if err := linker.Close(); err != nil {
			t.Fatal(err)
		}
		inner := kv.New(memory.New())
		foreign := thinStore{inner}
		for _, err := range []error{transfer.Copy(t.Context(), foreign, st), transfer.Copy(t.Context(), inner, thinStore{st})} {
			if !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("Copy: %v, want ErrUnsupported", err)
			}
		}
		storetest.Link(t, inner, "other", jid)
		if err := transfer.Copy(t.Context(), foreign, st, transfer.LoginOnly()); !errors.Is(err, transfer.ErrTaken) {
			t.Errorf("Copy of a device that is there: %v, want ErrTaken", err)
		}
		if err := inner.Delete(t.Context(), "other"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := transfer.Copy(t.Context(), foreign, st, transfer.LoginOnly()); err != nil {
				t.Fatal(err)
			}
		}
		plaintest.Resumes(t, srv, foreign, jid)
	})
}

// A target that stops answering leaves nothing, and the lease is given back.
func TestCopyWhoseTargetFails(t *testing.T) {
	t.Parallel()
	from, to := kv.New(memory.New()), kv.New(memory.New())
	storetest.Link(t, from, "shop", storetest.JID("5511987654321", 1))
	failure := errors.New("the failure")
	ctx, cancel := context.WithCancel(t.Context())
	for _, target := range []failingStore{{to, func() error { return failure }}, {to, func() error { cancel(); return nil }}} {
		if err := transfer.Copy(ctx, target, from); err == nil {
			t.Error("Copy succeeded")
		}
		if sessions, err := to.Sessions(t.Context()); err != nil || len(sessions) != 0 {
			t.Errorf("the target has %v, %v", sessions, err)
		}
		if lease, err := from.PeekLease(t.Context(), "shop"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the session is still lent: %v, %v", lease, err)
		}
	}
}

// failingStore fails after the first record, or does what else fail does.
type failingStore struct {
	*kv.Store
	fail func() error
}

func (s failingStore) Import(ctx context.Context, session string, records iter.Seq2[transfer.Record, error]) error {
	return s.Store.Import(ctx, session, func(yield func(transfer.Record, error) bool) {
		for record, err := range records {
			if !yield(record, err) {
				return
			}
			if err := s.fail(); err != nil {
				yield(nil, err)
				return
			}
		}
	})
}

// A lease that another took while the copy ran ends it.
func TestCopyThatLosesItsLease(t *testing.T) {
	t.Parallel()
	from, to := kv.New(memory.New()), kv.New(memory.New())
	storetest.Link(t, from, "shop", storetest.JID("5511987654321", 1))
	target := failingStore{to, func() error {
		lease, err := from.PeekLease(t.Context(), "shop")
		if err == nil {
			err = from.EndHolder(t.Context(), store.Holder{ID: lease.HolderID})
		}
		if err == nil {
			_, _, err = from.TakeLeases(t.Context(), []string{"shop"}, store.Holder{ID: rand.Text(), Name: "another"}, time.Hour)
		}
		return err
	}}
	if err := transfer.Copy(t.Context(), target, from); !errors.Is(err, store.ErrLeaseLost) {
		t.Errorf("Copy: %v, want ErrLeaseLost", err)
	}
	if sessions, err := to.Sessions(t.Context()); err != nil || len(sessions) != 0 {
		t.Errorf("the target has %v, %v", sessions, err)
	}
}

func TestCopyOfALargeSession(t *testing.T) {
	t.Parallel()
	const contacts, secrets = 2_000, 8_000 // beyond the 32 766 parameters of one statement
	from := stores()["sqlite"](t)
	device := storetest.Link(t, from, "shop", storetest.JID("5511987654321", 1))
	var names []wastore.ContactEntry
	var inserts []wastore.MessageSecretInsert
	for i := range secrets {
		jid := storetest.JID("4915"+strconv.Itoa(10_000_000+i%contacts), 0)
		if i < contacts {
			names = append(names, wastore.ContactEntry{JID: jid, FirstName: "Ana"})
		}
		inserts = append(inserts, wastore.MessageSecretInsert{Chat: jid, Sender: jid, ID: strconv.Itoa(i), Secret: []byte("secret")})
	}
	if err := errors.Join(device.Contacts.PutAllContactNames(t.Context(), names), device.MsgSecrets.PutMessageSecrets(t.Context(), inserts)); err != nil {
		t.Fatal(err)
	}
	to, middle := stores()["sqlite"](t), kv.New(memory.New())
	if err := errors.Join(
		transfer.Copy(t.Context(), middle, from), transfer.Copy(t.Context(), to, middle),
		from.Close(), middle.Close(),
	); err != nil {
		t.Fatal(err)
	}
	exporter, ok := to.(transfer.Exporter)
	if !ok {
		t.Fatal("no Exporter")
	}
	count := 0
	for _, err := range exporter.Export(t.Context(), "shop") {
		if err != nil {
			t.Fatal(err)
		}
		count++
	}
	if want := 1 + contacts + secrets; count != want {
		t.Errorf("%d records, want %d", count, want)
	}
	if err := to.Close(); err != nil {
		t.Error(err)
	}
}

// An error goes to logs and terminals.
func TestErrorAboutManySessionsIsShort(t *testing.T) {
	t.Parallel()
	names := make([]string, 200) // none of which is stored
	for i := range names {
		names[i] = "shop " + strconv.Itoa(i)
	}
	err := transfer.Copy(t.Context(), kv.New(memory.New()), kv.New(memory.New()), transfer.Sessions(names...))
	if text := fmt.Sprint(err); !errors.Is(err, store.ErrNotFound) || len(text) > 1000 || !strings.HasSuffix(text, "and 197 more") {
		t.Errorf("%d bytes: %.1000s", len(text), text)
	}
}

// blank is a Store whose devices are nil.
type blank struct{ store.Store }

func (blank) Device(context.Context, string) (*wastore.Device, error) { return nil, nil }

func TestCopyOfNilIsAnError(t *testing.T) {
	t.Parallel()
	var none *kv.Store
	whole := kv.New(memory.New())
	storetest.Link(t, whole, "default", storetest.JID("5511987654321", 1))
	for name, pair := range map[string][2]store.Store{
		"a nil target": {none, whole}, "a nil source": {whole, nil},
		"a target without devices": {blank{kv.New(memory.New())}, whole}, "a source without devices": {kv.New(memory.New()), blank{whole}},
	} {
		if err := transfer.Copy(t.Context(), pair[0], pair[1], transfer.LoginOnly(), transfer.Sessions("default")); err == nil {
			t.Errorf("%s: Copy succeeded", name)
		}
	}
}
