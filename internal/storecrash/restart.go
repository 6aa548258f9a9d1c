package storecrash

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/walink/walink/store"
)

// patience is how long the load may need to go on after a restart.
const patience = time.Minute

// Restart has restart end the server of a store and start it again, a number of
// times, while the load writes through the store and tries again what failed.
// It demands that calls fail meanwhile, that they work again afterwards without
// another Open, and that nothing is lost that was said.
func Restart(t *testing.T, st store.Store, restart func()) {
	t.Helper()
	kills, random := crashes(t)
	restarts := max(3, kills/10)
	said := newBook()
	l := load{st: st, say: func(line string) error {
		said.hear(line)
		return nil
	}}
	var failures atomic.Int64
	var group sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	defer group.Wait()
	defer stop()
	for _, step := range l.steps() {
		group.Go(func() {
			for ctx.Err() == nil {
				if err := step(t.Context()); err != nil { // what runs comes to its end
					failures.Add(1)
					select {
					case <-time.After(20 * time.Millisecond):
					case <-ctx.Done():
					}
				}
			}
		})
	}
	said.advance(t, "at the start")
	for range restarts {
		<-time.After(time.Duration(random.IntN(int(300 * time.Millisecond))))
		restart()
		said.advance(t, "after a restart")
	}
	stop()
	group.Wait()
	said.examine(t, st)
	if failures.Load() == 0 {
		t.Error("no call has failed: the server was not killed under load")
	}
	t.Logf("%d restarts, %d calls failed, %v", restarts, failures.Load(), said)
}

// advance waits until each of the steps has come to its end twice more.
func (b *book) advance(t *testing.T, when string) {
	t.Helper()
	before := b.progress()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		ready := true
		for i, done := range b.progress() {
			ready = ready && done >= before[i]+2
		}
		if ready {
			return
		}
		select {
		case <-b.changed:
		case <-timer.C:
			t.Fatalf("%s: %v in %v, and %v before", when, b, patience, before)
		}
	}
}
