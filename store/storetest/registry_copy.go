package storetest

import (
	"testing"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/transfer"
)

func copyEntries(t *testing.T, to, from store.Store) {
	t.Helper()
	target, source := registryOf(to), registryOf(from)
	if target == nil || source == nil {
		t.Skip("a Store is no Registry")
	}
	for i, session := range []string{"default", "taken", "without"} {
		Link(t, from, session, JID(number, uint16(i)+1))
	}
	entry, taken := putEntry(t, source, "default", "the value"), putEntry(t, source, "taken", "of the source")
	unlinked := putEntry(t, source, "unlinked", "the value")
	kept, own := putEntry(t, target, "taken", "of the target"), putEntry(t, target, "without", "of the target")
	for range 2 { // the second time there is nothing to do
		if err := transfer.Copy(t.Context(), to, from); err != nil {
			t.Fatalf("Copy: %v", err)
		}
		wantEntries(t, target, entry, kept, own)
		wantEntries(t, source, entry, taken, unlinked)
	}
	// As after a Copy that was interrupted before the entry.
	deleteEntry(t, target, "default")
	if err := transfer.Move(t.Context(), to, from); err != nil {
		t.Fatalf("Move: %v", err)
	}
	wantEntries(t, target, entry, kept, own)
	wantEntries(t, source, taken, unlinked) // one has another value in the target, and one has no session
	if got := names(t, from); len(got) != 0 {
		t.Errorf("the source has %q", got)
	}
}
