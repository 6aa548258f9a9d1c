package wire

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

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

// savedContainer saves a device, and gives a new one its stores as sqlstore does.
type savedContainer struct{ wastore.DeviceContainer }

func (c savedContainer) PutDevice(_ context.Context, device *wastore.Device) error {
	if !device.Initialized {
		device.SetAllStores(&wastore.NoopStore{})
		device.LIDs, device.Container, device.Initialized = &wastore.NoopStore{}, c, true
	}
	return nil
}

// whatsmeow saves a device when the phone has sent a push name, and another goroutine may
// ask for the other address of a contact meanwhile: user.go (updatePushName).
func TestSavingADeviceAgainWritesNoStoreOfIt(t *testing.T) {
	t.Parallel()
	g := &guard{over: func() bool { return true }}
	device := &wastore.Device{Container: savedContainer{}}
	g.put(device)
	device.ID = &types.JID{User: "5511987654321", Server: types.DefaultUserServer, Device: 1}
	if err := device.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, store := range map[string]any{
		"container": device.Container, "identities": device.Identities, "prekeys": device.PreKeys, "LIDs": device.LIDs,
	} {
		if !strings.HasPrefix(fmt.Sprintf("%T", store), "wire.guarded") {
			t.Errorf("the %s of a device that was just stored have no guard: %T", name, store)
		}
	}
	// Under -race a write is an error.
	var group sync.WaitGroup
	group.Go(func() {
		if _, err := device.GetAltJID(t.Context(), *device.ID); err != nil {
			t.Error(err)
		}
	})
	if err := device.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	group.Wait()
}
