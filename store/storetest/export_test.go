package storetest

import (
	"context"
	"testing"

	"github.com/walink/walink/store"
)

// LeaseCases returns the cases of a Leaser. They report to a TB that records
// failures.
var LeaseCases = leaseCases

// RegistryCases returns the cases of a Registry, likewise.
var RegistryCases = registryCases

// Compare makes the calls of one comparison with sqlstore, and not fewer under
// the race detector. It stops at the first difference.
func Compare(t *testing.T, name string, st store.Store, seed uint64) error {
	t.Helper()
	for _, a := range comparisons() {
		if a.name == name {
			s, err := newSequence(t, st, seed, a.fields...)
			if err != nil {
				return err
			}
			return s.run(t.Context(), a.steps*thin)
		}
	}
	t.Fatalf("no comparison is named %q", name)
	return nil
}

// Unknown returns what the suite reports for a method that it does not know.
func Unknown(field, name string) error {
	return unknown(append(methods(), method{field, name}), generators())
}

// Case returns the case of that name, without its heading.
func Case(t *testing.T, name string) func(ctx context.Context, st store.Store) error {
	t.Helper()
	test := cases()[name]
	if test == nil {
		t.Fatalf("no case is named %q", name)
	}
	return test
}
