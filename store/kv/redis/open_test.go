package redis_test

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/redis"
	"github.com/walink/walink/store/storetest"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		server []string
		url    func(*server) string
		want   error
		text   string
		remedy string // how it begins
	}{
		{"a server that evicts", []string{"--maxmemory-policy", "allkeys-lru", "--maxmemory", "100mb"}, (*server).URL, redis.ErrEvicts, "allkeys-lru", "Set maxmemory-policy of the server to noeviction"},
		{"a server that evicts what has a time", []string{"--maxmemory-policy", "volatile-ttl"}, (*server).URL, redis.ErrEvicts, "noeviction", "Set maxmemory-policy of the server to noeviction"},
		{"a server without a disk", []string{"--appendonly", "no"}, (*server).URL, redis.ErrVolatile, "appendonly", "Set appendonly of the server to yes"},
		{"a password that is missing", []string{"--requirepass", "the password"}, (*server).URL, nil, "NOAUTH", "Check the user and the password in the URL"},
		{"a password that is wrong", []string{"--requirepass", "the password"}, func(s *server) string {
			return (&url.URL{Scheme: "unix", User: url.UserPassword("", "secret"), Path: s.Socket}).String()
		}, nil, "WRONGPASS", "Check the user and the password in the URL"},
		{"a server that is not there", nil, func(s *server) string {
			return (&url.URL{Scheme: "unix", User: url.UserPassword("", "secret"), Path: s.Socket + "2"}).String()
		}, nil, "no such file", "Check the host and the port in the URL, that Redis runs there"},
		{"a URL of something else", nil, func(*server) string { return "postgres://user:secret@host" }, nil, "redis://", "Write it like rediss://user:password@host:6379/0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, test.server...)
			_, err := redis.Open(t.Context(), test.url(s), "walink")
			if err == nil {
				t.Fatal("Open succeeded")
			}
			if test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("Open: %v, want %v", err, test.want)
			}
			if !strings.Contains(err.Error(), test.text) || strings.Contains(err.Error(), "secret") {
				t.Errorf("Open: %v, want %q in it and no password", err, test.text)
			}
			if got := remedyOf(err); !strings.HasPrefix(got, test.remedy) {
				t.Errorf("Open: %v, with the remedy %q, want %q", err, got, test.remedy)
			}
			if len(test.server) > 0 && test.server[0] != "--requirepass" {
				if size := s.cli(t, "dbsize"); size != "0" {
					t.Errorf("the server holds %s keys", size)
				}
			}
		})
	}
}

// remedyOf returns the remedy of an error, "" if it has none.
func remedyOf(err error) string {
	var hint interface{ Remedy() string }
	if errors.As(err, &hint) {
		return hint.Remedy()
	}
	return ""
}

func TestSnapshotsAreEnough(t *testing.T) {
	t.Parallel()
	s := start(t, "--appendonly", "no", "--save", "3600 1")
	if err := s.open(t, "walink").Close(); err != nil {
		t.Error(err)
	}
}

func TestASettingThatChanged(t *testing.T) {
	t.Parallel()
	s := start(t)
	st := kv.New(s.open(t, "walink"))
	t.Cleanup(func() { _ = st.Close() })
	if err := st.Check(t.Context()); err != nil {
		t.Errorf("Check: %v", err)
	}
	s.cli(t, "config", "set", "maxmemory-policy", "allkeys-random")
	if err := st.Check(t.Context()); !errors.Is(err, redis.ErrEvicts) || !strings.Contains(err.Error(), s.Socket) {
		t.Errorf("Check: %v, want ErrEvicts and the address", err)
	}
}

func TestFullMemory(t *testing.T) {
	t.Parallel()
	s := start(t)
	st := kv.New(s.open(t, "walink"))
	t.Cleanup(func() { _ = st.Close() })
	device := storetest.Link(t, st, "default", storetest.JID("5511987654321", 1))
	s.cli(t, "config", "set", "maxmemory", "1")
	err := device.Sessions.PutSession(t.Context(), "1:0", []byte("session"))
	if err == nil || !strings.Contains(err.Error(), "OOM") || remedyOf(err) != "Raise maxmemory of the server, or delete data from it." {
		t.Errorf("PutSession: %v, with the remedy %q, want the server's OOM", err, remedyOf(err))
	}
	if got, err := device.Sessions.GetSession(t.Context(), "1:0"); err != nil || got != nil {
		t.Errorf("GetSession: %q, %v, want nothing", got, err)
	}
	s.cli(t, "config", "set", "maxmemory", "0")
	if err := device.Sessions.PutSession(t.Context(), "1:0", []byte("session")); err != nil {
		t.Errorf("PutSession: %v", err)
	}
}

func TestPrefixesShareNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	one, two := s.open(t, "walink"), s.open(t, "walink2")
	t.Cleanup(func() { _, _ = one.Close(), two.Close() })
	set(t, one, "a", "1")
	if got := get(t, two, "a"); got != "" {
		t.Errorf("the other prefix has %q", got)
	}
	for key := range strings.FieldsSeq(s.cli(t, "keys", "*")) {
		if !strings.HasPrefix(key, "{walink}:") {
			t.Errorf("key %q", key)
		}
	}
}

func TestProcessesShareAServer(t *testing.T) {
	t.Parallel()
	s := start(t)
	var group sync.WaitGroup
	const processes, times = 3, 40
	for range processes {
		db := s.open(t, "walink")
		t.Cleanup(func() { _ = db.Close() })
		group.Go(func() {
			for range times {
				err := db.Txn(t.Context(), true, func(tx kv.Tx) error {
					value, err := tx.Get([]byte("count"))
					if err != nil {
						return err
					}
					n, _ := strconv.Atoi(string(value))
					return tx.Set([]byte("count"), []byte(strconv.Itoa(n+1)))
				})
				if err != nil {
					t.Errorf("Txn: %v", err)
				}
			}
		})
	}
	group.Wait()
	db := s.open(t, "walink")
	t.Cleanup(func() { _ = db.Close() })
	if got, want := get(t, db, "count"), strconv.Itoa(processes*times); got != want {
		t.Errorf("count %s, want %s", got, want)
	}
}

func TestLockLost(t *testing.T) {
	t.Parallel()
	s := start(t)
	db := s.open(t, "walink")
	t.Cleanup(func() { _ = db.Close() })
	set(t, db, "a", "1")
	err := db.Txn(t.Context(), true, func(tx kv.Tx) error {
		s.cli(t, "del", "{walink}:lock") // as when its time is up
		other := s.open(t, "walink")
		set(t, other, "a", "2")
		if err := other.Close(); err != nil {
			t.Error(err)
		}
		return tx.Set([]byte("a"), []byte("3"))
	})
	if !errors.Is(err, redis.ErrLockLost) {
		t.Errorf("Txn: %v, want ErrLockLost", err)
	}
	if got := get(t, db, "a"); got != "2" {
		t.Errorf("stored is %q, want what the other has stored", got)
	}
}

func TestLockOfTheDead(t *testing.T) {
	t.Parallel()
	s := start(t)
	db := s.open(t, "walink")
	t.Cleanup(func() { _ = db.Close() })
	s.cli(t, "set", "{walink}:lock", "somebody")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := db.Txn(ctx, true, func(kv.Tx) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Txn: %v, want context.DeadlineExceeded", err)
	}
	s.cli(t, "pexpire", "{walink}:lock", "200")
	set(t, db, "a", "1") // once the time of the lock is up
	if got := s.cli(t, "exists", "{walink}:lock"); got != "0" {
		t.Error("the lock is still there")
	}
}

func TestTimeIsTheServers(t *testing.T) {
	t.Parallel()
	s := start(t)
	db := s.open(t, "walink")
	t.Cleanup(func() { _ = db.Close() })
	seconds := func() int64 {
		text, _, _ := strings.Cut(s.cli(t, "time"), "\n")
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := seconds()
	now, err := db.Now(t.Context())
	if after := seconds(); err != nil || now.Unix() < before || now.Unix() > after {
		t.Errorf("Now: %v, %v, and the server says %d before and %d after", now, err, before, after)
	}
}

func set(t *testing.T, db kv.DB, key, value string) {
	t.Helper()
	err := db.Txn(t.Context(), true, func(tx kv.Tx) error { return tx.Set([]byte(key), []byte(value)) })
	if err != nil {
		t.Fatalf("Txn: %v", err)
	}
}

func get(t *testing.T, db kv.DB, key string) (value string) {
	t.Helper()
	err := db.Txn(t.Context(), false, func(tx kv.Tx) error {
		b, err := tx.Get([]byte(key))
		value = string(b)
		return err
	})
	if err != nil {
		t.Fatalf("Txn: %v", err)
	}
	return value
}
