package bolt_test

import (
	"path/filepath"
	"testing"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/bolt"
	"github.com/walink/walink/store/kv/kvtest"
	"github.com/walink/walink/store/storetest"
)

func open(t *testing.T, path string) *bolt.DB {
	t.Helper()
	db, err := bolt.Open(t.Context(), path)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return db
}

func temp(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "walink.bolt")
}

func TestDB(t *testing.T) {
	t.Parallel()
	paths := &paths{}
	kvtest.Run(t, func(t *testing.T) kv.DB { return paths.open(t) },
		kvtest.WithReopen(func(t *testing.T, closed kv.DB) kv.DB {
			db := open(t, paths.of(closed))
			paths.add(db, paths.of(closed))
			return db
		}))
}

func TestStore(t *testing.T) {
	t.Parallel()
	paths := &paths{}
	storetest.Run(t, func(t *testing.T) store.Store {
		db := paths.open(t)
		st := kv.New(db)
		paths.add(st, paths.of(db))
		return st
	}, storetest.WithReopen(func(t *testing.T, closed store.Store) store.Store {
		st := kv.New(open(t, paths.of(closed)))
		paths.add(st, paths.of(closed))
		return st
	}))
}

func TestEncryptedStore(t *testing.T) {
	t.Parallel()
	paths := &paths{}
	key := kv.NewKey()
	storetest.Run(t, func(t *testing.T) store.Store {
		db := paths.open(t)
		st := kv.New(kv.Encrypt(db, key))
		paths.add(st, paths.of(db))
		return st
	}, storetest.WithReopen(func(t *testing.T, closed store.Store) store.Store {
		st := kv.New(kv.Encrypt(open(t, paths.of(closed)), key))
		paths.add(st, paths.of(closed))
		return st
	}))
}

func BenchmarkMessages(b *testing.B) {
	kvtest.Benchmark(b, func(b *testing.B) store.Store {
		b.Helper()
		db, err := bolt.Open(b.Context(), filepath.Join(b.TempDir(), "walink.bolt"))
		if err != nil {
			b.Fatal(err)
		}
		return kv.New(db)
	})
}
