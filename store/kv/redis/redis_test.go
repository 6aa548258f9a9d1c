package redis_test

import (
	"sync"
	"testing"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/kvtest"
	"github.com/walink/walink/store/storetest"
)

// prefixes knows that of each DB and Store of a test.
type prefixes struct{ known sync.Map }

func (p *prefixes) of(of any) string {
	prefix, _ := p.known.Load(of)
	text, _ := prefix.(string)
	return text
}

func TestDB(t *testing.T) {
	t.Parallel()
	s := start(t)
	var known prefixes
	open := func(t *testing.T, prefix string) kv.DB {
		t.Helper()
		db := s.open(t, prefix)
		known.known.Store(db, prefix)
		return db
	}
	kvtest.Run(t, func(t *testing.T) kv.DB { return open(t, s.prefix()) },
		kvtest.WithReopen(func(t *testing.T, closed kv.DB) kv.DB { return open(t, known.of(closed)) }))
}

func TestStore(t *testing.T) {
	t.Parallel()
	testStore(t, func(db kv.DB) kv.DB { return db })
}

func TestEncryptedStore(t *testing.T) {
	t.Parallel()
	key := kv.NewKey()
	testStore(t, func(db kv.DB) kv.DB { return kv.Encrypt(db, key) })
}

func testStore(t *testing.T, wrap func(kv.DB) kv.DB) {
	t.Helper()
	s := start(t)
	var known prefixes
	open := func(t *testing.T, prefix string) store.Store {
		t.Helper()
		st := kv.New(wrap(s.open(t, prefix)))
		known.known.Store(st, prefix)
		return st
	}
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, s.prefix()) },
		storetest.WithReopen(func(t *testing.T, closed store.Store) store.Store { return open(t, known.of(closed)) }))
}
