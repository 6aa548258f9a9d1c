package store

import "context"

// Checker is an optional interface of a [Store], for walink's doctor.
type Checker interface {
	// Check tests whether the Store can do its work: everything it needs
	// exists, is readable and writable, is configured as it should be, and is
	// private. Check leaves no trace in the stored data. The error says what is
	// wrong. If the remedy is known, the error has a method Remedy() string,
	// which returns one sentence for a person. An [*Advice] is only a warning.
	Check(ctx context.Context) error
}

// Advice is an error that does not prevent linking, so the doctor only warns of
// it. For example, a database does not exist yet, the next Link will change it, or
// another user can read it.
type Advice struct {
	Err error
	Fix string // what to do, in one sentence for a person
}

// Error returns the text of Err.
func (a *Advice) Error() string { return a.Err.Error() }

// Unwrap returns Err.
func (a *Advice) Unwrap() error { return a.Err }

// Remedy returns Fix.
func (a *Advice) Remedy() string { return a.Fix }
