package storetest_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/store/storetest"
)

// A suite that cannot fail is worth nothing: each of these stores does one
// thing wrong, and the comparison with sqlstore or the case that is named must
// say so. Of a store that does nothing wrong they say nothing: that is what
// the test of store/sqlite is.
func TestSuiteFindsWhatIsBroken(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		by    string // "oracle: " and a comparison, or a case
		says  string // part of the message
		spoil func() func(device *wastore.Device)
		names func(string) string
	}{
		{name: "a write is dropped", by: "oracle: sessions", says: "Sessions.", spoil: always(func(d *wastore.Device) {
			d.Sessions = sessions{SessionStore: d.Sessions, put: func(context.Context, string, []byte) error { return nil }}
		})},
		{name: "a write is dropped, among all others", by: "oracle: everything", says: "-sqlstore", spoil: always(func(d *wastore.Device) {
			d.Sessions = sessions{SessionStore: d.Sessions, put: func(context.Context, string, []byte) error { return nil }}
		})},
		{name: "what is not there is empty and not nil", by: "oracle: sessions", says: "GetSession", spoil: always(func(d *wastore.Device) {
			inner := d.Sessions
			d.Sessions = sessions{SessionStore: inner, get: func(ctx context.Context, address string) ([]byte, error) {
				session, err := inner.GetSession(ctx, address)
				return append([]byte{}, session...), err
			}}
		})},
		{name: "a call panics", by: "oracle: sessions", says: "panic", spoil: always(func(d *wastore.Device) {
			d.Sessions = sessions{SessionStore: d.Sessions, get: func(context.Context, string) ([]byte, error) { panic("oh") }}
		})},
		{name: "another session answers", by: "oracle: sessions", says: "GetSession", spoil: another},
		{name: "another session answers", by: "stores: two sessions never see each other's data", says: "GetSession", spoil: another},
		{name: "data outlive their device", by: "stores: two sessions never see each other's data", says: "GetPrivacyToken", spoil: outliving},
		{name: "data outlive their device", by: "oracle: everything", says: "GetPrivacyToken", spoil: outliving},
		{name: "a device that is loaded has forgotten", by: "oracle: NCT salt", says: "GetNCTSalt", spoil: always(func(d *wastore.Device) {
			d.NCTSalt = &salt{}
		})},
		{name: "nothing is rolled back", by: "oracle: event buffer", says: "EventBuffer.", spoil: always(direct)},
		{name: "nothing is rolled back", by: "oracle: everything", says: "-sqlstore", spoil: always(direct)},
		{name: "an event that was handled has a plaintext", by: "oracle: event buffer", says: "GetBufferedEvent", spoil: always(func(d *wastore.Device) {
			d.EventBuffer = events{EventBuffer: d.EventBuffer, get: func(event *wastore.BufferedEvent) {
				event.Plaintext = append([]byte{}, event.Plaintext...)
			}}
		})},
		{name: "another error", by: "oracle: event buffer", says: "another error", spoil: always(func(d *wastore.Device) {
			d.EventBuffer = events{EventBuffer: d.EventBuffer, outgoing: errOther}
		})},
		{name: "prekeys change", by: "oracle: prekeys", says: "has changed", spoil: always(func(d *wastore.Device) {
			d.PreKeys = &preKeys{PreKeyStore: d.PreKeys, other: true}
		})},
		{name: "a prekey is given twice", by: "stores: many goroutines on the stores of several devices", says: "twice", spoil: always(func(d *wastore.Device) {
			d.PreKeys = &preKeys{PreKeyStore: d.PreKeys}
		})},
		{name: "a name is said to be new", by: "oracle: contacts", says: "PutPushName", spoil: always(func(d *wastore.Device) {
			d.Contacts = contacts{ContactStore: d.Contacts}
		})},
		{name: "many contacts are too many", by: "stores: large batches", says: "300 contacts", spoil: always(func(d *wastore.Device) {
			d.Contacts = contacts{ContactStore: d.Contacts, limit: 300}
		})},
		{name: "a large value is cut off", by: "stores: large values", says: "the session of", spoil: always(func(d *wastore.Device) {
			inner := d.Sessions
			d.Sessions = sessions{SessionStore: inner, put: func(ctx context.Context, address string, session []byte) error {
				return inner.PutSession(ctx, address, session[:min(len(session), 1<<16)])
			}}
		})},
		{name: "a LID has lost its device", by: "oracle: LID map", says: "GetLIDForPN", spoil: always(func(d *wastore.Device) {
			d.LIDs = lids{d.LIDs}
		})},
		{name: "ctx is ignored", by: "stores: ctx is obeyed by every method", says: "PutSession", spoil: always(func(d *wastore.Device) {
			inner := d.Sessions
			d.Sessions = sessions{SessionStore: inner, put: func(ctx context.Context, address string, session []byte) error {
				return inner.PutSession(context.WithoutCancel(ctx), address, session)
			}}
		})},
		{name: "ctx is obeyed too late", by: "stores: ctx is obeyed by every method", says: "after calls with a ctx", spoil: always(func(d *wastore.Device) {
			inner := d.Sessions
			d.Sessions = sessions{SessionStore: inner, delete: func(ctx context.Context, phone string) error {
				if err := inner.DeleteAllSessions(context.WithoutCancel(ctx), phone); err != nil {
					return err
				}
				return ctx.Err()
			}}
		})},
		{name: "a transaction starts too late", by: "stores: ctx is obeyed by every method", says: "ran its function", spoil: always(func(d *wastore.Device) {
			d.EventBuffer = events{EventBuffer: d.EventBuffer, txn: func(ctx context.Context, fn func(context.Context) error) error {
				if err := fn(ctx); err != nil {
					return err
				}
				return ctx.Err()
			}}
		})},
		{name: "a transaction is committed too late", by: "stores: a transaction whose ctx ends is rolled back", says: "HasSession", spoil: always(func(d *wastore.Device) {
			inner := d.EventBuffer
			d.EventBuffer = events{EventBuffer: inner, txn: func(ctx context.Context, fn func(context.Context) error) error {
				if err := inner.DoDecryptionTxn(context.WithoutCancel(ctx), fn); err != nil {
					return err
				}
				return ctx.Err()
			}}
		})},
		{name: "a migration is taken for done", by: "stores: a migration that failed is done the next time", says: "MigratePNToLID", spoil: always(func(d *wastore.Device) {
			inner := d.Sessions
			var once sync.Once
			d.Sessions = sessions{SessionStore: inner, migrate: func(ctx context.Context, pn, lid types.JID) (err error) {
				once.Do(func() { err = inner.MigratePNToLID(ctx, pn, lid) })
				return err
			}}
		})},
		{name: "too much is deleted", by: "stores: odd keys of Signal's stores", says: "when some were deleted", spoil: always(func(d *wastore.Device) {
			inner := d.Sessions
			d.Sessions = sessions{SessionStore: inner, delete: func(ctx context.Context, phone string) error {
				if err := inner.DeleteAllSessions(ctx, phone); err != nil {
					return err
				}
				return inner.DeleteSession(ctx, "%:0")
			}}
		})},
		{name: "letters have no case", by: "stores: odd keys of Signal's stores", says: "GetSession", spoil: folded(strings.ToLower)},
		{name: "a key ends with NUL", by: "stores: odd keys of Signal's stores", says: "GetSession", spoil: folded(cutAtNUL)},
		{name: "a key is UTF-8", by: "stores: odd keys of Signal's stores", says: "GetSession", spoil: folded(func(s string) string {
			return strings.ToValidUTF8(s, "\ufffd")
		})},
		{name: "a key is cut off", by: "stores: odd keys of Signal's stores", says: "GetSession", spoil: folded(func(s string) string {
			return s[:min(len(s), 1<<16)]
		})},
		{name: "a name ends with NUL", by: "clause 6: any string is a name", says: "linked", spoil: always(func(*wastore.Device) {}), names: cutAtNUL},
	} {
		t.Run(test.name+", found by "+test.by, func(t *testing.T) {
			t.Parallel()
			broken := func() store.Store {
				return brokenStore{Store: open(t), spoil: test.spoil(), names: test.names}
			}
			var err error
			if comparison, ok := strings.CutPrefix(test.by, "oracle: "); ok {
				err = compare(t, comparison, broken)
			} else {
				err = storetest.Case(t, test.by)(t.Context(), broken())
			}
			if err == nil {
				t.Fatal("nothing was found")
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("found: %v\nwant it to say %q", err, test.says)
			}
		})
	}
}

func TestSuiteNamesAMethodThatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	err := storetest.Unknown("Sessions", "PutSessionFaster")
	if err == nil || !strings.Contains(err.Error(), "Device.Sessions has a method PutSessionFaster, for which storetest has no generator") {
		t.Errorf("got %v", err)
	}
}

func TestCallsAreTheSameForASeed(t *testing.T) {
	t.Parallel()
	spoil := func(d *wastore.Device) {
		d.Sessions = sessions{SessionStore: d.Sessions, put: func(context.Context, string, []byte) error { return nil }}
	}
	var said [2]string
	for i := range said {
		broken := func() store.Store { return brokenStore{Store: open(t), spoil: spoil} }
		if err := compare(t, "sessions", broken); err != nil {
			said[i] = err.Error()
		}
	}
	if said[0] != said[1] || !strings.Contains(said[0], " of seed ") {
		t.Errorf("one seed, two failures:\n%s\n%s", said[0], said[1])
	}
}

// compare runs a comparison until it finds something, which may take a second
// sequence.
func compare(t *testing.T, name string, broken func() store.Store) (err error) {
	t.Helper()
	for seed := uint64(1); seed <= 3 && err == nil; seed++ {
		err = storetest.Compare(t, name, broken(), seed)
	}
	return err
}

func open(t *testing.T) store.Store {
	t.Helper()
	st, err := sqlite.Open(t.Context(), ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

func always(spoil func(*wastore.Device)) func() func(*wastore.Device) {
	return func() func(*wastore.Device) { return spoil }
}

func folded(fold func(string) string) func() func(*wastore.Device) {
	return always(func(d *wastore.Device) { d.Sessions = folding{d.Sessions, fold} })
}

// another has all devices ask the first one.
func another() func(*wastore.Device) {
	var first wastore.SessionStore
	return func(d *wastore.Device) {
		if first == nil {
			first = d.Sessions
		}
		d.Sessions = sessions{SessionStore: d.Sessions, get: first.GetSession}
	}
}

func outliving() func(*wastore.Device) {
	kept := map[types.JID]wastore.PrivacyToken{}
	return func(d *wastore.Device) { d.PrivacyTokens = tokens{d.PrivacyTokens, kept, *d.ID} }
}

// direct runs a transaction without a transaction.
func direct(d *wastore.Device) {
	d.EventBuffer = events{EventBuffer: d.EventBuffer, txn: func(ctx context.Context, fn func(context.Context) error) error { return fn(ctx) }}
}
