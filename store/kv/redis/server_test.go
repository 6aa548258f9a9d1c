package redis_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/walink/walink/internal/leasetest"
	"github.com/walink/walink/internal/storecrash"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/kv/redis"
)

// server is a redis-server of the test's own, on a socket in a directory that
// goes with the test.
type server struct {
	socket   string
	dir      string
	process  *exec.Cmd
	args     []string
	prefixes atomic.Int64
}

// start starts a server that keeps what it is given, with more arguments. It
// skips the test where there is none on this machine, unless WALINK_REDIS demands
// it.
func start(t *testing.T, args ...string) *server {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("WALINK_REDIS") != "" {
			t.Fatal("WALINK_REDIS is set, and there is no redis-server")
		}
		t.Skip("Redis is not installed (Debian: apt-get install redis-server)")
	}
	dir, err := os.MkdirTemp("", "walink") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	s := &server{socket: filepath.Join(dir, "s"), dir: dir, args: append([]string{
		binary, "--port", "0", "--unixsocket", filepath.Join(dir, "s"), "--unixsocketperm", "700", "--dir", dir,
		"--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--daemonize", "no",
	}, args...)}
	s.run(t)
	t.Cleanup(func() {
		s.kill()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return s
}

// run starts the process, and waits until it answers.
func (s *server) run(t *testing.T) {
	t.Helper()
	s.process = exec.Command(s.args[0], s.args[1:]...)
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for range 2000 {
		<-ticker.C
		out, err := exec.Command("redis-cli", "-s", s.socket, "ping").CombinedOutput()
		if err == nil && strings.Contains(string(out), "PONG") || strings.Contains(string(out), "NOAUTH") {
			return
		}
	}
	t.Fatal("redis-server does not answer")
}

// kill ends the process as a crash would.
func (s *server) kill() {
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
}

// url is the address of the server.
func (s *server) url() string { return (&url.URL{Scheme: "unix", Path: s.socket}).String() }

// cli is redis-cli, for what the package itself never does.
func (s *server) cli(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("redis-cli", append([]string{"-s", s.socket}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli: %v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// prefix returns one that no other call gets.
func (s *server) prefix() string { return fmt.Sprintf("test %d", s.prefixes.Add(1)) }

func (s *server) open(t *testing.T, prefix string) *redis.DB {
	t.Helper()
	db, err := redis.Open(t.Context(), s.url(), prefix)
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
