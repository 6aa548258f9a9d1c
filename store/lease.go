package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/walink/walink/internal/redact"
)

// ErrLeaseLost is returned, wrapped, for a holder that was ended, by itself or
// by another one that took a session after the holder had run out.
var ErrLeaseLost = errors.New("the lease is lost")

// Leaser is an optional interface of a [Store]. A Leaser lends each session to
// one holder at a time, across processes and machines, so that no two clients
// of a session are connected at once. WhatsApp lets such clients disconnect
// each other for ever. A holder is a process, or a part of one. It shows that it
// is alive with one call, however many sessions it has.
//
// The contract, clause by clause:
//
//  1. A lease is in force until it is released, and as long as its holder is. A
//     holder is in force from the TakeLeases that begins it until its Until, by
//     the clock of the Store, which all who share the Store have in common.
//  2. While a lease is in force, TakeLeases lends its session to nobody, not even
//     to the same holder, and returns the lease among those that are busy. A call
//     that lends no session begins no holder.
//  3. TakeLeases of a session whose holder has run out lends the session, and
//     ends that holder in the same transaction. So a holder keeps all its
//     sessions or loses all of them: RenewHolder of it returns an error that
//     wraps [ErrLeaseLost] from then on, and so does TakeLeases with it, unless
//     all sessions are busy. After an error TakeLeases has lent nothing.
//  4. RenewHolder of a holder that has run out and that nobody has ended brings
//     it back, with all its leases.
//  5. The token of a lease is greater than that of every earlier lease of the
//     session, whoever had it. Tokens are not consecutive. The Stores of this
//     repository use the time in microseconds if that is greater than the last
//     token, so that tokens do not start again after all data was lost.
//  6. ReleaseLease ends one lease, and EndHolder all leases of a holder. The
//     sessions can be lent at once. It is no error if they ended before, or never
//     existed. They touch no other lease, not even one of the same session.
//  7. A clock that is set back by more than a minute does not leave a holder in
//     force for longer: from when somebody asks for one of its sessions, it is in
//     force for as long as it was renewed for.
//  8. The calls take effect one after the other, obey ctx, and are as durable as
//     a session. Any string is a session, whether it is stored or not. Deleting
//     a session does not touch its lease. Close ends no holder.
//  9. Holders shows what has changed: once a lease was taken or has ended, its
//     holder has another number of leases or another Mark than before, or is new
//     or gone. A renewal changes the Until alone.
type Leaser interface {
	// TakeLeases lends those of the sessions that are free to holder, in one
	// transaction. It returns their leases, and those in force of the other
	// sessions, both in the order of sessions. A session that is named twice counts
	// once. If the Until of holder is zero, TakeLeases begins the holder, for ttl, in
	// the same transaction. Otherwise the holder must be there, and TakeLeases does
	// not renew it. A call for hundreds of sessions keeps other calls waiting, and
	// PostgreSQL a lock for each of them.
	TakeLeases(ctx context.Context, sessions []string, holder Holder, ttl time.Duration) (taken, busy []Lease, err error)
	// RenewHolder sets the Until of holder to ttl from now, and returns the
	// holder with it.
	RenewHolder(ctx context.Context, holder Holder, ttl time.Duration) (Holder, error)
	// ReleaseLease ends lease.
	ReleaseLease(ctx context.Context, lease Lease) error
	// EndHolder ends holder and all its leases.
	EndHolder(ctx context.Context, holder Holder) error
	// PeekLease returns the lease of session that is in force. If there is
	// none, the error wraps [ErrNotFound].
	PeekLease(ctx context.Context, session string) (Lease, error)
	// Leases returns all leases in force, sorted by session, byte by byte.
	Leases(ctx context.Context) ([]Lease, error)
	// Holders returns the holders in force that have leases, sorted by ID, byte by
	// byte. It costs much less than Leases if there are many.
	Holders(ctx context.Context) ([]HolderLeases, error)
}

// Holder is an owner of leases. A holder that was ended does not come back: begin
// another one, with another ID.
//
// A holder counts ttl from before its call, by its own clock. The end that the
// Store has recorded is then never earlier than the end that the holder knows.
type Holder struct {
	ID    string    // this holder's and no other's, ever: make it at random; an empty one is never in force
	Name  string    // for people, such as a host and a process
	Until time.Time // when it ends unless it is renewed, in UTC; zero before it has begun
}

// HolderLeases says how many leases a holder has. A program that remembers it can find out
// later, without reading all leases, whether they are the same.
type HolderLeases struct {
	Holder
	Leases int    // how many it has
	Mark   uint64 // of these leases, such as the sum of their tokens
}

// Lease says who may connect a session, and until when. Session, HolderID and
// Token identify a lease.
type Lease struct {
	Session  string
	Holder   string    // the name of the holder
	HolderID string    // the ID of the holder
	Token    uint64    // the fencing token: greater than that of every earlier lease of the session
	Since    time.Time // when it was taken, in UTC
	Until    time.Time // the Until of the holder
}

// BusyError is the error of walink and of package transfer for a session that is lent
// already.
type BusyError struct {
	Lease Lease // the lease in force
}

// Error names the holder. It does not name the session, whose name may be a
// phone number.
func (e *BusyError) Error() string {
	return redact.Line(fmt.Sprintf("the session is in use by %s since %s", redact.Line(e.Lease.Holder), e.Lease.Since.Format(time.RFC3339)))
}
