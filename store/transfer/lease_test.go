package transfer_test

import (
	"context"
	"crypto/rand"
	"errors"
	"iter"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/sqlite"
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
		err = st.EndHolder(t.Context(), store.Holder{ID: lease.HolderID})
	}
	if err == nil {
		_, _, err = st.TakeLeases(t.Context(), []string{"shop"}, store.Holder{ID: rand.Text(), Name: "another"}, time.Hour)
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
				taken, busy, err := st.TakeLeases(t.Context(), []string{"shop"}, store.Holder{ID: rand.Text(), Name: "another"}, time.Hour)
				if err != nil || len(taken) != 0 || len(busy) != 1 {
					t.Errorf("another gets the lease: %v, busy %v, %v", taken, busy, err)
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
			_, busy, err := st.TakeLeases(t.Context(), []string{"shop"}, store.Holder{ID: rand.Text(), Name: "another"}, time.Hour)
			if err != nil || len(busy) > 0 {
				t.Errorf("after the copy: busy %v, %v", busy, err)
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

// unlent is a Store without leases.
type unlent struct {
	store.Store
	transfer.Exporter
	transfer.Importer
}

// Two handles of one database have no lease that would tell them, and Move deletes from the
// source what the target has.
func TestMoveWithinOneDatabaseDeletesNothing(t *testing.T) {
	t.Parallel()
	db := memory.New()
	path := filepath.Join(t.TempDir(), "walink.db")
	file := func() *sqlite.Store {
		st, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = st.Close() })
		return st
	}
	devices := uint16(0)
	one, two, fileOne, fileTwo := kv.New(db), kv.New(db), file(), file()
	for name, pair := range map[string][2]store.Store{
		"kv":               {unlent{one, one, one}, unlent{two, two, two}},
		"sqlite":           {unlent{fileOne, fileOne, fileOne}, unlent{fileTwo, fileTwo, fileTwo}},
		"the login alone":  {thinStore{kv.New(db)}, thinStore{kv.New(db)}},
		"one with a lease": {fileOne, unlent{fileTwo, fileTwo, fileTwo}},
		"both with leases": {one, two},
	} {
		to, from := pair[0], pair[1]
		devices++
		storetest.Link(t, from, name, storetest.JID("5511987654321", devices))
		if err := transfer.Move(t.Context(), to, from, transfer.LoginOnly(), transfer.Sessions(name)); err == nil {
			t.Errorf("%s: Move succeeded", name)
		}
		device, err := from.Device(t.Context(), name)
		if err != nil || device.ID == nil {
			t.Fatalf("%s: the session is gone: %v", name, err)
		}
		if has, err := device.Sessions.HasSession(t.Context(), "walink-move:0"); err != nil || has {
			t.Errorf("%s: a trace is left: %v", name, err)
		}
	}
}
