package redis_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/redis"
)

func setIn(key, value string) func(kv.Tx) error {
	return func(tx kv.Tx) error { return tx.Set([]byte(key), []byte(value)) }
}

// TestLockLostUnderLoad wants one lost lock to cost no more than its batch.
func TestLockLostUnderLoad(t *testing.T) {
	t.Parallel()
	s := start(t)
	db := s.open(t, "walink")
	t.Cleanup(func() { _ = db.Close() })
	var wait sync.WaitGroup
	err := db.Txn(t.Context(), true, func(tx kv.Tx) error {
		for i := range 20 {
			wait.Go(func() {
				if err := db.Txn(t.Context(), true, setIn(strconv.Itoa(i), "1")); err != nil {
					t.Errorf("a transaction that was waiting: %v", err)
				}
			})
		}
		s.cli(t, "set", "{walink}:lock", "another", "px", "50")
		_, err := tx.Get([]byte("a"))
		return err
	})
	if !errors.Is(err, redis.ErrLockLost) {
		t.Errorf("Txn: %v, want ErrLockLost", err)
	}
	wait.Wait()
}

func TestTheLockIsRenewed(t *testing.T) {
	t.Parallel()
	s := start(t)
	db := s.open(t, "walink")
	t.Cleanup(func() { _ = db.Close() })
	err := db.Txn(t.Context(), true, func(tx kv.Tx) error {
		s.cli(t, "pexpire", "{walink}:lock", "3000")
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for range 100 {
			<-ticker.C
			if left, _ := strconv.Atoi(s.cli(t, "pttl", "{walink}:lock")); left > 3000 {
				return tx.Set([]byte("a"), []byte("1"))
			}
		}
		return errors.New("nobody renews the lock")
	})
	if err != nil {
		t.Errorf("Txn: %v", err)
	}
}

func TestLargeTransactions(t *testing.T) {
	t.Parallel()
	s := start(t)
	db := s.open(t, "walink")
	t.Cleanup(func() { _ = db.Close() })
	const count = 30_000
	write := func(fn func(tx kv.Tx, key []byte, i int) error) {
		t.Helper()
		err := db.Txn(t.Context(), true, func(tx kv.Tx) error {
			for i := range count {
				if err := fn(tx, fmt.Append(nil, "key ", i), i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatalf("Txn: %v", err)
		}
	}
	write(func(tx kv.Tx, key []byte, _ int) error { return tx.Set(key, []byte("old")) })
	write(func(tx kv.Tx, key []byte, i int) error {
		switch {
		case i == 0:
			return tx.Set(key, make([]byte, 3<<20))
		case i%3 == 0:
			return tx.Set(key, []byte("new"))
		}
		return tx.Delete(key)
	})
	for key, want := range map[string]string{"key 3": "new", "key 4": "", "key 29997": "new", "key 29999": ""} {
		if got := get(t, db, key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	for _, length := range []string{s.cli(t, "hlen", "{walink}:values"), s.cli(t, "zcard", "{walink}:index")} {
		if length != strconv.Itoa(count/3) {
			t.Errorf("%s keys, want %d", length, count/3)
		}
	}
	if left := s.cli(t, "exists", "{walink}:sets", "{walink}:deletes"); left != "0" {
		t.Errorf("%s lists are left", left)
	}
}

// losing is the URL of a proxy that loses the first answer to a request with
// a text in it.
func losing(t *testing.T, s *server, text string) string {
	t.Helper()
	path := filepath.Join(s.Dir, "proxy")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	t.Cleanup(func() { _ = listener.Close(); wait.Wait() })
	var lost atomic.Bool
	wait.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("unix", s.Socket)
			if err != nil {
				_ = client.Close()
				continue
			}
			var drop atomic.Bool
			forward := func(to, from net.Conn, see func(b []byte) bool) {
				defer func() { _, _ = to.Close(), from.Close() }()
				buffer := make([]byte, 1<<16)
				for {
					n, err := from.Read(buffer)
					if err != nil || !see(buffer[:n]) {
						return
					}
					if _, err := to.Write(buffer[:n]); err != nil {
						return
					}
				}
			}
			wait.Go(func() {
				forward(up, client, func(b []byte) bool {
					if strings.Contains(string(b), text) && lost.CompareAndSwap(false, true) {
						drop.Store(true)
					}
					return true
				})
			})
			wait.Go(func() { forward(client, up, func([]byte) bool { return !drop.Load() }) })
		}
	})
	return "unix://" + path
}

func TestAnAnswerThatIsLost(t *testing.T) {
	t.Parallel()
	for _, retries := range []int{-1, 3} {
		t.Run(fmt.Sprint(retries, " retries of the client"), func(t *testing.T) {
			t.Parallel()
			s := start(t)
			options, err := goredis.ParseURL(losing(t, s, "the value"))
			if err != nil {
				t.Fatal(err)
			}
			options.MaxRetries = retries
			db, err := redis.OpenClient(t.Context(), goredis.NewClient(options), "walink")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			if err := db.Txn(t.Context(), true, setIn("a", "first")); err != nil { // so that the server knows the scripts
				t.Errorf("Txn: %v", err)
			}
			if err := db.Txn(t.Context(), true, setIn("a", "the value")); err != nil {
				t.Errorf("Txn: %v, though it is stored", err)
			}
			if got := s.cli(t, "get", "{walink}:version"); got != "2" {
				t.Errorf("%s commits, want 2", got)
			}
		})
	}
}

// busy writes to a DB from several goroutines until the test ends.
func busy(t *testing.T, db kv.DB) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	t.Cleanup(func() { cancel(); wait.Wait() })
	for range 8 {
		wait.Go(func() {
			for ctx.Err() == nil {
				_ = db.Txn(ctx, true, setIn("unrelated", "1"))
			}
		})
	}
}

func TestNextToABusyProcess(t *testing.T) {
	t.Parallel()
	s := start(t)
	db, other := s.open(t, "walink"), s.open(t, "walink")
	t.Cleanup(func() { _, _ = db.Close(), other.Close() })
	for i := range 100 {
		set(t, db, strconv.Itoa(i), "1")
	}
	busy(t, other)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // on a busy machine both processes are slow
	defer cancel()
	options, err := goredis.ParseURL(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	client := goredis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	commits := func() (n int) {
		n, err := client.Get(ctx, "{walink}:version").Int()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const writers = 20
	others := 0
	for range writers {
		before := commits()
		err := db.Txn(ctx, true, func(tx kv.Tx) error {
			others += commits() - before // nobody else has the lock now
			return tx.Set([]byte("a"), []byte("1"))
		})
		if err != nil {
			t.Fatalf("a writer: %v", err)
		}
	}
	if others > 3*writers { // the queue is fair: about one each
		t.Errorf("%d writers have waited for %d commits of the other process", writers, others)
	}
	calls := 0
	const readers = 10
	for range readers {
		err := db.Txn(ctx, false, func(tx kv.Tx) error {
			calls++
			for i := range 100 {
				if _, err := tx.Get([]byte(strconv.Itoa(i))); err != nil {
					return err
				}
			}
			return tx.Scan([]byte("9"), func(_, _ []byte) error { return nil })
		})
		if err != nil {
			t.Fatalf("a reader: %v", err)
		}
	}
	if calls != readers {
		t.Errorf("%d readers were called %d times, though nothing that they read has changed", readers, calls)
	}
}

func TestAReaderInAWriterThatLostItsLock(t *testing.T) {
	t.Parallel()
	s := start(t)
	db, other := s.open(t, "walink"), s.open(t, "walink")
	t.Cleanup(func() { _, _ = db.Close(), other.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := db.Txn(ctx, true, func(kv.Tx) error {
		s.cli(t, "del", "{walink}:lock")
		n := 0
		return db.Txn(ctx, false, func(tx kv.Tx) error { // torn each time
			if _, err := tx.Get([]byte("a")); err != nil {
				return err
			}
			if n++; n <= 10 {
				set(t, other, "a", strconv.Itoa(n))
			}
			_, err := tx.Get(fmt.Append(nil, "b", n))
			return err
		})
	})
	if err != nil {
		t.Errorf("Txn: %v", err) // it has stored nothing, so that it has lost nothing
	}
}

func TestAPrefixThatCannotBe(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, prefix := range []string{"", "a{", "}"} {
		if _, err := redis.Open(t.Context(), s.URL(), prefix); err == nil || remedyOf(err) == "" {
			t.Errorf("Open with prefix %q: %v", prefix, err)
		}
	}
}

func TestCheckAdvisesAgainstSnapshotsAlone(t *testing.T) {
	t.Parallel()
	s := start(t, "--appendonly", "no", "--save", "3600 1")
	st := kv.New(s.open(t, "walink"))
	t.Cleanup(func() { _ = st.Close() })
	var advice *store.Advice
	if err := st.Check(t.Context()); !errors.As(err, &advice) || !strings.Contains(err.Error(), "snapshots") {
		t.Errorf("Check: %v, want an Advice", err)
	}
}

func TestAKeyOfAnotherKind(t *testing.T) {
	t.Parallel()
	s := start(t)
	db := s.open(t, "walink")
	t.Cleanup(func() { _ = db.Close() })
	s.cli(t, "set", "{walink}:index", "of somebody else")
	err := db.Txn(t.Context(), true, setIn("a", "1"))
	if err == nil || !strings.Contains(err.Error(), "WRONGTYPE") {
		t.Errorf("Txn: %v, want WRONGTYPE", err)
	}
	if got := s.cli(t, "exists", "{walink}:values", "{walink}:version"); got != "0" {
		t.Error("a half of it is stored")
	}
}
