package postgres_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/postgres"
	"github.com/walink/walink/store/storetest"
)

// TestBehindPgBouncer runs the contract with a PgBouncer in between that gives
// each transaction another connection.
func TestBehindPgBouncer(t *testing.T) {
	t.Parallel()
	s := running(t)
	dir := bouncer(t, s)
	behind := func(database string) string {
		return "postgres:///" + database + "?host=" + dir + "&port=6432&user=postgres&pool_max_conns=8"
	}

	var urls sync.Map // by Store
	opened := func(t *testing.T, url string) store.Store {
		t.Helper()
		st, err := postgres.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		urls.Store(st, url)
		return st
	}
	storetest.Run(t, func(t *testing.T) store.Store {
		t.Helper()
		return opened(t, behind(s.database(t)))
	}, storetest.WithReopen(func(t *testing.T, closed store.Store) store.Store {
		t.Helper()
		url, _ := urls.Load(closed)
		return opened(t, url.(string)) //nolint:errcheck // see above
	}), storetest.WithTextKeys(2000))
}

// bouncer starts a PgBouncer in front of s, and returns the folder of its socket.
func bouncer(t *testing.T, s *server) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program = "/usr/sbin/pgbouncer"; !exists(program) { // Debian's place
			if os.Getenv("WALINK_POSTGRES") != "" {
				t.Fatal("WALINK_POSTGRES is set, and PgBouncer is not installed")
			}
			t.Skip("PgBouncer is not installed (Debian: apt-get install pgbouncer)")
		}
	}
	dir, err := os.MkdirTemp(s.Dir, "bouncer") //nolint:usetesting // where another user may look
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Sprintf(`
[databases]
* = host=%s user=postgres
[pgbouncer]
listen_addr =
unix_socket_dir = %s
auth_type = any
pool_mode = transaction
default_pool_size = 4
max_client_conn = 1000
ignore_startup_parameters = extra_float_digits
`, s.Dir, dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Give(dir, config); err != nil {
		t.Fatal(err)
	}
	cmd := s.Command(context.WithoutCancel(t.Context()), program, "-q", config)
	log := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // in the end it is killed
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		conn, err := new(net.Dialer).DialContext(t.Context(), "unix", filepath.Join(dir, ".s.PGSQL.6432"))
		if err == nil {
			_ = conn.Close()
			return dir
		}
		select {
		case <-ticker.C:
		case <-ended:
			t.Fatalf("PgBouncer does not start: %s", log)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
