package transfer_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/storetest"
	"github.com/walink/walink/store/transfer"
)

// lateStore imports a session, and then calls then before it returns.
type lateStore struct {
	*kv.Store
	then func(ctx context.Context)
}

func (s lateStore) Import(ctx context.Context, session string, records iter.Seq2[transfer.Record, error]) error {
	err := s.Store.Import(ctx, session, records)
	s.then(ctx)
	return err
}

// steal takes the lease of a session away from its holder.
func steal(t *testing.T, st *kv.Store) {
	t.Helper()
	lease, err := st.PeekLease(t.Context(), "shop")
	if err == nil {
		err = st.ReleaseLease(t.Context(), lease)
	}
	if err == nil {
		_, err = st.TakeLease(t.Context(), "shop", "another", time.Hour)
	}
	if err != nil {
		t.Error(err)
	}
}

func sessionCount(t *testing.T, st store.Store) int {
	t.Helper()
	sessions, err := st.Sessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(sessions)
}

// Both Stores lend the session to a copy for as long as it takes.
func TestCopyKeepsItsLeases(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		from, to := kv.New(memory.New()), kv.New(memory.New())
		storetest.Link(t, from, "shop", storetest.JID("5511987654321", 1))
		err := transfer.Move(t.Context(), lateStore{to, func(context.Context) {
			<-time.After(time.Hour)
			for _, st := range []*kv.Store{from, to} {
				lease, err := st.TakeLease(t.Context(), "shop", "another", time.Hour)
				if _, ok := errors.AsType[*store.BusyError](err); !ok {
					t.Errorf("another gets the lease: %v, %v", lease, err)
				}
			}
		}}, from)
		if err != nil {
			t.Error(err)
		}
		if got := sessionCount(t, from); got != 0 {
			t.Errorf("the source has %d sessions", got)
		}
		for _, st := range []*kv.Store{from, to} {
			if _, err := st.TakeLease(t.Context(), "shop", "another", time.Hour); err != nil {
				t.Errorf("after the copy: %v", err)
			}
		}
	})
}

// A Move that has lost a lease leaves the source as it is.
func TestMoveThatLosesALease(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		target bool
		wait   bool // until the loss is noticed
	}{
		"of the source": {}, "of the target": {target: true},
		"of the source, while it takes its time": {wait: true}, "of the target, while it takes its time": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				from, to := kv.New(memory.New()), kv.New(memory.New())
				storetest.Link(t, from, "shop", storetest.JID("5511987654321", 1))
				lost := from
				if test.target {
					lost = to
				}
				err := transfer.Move(t.Context(), lateStore{to, func(ctx context.Context) {
					steal(t, lost)
					if test.wait {
						select {
						case <-ctx.Done():
						case <-time.After(time.Minute):
							t.Error("nobody has noticed")
						}
					}
				}}, from)
				if !errors.Is(err, store.ErrLeaseLost) {
					t.Errorf("Move: %v, want ErrLeaseLost", err)
				}
				if got := sessionCount(t, from); got != 1 {
					t.Errorf("the source has %d sessions", got)
				}
				if lease, err := lost.PeekLease(t.Context(), "shop"); err != nil || lease.Holder != "another" {
					t.Errorf("the lease is %v, %v", lease, err)
				}
			})
		})
	}
}
