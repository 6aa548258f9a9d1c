package leasetest

import (
	"os"
	"strconv"
	"sync"
	"testing"
)

// Sized returns the Config with two programs and one kill, or with three
// programs and as many kills as WALINK_LEASES asks for. For every fourth of
// those a program is stopped and, where there is a Cut, one is cut off, which
// takes half a minute each.
func (c Config) Sized(t *testing.T) Config {
	t.Helper()
	c.Children, c.Sessions, c.Kills = 2, 3, 1
	text := os.Getenv("WALINK_LEASES")
	if text == "" {
		return c
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	c.Children, c.Sessions, c.Kills, c.Stops = 3, 12, n, (n+3)/4
	if c.Cut != nil {
		c.Cuts = c.Stops
	}
	return c
}

// Through returns the Config with a cable of its own for each program, which
// Cut cuts: a [Proxy] before the server at target. name makes the name of a
// store of the proxy's address.
func (c Config) Through(t *testing.T, network, target string, name func(address string) string) Config {
	t.Helper()
	var mu sync.Mutex
	proxies := map[int]*Proxy{}
	c.Name = func(child int) string {
		mu.Lock()
		defer mu.Unlock()
		if proxies[child] == nil {
			proxies[child] = NewProxy(t, network, target)
		}
		return name(proxies[child].Addr())
	}
	c.Cut = func(child int) func() {
		mu.Lock()
		defer mu.Unlock()
		proxies[child].Cut()
		return proxies[child].Mend
	}
	return c
}
