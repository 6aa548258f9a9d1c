package wire

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink/internal/bound"
	"github.com/walink/walink/internal/machine"
)

// stuckStore does not heed its context.
type stuckStore struct {
	wastore.PreKeyStore
	release chan struct{}
}

func (s stuckStore) UploadedPreKeyCount(context.Context) (int, error) {
	<-s.release
	return 812, nil
}

func TestGuardDoesNotWaitForAStoreThatIsStuck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		var told *machine.Failure
		g := &guard{limit: time.Second, over: func() bool { return false }, stalled: func(err *machine.Failure) { told = err }}
		_, err := guardedPreKeys{stuckStore{release: release}, g}.UploadedPreKeyCount(t.Context())
		if _, slow := errors.AsType[bound.SlowStore](err); !slow || told == nil || told.Reason != machine.ReasonStore {
			t.Errorf("the caller gets %v, and the Link %+v", err, told)
		}
	})
}

func TestGuardBlamesNoStoreForTheEndOfTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		g := &guard{limit: time.Minute, over: func() bool { return false }, stalled: func(err *machine.Failure) { t.Error(err) }}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := (guardedPreKeys{stuckStore{release: release}, g}).UploadedPreKeyCount(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

func TestGuardIsPutOnce(t *testing.T) {
	t.Parallel()
	g := &guard{over: func() bool { return true }}
	device := &wastore.Device{}
	for range 2 {
		g.put(device)
	}
	if inner, ok := device.Container.(guardedContainer); !ok || inner.DeviceContainer != nil {
		t.Errorf("%#v", device.Container)
	}
}
