package store

import "context"

// MaxEntry is the length of the longest value of an [Entry], in bytes.
const MaxEntry = 64 << 10

// Registry is an optional interface of a [Store]. A Registry keeps one value for
// each session name: what a program with many sessions wants to know about a
// session after a restart, and in another process. A Linker does not use it.
//
// The contract, clause by clause:
//
//  1. Any string is a session, and any bytes are a value, no bytes too. A nil
//     value is an empty one. PutEntry refuses a value that is longer than
//     [MaxEntry], and the earlier entry stays.
//  2. An entry does not depend on a device: it may exist before the session is
//     linked. Save and Delete of a device, Delete of the session, and its leases
//     do not touch the entry, and the calls of a Registry touch nothing else.
//  3. Each call is atomic, and as durable as a session. Of two values for one
//     session the last one is there, whole. All calls may come from several
//     goroutines at once, and obey ctx.
//  4. If an entry cannot be read, Entries returns the others together with the
//     error. The error about a damaged entry wraps [ErrDamaged] and names the
//     session. PutEntry and DeleteEntry of the session repair it.
//  5. Values are secrets of the caller: no error has one in its text. A Store
//     that encrypts its data binds each value to its session, so that a value
//     that was moved to another session is damaged there.
//  6. After Close of the Store each call returns an error that wraps [ErrClosed].
type Registry interface {
	// PutEntry stores entry, in place of the one of the same session.
	PutEntry(ctx context.Context, entry Entry) error
	// Entry returns the entry of session. If there is none, the error wraps
	// [ErrNotFound].
	Entry(ctx context.Context, session string) (Entry, error)
	// Entries returns all entries, sorted by session, byte by byte.
	Entries(ctx context.Context) ([]Entry, error)
	// DeleteEntry deletes the entry of session. It is no error if there is none.
	DeleteEntry(ctx context.Context, session string) error
}

// Entry is what a [Registry] keeps for a session.
type Entry struct {
	Session string
	Value   []byte // the caller's own; at most MaxEntry bytes
}
