package storecrash

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/walink/walink/store"
)

// patience is how long the load may need to continue after a restart.
const patience = time.Minute

// Restart calls restart, which kills the server of a Store and starts it again,
// at random moments. Meanwhile the load writes to the Store, and retries what
// has failed. Calls must fail during a restart and work again afterwards
// without another Open, and nothing that was reported may be lost. A client that
// retries can hide a short restart from every call, so the restarts go on until
// a call has failed, up to ten times as many.
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
				if err := step(t.Context()); err != nil { // not ctx: a running step must end
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
	killed := 0
	for ; killed < restarts || failures.Load() == 0 && killed < 10*restarts; killed++ {
		<-time.After(time.Duration(random.IntN(int(300 * time.Millisecond))))
		restart()
		said.advance(t, "after a restart")
	}
	stop()
	group.Wait()
	said.examine(t, st)
	if failures.Load() == 0 {
		t.Errorf("no call has failed in %d restarts: the server was not killed under load", killed)
	}
	t.Logf("%d restarts, %d calls failed, %v", killed, failures.Load(), said)
}

// advance waits until each step has ended twice more.
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
