package redis_test

import (
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/kvtest"
	"github.com/walink/walink/store/kv/redis"
	"github.com/walink/walink/store/storetest"
)

// cluster starts three servers that share the slots, and returns the addresses.
func cluster(t *testing.T) []string {
	t.Helper()
	const nodes = 3
	var servers []*server
	var ports, buses []string
	for range nodes {
		port, bus := freePort(t), freePort(t)
		ports, buses = append(ports, port), append(buses, bus)
		servers = append(servers, start(t, "--port", port, "--bind", "127.0.0.1", "--cluster-enabled", "yes", "--cluster-port", bus))
	}
	const slots = 16384
	var addresses []string
	for i, s := range servers {
		first, next := i*slots/nodes, (i+1)*slots/nodes
		s.cli(t, "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(next-1))
		s.cli(t, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		addresses = append(addresses, net.JoinHostPort("127.0.0.1", ports[i]))
	}
	meet := func() {
		for i := range servers {
			servers[0].cli(t, "CLUSTER", "MEET", "127.0.0.1", ports[i], buses[i])
		}
	}
	meet()
	again := time.NewTicker(5 * time.Second) // a MEET may be lost
	defer again.Stop()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for _, s := range servers {
		for !strings.Contains(s.cli(t, "CLUSTER", "INFO"), "cluster_state:ok") {
			select {
			case <-ticker.C:
			case <-again.C:
				meet()
			case <-t.Context().Done():
				t.Fatal("the cluster is not whole")
			}
		}
	}
	return addresses
}

// freePort is one that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestCluster(t *testing.T) {
	t.Parallel()
	addresses := cluster(t)
	open := func(t *testing.T, prefix string) *redis.DB {
		t.Helper()
		client := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: addresses, ContextTimeoutEnabled: true})
		db, err := redis.OpenClient(t.Context(), client, prefix)
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	for _, prefix := range []string{"a", "b", "c", "d"} { // slots 15495, 3300, 7365 and 11298: each server has at least one
		t.Run("prefix "+prefix, func(t *testing.T) {
			t.Parallel()
			st := kv.New(open(t, prefix))
			defer func() {
				if err := st.Close(); err != nil {
					t.Error(err)
				}
			}()
			device := storetest.Link(t, st, "default", storetest.JID("5511987654321", 1))
			if sessions, err := st.Sessions(t.Context()); err != nil || len(sessions) != 1 || sessions[0].JID != *device.ID {
				t.Errorf("sessions %v, %v", sessions, err)
			}
			taken, _, err := st.TakeLeases(t.Context(), []string{"default"}, store.Holder{ID: "one"}, time.Minute)
			if err != nil || len(taken) != 1 || time.Until(taken[0].Until) <= 0 {
				t.Errorf("leases %+v, %v", taken, err)
			}
			if err := st.Check(t.Context()); err != nil {
				t.Errorf("Check: %v", err)
			}
		})
	}
	t.Run("suite", func(t *testing.T) {
		t.Parallel()
		var n atomic.Int64
		kvtest.Run(t, func(t *testing.T) kv.DB {
			t.Helper()
			return open(t, "suite "+strconv.FormatInt(n.Add(1), 10))
		})
	})
}
