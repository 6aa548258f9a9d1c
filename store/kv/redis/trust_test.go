package redis_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"unicode"

	goredis "github.com/redis/go-redis/v9"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/redis"
)

func TestCheckWarnsOfAServerThatIsNotVerified(t *testing.T) {
	t.Parallel()
	s := start(t)
	for name, test := range map[string]struct {
		address string
		config  *tls.Config
		warns   bool
	}{
		"without TLS":              {address: "db.example.org:6379", warns: true},
		"a private address":        {address: "192.168.1.2:6379", warns: true},
		"TLS that verifies":        {address: "db.example.org:6379", config: &tls.Config{MinVersion: tls.VersionTLS12}},
		"TLS that verifies nobody": {address: "db.example.org:6379", config: &tls.Config{InsecureSkipVerify: true}, warns: true},
		"TLS with an own check": {address: "db.example.org:6379", config: &tls.Config{
			InsecureSkipVerify: true, VerifyConnection: func(tls.ConnectionState) error { return nil },
		}},
		"this machine":             {address: "127.0.0.1:6379"},
		"this machine by its name": {address: "localhost:6379"},
		"this machine by IPv6":     {address: "[::1]:6379"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := goredis.NewClient(&goredis.Options{
				Addr: test.address, TLSConfig: test.config, MaxRetries: -1,
				Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) { // the server of the test, without TLS
					return new(net.Dialer).DialContext(ctx, "unix", s.Socket)
				},
			})
			db, err := redis.OpenClient(t.Context(), client, "walink")
			if err != nil {
				t.Fatal(err)
			}
			st := kv.New(db)
			t.Cleanup(func() { _ = st.Close() })
			err = st.Check(t.Context())
			advice, ok := errors.AsType[*store.Advice](err)
			if !test.warns && err != nil || ok != test.warns || ok && (!strings.Contains(advice.Error(), "no TLS") || !strings.Contains(advice.Fix, "rediss://")) {
				t.Errorf("Check: %v, with the remedy %q", err, remedyOf(err))
			}
		})
	}
}

// wrapped is a client that hides its options.
type wrapped struct{ goredis.UniversalClient }

// embedding is a client that shows the options of another.
type embedding struct{ *goredis.Client }

func TestCheckSeesWhereEachClientGoes(t *testing.T) {
	t.Parallel()
	s := start(t)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { // the server of the test, without TLS
		return new(net.Dialer).DialContext(ctx, "unix", s.Socket)
	}
	single := func(address string) *goredis.Client {
		return goredis.NewClient(&goredis.Options{Addr: address, MaxRetries: -1, Dialer: dial})
	}
	ring := func(config *tls.Config, addresses ...string) *goredis.Ring {
		shards := map[string]string{}
		for _, address := range addresses {
			shards[address] = address
		}
		return goredis.NewRing(&goredis.RingOptions{Addrs: shards, TLSConfig: config, Dialer: dial})
	}
	verifies := &tls.Config{MinVersion: tls.VersionTLS12}
	for name, test := range map[string]struct {
		client goredis.UniversalClient
		says   string // nothing is wrong if empty
	}{
		"a ring of this machine":       {client: ring(nil, "127.0.0.1:1", "localhost:2")},
		"a ring with TLS":              {client: ring(verifies, "a.example.org:1", "b.example.org:1")},
		"a ring with a shard far away": {ring(nil, "127.0.0.1:1", "127.0.0.1:2", "b.example.org:1"), `"b.example.org" has no TLS`},
		"a ring that changes its client": {goredis.NewRing(&goredis.RingOptions{
			Addrs: map[string]string{"a": "a.example.org:1"}, TLSConfig: verifies, Dialer: dial,
			NewClient: func(options *goredis.Options) *goredis.Client {
				options.TLSConfig = nil
				return goredis.NewClient(options)
			},
		}), `"a.example.org" has no TLS`},
		"a cluster that leads far away": {goredis.NewClusterClient(&goredis.ClusterOptions{
			Addrs: []string{"127.0.0.1:1"}, Dialer: dial,
			ClusterSlots: func(context.Context) ([]goredis.ClusterSlot, error) {
				return []goredis.ClusterSlot{{End: 16383, Nodes: []goredis.ClusterNode{{Addr: "a.example.org:1"}}}}, nil
			},
		}), `"a.example.org" has no TLS`},
		"a client in another":                  {embedding{single("db.example.org:1")}, `"db.example.org" has no TLS`},
		"a client in another, of this machine": {client: embedding{single("localhost:1")}},
		"a client that shows nothing":          {wrapped{single("localhost:1")}, "redis_test.wrapped shows"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := redis.OpenClient(t.Context(), test.client, "walink")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			err = db.Check(t.Context())
			advice, ok := errors.AsType[*store.Advice](err)
			if test.says == "" && err != nil || test.says != "" && (!ok || !strings.Contains(advice.Error(), test.says) || advice.Fix == "") {
				t.Errorf("Check: %v, want %q", err, test.says)
			}
		})
	}
}

// obeyed is what a terminal or a log would obey.
const obeyed = "\x1b]52;c;ZXZpbA==\a\x1b[2J\u202e\r\n2026 forged"

// answer is an error of a server.
type answer string

func (a answer) Error() string { return string(a) }

// RedisError implements [goredis.Error].
func (answer) RedisError() {}

// saying is a hook that answers for the server once it is on: the second call of a script
// with a list, and all else with an error.
type saying struct{ on, lists atomic.Bool }

func (*saying) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (s *saying) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		list, ok := cmd.(*goredis.Cmd)
		switch {
		case ok && s.lists.Load() && cmd.Name() == "evalsha":
			list.SetVal([]any{"get" + obeyed, "12" + obeyed})
			return nil
		case s.on.Load():
			cmd.SetErr(answer("WRONGPASS " + obeyed))
			return cmd.Err()
		}
		return next(ctx, cmd)
	}
}

func (s *saying) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
}

func TestNoTextOfTheServerIsObeyed(t *testing.T) {
	t.Parallel()
	s := start(t)
	says := new(saying)
	dial := func() *goredis.Client {
		client := goredis.NewClient(&goredis.Options{Network: "unix", Addr: s.Socket, MaxRetries: -1})
		client.AddHook(says)
		return client
	}
	db, err := redis.OpenClient(t.Context(), dial(), "walink")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	read := func(tx kv.Tx) error { _, err := tx.Get([]byte("a")); return err }
	calls := map[string]func() error{
		"Open":  func() error { _, err := redis.OpenClient(t.Context(), dial(), "walink"); return err },
		"Check": func() error { return db.Check(t.Context()) },
		"Now":   func() error { _, err := db.Now(t.Context()); return err },
		"read":  func() error { return db.Txn(t.Context(), false, read) },
		"write": func() error { return db.Txn(t.Context(), true, read) },
	}
	test := func(names ...string) {
		for _, name := range names {
			err := calls[name]()
			if err == nil {
				t.Errorf("%s succeeded", name)
				continue
			}
			for _, text := range []string{err.Error(), remedyOf(err)} {
				if text == "" || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || r == '\u202e' }) {
					t.Errorf("%s: %q, with the remedy %q", name, err, remedyOf(err))
				}
			}
		}
	}
	says.on.Store(true)
	test("Open", "Check", "Now", "read", "write")
	says.on.Store(false)
	says.lists.Store(true)
	test("Open", "Check")
}
