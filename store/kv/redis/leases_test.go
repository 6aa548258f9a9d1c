package redis_test

import (
	"os"
	"strconv"
	"sync"
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
	var mu sync.Mutex
	proxies := map[int]*leasetest.Proxy{}
	config := leasetest.Config{
		Open: openStore, Children: 2, Sessions: 3, Kills: 1,
		Name: func(child int) string { // each has a cable of its own
			mu.Lock()
			defer mu.Unlock()
			if proxies[child] == nil {
				proxies[child] = leasetest.NewProxy(t, "unix", s.Socket)
			}
			return "redis://" + proxies[child].Addr() + "/0"
		},
		Cut: func(child int) func() {
			mu.Lock()
			defer mu.Unlock()
			proxies[child].Cut()
			return proxies[child].Mend
		},
	}
	if text := os.Getenv("WALINK_LEASES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		config.Children, config.Sessions, config.Kills, config.Stops, config.Cuts = 3, 12, n, (n+3)/4, (n+3)/4
	}
	leasetest.Run(t, config)
}
