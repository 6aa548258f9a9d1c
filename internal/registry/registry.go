// Package registry has what the implementations of [store.Registry] have in common.
package registry

import (
	"errors"
	"fmt"

	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/store"
)

// Check fails if value is too long for an entry.
func Check(value []byte) error {
	if len(value) > store.MaxEntry {
		return hint.New(
			fmt.Errorf("the value has %d bytes, and at most %d are kept", len(value), store.MaxEntry),
			"Keep a shorter value with the session: the program gave one that is too long.",
		)
	}
	return nil
}

// Fault returns err with the remedy for an entry if err is about damage. That of
// [store.ErrDamaged] is for a session.
func Fault(err error) error {
	if errors.Is(err, store.ErrDamaged) {
		return hint.New(err, "Store the entry of the session again, or delete it: it is damaged. The session itself is not affected.")
	}
	return err
}
