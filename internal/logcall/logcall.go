// Package logcall calls a slog handler that may close the object that logs.
package logcall

import (
	"context"
	"log/slog"
	"sync"
)

// Calls are the running calls of one handler. A handler may call the Close of the
// object that logs: Close would wait for a goroutine that waits for the handler. So each call runs in its
// own goroutine, and [Calls.Leave] makes the callers go on without it.
type Calls struct {
	mu    sync.Mutex
	left  int           // the calls that run and that nobody waits for
	leave chan struct{} // closed when nobody waits for the earlier calls
	wait  int           // the calls that run and that somebody waits for
}

// Wrap returns a logger that calls the handler of l, and its calls.
func Wrap(l *slog.Logger) (*slog.Logger, *Calls) {
	c := &Calls{leave: make(chan struct{})}
	return slog.New(handler{l.Handler(), c}), c
}

// Leave makes the callers of the running calls go on. While one of these calls runs, no
// later call is waited for either, because it may need a lock that the former has.
func (c *Calls) Leave() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.leave)
	c.leave = make(chan struct{})
	c.left, c.wait = c.left+c.wait, 0
}

// handler is a handler whose calls can be left.
type handler struct {
	slog.Handler
	calls *Calls
}

// Handle implements [slog.Handler].
func (h handler) Handle(ctx context.Context, record slog.Record) error {
	c := h.calls
	c.mu.Lock()
	leave, waiting := c.leave, c.left == 0
	if waiting {
		c.wait++
	} else {
		c.left++
	}
	c.mu.Unlock()
	done := make(chan error, 1)
	go func() {
		err := h.Handler.Handle(ctx, record)
		c.mu.Lock()
		if waiting && c.leave == leave {
			c.wait--
		} else {
			c.left--
		}
		c.mu.Unlock()
		done <- err
	}()
	if !waiting {
		return nil
	}
	select {
	case err := <-done:
		return err
	case <-leave:
		return nil
	}
}

// WithAttrs implements [slog.Handler].
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs), h.calls}
}

// WithGroup implements [slog.Handler].
func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.Handler.WithGroup(name), h.calls}
}
