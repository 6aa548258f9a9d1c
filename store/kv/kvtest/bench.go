package kvtest

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/storetest"
)

// Benchmark measures what a [store.Store] does for incoming messages (see
// [Traffic.Message]), with 1, 8 and 64 sessions at once, each in its own
// goroutine.
func Benchmark(b *testing.B, open func(b *testing.B) store.Store) {
	b.Helper()
	for _, count := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("%d sessions", count), func(b *testing.B) {
			st := open(b)
			b.Cleanup(func() {
				if err := st.Close(); err != nil {
					b.Errorf("Close: %v", err)
				}
			})
			traffic := make([]*Traffic, count)
			for i := range traffic {
				device := storetest.Link(b, st, strconv.Itoa(i), storetest.JID(fmt.Sprintf("55119%08d", i), 1))
				var err error
				if traffic[i], err = NewTraffic(b.Context(), device, b.N/count+1, false); err != nil {
					b.Fatal(err)
				}
			}
			b.ResetTimer()
			var number atomic.Int64
			var group sync.WaitGroup
			for _, t := range traffic {
				group.Go(func() {
					for number.Add(1) <= int64(b.N) {
						if err := t.Message(b.Context()); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
			b.StopTimer()
		})
	}
}
