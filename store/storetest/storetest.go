// Package storetest tests that a [store.Store] keeps its contract. The test of
// an implementation is a call of [Run]:
//
//	func TestContract(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) store.Store {
//			return mystore.Open(t.TempDir())
//		})
//	}
//
// The names of the subtests begin with the clause in the documentation of
// [store.Store]. An optional interface ([store.Ledger], [store.Leaser],
// [store.Registry], [store.Checker], and those of package transfer) is tested if
// the Store has it.
//
// The suite compares whatsmeow's stores of the devices with whatsmeow's own
// sqlstore: it makes random sequences of calls to both, whose answers must be
// the same. A failure names the seed of its sequence, for [WithSeed], and the
// calls before it. The comment in compare.go lists where the answers of a Store
// may differ.
//
// That data is durable (clause 3) is tested only with [WithReopen], and only
// after Close. What a crash may lose is not tested here. What depends on time
// is tested only with [WithBubble].
//
// The sqlstore has its database in memory, with the driver modernc.org/sqlite.
// A test that runs the suite cannot have another driver named "sqlite".
package storetest

import (
	"testing"

	"go.mau.fi/util/random"
	"go.mau.fi/whatsmeow/proto/waAdv"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/store"
)

// Option is an option of [Run].
type Option func(*options)

type options struct {
	reopen func(t *testing.T, closed store.Store) store.Store
	seed   *uint64 // nil is a random seed
	bubble bool
	text   int // the longest key, if keys are text; 0 for any bytes
}

// WithTextKeys says that whatsmeow's stores only take keys that are UTF-8
// without a zero byte and no longer than longest bytes, as PostgreSQL does.
// WhatsApp sends no other keys. Session names may still be any strings.
func WithTextKeys(longest int) Option {
	return func(o *options) { o.text = longest }
}

// WithReopen adds the cases for what must survive Close. reopen opens the data
// of a Store again that the open of the test has returned and the suite has
// closed.
func WithReopen(reopen func(t *testing.T, closed store.Store) store.Store) Option {
	return func(o *options) { o.reopen = reopen }
}

// Run tests the Stores that open returns against the contract. Each call of
// open must return an empty Store that shares nothing with the others, because
// the tests are parallel. Run closes the Stores.
func Run(t *testing.T, open func(t *testing.T) store.Store, opts ...Option) {
	t.Helper()
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	opened := func(t *testing.T) store.Store {
		t.Helper()
		return closing(t, open(t))
	}
	runDevice(t, opened)
	runReplace(t, opened)
	runSessions(t, opened)
	runUse(t, opened)
	runCheck(t, opened)
	RunLedger(t, func(t *testing.T) store.Ledger {
		t.Helper()
		return ledgerOf(t, opened(t))
	})
	var reopened func(t *testing.T, st store.Store) store.Store
	if o.reopen != nil {
		reopened = func(t *testing.T, st store.Store) store.Store {
			t.Helper()
			if err := st.Close(); err != nil {
				t.Fatalf("Close: %v", err)
			}
			return closing(t, o.reopen(t, st))
		}
		runReopen(t, opened, reopened)
	}
	runCases(t, opened, o)
	runLease(t, opened, reopened)
	runRegistry(t, opened, reopened)
	RunCopy(t, func(t *testing.T) (to, from store.Store) {
		t.Helper()
		return open(t), open(t)
	})
	runAgainst(t, opened, reopened, o)
	if o.bubble {
		runBubble(t, opened)
	}
}

// closing returns st, and closes it when the test ends.
func closing(t *testing.T, st store.Store) store.Store {
	t.Helper()
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return st
}

// ledgerOf returns st as a Ledger, or skips the test.
func ledgerOf(t *testing.T, st store.Store) store.Ledger {
	t.Helper()
	ledger, ok := st.(store.Ledger)
	if !ok {
		t.Skip("the Store is no Ledger")
	}
	return ledger
}

// Pair sets what a pair-success sets in a fresh device: its JID and LID, the
// signed identity of the account, with signatures that only have the right
// length, and the names of the account. Then the device is ready for Save.
func Pair(device *wastore.Device, jid types.JID) {
	device.ID = &jid
	device.LID = types.JID{User: "9" + jid.User, Device: jid.Device, Server: types.HiddenUserServer}
	device.Account = &waAdv.ADVSignedDeviceIdentity{
		Details:             random.Bytes(16),
		AccountSignatureKey: random.Bytes(32),
		AccountSignature:    random.Bytes(64),
		DeviceSignature:     random.Bytes(64),
	}
	device.Platform = "android"
	device.BusinessName = "Padaria São João"
}

// Link stores a linked device under session in st, and returns it. Only the
// Store is involved, not WhatsApp.
func Link(tb testing.TB, st store.Store, session string, jid types.JID) *wastore.Device {
	tb.Helper()
	device, err := st.Device(tb.Context(), session)
	if err != nil {
		tb.Fatalf("Device(%q): %v", session, err)
	}
	if device.ID != nil {
		tb.Fatalf("Device(%q) is linked, want a fresh one", session)
	}
	Pair(device, jid)
	if err := device.Save(tb.Context()); err != nil {
		tb.Fatalf("Save under %q: %v", session, err)
	}
	return device
}

// JID returns the JID of a companion device of a number.
func JID(number string, device uint16) types.JID {
	return types.JID{User: number, Device: device, Server: types.DefaultUserServer}
}

const number = "5511987654321"

func get(t *testing.T, st store.Store, session string) *wastore.Device {
	t.Helper()
	device, err := st.Device(t.Context(), session)
	if err != nil {
		t.Fatalf("Device(%q): %v", session, err)
	}
	return device
}

func names(t *testing.T, st store.Store) []string {
	t.Helper()
	sessions, err := st.Sessions(t.Context())
	if err != nil {
		t.Fatalf("Sessions: %v", err)
	}
	names := []string{}
	for _, session := range sessions {
		names = append(names, session.Name)
	}
	return names
}
