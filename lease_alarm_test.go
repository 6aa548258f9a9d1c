package walink_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/store"
)

// alarming is a Store that loses what shows others that it is alive.
type alarming struct {
	*lending
	alarm    atomic.Pointer[chan struct{}]
	asked    atomic.Int32
	renewals atomic.Int32
}

func (a *alarming) LeaseAlarm() <-chan struct{} {
	if alarm := a.alarm.Load(); alarm != nil {
		return *alarm
	}
	return nil // nothing to lose yet
}

func (a *alarming) RenewLease(ctx context.Context, lease store.Lease, ttl time.Duration) (store.Lease, error) {
	a.asked.Add(1)
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

func TestLeaseAlarm(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		st := &alarming{lending: newLending(t)}
		first := make(chan struct{})
		st.alarm.Store(&first)
		r := newRigOver(t, st, walink.Settings{})
		r.linkByQR()
		client := r.linker.Client()

		<-time.After(time.Second)
		close(first)
		<-time.After(time.Millisecond)
		if st.LeaseAlarm() == (<-chan struct{})(first) {
			t.Error("the lease was not renewed at once")
		}
		<-time.After(time.Minute)
		r.usable()

		down := errors.New("the database is gone")
		st.fail.Store(&down)
		close(*st.alarm.Load())
		<-time.After(7500 * time.Millisecond)
		if client.IsConnected() {
			t.Error("still connected")
		}
		wantReason(t, r.linker.Status().Err, walink.ErrStore)
	})
}

// What others do not hear of this program, it does not hear either: the lease
// passes after the grace, and the session is let go of before.
func TestLeaseWithAGraceAndNoAlarm(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		st := &alarming{lending: newLending(t)}
		r := newRigOver(t, st, walink.Settings{})
		r.linkByQR()
		client := r.linker.Client()
		<-time.After(time.Minute)
		r.usable()

		before := st.renewals.Load()
		for st.renewals.Load() == before {
			<-time.After(10 * time.Millisecond)
		}
		down := errors.New("no answer")
		st.fail.Store(&down)
		<-time.After(10 * time.Second)
		if !client.IsConnected() {
			t.Error("a short trouble has ended the connection")
		}
		<-time.After(store.LeaseGrace - 10*time.Second - 20*time.Millisecond)
		if client.IsConnected() {
			t.Error("still connected when others may have the session")
		}
		wantReason(t, r.linker.Status().Err, walink.ErrStore)
	})
}

// A Store that had nothing to lose at first, and has it since the first renewal.
func TestLeaseAlarmThatIsThereLater(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		st := &alarming{lending: newLending(t)}
		r := newRigOver(t, st, walink.Settings{})
		r.linkByQR()
		for st.renewals.Load() == 0 {
			<-time.After(10 * time.Millisecond)
		}
		<-time.After(10 * time.Millisecond)
		close(*st.alarm.Load())
		<-time.After(time.Millisecond)
		if got := st.renewals.Load(); got != 2 {
			t.Errorf("%d renewals, want another one at the alarm", got)
		}
		r.usable()
	})
}

// An alarm that stays, as that of a Store which is closed, when the lease is no
// longer fresh: it is tried again every now and then, and not all the time.
func TestLeaseAlarmThatStays(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		st := &alarming{lending: newLending(t)}
		r := newRigOver(t, st, walink.Settings{})
		r.linkByQR()
		client := r.linker.Client()
		for st.renewals.Load() == 0 {
			<-time.After(10 * time.Millisecond)
		}
		<-time.After(4900 * time.Millisecond)
		closed := errors.New("the store is closed")
		st.fail.Store(&closed)
		<-time.After(200 * time.Millisecond) // a renewal has failed
		before := st.asked.Load()
		close(*st.alarm.Load())
		<-time.After(7 * time.Second)
		if asked := st.asked.Load() - before; asked < 5 || asked > 50 {
			t.Errorf("%d renewals were tried", asked)
		}
		if client.IsConnected() {
			t.Error("still connected")
		}
	})
}
