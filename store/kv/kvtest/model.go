package kvtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/walink/walink/store/kv"
)

// likeAMap runs random transactions, always the same ones, on a DB and on a
// map.
func likeAMap(t *trial) {
	random := rand.New(rand.NewPCG(1, 2))
	keys := edges(2)
	one := func() string { return keys[random.IntN(len(keys))] }
	stored := map[string]string{}
	for number := range 60 {
		state := maps.Clone(stored)
		var calls []string
		step := func(tx kv.Tx) error {
			key := one()
			switch random.IntN(5) {
			case 0, 1:
				value := strings.Repeat(key+"\n", random.IntN(40)+1)
				state[key] = value
				calls = append(calls, fmt.Sprintf("Set(%q)", key))
				return put(tx, pair{key, value})
			case 2:
				delete(state, key)
				calls = append(calls, fmt.Sprintf("Delete(%q)", key))
				return tx.Delete([]byte(key))
			case 3:
				value, err := tx.Get([]byte(key))
				if want, ok := state[key]; string(value) != want || (value != nil) != ok {
					t.Errorf("transaction %d: Get(%q) is %q, want %q, after %v", number, key, shorten(string(value)), shorten(want), calls)
				}
				return err
			}
			prefix := key[:random.IntN(len(key)+1)]
			pairs := slices.DeleteFunc(pairsOf(state), func(p pair) bool { return !strings.HasPrefix(p.Key, prefix) })
			said, err := differs(tx, prefix, pairs...)
			if said != "" {
				t.Errorf("transaction %d, after %v: %s", number, calls, said)
			}
			return err
		}
		t.transaction(random.IntN(4), func(tx kv.Tx) error {
			for range random.IntN(30) {
				if err := step(tx); err != nil {
					return err
				}
			}
			return nil
		}, func() { stored = state })
		t.want("", pairsOf(stored)...)
	}
}

// transaction runs fn in a transaction that ends, by outcome, with success, an
// error, a panic or the end of its ctx. It calls done after a success.
func (t *trial) transaction(outcome int, fn func(tx kv.Tx) error, done func()) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	defer func() {
		if value := recover(); value != nil && value != errFailure { //nolint:errorlint // that very one
			panic(value)
		}
	}()
	err := t.db.Txn(ctx, true, func(tx kv.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		switch outcome {
		case 1:
			return errFailure
		case 2:
			panic(errFailure)
		case 3:
			cancel()
		}
		return nil
	})
	switch want := []error{nil, errFailure, errFailure, context.Canceled}[outcome]; {
	case !errors.Is(err, want):
		t.Errorf("Txn: %v, want %v", err, want)
	case err == nil:
		done()
	}
}
