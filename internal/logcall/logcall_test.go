package logcall_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/walink/walink/internal/logcall"
)

// stuck is a handler that waits on a message "stuck".
type stuck struct {
	slog.Handler
	until chan struct{}
}

func (s stuck) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "stuck" {
		<-s.until
	}
	return s.Handler.Handle(ctx, r)
}

func TestCallsAreWaitedForUnlessOneWasLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		plain := slog.NewTextHandler(&text, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
				return slog.Attr{}
			}
			return a
		}})
		until := make(chan struct{})
		log, calls := logcall.Wrap(slog.New(stuck{plain, until}))
		log.Info("one", "a", 1)
		if want := "msg=one a=1\n"; text.String() != want {
			t.Errorf("the log is %q, want %q", text.String(), want)
		}
		done := make(chan struct{})
		go func() {
			log.Info("stuck")
			close(done)
		}()
		synctest.Wait()
		calls.Leave()
		<-done
		log.Info("two") // its handler may need a lock that the first has
		close(until)
		synctest.Wait()
		text.Reset()
		log.WithGroup("g").With("b", 2).Info("three")
		if want := "msg=three g.b=2\n"; text.String() != want {
			t.Errorf("the log is %q, want %q", text.String(), want)
		}
		calls.Leave()
		calls.Leave()
		text.Reset()
		log.Info("four")
		if want := "msg=four\n"; text.String() != want {
			t.Errorf("the log is %q, want %q", text.String(), want)
		}
	})
}
