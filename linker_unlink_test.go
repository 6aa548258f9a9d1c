package walink_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink"
	"github.com/walink/walink/store"
	"github.com/walink/walink/walinktest"
)

func TestUnlinkWithAContextThatHasEnded(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		r.linkByQR()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.linker.Unlink(ctx); !errors.Is(err, walink.ErrCanceled) {
			t.Errorf("canceled: %v", err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), 0)
		defer cancel()
		if err := r.linker.Unlink(ctx); !errors.Is(err, walink.ErrTimeout) {
			t.Errorf("too late: %v", err)
		}
		if stored := r.sessions(); len(stored) != 1 {
			t.Errorf("stored: %v", stored)
		}
	})
}

func TestUnlinkThatWhatsAppDoesNotAnswer(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		r.linkByQR()
		r.srv.Script(walinktest.StageAfterLogin, walinktest.Silence().Always())
		err := r.linker.Unlink(t.Context())
		var failure *walink.Error
		if !errors.As(err, &failure) || failure.Reason != walink.ErrStalled || !strings.Contains(failure.Remedy(), "Linked devices") {
			t.Errorf("%v; %s", err, failure.Remedy())
		}
	})
}

// hangingStore is a Store whose methods wait for their context, and whose
// devices are not deleted by whatsmeow itself.
type hangingStore struct {
	store.Store
	load, remove bool
}

func (s hangingStore) Device(ctx context.Context, session string) (*wastore.Device, error) {
	if s.load {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	device, err := s.Store.Device(ctx, session)
	if err == nil {
		device.Container = keptContainer{device.Container}
	}
	return device, err
}

func (s hangingStore) Delete(ctx context.Context, session string) error {
	if s.remove {
		<-ctx.Done()
		return ctx.Err()
	}
	return s.Store.Delete(ctx, session)
}

type keptContainer struct{ wastore.DeviceContainer }

func (keptContainer) DeleteDevice(context.Context, *wastore.Device) error { return errors.New("busy") }

func TestUnlinkIsNoSuccessWhileTheSessionIsStored(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		linked := r.linkByQR()
		if err := r.linker.Close(); err != nil {
			t.Fatal(err)
		}
		again := newRigOn(t, r.srv, hangingStore{Store: r.store, remove: true}, walink.Settings{})
		r.phone.Remove(linked.Account.JID)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := again.linker.Unlink(ctx); !errors.Is(err, walink.ErrTimeout) {
			t.Errorf("Unlink returns %v; stored %v", err, r.sessions())
		}
	})
}

// A Store whose call is cut off by the end of the Link is not what went wrong.
func TestEndDuringACallOfTheStore(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRigOn(t, walinktest.NewServer(t), hangingStore{Store: memoryStore(t), load: true}, walink.Settings{})
		for range 1000 {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			r.link(ctx)
			if err := r.failed(); err.Reason != walink.ErrCanceled {
				t.Fatal(err)
			}
		}
	})
}

func TestStoreThatHangsIsNamed(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRigOn(t, walinktest.NewServer(t), hangingStore{Store: memoryStore(t), load: true}, walink.Settings{})
		r.link(t.Context())
		wantReason(t, r.failed(), walink.ErrStore)
	})
}

func TestNothingElseRunsDuringUnlink(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		r.linkByQR()
		r.srv.Script(walinktest.StageAfterLogin, walinktest.Delay(5*time.Second))
		done := make(chan error)
		go func() { done <- r.linker.Unlink(t.Context()) }()
		<-time.After(time.Second)
		if _, err := r.linker.Link(t.Context()); !errors.Is(err, walink.ErrInProgress) {
			t.Errorf("Link returns %v", err)
		}
		if err := <-done; err != nil || len(r.sessions()) != 0 || r.linker.Client() != nil {
			t.Errorf("Unlink returns %v; stored %v", err, r.sessions())
		}
	})
}
