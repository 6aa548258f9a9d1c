package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	wastore "go.mau.fi/whatsmeow/store"
)

// txn is one transaction.
type txn struct {
	calls []call
	inner *txn // a transaction inside, after the calls
	fails bool // at the end, so that everything is rolled back
}

func (x *txn) String() string {
	if x == nil {
		return ""
	}
	var text strings.Builder
	text.WriteString("DoDecryptionTxn{")
	for _, c := range x.calls {
		text.WriteString(c.String() + "; ")
	}
	text.WriteString(x.inner.String())
	if x.fails {
		text.WriteString("fails")
	}
	return text.String() + "}"
}

// on runs the transaction. each gets every answer, with the ctx of the
// transaction, and ends the transaction with an error.
func (x *txn) on(ctx context.Context, device *wastore.Device, each func(context.Context, call, answer) error) error {
	return device.EventBuffer.DoDecryptionTxn(ctx, func(ctx context.Context) error {
		for _, c := range x.calls {
			a := c.on(ctx, device)
			if err := each(ctx, c, a); err != nil {
				return err
			}
			if a.err != nil {
				return a.err
			}
		}
		if x.inner != nil {
			if err := x.inner.on(ctx, device, each); err != nil {
				return err
			}
		}
		if x.fails {
			return errRollback
		}
		return nil
	})
}

// txn makes a random transaction and runs it in both stores.
func (s *sequence) txn(ctx context.Context, on *session) error {
	x := s.drawTxn(on, 2)
	if x == nil {
		return nil
	}
	before := maps.Clone(on.preKeys)
	var answers []answer
	ours := x.on(ctx, on.ours, func(_ context.Context, _ call, a answer) error {
		answers = append(answers, a)
		return nil
	})
	var differ error
	theirs := x.on(ctx, on.theirs, func(ctx context.Context, c call, want answer) error {
		if len(answers) == 0 {
			differ = fmt.Errorf("session %s: %v was not called in the transaction of the Store", on.name, c)
			return differ
		}
		differ = s.compare(ctx, on, c, want, answers[0])
		answers = answers[1:]
		return differ
	})
	if differ == nil && len(answers) > 0 {
		differ = errors.New("the transaction of the Store went on after a call that has failed")
	}
	if differ == nil {
		if diff := diffErrors(theirs, ours); diff != "" {
			differ = errors.New(diff)
		}
	}
	if differ != nil {
		return fmt.Errorf("session %s: in %v: %w", on.name, x, differ)
	}
	if theirs != nil {
		on.preKeys = before
		s.note(on, "rolled back")
	} else {
		s.note(on, "committed")
	}
	return nil
}

// drawTxn returns a random transaction, with nested ones up to so many levels.
// It returns nil if none of the methods may be called in a transaction.
func (s *sequence) drawTxn(on *session, levels int) *txn {
	fits := func(m method) bool {
		return m.name != "MigratePNToLID" && (reading(m.name) || m.field != "Contacts" && m.field != "LIDs")
	}
	x := &txn{fails: s.pool.rand.IntN(2) == 0}
	for range 1 + s.pool.rand.IntN(4) {
		x.calls = append(x.calls, s.draw(on, fits))
	}
	if levels > 1 && s.pool.rand.IntN(3) == 0 {
		x.inner = s.drawTxn(on, levels-1)
	}
	return x
}
