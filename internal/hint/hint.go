// Package hint has errors with a remedy. walink's own errors show the remedy of
// an error that they wrap.
package hint

import "errors"

// Error is an error with a remedy.
type Error struct {
	error
	remedy string
	person bool
}

// New returns err with a remedy, one sentence for those who run the program.
func New(err error, remedy string) *Error { return &Error{err, remedy, false} }

// ForPerson returns err with a remedy for the person at the phone.
func ForPerson(err error, remedy string) *Error { return &Error{err, remedy, true} }

// Unwrap returns the error.
func (e *Error) Unwrap() error { return e.error }

// Remedy returns the remedy.
func (e *Error) Remedy() string { return e.remedy }

// IsForPerson reports whether the remedy is for the person at the phone.
func (e *Error) IsForPerson() bool { return e.person }

// Known reports whether err or an error that it wraps has a remedy.
func Known(err error) bool {
	var known interface{ Remedy() string }
	return errors.As(err, &known)
}
