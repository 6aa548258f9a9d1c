package walink_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/door"
	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/internal/tenure"
	"github.com/walink/walink/internal/wire"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/sqlite"
)

// lending is a Store whose calls for leases fail, or hang, on request.
type lending struct {
	*sqlite.Store
	fail atomic.Pointer[error]
	hang atomic.Bool // calls wait for free, even after the end of their context
	free chan struct{}
}

func newLending(t *testing.T) *lending {
	t.Helper()
	return &lending{Store: rig.SQLiteStore(t), free: make(chan struct{})}
}

// trouble returns the error of a call, if it has one, and hangs if the call does.
func (l *lending) trouble() error {
	if l.hang.Load() {
		<-l.free
	}
	if err := l.fail.Load(); err != nil {
		return *err
	}
	return nil
}

func (l *lending) TakeLeases(
	ctx context.Context, sessions []string, holder store.Holder, ttl time.Duration,
) (taken, busy []store.Lease, err error) {
	if err := l.trouble(); err != nil {
		return nil, nil, err
	}
	return l.Store.TakeLeases(ctx, sessions, holder, ttl)
}

func (l *lending) RenewHolder(ctx context.Context, holder store.Holder, ttl time.Duration) (store.Holder, error) {
	if err := l.trouble(); err != nil {
		return store.Holder{}, err
	}
	return l.Store.RenewHolder(ctx, holder, ttl)
}

func (l *lending) EndHolder(ctx context.Context, holder store.Holder) error {
	if err := l.trouble(); err != nil {
		return err
	}
	return l.Store.EndHolder(ctx, holder)
}

func (l *lending) ReleaseLease(ctx context.Context, lease store.Lease) error {
	if err := l.trouble(); err != nil {
		return err
	}
	return l.Store.ReleaseLease(ctx, lease)
}

// lent reports whether somebody has the lease of the default session.
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
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.LinkByQR()
		second := r.Another(walink.Settings{})
		for range 2 {
			second.Link(t.Context())
			err := second.Failed()
			rig.WantReason(t, err, walink.ErrSessionBusy)
			if !strings.Contains(err.Error(), ", process ") || err.RetryAfter <= 0 || err.RetryAfter > 12*time.Second {
				t.Errorf("the error is %v, RetryAfter %v", err, err.RetryAfter)
			}
			if second.Kinds() != "connecting failed" {
				t.Errorf("the events are %s", second.Kinds())
			}
			time.Sleep(time.Minute) // the first program renews its lease
		}
		rig.WantReason(t, second.Linker.Unlink(t.Context()), walink.ErrSessionBusy)
		r.CheckUsable()
		r.Close()
		second.Link(t.Context())
		second.Linked()
		second.CheckUsable()
	})
}

// A Linker has the lease from before the socket opens until after it is closed.
func TestLeaseInPlaceOfOneThatWasLostHasItsHolder(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		st := rig.SQLiteStore(t)
		r := rig.New(t, walink.Settings{}, rig.WithStore(st))
		kept := tenure.New(t.Context(), st, "default", "10.0.0.7:8080", func(*tenure.Tenure, *machine.Failure) {})
		door.Of(r.Linker).Keep(kept, &wire.Pace{}) // it does not hold
		r.LinkByQR()
		if lease, err := st.PeekLease(t.Context(), "default"); err != nil || lease.Holder != "10.0.0.7:8080" {
			t.Errorf("the lease is %v, %v", lease, err)
		}
	})
}

func TestLeaseIsGivenBack(t *testing.T) {
	t.Parallel()
	for name, link := range map[string]func(t *testing.T, r *rig.Rig) (end func()){
		"Failed": func(t *testing.T, r *rig.Rig) func() {
			t.Helper()
			ctx, cancel := context.WithCancel(t.Context())
			r.Link(ctx)
			rig.Await[walink.QRCode](r)
			return func() {
				cancel()
				rig.WantReason(t, r.Failed(), walink.ErrCanceled)
			}
		},
		"Close": func(_ *testing.T, r *rig.Rig) func() {
			r.LinkByQR()
			return r.Close
		},
		"Close of Supervise": func(_ *testing.T, r *rig.Rig) func() {
			r.SuperviseByQR()
			return r.Close
		},
		"Unlink": func(t *testing.T, r *rig.Rig) func() {
			t.Helper()
			r.LinkByQR()
			return func() {
				if err := r.Linker.Unlink(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		},
		"removal": func(t *testing.T, r *rig.Rig) func() {
			t.Helper()
			linked := r.LinkByQR()
			return func() {
				if !r.Phone.Remove(linked.Account.JID) {
					t.Error("the phone does not know the device")
				}
				time.Sleep(time.Second)
				r.Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				st := rig.MemoryStore(t)
				r := rig.New(t, walink.Settings{}, rig.WithStore(st))
				if lent(t, st) {
					t.Error("the session is lent before the Link")
				}
				end := link(t, r)
				if !lent(t, st) {
					t.Error("the session is not lent")
				}
				end()
				if lent(t, st) {
					t.Error("the session is still lent at the end")
				}
			})
		})
	}
}

// The connection ends before somebody else can have the session, whatever the Store does.
func TestLeaseThatCannotBeRenewedEndsTheConnection(t *testing.T) {
	t.Parallel()
	down := errors.New("the database is gone")
	for name, start := range map[string]func(st *lending){
		"errors": func(st *lending) { st.fail.Store(&down) },
		"hangs":  func(st *lending) { st.hang.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				st := newLending(t)
				r := rig.New(t, walink.Settings{}, rig.WithStore(st))
				r.LinkByQR()
				client := r.Linker.Client()
				time.Sleep(time.Minute)
				start(st)
				held, err := st.PeekLease(t.Context(), "default")
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Until(held.Until) - 500*time.Millisecond)
				if client.IsConnected() {
					t.Error("the client is still connected shortly before the lease ends")
				}
				status := r.Linker.Status()
				rig.WantReason(t, status.Err, walink.ErrStore)
				if status.State != walink.StateFailed || r.Linker.Client() != nil {
					t.Errorf("the status is %+v, the client %v", status, r.Linker.Client())
				}

				time.Sleep(time.Until(held.Until))
				other := r.Another(walink.Settings{}, rig.WithStore(st.Store))
				other.Link(t.Context())
				if linked := other.Linked(); !linked.Resumed {
					t.Errorf("the event is %v", linked)
				}
				close(st.free)
				other.CheckUsable()
			})
		})
	}
}

// The Store is away for eight seconds, for example because its server is restarted: nobody
// notices.
func TestShortTroubleWithALeaseIsOvercome(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		st := newLending(t)
		r := rig.New(t, walink.Settings{}, rig.WithStore(st))
		r.LinkByQR()
		down := errors.New("the database is gone")
		for range 5 {
			st.fail.Store(&down)
			time.Sleep(8 * time.Second)
			st.fail.Store(nil)
			time.Sleep(10*time.Second + 300*time.Millisecond) // each time at another moment between two renewals
		}
		if events := r.Kinds(); strings.Contains(events, "disconnected") {
			t.Errorf("the events are %s", events)
		}
		r.CheckUsable()
		if !lent(t, st) {
			t.Error("the session is no longer lent")
		}
	})
}

func TestSuperviseWaitsForTheSessionAndForTheStore(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		st := newLending(t)
		first := rig.New(t, walink.Settings{}, rig.WithStore(st))
		first.SuperviseByQR()
		second := first.Another(walink.Settings{}, rig.WithStore(st.Store))
		second.Supervise(t.Context())
		rig.WantReason(t, rig.Await[walink.Standby](second).Err, walink.ErrSessionBusy)

		down := errors.New("the database is gone")
		st.fail.Store(&down)
		start := time.Now()
		rig.WantReason(t, rig.Await[walink.Disconnected](first).Err, walink.ErrStore)
		if linked := rig.Await[walink.Linked](second); !linked.Resumed || time.Since(start) > 12*time.Second {
			t.Errorf("the second program has the session after %v: %v", time.Since(start), linked)
		}
		time.Sleep(5 * time.Minute)
		st.fail.Store(nil)
		rig.WantReason(t, rig.Await[walink.Standby](first).Err, walink.ErrSessionBusy)
		second.CheckUsable()
		start = time.Now()
		second.Close()
		if rig.Await[walink.Linked](first); time.Since(start) > 2*time.Second {
			t.Errorf("the first program has the session again after %v", time.Since(start))
		}
		first.CheckUsable()
	})
}

// A program that was stopped for a while may lose its lease to another one.
func TestErrorOfALostLeaseNamesTheNewHolder(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		st := rig.MemoryStore(t)
		r := rig.New(t, walink.Settings{}, rig.WithStore(st))
		r.LinkByQR()
		client := r.Linker.Client()
		held, err := st.PeekLease(t.Context(), "default")
		if err != nil {
			t.Fatal(err)
		}
		if err := st.EndHolder(t.Context(), store.Holder{ID: held.HolderID}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := st.TakeLeases(t.Context(), []string{"default"}, store.Holder{ID: "another", Name: "the one in the cellar"}, time.Hour); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if client.IsConnected() {
			t.Error("the client is still connected")
		}
		lost := r.Linker.Status().Err
		rig.WantReason(t, lost, walink.ErrSessionBusy)
		if !strings.Contains(lost.Error(), "the one in the cellar") {
			t.Errorf("the error %v does not name the holder", lost)
		}
		r.Link(t.Context())
		rig.WantReason(t, r.Failed(), walink.ErrSessionBusy)
	})
}

// The connection ends because the lease is lost. Its end may arrive first.
func TestLostLeaseIsNotReportedAsTroubleOfTheNetwork(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		st := newLending(t)
		var scan func()
		logger := slog.New(seeing{slog.DiscardHandler, func(message string) {
			if message == "the lease of the session is lost" {
				scan()
			}
		}})
		r := rig.New(t, walink.Settings{Logger: logger}, rig.WithStore(st))
		r.Link(t.Context())
		code := rig.Await[walink.QRCode](r)
		scan = func() {
			go func() { _ = r.Phone.ScanQR(t.Context(), code.Payload) }() // whose answer ends the connection
			time.Sleep(time.Second)
		}
		st.fail.Store(&store.ErrLeaseLost)
		rig.WantReason(t, r.Failed(), walink.ErrSessionBusy)
		for _, event := range r.Seen {
			if retrying, ok := event.(walink.Retrying); ok {
				t.Errorf("the program hears %v", retrying)
			}
		}
		st.fail.Store(nil)
		time.Sleep(time.Minute)
	})
}

func TestLeaseThatCannotBeGivenBackDoesNotLockTheProcessOut(t *testing.T) {
	t.Parallel()
	down := errors.New("the database is gone")
	for name, trouble := range map[string]func(st *lending) (end func()){
		"errors": func(st *lending) func() {
			st.fail.Store(&down)
			return func() { st.fail.Store(nil) }
		},
		"hangs": func(st *lending) func() {
			st.hang.Store(true)
			return func() {
				st.hang.Store(false)
				close(st.free)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				st := newLending(t)
				r := rig.New(t, walink.Settings{}, rig.WithStore(st))
				r.LinkByQR()
				end := trouble(st)
				r.Close()
				if !lent(t, st) {
					t.Fatal("the lease was given back")
				}
				end()
				again := r.Another(walink.Settings{}, rig.WithStore(st))
				again.Link(t.Context())
				again.Linked()
				again.CheckUsable()
				// The lease of a Linker that lives is not taken.
				other := r.Another(walink.Settings{}, rig.WithStore(st))
				other.Link(t.Context())
				rig.WantReason(t, other.Failed(), walink.ErrSessionBusy)
			})
		})
	}
}
