package walink

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
		"a Store":               {struct{ store.Leaser }{}, leaseTTL},
		"a Store with an alarm": {struct{ alarmingLeaser }{}, store.LeaseGrace},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				lease := &tenure{leaser: test.leaser, pace: paceOf(test.leaser), asked: time.Now()}
				<-time.After(test.reach - time.Millisecond)
				if !lease.holds() {
					t.Error("it is over too early")
				}
				<-time.After(time.Millisecond)
				if lease.holds() {
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
