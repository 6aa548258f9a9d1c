// Package ledger counts pairing codes in the process, for stores that cannot.
package ledger

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/walink/walink/store"
)

// Memory is a [store.Ledger] that lasts as long as the process. The zero
// value is ready to use, by several goroutines at once.
type Memory struct {
	mu    sync.Mutex
	taken map[string][]time.Time // by number, in order
}

var _ store.Ledger = (*Memory)(nil)

// process is shared by all Linkers of the process, since WhatsApp's limit is
// one per number and not one per Linker.
var process Memory //nolint:gochecknoglobals // the state belongs to the process

// Process returns the ledger of this process.
func Process() *Memory { return &process }

// TakeCode implements [store.Ledger]. Entries later than now, left by a clock
// that has been set back, do not count.
func (m *Memory) TakeCode(_ context.Context, number string, now time.Time, limit int, window time.Duration) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.taken == nil {
		m.taken = map[string][]time.Time{}
	}
	recent := slices.DeleteFunc(m.taken[number], func(t time.Time) bool {
		return !t.After(now.Add(-window)) || t.After(now)
	})
	if len(recent) >= limit {
		m.taken[number] = recent
		return recent[len(recent)-limit].Add(window), nil
	}
	m.taken[number] = append(recent, now)
	return time.Time{}, nil
}
