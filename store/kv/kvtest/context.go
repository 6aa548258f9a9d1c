package kvtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/walink/walink/store/kv"
)

// ended returns contexts that have ended, in each of the two ways.
func (t *trial) ended() map[error]context.Context {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	cancel()
	return map[error]context.Context{context.Canceled: canceled, context.DeadlineExceeded: late}
}

func endedBefore(t *trial) {
	t.set(pair{"a", "1"})
	for want, ctx := range t.ended() {
		if err := t.db.Txn(ctx, true, spoil); !errors.Is(err, want) {
			t.Errorf("Txn whose ctx had ended: %v, want %v", err, want)
		}
		if err := t.db.Txn(ctx, false, func(kv.Tx) error { return nil }); !errors.Is(err, want) {
			t.Errorf("reading Txn whose ctx had ended: %v, want %v", err, want)
		}
	}
	t.want("", pair{"a", "1"})
}

func endedInside(t *trial) {
	t.set(pair{"a", "1"}, pair{"b", "2"})
	for _, write := range []bool{true, false} {
		for _, failure := range []error{nil, errFailure} {
			ctx, cancel := context.WithCancel(t.Context())
			late, cancelLate := context.WithTimeout(t.Context(), moment)
			for want, test := range map[error]struct {
				ctx context.Context
				end func()
			}{
				context.Canceled:         {ctx, cancel},
				context.DeadlineExceeded: {late, func() { <-late.Done() }},
			} {
				err := t.db.Txn(test.ctx, write, func(tx kv.Tx) (err error) {
					if write {
						err = spoil(tx)
					} else {
						_, err = tx.Get([]byte("a"))
					}
					test.end()
					return errors.Join(err, failure)
				})
				if !errors.Is(err, want) && (failure == nil || !errors.Is(err, failure)) {
					t.Errorf("Txn whose ctx ended in fn, write %t: %v, want %v", write, err, want)
				}
				t.want("", pair{"a", "1"}, pair{"b", "2"})
			}
			cancel()
			cancelLate()
		}
	}
	t.set(pair{"c", "3"})
}

func waitsWithCtx(t *trial) {
	t.write(func(tx kv.Tx) error {
		var group sync.WaitGroup
		var cancels []context.CancelFunc
		wait := func(ctx context.Context, want error) {
			group.Go(func() {
				err := t.db.Txn(ctx, true, func(kv.Tx) error { return errors.New("it ran during another") })
				if !errors.Is(err, want) {
					t.Errorf("Txn that waits for another: %v, want %v", err, want)
				}
			})
		}
		for range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			cancels = append(cancels, cancel)
			wait(ctx, context.Canceled)
		}
		late, cancel := context.WithTimeout(t.Context(), 2*moment)
		cancels = append(cancels, cancel)
		wait(late, context.DeadlineExceeded)
		soon(nil) // until they wait
		for _, cancel := range cancels[:3] {
			cancel()
		}
		<-late.Done()
		group.Wait()
		cancel()
		return put(tx, pair{"a", "1"})
	})
	t.set(pair{"b", "2"})
	t.want("", pair{"a", "1"}, pair{"b", "2"})
}

func endsWithFn(t *trial) {
	t.set(pair{"a", "1"})
	for _, write := range []bool{true, false} {
		for _, how := range []string{"success", "an error", "a panic"} {
			var old kv.Tx
			func() {
				defer func() { _ = recover() }()
				_ = t.db.Txn(t.Context(), write, func(tx kv.Tx) error {
					old = tx
					_, err := tx.Get([]byte("a"))
					switch how {
					case "an error":
						return errFailure
					case "a panic":
						panic(how)
					}
					return err
				})
			}()
			used := func(when string) {
				for _, method := range usable(old) {
					t.Errorf("%s of a Tx that ended with %s succeeded %s, write %t", method, how, when, write)
				}
			}
			used("afterwards")
			t.write(func(kv.Tx) error {
				used("in another transaction")
				return nil
			})
			t.want("", pair{"a", "1"})
		}
	}
}

// usable returns the methods of a Tx that return no error.
func usable(tx kv.Tx) (methods []string) {
	scanned := false
	scan := func(prefix string) error {
		return tx.Scan([]byte(prefix), func(_, _ []byte) error { scanned = true; return nil })
	}
	_, get := tx.Get([]byte("a"))
	_, miss := tx.Get([]byte("not there"))
	for _, test := range []struct {
		method string
		err    error
	}{
		{"Get", get},
		{"Get of a missing key", miss},
		{"Set", tx.Set([]byte("b"), []byte("late"))},
		{"Delete", tx.Delete([]byte("a"))},
		{"Delete of a missing key", tx.Delete([]byte("not there"))},
		{"Scan", scan("")},
		{"Scan of a missing prefix", scan("not there")},
	} {
		if test.err == nil {
			methods = append(methods, test.method)
		}
	}
	if scanned {
		methods = append(methods, "the fn of Scan")
	}
	return methods
}

// severalAtOnce lets a reader end while another one runs. Then several
// goroutines read and write, each its own keys.
func severalAtOnce(t *trial) {
	var group sync.WaitGroup
	t.read(func(tx kv.Tx) error {
		done := make(chan struct{})
		group.Go(func() {
			defer close(done)
			t.want("")
		})
		soon(done)
		said, err := differs(tx, "")
		if said != "" {
			t.Errorf("during another reader: %s", said)
		}
		return err
	})
	group.Wait()
	const goroutines, times = 8, 5
	together(goroutines, func(i int) {
		state := map[string]string{}
		prefix := strings.Repeat("p", i) + " "
		for n := range times {
			key, value := fmt.Sprintf("%s%d", prefix, n), fmt.Sprintf("value %d of %d", n, i)
			t.write(func(tx kv.Tx) error {
				said, err := differs(tx, prefix, pairsOf(state)...)
				if said != "" {
					t.Errorf("with others, in the transaction: %s", said)
				}
				return errors.Join(err, put(tx, pair{key, value}))
			})
			state[key] = value
			t.want(prefix, pairsOf(state)...)
		}
	})
}
