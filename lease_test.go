package walink_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/sqlite"
)

// lending is a Store whose leases go wrong.
type lending struct {
	*sqlite.Store
	fail atomic.Pointer[error] // of every call
	hang atomic.Bool           // calls wait, and do not heed their context, until let go
	free chan struct{}
}

func newLending(t *testing.T) *lending {
	t.Helper()
	return &lending{Store: sqliteStore(t), free: make(chan struct{})}
}

func (l *lending) trouble() error {
	if l.hang.Load() {
		<-l.free
	}
	if err := l.fail.Load(); err != nil {
		return *err
	}
	return nil
}

func (l *lending) TakeLease(ctx context.Context, session, holder string, ttl time.Duration) (store.Lease, error) {
	if err := l.trouble(); err != nil {
		return store.Lease{}, err
	}
	return l.Store.TakeLease(ctx, session, holder, ttl)
}

func (l *lending) RenewLease(ctx context.Context, lease store.Lease, ttl time.Duration) (store.Lease, error) {
	if err := l.trouble(); err != nil {
		return store.Lease{}, err
	}
	return l.Store.RenewLease(ctx, lease, ttl)
}

func (l *lending) ReleaseLease(ctx context.Context, lease store.Lease) error {
	if err := l.trouble(); err != nil {
		return err
	}
	return l.Store.ReleaseLease(ctx, lease)
}

// lent reports whether the default session is lent to anybody.
func lent(t *testing.T, st store.Leaser) bool {
	t.Helper()
	_, err := st.PeekLease(context.WithoutCancel(t.Context()), "default")
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

func TestPains19SecondProgramIsToldWhoHasTheSession(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		r.linkByQR()
		second := newRigOn(t, r.srv, r.store, walink.Settings{})
		for range 2 {
			second.link(t.Context())
			err := second.failed()
			wantReason(t, err, walink.ErrSessionBusy)
			if !strings.Contains(err.Error(), ", process ") || err.RetryAfter <= 0 || err.RetryAfter > 30*time.Second {
				t.Errorf("%v, to be tried again after %v", err, err.RetryAfter)
			}
			if second.kinds() != "connecting failed" {
				t.Errorf("events %s", second.kinds())
			}
			<-time.After(time.Minute) // it is renewed
		}
		wantReason(t, asError(t, second.linker.Unlink(t.Context())), walink.ErrSessionBusy)
		r.usable()
		if err := r.linker.Close(); err != nil {
			t.Fatal(err)
		}
		second.link(t.Context())
		second.linked()
		second.usable()
	})
}

func asError(t *testing.T, err error) *walink.Error {
	t.Helper()
	e, ok := errors.AsType[*walink.Error](err)
	if !ok {
		t.Fatalf("%v is no *Error", err)
	}
	return e
}

// A session is lent from before the socket opens until after it is closed.
func TestLeaseIsGivenBack(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(r *rig){
		"Failed": func(r *rig) {
			ctx, cancel := context.WithCancel(r.t.Context())
			r.link(ctx)
			await[walink.QRCode](r)
			if !lent(r.t, r.store.(store.Leaser)) { //nolint:forcetypeassert,errcheck // it is store/sqlite
				r.t.Error("not lent while codes are shown")
			}
			cancel()
			wantReason(r.t, r.failed(), walink.ErrCanceled)
		},
		"Close":  func(r *rig) { r.linkByQR() },
		"Unlink": func(r *rig) { r.linkByQR(); r.unlink() },
		"Close of Supervise": func(r *rig) {
			r.supervise(r.t.Context())
			r.scan(reach[walink.QRCode](r))
			reach[walink.Linked](r)
		},
		"removal": func(r *rig) {
			if !r.phone.Remove(r.linkByQR().Account.JID) {
				r.t.Error("the phone does not know the device")
			}
			<-time.After(time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				r := newRig(t, walink.Settings{})
				st := r.store.(store.Leaser) //nolint:forcetypeassert,errcheck // it is store/sqlite
				if lent(t, st) {
					t.Error("lent before the Link")
				}
				end(r)
				if strings.HasPrefix(name, "Close") {
					if !lent(t, st) {
						t.Error("not lent after Linked")
					}
				}
				if strings.HasPrefix(name, "Close") || name == "removal" {
					if err := r.linker.Close(); err != nil {
						t.Fatal(err)
					}
				}
				if lent(t, st) {
					t.Error("still lent")
				}
			})
		})
	}
}

func (r *rig) unlink() {
	r.t.Helper()
	if err := r.linker.Unlink(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// TestLeaseThatCannotBeRenewed: the connection ends before anybody else can
// have the session, whatever the Store does.
func TestLeaseThatCannotBeRenewed(t *testing.T) {
	t.Parallel()
	down := errors.New("the database is gone")
	for name, start := range map[string]func(st *lending){
		"errors": func(st *lending) { st.fail.Store(&down) },
		"hangs":  func(st *lending) { st.hang.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				st := newLending(t)
				r := newRigOver(t, st, walink.Settings{})
				r.linkByQR()
				client := r.linker.Client()
				<-time.After(time.Minute)
				start(st)
				held, err := st.PeekLease(t.Context(), "default")
				if err != nil {
					t.Fatal(err)
				}
				<-time.After(time.Until(held.Until) - 3*time.Second)
				if client.IsConnected() {
					t.Error("still connected when the lease is about to end")
				}
				status := r.linker.Status()
				wantReason(t, status.Err, walink.ErrStore)
				if status.State != walink.StateFailed || r.linker.Client() != nil {
					t.Errorf("the Linker says %v", status.State)
				}

				<-time.After(time.Until(held.Until))
				other := newRigOn(t, r.srv, st.Store, walink.Settings{})
				other.link(t.Context())
				if linked := other.linked(); !linked.Resumed {
					t.Errorf("unexpected %v", linked)
				}
				close(st.free)
				other.usable()
			})
		})
	}
}

// The store is back before the lease has to be given up: nobody notices.
func TestShortTroubleWithALeaseIsOvercome(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		st := newLending(t)
		r := newRigOver(t, st, walink.Settings{})
		r.linkByQR()
		down := errors.New("the database is gone")
		for range 5 {
			st.fail.Store(&down)
			<-time.After(10 * time.Second)
			st.fail.Store(nil)
			<-time.After(10 * time.Second)
		}
		r.usable()
		if !lent(t, st) {
			t.Error("not lent any more")
		}
	})
}

func TestSuperviseWaitsForTheSessionAndForTheStore(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		st := newLending(t)
		first := newRigOver(t, st, walink.Settings{})
		first.supervised()
		second := newRigOn(t, first.srv, st.Store, walink.Settings{})
		second.supervise(t.Context())
		wantReason(t, reach[walink.Retrying](second).Err, walink.ErrSessionBusy)

		down := errors.New("the database is gone")
		st.fail.Store(&down)
		start := time.Now()
		wantReason(t, reach[walink.Disconnected](first).Err, walink.ErrStore)
		if linked := reach[walink.Linked](second); !linked.Resumed || time.Since(start) > 30*time.Second {
			t.Errorf("the second has it after %v: %v", time.Since(start), linked)
		}
		<-time.After(5 * time.Minute)
		st.fail.Store(nil)
		for { // the first stands by, and has the session again when the second leaves it
			if err := reach[walink.Retrying](first).Err; errors.Is(err, walink.ErrSessionBusy) {
				break
			}
		}
		second.usable()
		start = time.Now()
		if err := second.linker.Close(); err != nil {
			t.Fatal(err)
		}
		if reach[walink.Linked](first); time.Since(start) > 10*time.Second {
			t.Errorf("the first has it again after %v", time.Since(start))
		}
		first.usable()
	})
}

// Whoever lost the session to another, as after a pause, learns who has it.
func TestLeaseThatAnotherHasTaken(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		r.linkByQR()
		client := r.linker.Client()
		st := r.store.(store.Leaser) //nolint:forcetypeassert,errcheck // it is store/sqlite
		held, err := st.PeekLease(t.Context(), "default")
		if err != nil {
			t.Fatal(err)
		}
		if err := st.ReleaseLease(t.Context(), held); err != nil {
			t.Fatal(err)
		}
		if _, err := st.TakeLease(t.Context(), "default", "the one in the cellar", time.Hour); err != nil {
			t.Fatal(err)
		}
		<-time.After(10 * time.Second)
		if client.IsConnected() {
			t.Error("still connected")
		}
		lost := r.linker.Status().Err
		wantReason(t, lost, walink.ErrSessionBusy)
		if !strings.Contains(lost.Error(), "the one in the cellar") {
			t.Errorf("nobody is named in %v", lost)
		}
		r.link(t.Context())
		wantReason(t, r.failed(), walink.ErrSessionBusy)
	})
}
