package redis_test

import (
	"testing"

	"github.com/walink/walink/internal/leasetest"
)

// TestLeases has several programs share the sessions of one server. They are
// killed, stopped, and cut off from the server, which sees nothing of that. One
// kill is the default; WALINK_LEASES asks for so many, and for a program that
// is stopped and one that is cut off for every fourth of them, which takes half
// a minute each.
func TestLeases(t *testing.T) {
	t.Parallel()
	s := start(t)
	config := leasetest.Config{Open: openStore}.Through(t, "unix", s.Socket, func(address string) string {
		return "redis://" + address + "/0"
	})
	leasetest.Run(t, config.Sized(t))
}
