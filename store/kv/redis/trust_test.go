package redis_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"

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
