package kv_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
)

// interrupted is a DB that calls before in front of each transaction, with its number.
type interrupted struct {
	kv.DB
	before func(n int) error
	n      *int
}

func interrupt(db kv.DB, before func(n int) error) interrupted {
	return interrupted{db, before, new(int)}
}

func (i interrupted) Txn(ctx context.Context, write bool, fn func(kv.Tx) error) error {
	*i.n++
	if err := i.before(*i.n); err != nil {
		return err
	}
	return i.DB.Txn(ctx, write, fn)
}

// many returns a DB whose rotation takes several transactions.
func many(t *testing.T, key kv.Key) kv.DB {
	t.Helper()
	db := keep{memory.New()}
	one, _ := link(t, reopen(t, kv.Encrypt(db, key)))
	for i := range 1200 {
		if err := one.Sessions.PutSession(t.Context(), fmt.Sprintf("%d:0", i), []byte("the session")); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

// unread returns the first error of reading everything with keys.
func unread(t *testing.T, db kv.DB, keys ...kv.Key) error {
	t.Helper()
	return kv.Encrypt(db, keys[0], keys[1:]...).Txn(t.Context(), false, func(tx kv.Tx) error {
		return tx.Scan(nil, func([]byte, []byte) error { return nil })
	})
}

// The older key reads everything, so nothing is damaged and nothing is to be deleted.
func TestRotateThatIsInterruptedAsksForTheOlderKey(t *testing.T) {
	t.Parallel()
	for steps := 1; ; steps++ {
		first, second := kv.NewKey(), kv.NewKey()
		db := many(t, first)
		killed := interrupt(db, func(n int) error {
			if n > steps {
				return errDown
			}
			return nil
		})
		if err := kv.Encrypt(killed, second, first).Rotate(t.Context()); err == nil {
			if steps < 5 {
				t.Errorf("Rotate takes %d transactions", steps)
			}
			return // there was nothing to interrupt
		}
		if err := unread(t, db, second, first); err != nil {
			t.Errorf("%d: with both keys: %v", steps, err)
		}
		// The last transaction says that the rotation has ended.
		if err := unread(t, db, second); err != nil && (!errors.Is(err, kv.ErrKey) || errors.Is(err, kv.ErrDamaged) ||
			!strings.HasPrefix(remedyOf(err), "Give the older key too, after the new one, and call Rotate again")) {
			t.Errorf("%d: with the new key: %v, remedy %q", steps, err, remedyOf(err))
		} else if err == nil && steps < 5 {
			t.Errorf("%d: the new key reads everything", steps)
		}
		if err := kv.Encrypt(db, second).Rotate(t.Context()); steps < 5 && !errors.Is(err, kv.ErrKey) {
			t.Errorf("%d: Rotate without the older key: %v", steps, err)
		}
		if err := kv.Encrypt(db, second, first).Rotate(t.Context()); err != nil {
			t.Errorf("%d: Rotate again: %v", steps, err)
		}
		if err := unread(t, db, second); err != nil {
			t.Errorf("%d: in the end, with the new key: %v", steps, err)
		}
	}
}

// One of two rotations wins, and only the winner returns nil.
func TestTwoRotationsAtOnce(t *testing.T) {
	t.Parallel()
	for at := 1; at <= 7; at++ {
		old, one, two := kv.NewKey(), kv.NewKey(), kv.NewKey()
		db := many(t, old)
		var other error
		rotating := interrupt(db, func(n int) error {
			if n == at {
				other = kv.Encrypt(db, two, old, one).Rotate(t.Context())
			}
			return nil
		})
		err := kv.Encrypt(rotating, one, old, two).Rotate(t.Context())
		if other != nil {
			t.Errorf("%d: the second Rotate: %v", at, other)
		}
		current := two
		switch {
		case err == nil && (at == 1 || *rotating.n < at): // one after the other
			current = one
		case !errors.Is(err, kv.ErrNotCurrent):
			t.Errorf("%d: the first Rotate: %v, want ErrNotCurrent", at, err)
		}
		if err := unread(t, db, current); err != nil {
			t.Errorf("%d: the current key alone: %v", at, err)
		}
	}
}
