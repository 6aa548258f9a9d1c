package walink_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/store"
	"github.com/walink/walink/walinktest"
)

func TestUnlinkLogsOutAndForgets(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.LinkByQR()
		if err := r.Linker.Unlink(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := r.Phone.LinkedDevices(); len(got) != 0 {
			t.Errorf("the phone still lists %v", got)
		}
		if got := r.Sessions(); len(got) != 0 {
			t.Errorf("%v is still stored", got)
		}
		if r.Linker.Client() != nil || r.Linker.Status().State != walink.StateIdle {
			t.Error("the Linker is not idle")
		}
		if err := r.Linker.Unlink(t.Context()); !errors.Is(err, walink.ErrLoggedOut) {
			t.Errorf("a second Unlink returns %v", err)
		}
	})
}

func TestUnlinkConnectsAStoredSessionFirst(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.LinkByQR()
		again := r.Again(walink.Settings{})
		if err := again.Linker.Unlink(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := r.Phone.LinkedDevices(); len(got) != 0 {
			t.Errorf("the phone still lists %v", got)
		}
	})
}

func TestUnlinkForgetsADeviceThatWhatsAppHasRemoved(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		linked := r.LinkByQR()
		again := r.Again(walink.Settings{})
		r.Phone.Remove(linked.Account.JID)
		if err := again.Linker.Unlink(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := again.Sessions(); len(got) != 0 {
			t.Errorf("%v is still stored", got)
		}
	})
}

func TestUnlinkWithAContextThatHasEnded(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.LinkByQR()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.Linker.Unlink(ctx); !errors.Is(err, walink.ErrCanceled) {
			t.Errorf("Unlink with a canceled context returns %v", err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), 0)
		defer cancel()
		if err := r.Linker.Unlink(ctx); !errors.Is(err, walink.ErrTimeout) {
			t.Errorf("Unlink after the deadline returns %v", err)
		}
		if stored := r.Sessions(); len(stored) != 1 {
			t.Errorf("%v is stored", stored)
		}
	})
}

func TestUnlinkThatWhatsAppDoesNotAnswer(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.LinkByQR()
		r.Server.Script(walinktest.StageAfterLogin, walinktest.Silence().Always())
		err := r.Linker.Unlink(t.Context())
		var failure *walink.Error
		if !errors.As(err, &failure) || failure.Reason != walink.ErrStalled || !strings.Contains(failure.Remedy(), "Linked devices") {
			t.Errorf("Unlink returns %v, with the remedy %q", err, failure.Remedy())
		}
	})
}

// hangingStore is a Store whose Device, or whose Delete, waits for the end of its
// context. Its devices refuse to be deleted by whatsmeow.
type hangingStore struct {
	store.Store
	load, remove bool
}

func (s hangingStore) Device(ctx context.Context, session string) (*wastore.Device, error) {
	if s.load {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return kept(s.Store.Device(ctx, session))
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

// kept returns the device of a Store such that whatsmeow cannot delete it.
func kept(device *wastore.Device, err error) (*wastore.Device, error) {
	if err == nil {
		device.Container = keptContainer{device.Container}
	}
	return device, err
}

func TestUnlinkIsNoSuccessWhileTheSessionIsStored(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		linked := r.LinkByQR()
		again := r.Again(walink.Settings{}, rig.WithStore(hangingStore{Store: r.Store, remove: true}))
		r.Phone.Remove(linked.Account.JID)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := again.Linker.Unlink(ctx); !errors.Is(err, walink.ErrTimeout) {
			t.Errorf("Unlink returns %v, and %v is stored", err, r.Sessions())
		}
	})
}

// endingStore is a Store that ends a context when it is asked to delete a session, which
// is when WhatsApp has answered.
type endingStore struct {
	store.Store
	end *context.CancelFunc
}

func (s endingStore) Delete(ctx context.Context, session string) error {
	(*s.end)()
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.Store.Delete(ctx, session)
}

func (s endingStore) Device(ctx context.Context, session string) (*wastore.Device, error) {
	return kept(s.Store.Device(ctx, session))
}

func TestUnlinkWhoseContextEndsAfterTheAnswerDeletesTheSession(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.LinkByQR()
		ctx, cancel := context.WithCancel(t.Context())
		again := r.Again(walink.Settings{}, rig.WithStore(endingStore{r.Store, &cancel}))
		if err := again.Linker.Unlink(ctx); err != nil {
			t.Errorf("Unlink returns %v", err)
		}
		if got := again.Sessions(); len(got) != 0 || ctx.Err() == nil {
			t.Errorf("%v is still stored, and the context has ended with %v", got, ctx.Err())
		}
	})
}

// The end of the Link ends the call, too: the Store is not what failed.
func TestEndOfALinkDuringACallOfTheStoreIsNoFailureOfTheStore(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{}, rig.WithStore(hangingStore{Store: rig.MemoryStore(t), load: true}))
		for range 1000 {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			r.Link(ctx)
			if err := r.Failed(); err.Reason != walink.ErrCanceled {
				t.Fatal(err)
			}
		}
	})
}

func TestStoreThatHangsIsNamed(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{}, rig.WithStore(hangingStore{Store: rig.MemoryStore(t), load: true}))
		r.Link(t.Context())
		rig.WantReason(t, r.Failed(), walink.ErrStore)
	})
}

// whatsmeow handles the removal after the connection has ended, because a handler is in the
// middle of its work.
func TestUnlinkSucceedsIfWhatsmeowIsLateForTheRemoval(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{OnClient: func(client *whatsmeow.Client) {
			client.EnableAutoReconnect = false // autoReconnect reads the ID of the device, without a lock, while the removal clears it
			client.AddEventHandler(func(event any) {
				if _, ok := event.(*events.Presence); ok {
					time.Sleep(2 * time.Second)
				}
			})
		}})
		r.LinkByQR()
		r.Server.Script(walinktest.StageAfterLogin, walinktest.Send(
			waBinary.Node{Tag: "presence", Attrs: waBinary.Attrs{"from": types.NewJID("5511912345678", types.DefaultUserServer)}},
			waBinary.Node{Tag: "stream:error", Attrs: waBinary.Attrs{"code": "401"}, Content: []waBinary.Node{
				{Tag: "conflict", Attrs: waBinary.Attrs{"type": "device_removed"}},
			}},
		))
		if err := r.Linker.Unlink(t.Context()); err != nil {
			t.Errorf("Unlink returns %v", err)
		}
		if got := r.Sessions(); len(got) != 0 || r.Linker.Status().State != walink.StateIdle {
			t.Errorf("%v is stored, and the state is %s", got, r.Linker.Status().State)
		}
		time.Sleep(5 * time.Second) // Unlink does not wait for the handler
	})
}

func TestRemovalAfterAnUnlinkThatFailedIsThePhones(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.LinkByQR()
		r.Server.Script(walinktest.StageAfterLogin, walinktest.Silence())
		rig.WantReason(t, r.Linker.Unlink(t.Context()), walink.ErrStalled)
		r.Supervise(t.Context())
		r.Phone.Remove(rig.Await[walink.Linked](r).Account.JID)
		rig.Await[walink.QRCode](r)
	})
}

func TestNothingElseRunsDuringUnlink(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.LinkByQR()
		r.Server.Script(walinktest.StageAfterLogin, walinktest.Delay(5*time.Second))
		done := make(chan error)
		go func() { done <- r.Linker.Unlink(t.Context()) }()
		time.Sleep(time.Second)
		if _, err := r.Linker.Link(t.Context()); !errors.Is(err, walink.ErrInProgress) {
			t.Errorf("Link returns %v", err)
		}
		if err := <-done; err != nil || len(r.Sessions()) != 0 || r.Linker.Client() != nil {
			t.Errorf("Unlink returns %v, and %v is stored", err, r.Sessions())
		}
	})
}
