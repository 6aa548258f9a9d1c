package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrLeaseLost is returned, wrapped, where a lease is renewed that has been
// released, or that another has taken after its time was up.
var ErrLeaseLost = errors.New("the lease is lost")

// Leaser is an optional interface of a [Store]: it lends each session to one
// holder at a time, across processes and machines, so that no two clients of a
// session are connected at once. WhatsApp lets such clients throw each other
// out for ever.
//
// A lease is in force until its Until by the clock of the Store, which is one
// for all who share it, or until the Store knows that its holder is dead. With
// a ttl of zero or less it is over at once: another can take it, and it can be
// renewed like any whose time is up.
//
// Any string is a session, whether it is stored or not. Deleting a session
// leaves its lease alone. Close releases no lease: who closes a Store has
// released what it held, or loses it like one that was killed.
//
// The calls take effect one after the other, and are durable like a session. A
// Store whose data does not outlive a crash loses its leases with it. Tokens
// grow, and are not consecutive: the Stores of this repository take the time in
// microseconds where that is greater than the last token, so that tokens do not
// start again when all data was lost. Where they could, a lease is told from
// another by its Holder and Since too.
type Leaser interface {
	// TakeLease lends session to holder for ttl. While another lease of the
	// session is in force the error is a [*BusyError], even if the holder has
	// the same name.
	TakeLease(ctx context.Context, session, holder string, ttl time.Duration) (Lease, error)
	// RenewLease puts the end of lease at ttl from now, and returns the lease
	// with its new Until. One whose time is up, but that nobody has taken
	// since, can still be renewed. The error wraps [ErrLeaseLost] where the
	// session has been lent again, lease has been released, or its Session,
	// Holder, Token and Since are not those of one lease.
	RenewLease(ctx context.Context, lease Lease, ttl time.Duration) (Lease, error)
	// ReleaseLease ends lease, so that the session can be lent at once. It is
	// not an error if lease has ended before, or is none.
	ReleaseLease(ctx context.Context, lease Lease) error
	// PeekLease returns the lease of session that is in force. Where there is
	// none the error wraps [ErrNotFound].
	PeekLease(ctx context.Context, session string) (Lease, error)
}

// LeaseGrace is how long a [Leaser] with a [LeaseAlarm] leaves a session alone
// whose holder seems to be dead. A holder that has not renewed its lease for as
// long may not use the session any more, whatever its Until says.
const LeaseGrace = 13 * time.Second

// LeaseAlarm is an optional interface of a [Leaser] that knows when a holder
// seems to be dead, and lends its session [LeaseGrace] later.
type LeaseAlarm interface {
	// LeaseAlarm returns a channel that is closed when the Store has lost what
	// shows the others that it is alive, as when its connection to the
	// database ends. Whoever holds a lease should renew it at once then, which
	// brings another channel. It is nil where there is nothing to lose. That
	// it is lost may also go unheard: a lease has to be renewed well within
	// LeaseGrace.
	LeaseAlarm() <-chan struct{}
}

// Lease says who may connect a session, and until when.
//
// A holder counts ttl from before it asked, by its own clock: what the Store
// has recorded then ends no earlier.
type Lease struct {
	Session string
	Holder  string    // what people are told of who has it, such as a host and a process
	Token   uint64    // the fencing token: each lease of a session has a greater one than those before it
	Since   time.Time // when it was taken, in UTC
	Until   time.Time // when it ends unless it is renewed, in UTC
}

// BusyError is the error of a session that is lent to another.
type BusyError struct {
	// Lease is the one that is in force. Its Until is earlier than what its
	// holder knows where the Store takes the holder for dead.
	Lease Lease
}

// Error names the holder, and not the session, whose name may be a number.
func (e *BusyError) Error() string {
	return fmt.Sprintf("the session is in use by %s since %s", e.Lease.Holder, e.Lease.Since.Format(time.RFC3339))
}
