package walink_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/store"
)

// alarming is a Store with an alarm: it may lose what keeps its leases. A renewal
// replaces an alarm that has gone off.
type alarming struct {
	*lending
	alarm    atomic.Pointer[chan struct{}] // nil before the first renewal
	tried    atomic.Int32                  // renewals, with those that failed
	renewals atomic.Int32
}

func (a *alarming) LeaseAlarm() <-chan struct{} {
	if alarm := a.alarm.Load(); alarm != nil {
		return *alarm
	}
	return nil
}

func (a *alarming) RenewLease(ctx context.Context, lease store.Lease, ttl time.Duration) (store.Lease, error) {
	a.tried.Add(1)
	renewed, err := a.lending.RenewLease(ctx, lease, ttl)
	if err != nil {
		return renewed, err
	}
	a.renewals.Add(1)
	if alarm := a.alarm.Load(); alarm == nil || over(*alarm) {
		fresh := make(chan struct{})
		a.alarm.Store(&fresh)
	}
	return renewed, nil
}

func over(alarm <-chan struct{}) bool {
	select {
	case <-alarm:
		return true
	default:
		return false
	}
}

func TestLeaseAlarmHasTheLeaseRenewedAtOnce(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		st := &alarming{lending: newLending(t)}
		first := make(chan struct{})
		st.alarm.Store(&first)
		r := rig.New(t, walink.Settings{}, rig.WithStore(st))
		r.LinkByQR()
		client := r.Linker.Client()

		time.Sleep(time.Second)
		close(first)
		time.Sleep(time.Millisecond)
		if st.LeaseAlarm() == (<-chan struct{})(first) {
			t.Error("the lease is not renewed at once")
		}
		time.Sleep(time.Minute)
		r.CheckUsable()

		down := errors.New("the database is gone")
		st.fail.Store(&down)
		close(*st.alarm.Load())
		time.Sleep(7500 * time.Millisecond)
		if client.IsConnected() {
			t.Error("the client is still connected")
		}
		rig.WantReason(t, r.Linker.Status().Err, walink.ErrStore)
	})
}

// Without an answer of the Store, others may have the session after the grace. The
// connection ends before.
func TestConnectionEndsBeforeTheGraceOfALease(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		st := &alarming{lending: newLending(t)}
		r := rig.New(t, walink.Settings{}, rig.WithStore(st))
		r.LinkByQR()
		client := r.Linker.Client()
		time.Sleep(time.Minute)
		r.CheckUsable()

		before := st.renewals.Load()
		for st.renewals.Load() == before {
			time.Sleep(10 * time.Millisecond)
		}
		down := errors.New("no answer")
		st.fail.Store(&down)
		time.Sleep(10 * time.Second)
		if !client.IsConnected() {
			t.Error("a short trouble ends the connection")
		}
		time.Sleep(store.LeaseGrace - 10*time.Second - 20*time.Millisecond)
		if client.IsConnected() {
			t.Error("the client is still connected when others may have the session")
		}
		rig.WantReason(t, r.Linker.Status().Err, walink.ErrStore)
	})
}

// The Store has an alarm since the first renewal, and not before.
func TestLeaseAlarmThatComesLaterCountsToo(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		st := &alarming{lending: newLending(t)}
		r := rig.New(t, walink.Settings{}, rig.WithStore(st))
		r.LinkByQR()
		for st.renewals.Load() == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(10 * time.Millisecond)
		close(*st.alarm.Load())
		time.Sleep(time.Millisecond)
		if got := st.renewals.Load(); got != 2 {
			t.Errorf("there are %d renewals, want a second one at the alarm", got)
		}
		r.CheckUsable()
	})
}

// The alarm of a Store that is closed stays on. The Linker retries every now and
// then, and not all the time.
func TestLeaseAlarmThatStaysOnDoesNotSpin(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		st := &alarming{lending: newLending(t)}
		r := rig.New(t, walink.Settings{}, rig.WithStore(st))
		r.LinkByQR()
		client := r.Linker.Client()
		for st.renewals.Load() == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(4900 * time.Millisecond)
		closed := errors.New("the store is closed")
		st.fail.Store(&closed)
		time.Sleep(200 * time.Millisecond) // a renewal has failed
		before := st.tried.Load()
		close(*st.alarm.Load())
		time.Sleep(7 * time.Second)
		if tries := st.tried.Load() - before; tries < 5 || tries > 50 {
			t.Errorf("the Linker has tried %d renewals", tries)
		}
		if client.IsConnected() {
			t.Error("the client is still connected")
		}
	})
}
