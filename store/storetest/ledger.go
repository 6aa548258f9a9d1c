package storetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/walink/walink/store"
)

// RunLedger runs the cases of a [store.Ledger] alone, for a Ledger that is no
// Store. Each call of open must return an empty one.
func RunLedger(t *testing.T, open func(t *testing.T) store.Ledger) {
	t.Helper()
	const window = 15 * time.Minute
	start := time.Date(2026, 2, 3, 4, 5, 6, 789, time.UTC)

	t.Run("Ledger: a budget for each number that slides with the window", func(t *testing.T) {
		t.Parallel()
		ledger := open(t)
		for _, step := range []struct {
			number string
			at     time.Duration
			want   time.Duration // zero if the code may be requested
		}{
			{number, 0, 0},
			{number, time.Minute, 0},
			{number, 2 * time.Minute, 0},
			{number, 3 * time.Minute, window},
			{peer, 3 * time.Minute, 0},
			{number, window - 1, window},
			{number, window, 0}, // refused requests were not counted
			{number, window, window + time.Minute},
			{number, window + time.Minute, 0},
			{number, 48 * time.Hour, 0},
			{number, 48 * time.Hour, 0},
			{number, 48 * time.Hour, 0},
			{number, 48 * time.Hour, 48*time.Hour + window},
		} {
			next, err := ledger.TakeCode(t.Context(), step.number, start.Add(step.at), 3, window)
			if err != nil {
				t.Fatalf("TakeCode at %v: %v", step.at, err)
			}
			if step.want == 0 != next.IsZero() || step.want != 0 && !next.Equal(start.Add(step.want)) {
				t.Errorf("TakeCode for %s at %v: next %v, want %v after the start", step.number, step.at, next, step.want)
			}
		}
	})

	t.Run("Ledger: a clock that was wrong blocks nobody for long", func(t *testing.T) {
		t.Parallel()
		ledger := open(t)
		for range 3 {
			if _, err := ledger.TakeCode(t.Context(), number, start.AddDate(4, 0, 0), 3, window); err != nil {
				t.Fatal(err)
			}
		}
		next, err := ledger.TakeCode(t.Context(), number, start, 3, window)
		if err != nil || next.After(start.Add(2*window)) {
			t.Errorf("TakeCode: next %v, %v, want it soon after %v", next, err, start)
		}
	})

	t.Run("Ledger: a limit of zero allows none", func(t *testing.T) {
		t.Parallel()
		next, err := open(t).TakeCode(t.Context(), number, start, 0, window)
		if err != nil || !next.Equal(start.Add(window)) {
			t.Errorf("TakeCode: next %v, %v, want %v", next, err, start.Add(window))
		}
	})

	t.Run("Ledger: refusals grow, and block the number", func(t *testing.T) {
		t.Parallel()
		ledger := open(t)
		at := start
		for _, want := range []time.Duration{15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour} {
			until, err := ledger.RefuseCode(t.Context(), number, at, 15*time.Minute)
			if err != nil || !until.Equal(at.Add(want)) {
				t.Fatalf("RefuseCode: %v after it, %v, want %v", until.Sub(at), err, want)
			}
			next, err := ledger.TakeCode(t.Context(), number, until.Add(-1), 3, window)
			if err != nil || !next.Equal(until) {
				t.Errorf("TakeCode before its end: next %v, %v, want %v", next, err, until)
			}
			if next, err := ledger.TakeCode(t.Context(), peer, until.Add(-1), 100, window); err != nil || !next.IsZero() {
				t.Errorf("TakeCode for another number: next %v, %v", next, err)
			}
			at = until
		}
		if next, err := ledger.TakeCode(t.Context(), number, at, 3, window); err != nil || !next.IsZero() {
			t.Errorf("TakeCode after it: next %v, %v", next, err)
		}
		if until, err := ledger.RefuseCode(t.Context(), number, at, 15*time.Minute); err != nil || until.Sub(at) != store.LongestRefusal {
			t.Errorf("RefuseCode: %v after it, %v, want %v", until.Sub(at), err, store.LongestRefusal)
		}
		at = at.Add(store.RefusalMemory)
		if until, err := ledger.RefuseCode(t.Context(), number, at, time.Minute); err != nil || until.Sub(at) != time.Minute {
			t.Errorf("RefuseCode a day later: %v after it, %v, want a minute", until.Sub(at), err)
		}
	})

	t.Run("Ledger: a refusal stays in force when the clock is set back, and not for longer than it lasts", func(t *testing.T) {
		t.Parallel()
		for _, back := range []time.Duration{time.Second, 30 * time.Minute, 48 * time.Hour, 4 * 365 * 24 * time.Hour} {
			ledger := open(t)
			if _, err := ledger.RefuseCode(t.Context(), number, start, time.Hour); err != nil {
				t.Fatal(err)
			}
			now := start.Add(-back)
			_, peeked, err := ledger.PeekCode(t.Context(), number, now, 3, window)
			if err != nil {
				t.Fatal(err)
			}
			next, err := ledger.TakeCode(t.Context(), number, now, 3, window)
			if err != nil || next.Before(now.Add(time.Hour)) || next.After(now.Add(time.Hour+time.Minute)) || !peeked.Equal(next) {
				t.Errorf("the clock is set back by %v: TakeCode: next %v, %v, PeekCode: next %v, want about %v", back, next, err, peeked, now.Add(time.Hour))
			}
			if until, err := ledger.RefuseCode(t.Context(), number, now, time.Hour); err != nil || !until.Equal(now.Add(2*time.Hour)) {
				t.Errorf("the clock is set back by %v: RefuseCode: until %v, %v, want it doubled", back, until, err)
			}
			if next, err := ledger.TakeCode(t.Context(), number, now.Add(2*time.Hour), 3, window); err != nil || !next.IsZero() {
				t.Errorf("the clock is set back by %v: TakeCode in the end: next %v, %v", back, next, err)
			}
		}
	})

	t.Run("Ledger: check and record are one step", func(t *testing.T) {
		t.Parallel()
		ledger := open(t)
		var taken atomic.Int32
		var group sync.WaitGroup
		for i := range 20 {
			group.Go(func() {
				next, err := ledger.TakeCode(t.Context(), number, start.Add(time.Duration(i)*time.Second), 3, window)
				if err != nil {
					t.Errorf("TakeCode: %v", err)
				} else if next.IsZero() {
					taken.Add(1)
				}
			})
		}
		group.Wait()
		if got := taken.Load(); got != 3 {
			t.Errorf("%d codes, want 3", got)
		}
	})

	t.Run("Ledger: ctx is obeyed and nothing recorded", func(t *testing.T) {
		t.Parallel()
		ledger := open(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := ledger.TakeCode(ctx, number, start, 1, window); !errors.Is(err, context.Canceled) {
			t.Errorf("TakeCode: %v, want context.Canceled", err)
		}
		if next, err := ledger.TakeCode(t.Context(), number, start, 1, window); err != nil || !next.IsZero() {
			t.Errorf("TakeCode: next %v, %v, want none", next, err)
		}
	})

	t.Run("Ledger: PeekCode says what TakeCode would, and takes nothing", func(t *testing.T) {
		t.Parallel()
		ledger := open(t)
		for _, step := range []struct {
			at, refuse time.Duration // refuse calls RefuseCode first, for so long
			limit      int
			left       int
		}{
			{at: 0, limit: 3, left: 3},
			{at: time.Minute, limit: 3, left: 2},
			{at: 2 * time.Minute, limit: 3, left: 1},
			{at: 3 * time.Minute, limit: 3, left: 0},
			{at: 3 * time.Minute, limit: 2, left: 0},
			{at: 3 * time.Minute, limit: 0, left: 0},
			{at: 3 * time.Minute, limit: 5, left: 2},
			{at: 4 * time.Minute, limit: 5, left: 1, refuse: time.Minute}, // shorter than the wait for the budget
			{at: 4 * time.Minute, limit: 4, left: 0},
			{at: 5 * time.Minute, limit: 4, left: 0},
			{at: window + 3*time.Minute, limit: 5, left: 5},
		} {
			now := start.Add(step.at)
			if step.refuse != 0 {
				if _, err := ledger.RefuseCode(t.Context(), number, now, step.refuse); err != nil {
					t.Fatalf("RefuseCode at %v: %v", step.at, err)
				}
			}
			left, next, err := ledger.PeekCode(t.Context(), number, now, step.limit, window)
			if err != nil || left != step.left {
				t.Errorf("PeekCode at %v of %d: %d left, %v, want %d", step.at, step.limit, left, err, step.left)
			}
			if want, err := ledger.TakeCode(t.Context(), number, now, step.limit, window); err != nil || !next.Equal(want) {
				t.Errorf("PeekCode at %v of %d: next %v, and TakeCode says %v, %v", step.at, step.limit, next, want, err)
			}
		}
		if left, next, err := ledger.PeekCode(t.Context(), peer, start, 3, window); err != nil || left != 3 || !next.IsZero() {
			t.Errorf("PeekCode for another number: %d left, next %v, %v", left, next, err)
		}
	})
}
