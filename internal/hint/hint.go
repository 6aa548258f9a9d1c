// Package hint has errors with a remedy. walink's own errors show the remedy of
// an error that they wrap.
package hint

import "errors"

// Error is an error with a remedy.
type Error struct {
	error
	remedy string
}

// New returns err with a remedy, one sentence for a person.
func New(err error, remedy string) *Error { return &Error{err, remedy} }

// Unwrap returns the error.
func (e *Error) Unwrap() error { return e.error }

// Remedy returns the remedy.
func (e *Error) Remedy() string { return e.remedy }

// Known reports whether err or an error that it wraps has a remedy.
func Known(err error) bool {
	var known interface{ Remedy() string }
	return errors.As(err, &known)
}
