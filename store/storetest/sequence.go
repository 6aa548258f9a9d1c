package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/util/keys"

	"github.com/walink/walink/store"
)

// errRollback is the error with which the code in a transaction fails on
// purpose.
var errRollback = errors.New("storetest rolls back")

// sequence makes the same calls to a Store and to the oracle, for two sessions.
type sequence struct {
	st      store.Store
	oracle  *oracle
	reopen  func(st store.Store) store.Store // nil if the Store stays open
	session [2]*session
	pool    *pool
	known   map[string]generator
	methods []method // the methods to call
	whole   bool     // sessions are also deleted, linked again and saved
	seed    uint64
	past    []string
}

// session is one session in both stores.
type session struct {
	name         string
	index        int
	ours, theirs *wastore.Device
	preKeys      map[uint32][32]byte // keys that the Store has returned
}

// newSequence links the sessions. The sequence calls the methods of the given fields of
// wastore.Device, or of all.
func newSequence(t *testing.T, st store.Store, seed uint64, fields ...string) (*sequence, error) {
	t.Helper()
	s := &sequence{
		st: st, oracle: openOracle(t), seed: seed, whole: len(fields) == 0,
		pool: newPool(rand.New(rand.NewPCG(seed, 0))), known: generators(),
	}
	for _, m := range methods() {
		// Save and Delete of a device are separate steps, and so are
		// transactions.
		if m.field != "Container" && m.name != "DoDecryptionTxn" && (s.whole || slices.Contains(fields, m.field)) {
			s.methods = append(s.methods, m)
		}
	}
	if err := unknown(s.methods, s.known); err != nil {
		return nil, err
	}
	for i, name := range []string{"one", "two"} {
		s.session[i] = &session{name: name, index: i}
		if err := s.link(t.Context(), s.session[i]); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// run makes so many steps, and stops when the stores differ.
func (s *sequence) run(ctx context.Context, steps int) error {
	for i := range steps {
		on := s.session[s.pool.rand.IntN(len(s.session))]
		if err := s.step(ctx, on); err != nil {
			return fmt.Errorf("call %d of seed %d: %w\nthe calls before it:\n  %s", i+1, s.seed, err, strings.Join(s.past, "\n  "))
		}
	}
	return nil
}

func (s *sequence) step(ctx context.Context, on *session) error {
	odds := s.pool.rand.IntN(100)
	switch {
	case odds < 2:
		return s.reload(ctx, on)
	case odds < 10:
		return s.txn(ctx, on)
	case !s.whole || odds > 12:
		c := s.draw(on, func(method) bool { return true })
		if c.method == "MigratePNToLID" {
			if err := s.reload(ctx, on); err != nil {
				return err
			}
		}
		want := c.on(ctx, on.theirs)
		return s.compare(ctx, on, c, want, c.on(ctx, on.ours))
	case odds < 11:
		s.note(on, "Delete, and link again")
		return errors.Join(s.st.Delete(ctx, on.name), s.oracle.forget(ctx, *on.theirs.ID), s.link(ctx, on))
	case odds < 12 && s.reopen != nil:
		s.note(on, "reopen")
		s.st = s.reopen(s.st)
		s.oracle.reopen()
		return errors.Join(s.reload(ctx, s.session[0]), s.reload(ctx, s.session[1]))
	default:
		s.note(on, "Save")
		on.ours.PushName = s.pool.text()
		on.theirs.PushName = on.ours.PushName
		return errors.Join(on.ours.Save(ctx), on.theirs.Save(ctx))
	}
}

// draw returns a call of one of the methods that match.
func (s *sequence) draw(on *session, fits func(method) bool) call {
	for {
		m := s.methods[s.pool.rand.IntN(len(s.methods))]
		if !fits(m) {
			continue
		}
		c := s.pool.draw(m, s.known)
		if c.name() == "PreKeys.RemovePreKey" {
			var last uint32
			for id := range on.preKeys {
				last = max(last, id)
			}
			if c.args[0] == last {
				continue
			}
		}
		return c
	}
}

// compare returns how the answers to c differ.
func (s *sequence) compare(ctx context.Context, on *session, c call, want, got answer) error {
	if diff := s.oracle.diff(ctx, *on.theirs.ID, c, want, got); diff != "" {
		return fmt.Errorf("session %s: %v (-sqlstore +Store):\n%s", on.name, c, diff)
	}
	if err := on.checkPreKeys(c, got.results); err != nil {
		return fmt.Errorf("session %s: %v: %w", on.name, c, err)
	}
	s.note(on, c.String())
	return nil
}

// checkPreKeys returns an error if a prekey has changed.
func (on *session) checkPreKeys(c call, results []any) error {
	if id, ok := c.arg(0).(uint32); ok && c.name() == "PreKeys.RemovePreKey" {
		delete(on.preKeys, id)
	}
	for _, result := range results {
		list, _ := result.([]*keys.PreKey)
		if key, ok := result.(*keys.PreKey); ok && key != nil {
			list = append(list, key)
		}
		for _, key := range list {
			if *keys.NewKeyPairFromPrivateKey(*key.Priv).Pub != *key.Pub {
				return fmt.Errorf("prekey %d: the public key is not that of the private one", key.KeyID)
			}
			if before, ok := on.preKeys[key.KeyID]; ok && before != *key.Priv {
				return fmt.Errorf("prekey %d has changed", key.KeyID)
			}
			on.preKeys[key.KeyID] = *key.Priv
		}
	}
	return nil
}

func (c call) arg(i int) any {
	if i >= len(c.args) {
		return nil
	}
	return c.args[i]
}

// note records the last few calls.
func (s *sequence) note(on *session, what string) {
	const remembered = 12
	s.past = append(s.past, on.name+": "+what)
	s.past = s.past[max(0, len(s.past)-remembered):]
}

func (s *sequence) link(ctx context.Context, on *session) (err error) {
	if on.ours, err = s.st.Device(ctx, on.name); err != nil {
		return err
	}
	if on.ours.ID != nil {
		return fmt.Errorf("session %s is linked, want a fresh device", on.name)
	}
	Pair(on.ours, JID(number, uint16(on.index)+1))
	if err := on.ours.Save(ctx); err != nil {
		return err
	}
	on.preKeys = map[uint32][32]byte{}
	on.theirs, err = s.oracle.link(ctx, on.ours)
	return err
}

// reload loads the devices again, with empty caches.
func (s *sequence) reload(ctx context.Context, on *session) (err error) {
	s.note(on, "load")
	if on.theirs, err = s.oracle.load(ctx, *on.theirs.ID); err != nil {
		return err
	}
	if on.ours, err = s.st.Device(ctx, on.name); err != nil {
		return err
	}
	if on.ours.ID == nil {
		return fmt.Errorf("session %s is gone", on.name)
	}
	want, got := identityOf(on.theirs), identityOf(on.ours)
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("session %s: the device (-sqlstore +Store):\n%s", on.name, diff)
	}
	if want, got := on.theirs.PushName, on.ours.PushName; want != got {
		return fmt.Errorf("session %s: PushName %q, want %q", on.name, got, want)
	}
	return nil
}
