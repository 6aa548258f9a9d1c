package walink_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/walinktest"
)

// supervised links the rig under Supervise, by QR.
func (r *rig) supervised() walink.Linked {
	r.t.Helper()
	r.supervise(r.t.Context())
	r.scan(await[walink.QRCode](r))
	return reach[walink.Linked](r)
}

func (r *rig) supervise(ctx context.Context) {
	r.t.Helper()
	events, err := r.linker.Supervise(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	r.events, r.seen = events, nil
}

// reach reads on to the next event of type E, past a Linked.
func reach[E walink.Event](r *rig) E {
	r.t.Helper()
	for {
		if e, ok := r.next().(E); ok {
			return e
		}
	}
}

func TestSuperviseShowsANewCodeAfterALogoutOnThePhone(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		first := r.supervised()
		<-time.After(time.Hour)
		r.phone.Remove(first.Account.JID)
		start := time.Now()
		wantReason(t, reach[walink.Disconnected](r).Err, walink.ErrLoggedOut)
		code := reach[walink.QRCode](r)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("the new code is there after %v", took)
		}
		r.scan(code)
		if linked := reach[walink.Linked](r); linked.Resumed || linked.Account.JID == first.Account.JID {
			t.Errorf("linked %v", linked)
		}
		r.usable()
	})
}

func TestSuperviseTellsWhenTheConnectionIsLostAndBack(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		account := r.supervised().Account
		client := r.linker.Client()
		for range 3 {
			<-time.After(time.Minute)
			r.srv.Script(walinktest.StageLogin, walinktest.Delay(time.Second)) // whatsmeow reconnects at once
			r.srv.Restart()
			wantReason(t, reach[walink.Disconnected](r).Err, walink.ErrNetwork)
			if status := r.linker.Status(); status.State != walink.StateLinked || !errors.Is(status.Err, walink.ErrNetwork) {
				t.Errorf("status %+v", status)
			}
			if back := reach[walink.Reconnected](r); back.Account.JID != account.JID {
				t.Errorf("another account: %v", back.Account)
			}
			if status := r.linker.Status(); status.Err != nil || r.linker.Client() != client {
				t.Errorf("status %+v, the same client: %t", status, r.linker.Client() == client)
			}
		}
		r.usable()
	})
}

func TestSuperviseConnectsAnewWhereWhatsmeowDoesNot(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]walinktest.Action{
		"version refused":    walinktest.Failure(405),
		"asked to reconnect": walinktest.StreamError(515, ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				r := newRig(t, walink.Settings{})
				r.supervised()
				<-time.After(time.Hour)
				r.srv.Script(walinktest.StageLogin, trouble)
				r.srv.Restart()
				reach[walink.Disconnected](r)
				if linked := reach[walink.Linked](r); !linked.Resumed {
					t.Error("not resumed")
				}
				r.usable()
			})
		})
	}
}

func TestSuperviseConnectsAnewWhenWhatsAppIsGoneForLong(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		r.supervised()
		start := time.Now()
		r.srv.Script(walinktest.StageUpgrade, walinktest.Drop().Always())
		r.srv.Restart()
		wantReason(t, reach[walink.Disconnected](r).Err, walink.ErrNetwork)
		reach[walink.Connecting](r)
		if took := time.Since(start); took < 4*time.Minute || took > 6*time.Minute {
			t.Errorf("a new Link after %v", took)
		}
		for range 2 { // each Link ends with its Timeout, and the next one follows
			for {
				if retrying := reach[walink.Retrying](r); errors.Is(retrying.Err, walink.ErrTimeout) {
					wantReason(t, retrying.Err, walink.ErrTimeout, walink.ErrNetwork)
					break
				}
			}
		}
		r.srv.Script(walinktest.StageUpgrade)
		if linked := reach[walink.Linked](r); !linked.Resumed {
			t.Error("not resumed")
		}
	})
}

func TestSuperviseGoesOnWhenNobodyLinks(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{Timeout: time.Minute})
		r.supervise(t.Context())
		for range 5 {
			wantReason(t, reach[walink.Retrying](r).Err, walink.ErrTimeout)
		}
		r.scan(reach[walink.QRCode](r))
		reach[walink.Linked](r)
	})
}

func TestSuperviseEndsWithABan(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		r.supervised()
		r.srv.Script(walinktest.StageLogin, walinktest.Failure(406).Always())
		r.srv.Restart()
		wantReason(t, r.failed(), walink.ErrBanned)
		if r.linker.Client() != nil {
			t.Error("there is a client")
		}
	})
}

// The newer of two programs on one session stays, and the older does not fight.
// A Store that lends no sessions cannot keep two programs apart.
func TestPains19SuperviseYieldsToAnotherProgram(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRigOver(t, bareStore{memoryStore(t)}, walink.Settings{})
		r.supervised()
		other := newRigOn(t, r.srv, r.store, walink.Settings{})
		other.phone = r.phone
		other.supervise(t.Context())
		reach[walink.Linked](other)
		wantReason(t, r.failed(), walink.ErrReplaced)
		<-time.After(time.Hour)
		other.usable()
	})
}

func TestSuperviseExcludesEverythingElse(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		r.supervised()
		_, link := r.linker.Link(t.Context())
		_, supervise := r.linker.Supervise(t.Context())
		for _, err := range []error{link, supervise, r.linker.Unlink(t.Context())} {
			if !errors.Is(err, walink.ErrInProgress) {
				t.Errorf("meanwhile: %v", err)
			}
		}
		if err := r.linker.Close(); err != nil {
			t.Error(err)
		}
		wantReason(t, r.failed(), walink.ErrClosed)
		if _, err := r.linker.Supervise(t.Context()); !errors.Is(err, walink.ErrClosed) {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestSuperviseEndsWithItsContext(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		ctx, cancel := context.WithCancel(t.Context())
		r.supervise(ctx)
		reach[walink.QRCode](r)
		cancel()
		wantReason(t, r.failed(), walink.ErrCanceled)

		ctx, cancel = context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		r.supervise(ctx)
		r.scan(await[walink.QRCode](r))
		wantReason(t, r.failed(), walink.ErrTimeout)
		if r.linker.Client() != nil || r.linker.Status().State != walink.StateFailed {
			t.Errorf("status %+v", r.linker.Status())
		}
	})
}
