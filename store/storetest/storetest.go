// Package storetest proves that a [store.Store] keeps its contract. The test
// of an implementation is a call of [Run]:
//
//	func TestContract(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) store.Store {
//			return mystore.Open(t.TempDir())
//		})
//	}
//
// The subtests bear the numbers of the clauses in the documentation of
// [store.Store]. Optional interfaces are tested where the Store has them.
//
// Whatsmeow's stores of the devices are compared with whatsmeow's own sqlstore:
// random sequences of calls to both must be answered alike. A failure names the
// seed of its sequence, for [WithSeed], and the calls that led to it. Where a
// Store may answer in another way is written in compare.go.
//
// That what was stored is durable (clause 3) is proved only with [WithReopen],
// and then across Close; what a crash leaves is for the implementation's own
// tests. What goes with time is tested only with [WithBubble].
//
// The sqlstore has its database in memory, by the driver modernc.org/sqlite: a
// test that runs the suite cannot have another driver named "sqlite".
package storetest

import (
	"testing"

	"go.mau.fi/util/random"
	"go.mau.fi/whatsmeow/proto/waAdv"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/store"
)

// Option says more about the stores that [Run] tests.
type Option func(*options)

type options struct {
	reopen func(t *testing.T, closed store.Store) store.Store
	seed   *uint64 // nil: a random one
	bubble bool
	text   int // the longest key, where keys are text; 0: any bytes
}

// WithTextKeys says that whatsmeow's stores take keys of UTF-8 without a zero
// byte alone, and none longer than longest bytes, as those of PostgreSQL do.
// WhatsApp sends no others. Session names are any strings all the same.
func WithTextKeys(longest int) Option {
	return func(o *options) { o.text = longest }
}

// WithReopen adds the cases for what outlives a Store. reopen opens again what
// a Store of the test's open, which has been closed, has stored.
func WithReopen(reopen func(t *testing.T, closed store.Store) store.Store) Option {
	return func(o *options) { o.reopen = reopen }
}

// Run tests the stores that open returns against the contract. Every call of
// open must give an empty Store that shares nothing with the others, since the
// tests are parallel. Run closes them.
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
	RunCopy(t, func(t *testing.T) (to, from store.Store) {
		t.Helper()
		return open(t), open(t)
	})
	runAgainst(t, opened, reopened, o)
	if o.bubble {
		runBubble(t, opened)
	}
}

// closing returns st, which is closed when the test ends.
func closing(t *testing.T, st store.Store) store.Store {
	t.Helper()
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return st
}

// ledgerOf returns the Ledger that st is, or skips the test.
func ledgerOf(t *testing.T, st store.Store) store.Ledger {
	t.Helper()
	ledger, ok := st.(store.Ledger)
	if !ok {
		t.Skip("the Store is no Ledger")
	}
	return ledger
}

// Pair fills in what a pair-success tells a fresh device: its JID and LID, the
// signed identity of the account, with signatures that are the right length
// and nothing more, and the account's names. The device is then ready to be
// saved.
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

// Link links a device under session in st, as far as a Store can tell, and
// returns it.
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
