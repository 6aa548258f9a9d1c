package redis_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/walink/walink/internal/leasetest"
	"github.com/walink/walink/internal/redisserver"
	"github.com/walink/walink/internal/storecrash"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/kv/redis"
)

// server is a redis-server for one test, on a socket in a directory that is
// removed with the test.
type server struct {
	*redisserver.Server
	prefixes atomic.Int64
}

// start starts a server that keeps its data, with more arguments. If Redis is
// not installed, the test is skipped, unless WALINK_REDIS is set.
func start(t *testing.T, args ...string) *server {
	t.Helper()
	s, err := redisserver.Start(context.WithoutCancel(t.Context()), "", args...)
	switch {
	case errors.Is(err, exec.ErrNotFound) && os.Getenv("WALINK_REDIS") == "":
		t.Skip("Redis is not installed (Debian: apt-get install redis-server)")
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &server{Server: s}
}

// crash kills the server, unless it has ended by itself, and starts it again.
func (s *server) crash(t *testing.T) {
	t.Helper()
	if err := s.Crash(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// cli runs redis-cli, for commands that the package never uses.
func (s *server) cli(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("redis-cli", append([]string{"-s", s.Socket}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli: %v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// prefix returns one that no other call gets.
func (s *server) prefix() string { return fmt.Sprintf("test %d", s.prefixes.Add(1)) }

func (s *server) open(t *testing.T, prefix string) *redis.DB {
	t.Helper()
	db, err := redis.Open(t.Context(), s.URL(), prefix)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return db
}

func TestMain(m *testing.M) {
	if leasetest.Child(openStore) || storecrash.Child(openStore) {
		return
	}
	warm()
	os.Exit(m.Run())
}

// warm makes a device before the tests do so side by side: libsignal makes its
// global logger at first use, unguarded.
func warm() { _, _ = kv.New(memory.New()).Device(context.Background(), "") }
