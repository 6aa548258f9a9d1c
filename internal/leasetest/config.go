package leasetest

import (
	"os"
	"strconv"
	"sync"
	"testing"
)

// Sized returns the Config with two programs and one kill. If WALINK_LEASES is
// set, it returns the Config with three programs that share two hundred sessions, and
// that many kills. For every fourth kill, a program is stopped too, one is cut
// off if there is a Cut, and the database is restarted if there is a Restart; each takes
// a quarter of a minute.
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
	c.Children, c.Sessions, c.Kills, c.Stops = 3, 200, n, (n+3)/4
	if c.Cut != nil {
		c.Cuts = c.Stops
	}
	if c.Restart != nil {
		c.Restarts = c.Stops
	}
	return c
}

// Through returns the Config with a [Proxy] for each program before the server
// at target, which Cut cuts. name returns the name of a Store at the address of
// the proxy.
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
		return proxies[child].Restore
	}
	return c
}
