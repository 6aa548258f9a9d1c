package tenure

import (
	"reflect"
	"sync"
	"time"

	"github.com/walink/walink/store"
)

// unused has the leases that this process has given up. The Store may not know yet, for
// example because the database is away. They are not in use, so another Linker of this
// process releases such a lease again and takes the session, instead of waiting until
// the lease ends.
//
//nolint:gochecknoglobals // the leases belong to the process
var unused leases

// leases is a set of leases, each until it has ended.
type leases struct {
	mu  sync.Mutex
	set map[leaseKey]time.Time // when the entry may be dropped
}

// leaseKey is what tells one lease from all others.
type leaseKey struct {
	leaser          store.Leaser
	session, holder string
	token           uint64
	since           int64
}

// keyOf returns the key of a lease, and false for a Store that cannot be in a key.
func keyOf(leaser store.Leaser, l store.Lease) (leaseKey, bool) {
	if !reflect.ValueOf(leaser).Comparable() {
		return leaseKey{}, false
	}
	return leaseKey{leaser, l.Session, l.Holder, l.Token, l.Since.UnixNano()}, true
}

func (s *leases) add(leaser store.Leaser, l store.Lease) {
	key, ok := keyOf(leaser, l)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.set == nil {
		s.set = map[leaseKey]time.Time{}
	}
	now := time.Now()
	for old, end := range s.set {
		if end.Before(now) {
			delete(s.set, old)
		}
	}
	s.set[key] = now.Add(2 * ttl) // by then the lease has ended
}

func (s *leases) remove(leaser store.Leaser, l store.Lease) {
	if key, ok := keyOf(leaser, l); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.set, key)
	}
}

func (s *leases) has(leaser store.Leaser, l store.Lease) bool {
	key, ok := keyOf(leaser, l)
	if !ok {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok = s.set[key]
	return ok
}
