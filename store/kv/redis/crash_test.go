package redis_test

import (
	"context"
	"testing"

	"github.com/walink/walink/internal/storecrash"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/redis"
)

func openStore(ctx context.Context, url string) (store.Store, error) {
	db, err := redis.Open(ctx, url, "walink")
	if err != nil {
		return nil, err
	}
	return kv.New(db), nil
}

// TestCrash tests what the documentation says about a crash of the program.
func TestCrash(t *testing.T) {
	t.Parallel()
	s := start(t, "--appendfsync", "always")
	storecrash.Kill(t, storecrash.Config{
		Where: s.URL(), Open: openStore,
		After: func(t *testing.T) { t.Helper(); s.cli(t, "del", "{walink}:lock") }, // as if the lock had expired
		Empty: func(t *testing.T) {
			t.Helper()
			db := s.open(t, "walink")
			storecrash.CheckEmpty(t, db)
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		},
	})
}

// TestCrashOfTheServer tests what the documentation says about a server with
// "appendfsync always".
func TestCrashOfTheServer(t *testing.T) {
	t.Parallel()
	s := start(t, "--appendfsync", "always")
	st := kv.New(s.open(t, "walink"))
	t.Cleanup(func() { _ = st.Close() })
	storecrash.Restart(t, st, func() { s.crash(t) })
}
