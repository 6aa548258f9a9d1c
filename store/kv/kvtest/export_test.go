package kvtest

import (
	"testing"
	"time"

	"github.com/walink/walink/store/kv"
)

// Cases are the names of the cases.
func Cases() []string {
	var names []string
	for _, c := range examples() {
		names = append(names, c.name)
	}
	return names
}

// Try runs the case of that name, and returns what it finds.
func Try(t *testing.T, name string, db kv.DB, reopens func(closed kv.DB) kv.DB) []string {
	t.Helper()
	for _, c := range examples() {
		if c.name == name {
			found, _, _ := c.try(t, db, reopens, func() time.Duration { return patience })
			return found
		}
	}
	t.Fatalf("no case is named %q", name)
	return nil
}
