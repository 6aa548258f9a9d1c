package redis

import (
	"cmp"
	"context"
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
// is not on this machine and is reached without TLS that verifies it, for a client that
// does not show which servers it reaches, and for a server with snapshots alone.
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
	return cmp.Or(checkTLS(ctx, db.client), err)
}

// checkTLS returns a [*store.Advice] if a server that is not on this machine is reached
// without TLS that verifies the server, or if the client does not show that. Of a cluster
// and a ring it looks at each server that is up.
func checkTLS(ctx context.Context, client redis.UniversalClient) error {
	switch client := client.(type) {
	case interface{ Options() *redis.Options }:
		return checkConnection(client.Options())
	case interface {
		ForEachShard(context.Context, func(context.Context, *redis.Client) error) error
	}:
		return client.ForEachShard(ctx, func(_ context.Context, shard *redis.Client) error {
			return checkConnection(shard.Options())
		})
	}
	return &store.Advice{
		Err: fmt.Errorf("the client %T shows no options, so whether TLS verifies its servers is not known", client),
		Fix: "Give OpenClient a client of go-redis itself, or give this one an Options method that returns *redis.Options.",
	}
}

func checkConnection(options *redis.Options) error {
	if options.Network == "unix" {
		return nil
	}
	host, _, err := net.SplitHostPort(options.Addr)
	if err != nil {
		host = options.Addr // such as the name that go-redis gives to what a sentinel finds
	}
	if remote.Verified(host, options.TLSConfig) {
		return nil
	}
	return &store.Advice{
		Err: fmt.Errorf("the connection to %q has no TLS that verifies the server, so whoever is between can read the password, and read and change what is stored", host),
		Fix: "Write rediss:// and no skip_verify in the URL, or give the client a TLSConfig that verifies the server.",
	}
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
