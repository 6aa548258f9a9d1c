package walink_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/store"
)

func allReasons() []walink.Reason {
	return []walink.Reason{
		walink.ErrInvalidSettings, walink.ErrInvalidPhone, walink.ErrInProgress, walink.ErrClosed, walink.ErrSessionBusy,
		walink.ErrNetwork, walink.ErrProxy, walink.ErrTimeout, walink.ErrCanceled, walink.ErrCodeRefused, walink.ErrRateLimited,
		walink.ErrForbidden, walink.ErrServer, walink.ErrStalled, walink.ErrPairing, walink.ErrWrongAccount, walink.ErrPasskey,
		walink.ErrClientOutdated, walink.ErrLoggedOut, walink.ErrRemoved, walink.ErrBanned, walink.ErrTemporarilyBanned,
		walink.ErrReplaced, walink.ErrMultideviceOff, walink.ErrStore, walink.ErrNotTold,
	}
}

func TestEveryReasonHasItsOwnRemedy(t *testing.T) {
	t.Parallel()
	seen := map[string]walink.Reason{(&walink.Error{Reason: "of a newer version"}).Remedy(): "an unknown reason"}
	for _, reason := range allReasons() {
		remedy := (&walink.Error{Reason: reason}).Remedy()
		if !strings.HasSuffix(remedy, ".") || strings.ToUpper(remedy[:1]) != remedy[:1] {
			t.Errorf("%s: the remedy %q is not a sentence", reason, remedy)
		}
		if other, ok := seen[remedy]; ok {
			t.Errorf("%s and %s have the same remedy", reason, other)
		}
		seen[remedy] = reason
	}
}

func TestErrorIsFoundByReasonAndByCause(t *testing.T) {
	t.Parallel()
	inner := &walink.Error{Reason: walink.ErrNetwork, Op: "connect", Err: context.DeadlineExceeded}
	err := fmt.Errorf("program: %w", &walink.Error{Reason: walink.ErrTimeout, Op: "link", Err: inner})
	for _, target := range []error{walink.ErrTimeout, walink.ErrNetwork, context.DeadlineExceeded} {
		if !errors.Is(err, target) {
			t.Errorf("errors.Is does not find %v in %v", target, err)
		}
	}
	if errors.Is(err, walink.ErrServer) {
		t.Error("errors.Is finds a reason that is not there")
	}
	if want := "program: walink: link: timeout: connect: network: context deadline exceeded"; err.Error() != want {
		t.Errorf("the text is\n     %q\nwant %q", err, want)
	}
	var outer *walink.Error
	if !errors.As(err, &outer) || outer.Remedy() != inner.Remedy() {
		t.Errorf("the remedy of a timeout is %q, want that of the failure that it cut short", outer.Remedy())
	}
}

// A program may use the Err of a Status without a check for nil.
func TestNilErrorHasNoReasonAndNoRemedy(t *testing.T) {
	t.Parallel()
	err := walink.Status{}.Err
	if errors.Is(err, walink.ErrNetwork) {
		t.Error("errors.Is finds a reason in nil")
	}
	if target := (*net.OpError)(nil); errors.As(err, &target) {
		t.Error("errors.As finds a cause in nil")
	}
	if data, failed := err.MarshalJSON(); failed != nil || string(data) != "null" {
		t.Errorf("nil is %s in JSON, %v", data, failed)
	}
	outer := &walink.Error{Reason: walink.ErrPasskey, Err: err}
	if want := (&walink.Error{Reason: walink.ErrPasskey}).Remedy(); outer.Remedy() != want {
		t.Errorf("the remedy with nil as the cause is %q, want %q", outer.Remedy(), want)
	}
	if err.Remedy() != "" || err.Error() != "<nil>" {
		t.Errorf("nil has the text %q and the remedy %q", err, err.Remedy())
	}
}

func TestErrorTextIsOneShortLineWhateverTheCause(t *testing.T) {
	t.Parallel()
	huge := errors.New(strings.Repeat("é", 25_000))
	for name, c := range map[string]struct {
		cause error
		want  string // after "walink: connect: server: "
	}{
		"two lines":             {errors.New("the server says:\n\n<html>\r\n\t</html>"), "the server says: <html> </html>"},
		"joined":                {errors.Join(errors.New("one"), errors.New("two")), "one two"},
		"control characters":    {errors.New("\x1b[2Ja\x00b\u2028c"), "[2Ja b c"},
		"a change of direction": {errors.New("a\u202eb"), "ab"},
		"not UTF-8":             {errors.New("a\xffb"), "a\ufffdb"},
		"50 kB":                 {huge, strings.Repeat("é", 135) + " … " + strings.Repeat("é", 100)},
		"50 kB in an Error":     {&walink.Error{Reason: walink.ErrNetwork, Err: huge}, "network: " + strings.Repeat("é", 130) + " … " + strings.Repeat("é", 100)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := &walink.Error{Reason: walink.ErrServer, Op: "connect", Err: c.cause}
			if got, want := in.Error(), "walink: connect: server: "+c.want; got != want || len(got) > 500 {
				t.Errorf("the text has %d bytes:\n got %q\nwant %q", len(got), got, want)
			}
			if !errors.Is(in, c.cause) {
				t.Error("errors.Is does not find the cause")
			}
			data, err := json.Marshal(in)
			if err != nil {
				t.Fatal(err)
			}
			var out walink.Error
			if err := json.Unmarshal(data, &out); err != nil {
				t.Fatal(err)
			}
			if out.Error() != in.Error() || len(out.Err.Error()) > 500 {
				t.Errorf("from JSON comes %q, with a cause of %d bytes", &out, len(out.Err.Error()))
			}
		})
	}
}

func TestErrorSurvivesJSON(t *testing.T) {
	t.Parallel()
	in := &walink.Error{
		Reason: walink.ErrTimeout, Op: "link", RetryAfter: 90 * time.Second,
		Err: &walink.Error{Reason: walink.ErrProxy, Op: "connect", Err: errors.New("refused")},
	}
	data, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out walink.Error
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(&out, walink.ErrTimeout) || out.Error() != in.Error() || out.Remedy() != in.Remedy() || out.RetryAfter != in.RetryAfter {
		t.Errorf("got %v (%s), want %v (%s)", &out, out.Remedy(), in, in.Remedy())
	}
}

func TestErrorOfABusySessionIsOneShortLine(t *testing.T) {
	t.Parallel()
	err := &store.BusyError{Lease: store.Lease{Holder: strings.Repeat("a long\nname", 100)}}
	if text := err.Error(); len(text) > 500 || strings.Contains(text, "\n") || !strings.HasSuffix(text, "since 0001-01-01T00:00:00Z") {
		t.Errorf("the text has %d bytes: %q", len(text), text)
	}
}
