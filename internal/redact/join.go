package redact

import (
	"errors"
	"fmt"
	"slices"
)

// Join returns [errors.Join] of errs. If there are more than three, its text has the
// first three and the number of the others, because a damaged database can have an
// error for each of a million records.
func Join(errs ...error) error {
	const shown = 3
	errs = slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return err == nil })
	whole := errors.Join(errs...)
	if len(errs) <= shown {
		return whole
	}
	return &shortened{whole, fmt.Sprintf("%v\nand %d more", errors.Join(errs[:shown]...), len(errs)-shown)}
}

// shortened is an error with a shorter text.
type shortened struct {
	error
	text string
}

// Error returns the shorter text.
func (s *shortened) Error() string { return s.text }

// Unwrap returns the error with its whole text.
func (s *shortened) Unwrap() error { return s.error }
