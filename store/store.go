// Package store defines what walink needs from storage: a [Store] keeps
// whatsmeow devices under session names. Package
// [github.com/walink/walink/store/sqlite] has the default Store.
//
// A Store holds the keys of WhatsApp accounts' companion devices. Whoever can
// read the keys can read and write messages as those accounts. Protect them
// like passwords.
package store

import (
	"context"
	"errors"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/internal/hint"
	_ "github.com/walink/walink/internal/signallog" // before any device exists
)

// ErrNotFound is returned, wrapped, for a session that is not stored.
var ErrNotFound = errors.New("no such session")

// ErrClosed is in the chain of the error of a call after Close.
var ErrClosed error = hint.New(errors.New("the store is closed"), "Open the store again: this program has closed it.")

// ErrDamaged is in the chain of an error about a stored value that is not what
// was stored, such as a value that was cut off. The error names the session if
// the value belongs to one, and has a remedy. Other values are not affected.
var ErrDamaged error = hint.New(
	errors.New("the stored value is damaged"),
	"Restore the database from a backup, or delete the session and link it again: one of its values is damaged.",
)

// Store keeps whatsmeow devices under session names.
//
// The contract, clause by clause:
//
//  1. Device of an unknown session returns a fresh device: its ID is nil, its
//     keys are its own, and every call returns another one.
//  2. A fresh device writes nothing until its Save is called with its ID set,
//     which whatsmeow does at pair-success. Save records the session name in
//     the same transaction as the device: both are stored or neither is.
//  3. After a Save, Device returns the stored device with the same keys, and
//     all of whatsmeow's stores of the device are set and durable. They answer
//     as whatsmeow's own sqlstore does, with the differences that package
//     storetest allows. The LID map is one for all devices of the Store.
//     The first Save sets Initialized. No Save writes to a key of the device,
//     and a later one writes to none of its stores: whatsmeow may read them
//     meanwhile.
//  4. When a device is saved under a session that another device holds, the
//     new device takes the name and the old one is deleted with all its data.
//     Where the new device has the JID of an old one, its keys replace the
//     old ones. A device that has lost its session can no longer be saved,
//     and deleting it leaves the new one alone, also where both have one JID.
//  5. Deleting the device through whatsmeow (Device.Delete, as after a
//     logout) deletes the session name with it.
//  6. Sessions lists what is stored, sorted by name, byte by byte. Any string
//     is a name, the empty one too. Where one cannot be read, it returns the
//     others together with the error.
//  7. Delete removes the session and all data of its device. An unknown
//     session gets an error that wraps ErrNotFound.
//  8. All methods may be called from several goroutines at once, and obey ctx.
//  9. Close may be called twice. What is called after Close returns an error. The
//     error wraps ErrClosed if it comes from a method of the Store, its optional
//     interfaces included.
//
// Errors name the store and the session, and never hold a key.
type Store interface {
	// Device returns the device linked under session, or a fresh unlinked one.
	Device(ctx context.Context, session string) (*wastore.Device, error)
	// Sessions returns all stored sessions, sorted by name.
	Sessions(ctx context.Context) ([]Session, error)
	// Delete forgets session and everything stored for its device. It does
	// not log out at WhatsApp: that is what Linker.Unlink does.
	Delete(ctx context.Context, session string) error
	// Close releases what the Store holds.
	Close() error
}

// Session is one stored link.
type Session struct {
	Name     string    // the session name
	JID      types.JID // the companion device's JID, with the device number
	LID      types.JID // the same device's LID; empty if the server gave none
	LinkedAt time.Time // when the device was stored, to the millisecond, in UTC
}

// Ledger is an optional interface of a [Store]. A Ledger remembers when pairing
// codes were requested for each number, so that a budget holds across restarts
// and processes. Without a Ledger, walink keeps the count in the process.
//
// A number is given as digits, with the country code.
type Ledger interface {
	// TakeCode records at now that a pairing code is about to be requested for
	// number, and returns a zero time. If limit codes were already requested
	// after now-window, or a refusal is in force, TakeCode records nothing and
	// returns the time at which the next code may be requested. The check and
	// the record are one atomic step.
	//
	// A request is remembered for a day, or for the window of the call if that
	// is longer. A later call with a shorter window forgets requests of more
	// than a day ago. So use windows of a day at most, or one window for all
	// calls.
	TakeCode(ctx context.Context, number string, now time.Time, limit int, window time.Duration) (next time.Time, err error)
	// RefuseCode records at now that WhatsApp has refused a code for number. It
	// returns until when this refusal is in force: for wait, doubled for each
	// refusal within the last [RefusalMemory], and never for longer than
	// [LongestRefusal]. If the clock is set back later, by more than a minute,
	// the refusal begins again at the now of the next call.
	RefuseCode(ctx context.Context, number string, now time.Time, wait time.Duration) (until time.Time, err error)
	// PeekCode says what TakeCode would do at now, and records nothing. It
	// returns how many of limit codes are left in the window, and the time at
	// which the next code may be requested, or a zero time if a code may be
	// requested now. A refusal in force sets that time, but does not lower what
	// is left.
	PeekCode(ctx context.Context, number string, now time.Time, limit int, window time.Duration) (left int, next time.Time, err error)
}

const (
	// RefusalMemory is how long a refusal makes later refusals longer.
	RefusalMemory = 24 * time.Hour
	// LongestRefusal is the longest time that a refusal is in force.
	LongestRefusal = 12 * time.Hour
)

// Refusal returns how long a refusal is in force that follows so many others.
// It is for implementations of [Ledger].
func Refusal(wait time.Duration, before int) time.Duration {
	for ; before > 0 && wait < LongestRefusal; before-- {
		wait *= 2
	}
	return min(max(wait, 0), LongestRefusal)
}
