package kv_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/storetest"
)

// hindsight runs fn of each reading transaction twice: first on the state before the last
// change, and then on the latest one, which is the run that counts. That is more than clause
// 4 of kv.DB allows: there each run sees what was stored before Txn was called.
type hindsight struct {
	*memory.DB            // the latest state
	before     *memory.DB // the state before the last change

	turn chan struct{} // held by the transaction that writes
	last []change      // the last change
}

// change is a key with its new value, nil if it was deleted.
type change struct{ key, value []byte }

func newHindsight() *hindsight {
	return &hindsight{DB: memory.New(), before: memory.New(), turn: make(chan struct{}, 1)}
}

func (h *hindsight) Txn(ctx context.Context, write bool, fn func(kv.Tx) error) error {
	if !write {
		_ = h.before.Txn(ctx, false, fn)
		return h.DB.Txn(ctx, false, fn)
	}
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	var noted noting
	err := h.DB.Txn(ctx, true, func(tx kv.Tx) error {
		noted.Tx = tx
		return fn(&noted)
	})
	if err != nil || len(noted.changes) == 0 {
		return err
	}
	changes := h.last
	h.last = noted.changes
	return h.before.Txn(context.WithoutCancel(ctx), true, func(tx kv.Tx) error { return apply(tx, changes) })
}

func (h *hindsight) Close() error { return errors.Join(h.DB.Close(), h.before.Close()) }

func apply(tx kv.Tx, changes []change) error {
	var errs []error
	for _, c := range changes {
		if c.value == nil {
			errs = append(errs, tx.Delete(c.key))
		} else {
			errs = append(errs, tx.Set(c.key, c.value))
		}
	}
	return errors.Join(errs...)
}

// noting notes what a transaction changes.
type noting struct {
	kv.Tx
	changes []change
}

func (n *noting) Set(key, value []byte) error {
	err := n.Tx.Set(key, value)
	if err == nil {
		n.changes = append(n.changes, change{bytes.Clone(key), bytes.Clone(value)})
	}
	return err
}

func (n *noting) Delete(key []byte) error {
	n.changes = append(n.changes, change{bytes.Clone(key), nil})
	return n.Tx.Delete(key)
}

// onlyReads is a kv.Store without the copying, which may fail when the data changes.
type onlyReads struct {
	store.Store
	store.Ledger
	store.Leaser
	store.Registry
	store.Checker
}

// Only the last call of fn of a reading transaction counts, whatever the calls before it
// have seen: an empty database, a device that is not linked yet, an old value.
func TestOnlyTheLastReadCounts(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) store.Store {
		st := kv.New(kv.Encrypt(newHindsight(), kv.NewKey()))
		return onlyReads{st, st, st, st, st}
	})
}

// states runs fn of a reading transaction on each state, one after the other.
type states []kv.DB

func (s states) Txn(ctx context.Context, _ bool, fn func(kv.Tx) error) (err error) {
	for _, state := range s {
		err = state.Txn(ctx, false, fn)
	}
	return err
}

func TestExportThatRunsAgain(t *testing.T) {
	t.Parallel()
	one, changed, empty := memory.New(), memory.New(), memory.New()
	for db, numbers := range map[*memory.DB][]string{one: {"11", "21"}, changed: {"12", "21", "31"}} {
		err := kv.New(db).ImportLIDs(t.Context(), func(yield func(wastore.LIDMapping, error) bool) {
			for _, pn := range numbers {
				lid := types.JID{User: pn[:1], Server: types.HiddenUserServer}
				if !yield(wastore.LIDMapping{LID: lid, PN: types.JID{User: pn, Server: types.DefaultUserServer}}, nil) {
					return
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		states states
		most   int // when the loop ends
		want   string
		fails  bool
	}{
		"on the same state":                          {states{one, one, one}, 9, "11 21", false},
		"on a larger state":                          {states{empty, one}, 9, "11 21", false},
		"on a smaller state":                         {states{one, empty}, 9, "11 21", true},
		"twice on a changed state":                   {states{one, changed, changed}, 9, "11 21", true},
		"after the loop has ended":                   {states{one, one}, 1, "11", false},
		"and the loop ended on a state that is gone": {states{one, empty}, 1, "11", false},
	} {
		var got []string
		var failed error
		for pair, err := range kv.New(test.states).ExportLIDs(t.Context()) {
			if failed = err; err == nil {
				got = append(got, pair.PN.User)
			}
			if len(got) == test.most {
				break
			}
		}
		if strings.Join(got, " ") != test.want || test.fails != (failed != nil) {
			t.Errorf("an export that runs again %s gives %q and %v, want %q", name, got, failed, test.want)
		}
	}
}

// The first run cannot read a part of a key that is stored elsewhere.
func TestExportThatRunsAgainLeavesNothingOut(t *testing.T) {
	t.Parallel()
	db := memory.New()
	device, _ := link(t, reopen(t, keep{db}))
	if err := device.Sessions.PutSession(t.Context(), strings.Repeat("5", kv.MaxKey), []byte("the session")); err != nil {
		t.Fatal(err)
	}
	export := func(db kv.DB) (kinds []string) {
		for record, err := range kv.New(db).Export(t.Context(), "one") {
			if err != nil {
				t.Fatal(err)
			}
			kinds = append(kinds, record.Kind())
		}
		return kinds
	}
	if got, want := export(states{lossy{db, "\x00long\x00"}, db}), export(db); !slices.Equal(got, want) {
		t.Errorf("the export has %q, want %q", got, want)
	}
}
