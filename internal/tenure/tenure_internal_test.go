package tenure

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/walink/walink/store"
)

// A process that was stopped and wakes up: nothing may pass on its connection
// once others may have the session, which is sooner where the Store can tell
// that a holder seems to be dead.
func TestLeaseHoldsNoLongerThanItReaches(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		leaser store.Leaser
		reach  time.Duration
	}{
		"a Store":               {struct{ store.Leaser }{}, ttl},
		"a Store with an alarm": {struct{ alarmingLeaser }{}, store.LeaseGrace},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				lease := New(t.Context(), test.leaser, "default", nil)
				lease.asked = time.Now()
				close(lease.taken)
				time.Sleep(test.reach - time.Millisecond)
				if !lease.Holds() {
					t.Error("it is over too early")
				}
				time.Sleep(time.Millisecond)
				if lease.Holds() {
					t.Error("it holds when another may have it")
				}
			})
		})
	}
}

type alarmingLeaser interface {
	store.Leaser
	store.LeaseAlarm
}
