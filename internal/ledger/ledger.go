// Package ledger counts pairing codes in the process, for stores that cannot.
package ledger

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/walink/walink/store"
)

// memory is how long requests are remembered at least.
const memory = 24 * time.Hour

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

// TakeCode implements [store.Ledger]. What is later than any request can be,
// left by a clock that has been set back, is forgotten.
func (m *Memory) TakeCode(ctx context.Context, number string, now time.Time, limit int, window time.Duration) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(now, window)
	if limit <= 0 {
		return now.Add(window), nil
	}
	taken := m.taken[number]
	inside := slices.IndexFunc(taken, func(at time.Time) bool { return at.After(now.Add(-window)) })
	if inside >= 0 && len(taken)-inside >= limit {
		return taken[len(taken)-limit].Add(window), nil
	}
	if m.taken == nil {
		m.taken = map[string][]time.Time{}
	}
	taken = append(taken, now)
	slices.SortFunc(taken, time.Time.Compare) // requests may come with the times of several goroutines
	m.taken[number] = taken
	return time.Time{}, nil
}

// forget drops the requests that count no longer, and the numbers that have
// no others.
func (m *Memory) forget(now time.Time, window time.Duration) {
	oldest, latest := now.Add(-max(window, memory)), now.Add(window)
	for number, taken := range m.taken {
		m.taken[number] = slices.DeleteFunc(taken, func(at time.Time) bool { return at.Before(oldest) || at.After(latest) })
	}
	maps.DeleteFunc(m.taken, func(_ string, taken []time.Time) bool { return len(taken) == 0 })
}
