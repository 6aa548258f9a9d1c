// Package ledger counts pairing codes in the process, for Stores that are no
// Ledger.
package ledger

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/walink/walink/store"
)

// Window is the time in which Settings.CodeBudget counts.
const Window = 15 * time.Minute

// memory is the least time for which requests are remembered.
const memory = 24 * time.Hour

// clockSlack is how much the times of several goroutines may differ.
const clockSlack = time.Minute

// Memory is a [store.Ledger] that lasts as long as the process. The zero value
// is ready to use. Memory is safe for concurrent use.
type Memory struct {
	mu    sync.Mutex
	taken map[string][]time.Time // by number, in order

	refused map[string][]refusal // by number, in order
}

// refusal is a refusal by WhatsApp.
type refusal struct{ at, until time.Time }

var _ store.Ledger = (*Memory)(nil)

// process is shared by all Linkers of the process, because WhatsApp limits each
// number, not each Linker.
var process Memory //nolint:gochecknoglobals // the state belongs to the process

// Process returns the ledger of this process.
func Process() *Memory { return &process }

// TakeCode implements [store.Ledger]. Requests in the future were recorded
// before the clock was set back; they are forgotten.
func (m *Memory) TakeCode(ctx context.Context, number string, now time.Time, limit int, window time.Duration) (until time.Time, err error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(now, window)
	if until = m.held(number, now); !until.IsZero() {
		return until, nil
	}
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
	slices.SortFunc(taken, time.Time.Compare) // goroutines may call with times in any order
	m.taken[number] = taken
	return time.Time{}, nil
}

// RefuseCode implements [store.Ledger].
func (m *Memory) RefuseCode(ctx context.Context, number string, now time.Time, wait time.Duration) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(now, 0)
	if m.refused == nil {
		m.refused = map[string][]refusal{}
	}
	before := m.refused[number]
	until := now.Add(store.Refusal(wait, len(before)))
	m.refused[number] = append(before, refusal{now, until})
	return until, nil
}

// PeekCode implements [store.Ledger].
func (m *Memory) PeekCode(ctx context.Context, number string, now time.Time, limit int, window time.Duration) (left int, next time.Time, err error) {
	if err := ctx.Err(); err != nil {
		return 0, time.Time{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(now, window)
	var inside []time.Time
	for _, at := range m.taken[number] {
		if at.After(now.Add(-window)) {
			inside = append(inside, at)
		}
	}
	if left = limit - len(inside); left > 0 {
		return left, m.held(number, now), nil
	}
	if next = m.held(number, now); !next.IsZero() {
		return 0, next, nil
	}
	if limit <= 0 {
		return 0, now.Add(window), nil
	}
	return 0, inside[len(inside)-limit].Add(window), nil
}

// held returns until when a refusal of number is in force, or a zero time. The
// caller holds m.mu.
func (m *Memory) held(number string, now time.Time) (until time.Time) {
	for _, r := range m.refused[number] {
		if r.until.After(now) && r.until.After(until) {
			until = r.until
		}
	}
	return until
}

// forget drops the requests and refusals that no longer count. The caller holds
// m.mu.
func (m *Memory) forget(now time.Time, window time.Duration) {
	oldest, latest := now.Add(-max(window, memory)), now.Add(window)
	for number, taken := range m.taken {
		m.taken[number] = slices.DeleteFunc(taken, func(at time.Time) bool { return at.Before(oldest) || at.After(latest) })
	}
	maps.DeleteFunc(m.taken, func(_ string, taken []time.Time) bool { return len(taken) == 0 })
	for number, refused := range m.refused {
		for i, r := range refused {
			if r.at.After(now.Add(clockSlack)) { // the clock was set back since
				refused[i] = refusal{now, now.Add(r.until.Sub(r.at))}
			}
		}
		m.refused[number] = slices.DeleteFunc(refused, func(r refusal) bool { return !r.at.After(now.Add(-store.RefusalMemory)) })
	}
	maps.DeleteFunc(m.refused, func(_ string, refused []refusal) bool { return len(refused) == 0 })
}
