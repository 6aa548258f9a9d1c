// Package hint makes errors that know what to do about them, which walink's own
// errors look for.
package hint

import "errors"

// Error is an error with a remedy.
type Error struct {
	error
	remedy string
}

// New returns err with a remedy, in one sentence for a person.
func New(err error, remedy string) *Error { return &Error{err, remedy} }

// Unwrap returns the error.
func (e *Error) Unwrap() error { return e.error }

// Remedy tells what to do about it.
func (e *Error) Remedy() string { return e.remedy }

// Known reports whether err knows what to do about it already.
func Known(err error) bool {
	var known interface{ Remedy() string }
	return errors.As(err, &known)
}
