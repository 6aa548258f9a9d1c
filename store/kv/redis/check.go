package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/walink/walink/store"
)

// Check implements [kv.Checker]: the server answers, evicts nothing and keeps
// what it is given; of a cluster, each of its masters. What it does not let its
// user see is not checked. All that the package does there the user may do, or
// the error names what is missing. Of a server with snapshots alone the error is
// a [*store.Advice].
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
	return err
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
		return nil //nolint:nilerr // a user may be denied it, and the server be in order
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
		Err: errors.New("it keeps snapshots alone: what was stored since the last, also a lease, is lost when it crashes"),
		Fix: "Set appendonly of the server to yes and appendfsync to always.",
	}
}
