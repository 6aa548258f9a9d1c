package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/walink/walink/internal/redact"
)

// ErrLeaseLost is returned, wrapped, when the caller renews a lease that was
// released, or that another holder took after it had expired.
var ErrLeaseLost = errors.New("the lease is lost")

// Leaser is an optional interface of a [Store]. A Leaser lends each session to
// one holder at a time, across processes and machines, so that no two clients
// of a session are connected at once. WhatsApp lets such clients disconnect
// each other for ever.
//
// A lease is in force until its Until by the clock of the Store, which all who
// share the Store have in common, or until the Store knows that the holder is
// dead. A lease with a ttl of zero or less expires at once: another holder can
// take the session, and until then the lease can still be renewed. If that clock
// is set back by more than a minute, a lease that nobody renews any more is in
// force for as long as it was renewed for, from when somebody asks for it.
//
// Any string is a session, whether it is stored or not. Deleting a session does
// not touch its lease. Close releases no lease: release all leases before
// Close, or they are lost like those of a killed process.
//
// The calls take effect one after the other, and are as durable as a session. A
// Store whose data does not survive a crash loses its leases with the data.
// Tokens grow, and are not consecutive. The Stores of this repository use the
// time in microseconds if that is greater than the last token, so that tokens
// do not start again after all data was lost. In a Store where they can start
// again, Holder and Since also tell one lease from another.
type Leaser interface {
	// TakeLease lends session to holder for ttl. While another lease of the
	// session is in force, the error is a [*BusyError], even if its holder has
	// the same name.
	TakeLease(ctx context.Context, session, holder string, ttl time.Duration) (Lease, error)
	// RenewLease sets the end of lease to ttl from now, and returns the lease
	// with its new Until. An expired lease can still be renewed if nobody has
	// taken the session since. The error wraps [ErrLeaseLost] if the session
	// was lent again, if lease was released, or if Session, Holder, Token and
	// Since are not those of one lease.
	RenewLease(ctx context.Context, lease Lease, ttl time.Duration) (Lease, error)
	// ReleaseLease ends lease, so that the session can be lent at once. It is
	// not an error if lease ended before, or never existed.
	ReleaseLease(ctx context.Context, lease Lease) error
	// PeekLease returns the lease of session that is in force. If there is
	// none, the error wraps [ErrNotFound].
	PeekLease(ctx context.Context, session string) (Lease, error)
}

// LeaseGrace is how long a [Leaser] with a [LeaseAlarm] does not lend a session
// whose holder seems to be dead. A holder that has not renewed its lease for
// that long must not use the session any more, whatever its Until says.
const LeaseGrace = 13 * time.Second

// LeaseAlarm is an optional interface of a [Leaser] that notices when a holder
// seems to be dead, and lends its session [LeaseGrace] later.
type LeaseAlarm interface {
	// LeaseAlarm returns a channel that is closed when this Store can no longer
	// show others that it is alive, for example because its connection to the
	// database ended. The holder of a lease should then renew the lease at
	// once, after which LeaseAlarm returns another channel. A nil channel means
	// that there is nothing to lose. The Store may miss the loss, so a holder
	// must renew its lease well within LeaseGrace in any case.
	LeaseAlarm() <-chan struct{}
}

// Lease says who may connect a session, and until when.
//
// A holder counts ttl from before its call, by its own clock. The end that the
// Store has recorded is then never earlier than the end that the holder knows.
type Lease struct {
	Session string
	Holder  string    // who holds the session, for people, such as a host and a process
	Token   uint64    // the fencing token: greater than that of every earlier lease of the session
	Since   time.Time // when it was taken, in UTC
	Until   time.Time // when it ends unless it is renewed, in UTC
}

// BusyError is the error for a session that is lent to another holder.
type BusyError struct {
	// Lease is the lease in force. Its Until is earlier than the holder knows
	// if the Store believes that the holder is dead.
	Lease Lease
}

// Error names the holder. It does not name the session, whose name may be a
// phone number.
func (e *BusyError) Error() string {
	return fmt.Sprintf("the session is in use by %s since %s", redact.Line(e.Lease.Holder), e.Lease.Since.Format(time.RFC3339))
}
