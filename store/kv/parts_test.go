package kv_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
)

// lossy is a DB that is not to be reached when it is asked for some key whose
// name has a word in it.
type lossy struct {
	*memory.DB
	word string
}

func (l lossy) Txn(ctx context.Context, write bool, fn func(kv.Tx) error) error {
	return l.DB.Txn(ctx, write, func(tx kv.Tx) error { return fn(lossyTx{tx, l.word}) })
}

type lossyTx struct {
	kv.Tx
	word string
}

func (l lossyTx) Get(key []byte) ([]byte, error) {
	if strings.Contains(string(key), l.word) {
		return nil, errDown
	}
	return l.Tx.Get(key)
}

// TestLongPartsThatAreAway reads a key of which a part is stored elsewhere.
func TestLongPartsThatAreAway(t *testing.T) {
	t.Parallel()
	db := memory.New()
	one, _ := link(t, reopen(t, keep{db}))
	if err := one.Sessions.PutSession(t.Context(), strings.Repeat("5", kv.MaxKey), []byte("the session")); err != nil {
		t.Fatal(err)
	}
	var err error
	for _, err = range reopen(t, lossy{db, "\x00long\x00"}).Export(t.Context(), "one") {
		if err != nil {
			break
		}
	}
	if !errors.Is(err, errDown) || errors.Is(err, kv.ErrDamaged) {
		t.Errorf("Export: %v, want %v and no ErrDamaged", err, errDown)
	}
}
