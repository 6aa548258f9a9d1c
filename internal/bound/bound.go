// Package bound calls code that may ignore its context, such as a Store.
package bound

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// heedGrace is how long a call may take to obey the end of its context.
const heedGrace = time.Second

// Call calls f. If ctx ends, f gets the grace to return, and then Call returns
// without it: answered is false, err is that of ctx, and f goes on in a goroutine
// that nobody waits for.
func Call[T any](ctx context.Context, grace time.Duration, f func(context.Context) (T, error)) (value T, answered bool, err error) {
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		value, err := f(ctx)
		answers <- answer{value, err}
	}()
	select {
	case a := <-answers:
		return a.value, true, a.err
	case <-ctx.Done():
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case a := <-answers:
		return a.value, true, a.err
	case <-timer.C:
		return value, false, ctx.Err()
	}
}

// Store calls a Store within limit. The error is a [SlowStore] if the Store has
// not answered by then.
func Store[T any](ctx context.Context, limit time.Duration, f func(context.Context) (T, error)) (T, error) {
	inner, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	value, _, err := Call(inner, heedGrace, f)
	if err != nil && ctx.Err() == nil && errors.Is(inner.Err(), context.DeadlineExceeded) {
		err = SlowStore(limit)
	}
	return value, err
}

// SlowStore is the error of a Store that did not answer within this time.
type SlowStore time.Duration

// Error names the time.
func (s SlowStore) Error() string {
	return fmt.Sprintf("the store did not answer within %v", time.Duration(s))
}

// Timeout returns true, as that of [context.DeadlineExceeded] does.
func (SlowStore) Timeout() bool { return true }

// Slow returns err as the error of a Store that has been too busy to answer, and may answer
// later.
func Slow(err error) error { return slow{err} }

type slow struct{ error }

// Unwrap returns the error of the Store.
func (s slow) Unwrap() error { return s.error }

// Timeout returns true.
func (slow) Timeout() bool { return true }

// IsSlow reports whether an error in the tree of err is a timeout: it has a method Timeout,
// which returns true.
func IsSlow(err error) bool {
	if late, ok := err.(interface{ Timeout() bool }); ok && late.Timeout() {
		return true
	}
	switch err := err.(type) { //nolint:errorlint // one error of the tree after the other
	case interface{ Unwrap() error }:
		return IsSlow(err.Unwrap())
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(err.Unwrap(), IsSlow)
	}
	return false
}
