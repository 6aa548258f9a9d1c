package walink_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/store/transfer"
)

func TestNewRefusesAStoreThatIsNil(t *testing.T) {
	t.Parallel()
	var file *sqlite.Store
	var list *kv.Store
	for _, st := range []store.Store{nil, file, list} {
		_, err := walink.New(st, walink.Settings{})
		rig.WantReason(t, err, walink.ErrInvalidSettings)
	}
}

func TestZeroLinkerIsClosed(t *testing.T) {
	t.Parallel()
	var l walink.Linker
	for name, call := range map[string]func() error{
		"Link":           func() error { _, err := l.Link(t.Context()); return err },
		"Supervise":      func() error { _, err := l.Supervise(t.Context()); return err },
		"Unlink":         func() error { return l.Unlink(t.Context()) },
		"AnswerPasskey":  func() error { return l.AnswerPasskey(t.Context(), nil) },
		"ConfirmPasskey": func() error { return l.ConfirmPasskey(t.Context()) },
	} {
		if err := call(); !errors.Is(err, walink.ErrClosed) {
			t.Errorf("%s returns %v", name, err)
		}
	}
	if err := l.Close(); err != nil || l.Client() != nil || l.Status().PairingCode != nil {
		t.Errorf("Close returns %v", err)
	}
}

// givenDevice is a Store that returns one device for every session.
type givenDevice struct {
	store.Store
	device *wastore.Device
}

func (s givenDevice) Device(context.Context, string) (*wastore.Device, error) { return s.device, nil }

// whatsmeow would panic in its own goroutine.
func TestDeviceThatCannotBeUsedIsAFailureOfTheStore(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(whole *wastore.Device) *wastore.Device{
		"nil":          func(*wastore.Device) *wastore.Device { return nil },
		"no keys":      func(d *wastore.Device) *wastore.Device { return &wastore.Device{Container: d.Container} },
		"no container": func(d *wastore.Device) *wastore.Device { d.Container = nil; return d },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				st := rig.MemoryStore(t)
				device, err := st.Device(t.Context(), "default")
				if err != nil {
					t.Fatal(err)
				}
				r := rig.New(t, walink.Settings{}, rig.WithStore(givenDevice{st, spoil(device)}))
				r.Link(t.Context())
				rig.WantReason(t, r.Failed(), walink.ErrStore)
				if err := r.Linker.Unlink(t.Context()); !errors.Is(err, walink.ErrStore) {
					t.Errorf("Unlink returns %v", err)
				}
			})
		})
	}
}

func TestStoreOnNoDatabaseIsAFailureOfTheStore(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		var none *memory.DB
		for _, db := range []kv.DB{nil, none, kv.Encrypt(nil, kv.NewKey())} {
			r := rig.New(t, walink.Settings{}, rig.WithStore(kv.New(db)))
			r.Link(t.Context())
			err := r.Failed()
			rig.WantReason(t, err, walink.ErrStore)
			if err.Remedy() != "Give kv.New an open database." {
				t.Errorf("the remedy of %v is %q", err, err.Remedy())
			}
		}
	})
}

//nolint:paralleltest // it replaces a variable of net/http
func TestDefaultTransportThatIsReplacedAfterNewIsAFailure(t *testing.T) {
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		old := http.DefaultTransport
		http.DefaultTransport = foreignTransport{old}
		defer func() { http.DefaultTransport = old }()
		r.Link(t.Context())
		rig.WantReason(t, r.Failed(), walink.ErrInvalidSettings)
	})
}

// The process has a simulated WhatsApp, and whatsmeow trusts one key only.
func TestProcessThatTrustsASimulatedWhatsAppDoesNotConnectToTheRealOne(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		linker, err := walink.New(r.Store, walink.Settings{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = linker.Close() }()
		events, err := linker.Link(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var last walink.Event
		for last = range events {
		}
		failed, _ := last.(walink.Failed)
		rig.WantReason(t, failed.Err, walink.ErrInvalidSettings)
		if remedy := failed.Err.Remedy(); !strings.Contains(remedy, "another process") || !strings.Contains(failed.Err.Error(), "simulated") {
			t.Errorf("%v, remedy %q", failed.Err, remedy)
		}
	})
}

// closing is a handler that has a lock while it works, as most have, and that closes
// the Linker when it gets a certain message. The lock is a channel, because the time of a
// bubble stands still while somebody waits for a Mutex.
type closing struct {
	slog.Handler
	lock  chan struct{}
	sees  string
	close func()
}

func (c closing) Enabled(context.Context, slog.Level) bool { return true }

func (c closing) Handle(_ context.Context, r slog.Record) error {
	c.lock <- struct{}{}
	defer func() { <-c.lock }()
	text := r.Message
	r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	if strings.Contains(text, c.sees) {
		c.close()
	}
	return nil
}

func (c closing) WithAttrs([]slog.Attr) slog.Handler { return c }

// The messages come from the goroutine of the Link and from several of whatsmeow's.
func TestLoggerThatClosesTheLinkerDoesNotHang(t *testing.T) {
	t.Parallel()
	for _, sees := range []string{
		"kind=connecting", "kind=qr_code", "kind=paired", "kind=linked", "pair-device", "pair-success", "Successfully paired",
		"the lease of the session is lost",
	} {
		t.Run(sees, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				var r *rig.Rig
				closed := make(chan struct{})
				handler := closing{slog.DiscardHandler, make(chan struct{}, 1), sees, sync.OnceFunc(func() {
					r.Close()
					close(closed)
				})}
				r = rig.New(t, walink.Settings{Logger: slog.New(handler)})
				events, err := r.Linker.Supervise(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				var last walink.Event
				for event := range events {
					last = event
					switch e := event.(type) {
					case walink.QRCode:
						go func() { _ = r.Phone.ScanQR(t.Context(), e.Payload) }() // it fails if the Linker is closed
					case walink.Linked:
						lose(t, r.Store)
					default:
					}
				}
				failed, ok := last.(walink.Failed)
				if !ok {
					t.Fatalf("the last event is %v", last)
				}
				rig.WantReason(t, failed.Err, walink.ErrClosed)
				<-closed
			})
		})
	}
}

// lose gives the lease of the session to another program.
func lose(t *testing.T, st store.Store) {
	t.Helper()
	leaser, ok := st.(store.Leaser)
	if !ok {
		t.Fatal("the Store has no leases")
	}
	lease, err := leaser.PeekLease(t.Context(), "default")
	if err != nil {
		return // the Linker is closed
	}
	if err := leaser.EndHolder(t.Context(), store.Holder{ID: lease.HolderID}); err != nil {
		t.Error(err)
	}
	if _, _, err := leaser.TakeLeases(t.Context(), []string{"default"}, store.Holder{ID: "another"}, 1<<40); err != nil {
		t.Error(err)
	}
}

// The program goes on with a file that nobody finds any more, or that a restored backup
// has replaced.
func TestDatabaseThatIsReplacedIsAFailureOfTheStore(t *testing.T) {
	t.Parallel()
	for _, replaced := range []bool{false, true} {
		for _, linked := range []bool{false, true} {
			t.Run(fmt.Sprintf("replaced=%t/linked=%t", replaced, linked), func(t *testing.T) {
				t.Parallel()
				path := filepath.Join(t.TempDir(), "walink.db")
				st, err := sqlite.Open(t.Context(), path)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = st.Close() })
				rig.Bubble(t, func(t *testing.T) {
					r := rig.New(t, walink.Settings{}, rig.WithStore(shared{st}))
					r.Link(t.Context())
					qr := rig.Await[walink.QRCode](r)
					harm := func() {
						if err := os.Remove(path); err != nil {
							t.Fatal(err)
						}
						if replaced {
							if err := os.WriteFile(path, nil, 0o600); err != nil {
								t.Fatal(err)
							}
						}
					}
					var failure *walink.Error
					if linked {
						r.Scan(qr)
						r.Linked()
						harm()
						time.Sleep(25 * time.Second)
						if r.Linker.Client() != nil {
							t.Error("the session is still connected")
						}
						failure = r.Linker.Status().Err
					} else {
						harm()
						_ = r.Phone.ScanQR(t.Context(), qr.Payload) // the pairing fails
						failure = r.Failed()
					}
					rig.WantReason(t, failure, walink.ErrStore)
					if !strings.Contains(failure.Remedy(), "estart this program") {
						t.Errorf("the remedy of %v is %q", failure, failure.Remedy())
					}
					r.Close()
				})
			})
		}
	}
}

// shared is a Store whose devices share their one-time keys.
type shared struct{ *sqlite.Store }

func (s shared) Device(ctx context.Context, session string) (*wastore.Device, error) {
	device, err := s.Store.Device(ctx, session)
	if err == nil {
		rig.ShareKeys(device)
	}
	return device, err
}

func TestMarshalEventOfANilPointerIsAnError(t *testing.T) {
	t.Parallel()
	var none *walink.Linked
	for _, event := range []walink.Event{nil, none} {
		if text, err := walink.MarshalEvent(event); err == nil {
			t.Errorf("MarshalEvent of %T gives %s", event, text)
		}
	}
}

// A text from outside may be of any length, and an error often ends in a log.
func TestErrorsAreShortWhateverTheInput(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("hostile ", 10_000)
	quoted, number := strconv.Quote(long), strings.Repeat("9", 100_000)
	inputs := map[string]error{}
	_, inputs["ParsePhone"] = walink.ParsePhone(long)
	_, inputs["ParsePhone of digits"] = walink.ParsePhone("+55" + number)
	for _, text := range []string{quoted, number, `{` + quoted + `:1}`} {
		for _, field := range []string{"phone", "linkingMode", "session", "deviceName", "browser", "os", "proxy", "timeout", "codeBudget", "hostile"} {
			_, inputs["ParseSettings of "+field+text[:1]] = walink.ParseSettings([]byte(`{"` + field + `":` + text + `}`))
		}
	}
	inputs["Check"] = walink.Settings{Phone: long, DeviceName: long, LinkingMode: walink.LinkingMode(long), Session: long}.Check()
	for _, event := range []string{
		`{"kind":` + quoted + `}`, `{"kind":"connecting","attempt":` + number + `}`, `{"kind":"qr_code","expires":` + quoted + `}`,
		`{"kind":"paired","account":{"phone":` + quoted + `}}`, `{"kind":"failed","error":{"retryAfter":` + quoted + `}}`,
	} {
		_, inputs["UnmarshalEvent of "+event[:20]] = walink.UnmarshalEvent([]byte(event))
	}
	file, keys := rig.SQLiteStore(t), rig.MemoryStore(t)
	for name, st := range map[string]store.Store{"sqlite": file, "kv": keys} {
		inputs[name] = st.Delete(t.Context(), long)
		leaser, _ := st.(store.Leaser)
		holder := store.Holder{ID: long, Name: long, Until: time.Now()} // which has not begun
		_, _, inputs[name+", TakeLeases"] = leaser.TakeLeases(t.Context(), []string{long}, holder, time.Hour)
	}
	inputs["Copy"] = transfer.Copy(t.Context(), keys, file, transfer.Sessions(long))
	inputs["BusyError"] = &store.BusyError{Lease: store.Lease{Holder: long}}
	for name, err := range inputs {
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if text := err.Error(); len(text) > 600 || strings.Contains(text, "\n") {
			t.Errorf("%s: an error of %d bytes: %.80s", name, len(text), text)
		}
	}
}
