package store

import (
	"context"
)

// Checker is an optional interface of a [Store], for walink's Diagnose.
type Checker interface {
	// Check looks whether the Store can do its work: what it needs is there,
	// may be read and written, is set up as it should be, and is private. It
	// leaves no trace in what is stored. The error says what is wrong. Where it
	// is known how to mend it, an error has the method Remedy() string, which
	// returns one sentence for a person; an [*Advice] is no more than a warning.
	Check(ctx context.Context) error
}

// Advice is an error that keeps nobody from linking, so Diagnose warns of it:
// what is looked for is not there yet, or will be changed by the next Link.
type Advice struct {
	Err  error
	Mend string // what to do about it, in one sentence for a person
}

// Error returns the text of Err.
func (a *Advice) Error() string { return a.Err.Error() }

// Unwrap returns Err.
func (a *Advice) Unwrap() error { return a.Err }

// Remedy returns Mend.
func (a *Advice) Remedy() string { return a.Mend }
