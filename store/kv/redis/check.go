package redis

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/walink/walink/internal/remote"
	"github.com/walink/walink/store"
)

// Check implements [kv.Checker]. It tests that the server answers, deletes no
// keys by itself, and keeps its data on disk; on a cluster it tests each
// master. It does not test what the user of the server may not see. Check also
// tests whether the user may call every command that the package needs, and the
// error names those that it may not. The error is a [*store.Advice] for a server that
// is not on this machine and is reached without TLS that verifies it, and for one with
// snapshots alone.
func (db *DB) Check(ctx context.Context) error {
	end, err := db.enter()
	if err != nil {
		return explain(err)
	}
	defer end()
	return explain(db.check(ctx))
}

func (db *DB) check(ctx context.Context) error {
	err := db.checkServers(ctx)
	var advice *store.Advice
	if err != nil && !errors.As(err, &advice) {
		return err
	}
	if missing := db.checkPermissions(ctx); missing != nil {
		return missing
	}
	return cmp.Or(checkTLS(db.client), err)
}

// checkTLS returns a [*store.Advice] if a server that is not on this machine is reached
// without TLS that verifies the server.
func checkTLS(client redis.UniversalClient) error {
	var addresses []string
	var config *tls.Config
	switch client := client.(type) {
	case *redis.Client:
		if client.Options().Network == "unix" {
			return nil
		}
		addresses, config = []string{client.Options().Addr}, client.Options().TLSConfig
	case *redis.ClusterClient:
		addresses, config = client.Options().Addrs, client.Options().TLSConfig
	}
	for _, address := range addresses {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			host = address // such as the name that go-redis gives to what a sentinel finds
		}
		if !remote.Verified(host, config) {
			return &store.Advice{
				Err: fmt.Errorf("the connection to %q has no TLS that verifies the server, so whoever is between can read the password, and read and change what is stored", host),
				Fix: "Write rediss:// and no skip_verify in the URL, or give the client a TLSConfig that verifies the server.",
			}
		}
	}
	return nil
}

func (db *DB) checkServers(ctx context.Context) error {
	cluster, ok := db.client.(*redis.ClusterClient)
	if !ok {
		return checkServer(ctx, db.client)
	}
	return cluster.ForEachMaster(ctx, func(ctx context.Context, client *redis.Client) error {
		return checkServer(ctx, client)
	})
}

func checkServer(ctx context.Context, client redis.Cmdable) error {
	if err := client.Ping(ctx).Err(); err != nil {
		return err
	}
	info, err := client.Info(ctx, "memory", "persistence").Result()
	if err != nil {
		return nil //nolint:nilerr // the user may not be allowed to, although the server is in order
	}
	settings := map[string]string{}
	for line := range strings.Lines(info) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			settings[name] = value
		}
	}
	if policy := settings["maxmemory_policy"]; policy != "" && policy != "noeviction" {
		return fmt.Errorf("its maxmemory-policy is %s: %w", policy, ErrEvicts)
	}
	if settings["aof_enabled"] != "0" {
		return nil
	}
	saves, err := client.ConfigGet(ctx, "save").Result()
	if err != nil {
		return nil //nolint:nilerr // as above
	}
	if saves["save"] == "" {
		return ErrVolatile
	}
	return &store.Advice{
		Err: errors.New("it only saves snapshots: a crash loses what was stored since the last one, leases too"),
		Fix: "Set appendonly of the server to yes and appendfsync to always.",
	}
}
