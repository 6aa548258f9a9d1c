package redis_test

import (
	"context"
	"testing"

	"github.com/walink/walink/internal/leasetest"
)

// TestLeases has several programs share the sessions of one server. They are
// killed, stopped, and cut off from the server, which sees nothing of that, and the
// server is restarted. One kill is the default; WALINK_LEASES asks for more.
func TestLeases(t *testing.T) {
	t.Parallel()
	s := start(t)
	config := leasetest.Config{
		Open: openStore, Restart: func() error { return s.Crash(context.WithoutCancel(t.Context())) },
	}.Through(t, "unix", s.Socket, func(address string) string {
		return "redis://" + address + "/0"
	})
	leasetest.Run(t, config.Sized(t))
}

// TestFleets has three programs with a Fleet each share the sessions of one server.
func TestFleets(t *testing.T) {
	t.Parallel()
	s := start(t)
	leasetest.RunFleets(t, leasetest.Config{Open: openStore, Name: func(int) string { return s.URL() }})
}
