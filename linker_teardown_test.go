package walink_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.mau.fi/whatsmeow"

	"github.com/walink/walink"
	"github.com/walink/walink/walinktest"
)

// A failure may overtake the news of pair-success, which whatsmeow tells in a
// goroutine of its own. The link counts all the same.
func TestFailureThatOvertakesPairSuccess(t *testing.T) {
	t.Parallel()
	const retried = "connecting qr_code paired retrying connecting"
	for name, c := range map[string]struct {
		stage  walinktest.Stage
		action walinktest.Action
		told   walink.Reason // in a Retrying; "" for none
		kinds  string        // up to and with what follows
	}{
		"removed at once":    {walinktest.StagePairDeviceSign, walinktest.StreamError(401, "device_removed"), walink.ErrLoggedOut, retried},
		"failure 401":        {walinktest.StagePairDeviceSign, walinktest.Failure(401), walink.ErrLoggedOut, retried},
		"failure 403":        {walinktest.StagePairDeviceSign, walinktest.Failure(403), walink.ErrLoggedOut, retried},
		"503 before the 515": {walinktest.StageLoginReconnect, walinktest.StreamError(503, ""), walink.ErrServer, retried},
		"failure 503":        {walinktest.StageLoginReconnect, walinktest.Failure(503), walink.ErrServer, retried},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 4 { // either may come first
				bubble(t, func(t *testing.T) {
					r := newRig(t, walink.Settings{Timeout: 2 * time.Minute})
					r.srv.Script(c.stage, c.action)
					r.link(t.Context())
					r.take(t.Context(), await[walink.QRCode](r))
					wantReason(t, await[walink.Retrying](r).Err, c.told)
					await[walink.Connecting](r)
					if r.kinds() != c.kinds {
						t.Errorf("events %s, want %s", r.kinds(), c.kinds)
					}
					if c.told == walink.ErrLoggedOut {
						if stored := r.sessions(); len(stored) > 0 {
							t.Errorf("%v is stored, which WhatsApp does not know", stored)
						}
						return
					}
					if linked := r.linked(); linked.Resumed {
						t.Error("a new link is said to be resumed")
					}
				})
			}
		})
	}
}

// whatsmeow holds its lock while it dials and shakes hands: nothing of walink's
// may wait for that.
func TestNothingWaitsForAReconnectOfWhatsmeows(t *testing.T) {
	t.Parallel()
	for _, stage := range []walinktest.Stage{walinktest.StageUpgrade, walinktest.StageHandshake} {
		t.Run(string(stage), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				r := newRig(t, walink.Settings{})
				r.linkByQR()
				r.srv.Script(stage, walinktest.Silence().Always())
				r.srv.Restart()
				<-time.After(3 * time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start := time.Now()
				r.link(ctx)
				wantReason(t, r.failed(), walink.ErrTimeout)
				if took := time.Since(start); took > 3*time.Second {
					t.Errorf("a Link with one second ends after %v", took)
				}
			})
			bubble(t, func(t *testing.T) {
				r := newRig(t, walink.Settings{})
				r.linkByQR()
				r.srv.Script(stage, walinktest.Silence().Always())
				r.srv.Restart()
				<-time.After(3 * time.Second)
				start := time.Now()
				if err := r.linker.Close(); err != nil || time.Since(start) > 2*time.Second {
					t.Errorf("Close takes %v (%v)", time.Since(start), err)
				}
			})
		})
	}
}

// The reconnect after pair-success finds nobody, in any way.
func TestPains16ReconnectAfterPairingThatHangs(t *testing.T) {
	t.Parallel()
	for _, stage := range []walinktest.Stage{walinktest.StageUpgrade, walinktest.StageHandshake} {
		t.Run(string(stage), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				r := newRig(t, walink.Settings{})
				r.link(t.Context())
				code := await[walink.QRCode](r)
				r.srv.Script(stage, walinktest.Silence().Always())
				r.scan(code)
				await[walink.Paired](r)
				start := time.Now()
				err := r.failed()
				wantReason(t, err, walink.ErrStalled)
				if took := time.Since(start); took < 25*time.Second || took > 40*time.Second {
					t.Errorf("failed after %v", took)
				}
				if strings.Count(err.Error(), "walink: ") != 1 {
					t.Errorf("the error is %v", err)
				}
			})
		})
	}
}

// What the program sets after Linked is the program's.
func TestReconnectsAreTheProgramsAfterLinked(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{OnClient: func(c *whatsmeow.Client) { c.EnableAutoReconnect = false }})
		r.linkByQR()
		client := r.linker.Client()
		<-time.After(time.Second)
		synctest.Wait()
		if client.EnableAutoReconnect || client.DisableLoginAutoReconnect {
			t.Errorf("reconnects %t, not after a 515 %t", client.EnableAutoReconnect, client.DisableLoginAutoReconnect)
		}
		client.EnableAutoReconnect = true
		for range 2 {
			r.srv.Restart()
			<-time.After(10 * time.Second)
			synctest.Wait()
		}
		r.usable()
	})
}

func TestDeadlineWithACauseIsATimeout(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		closed := errors.New("the page was closed")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, closed)
		defer cancel()
		r.link(ctx)
		err := r.failed()
		wantReason(t, err, walink.ErrTimeout)
		if !errors.Is(err, closed) {
			t.Errorf("%v does not tell its cause", err)
		}
	})
}

// A program that waits for days does not die of mishaps that were overcome.
func TestMishapsAreForgottenAfterAGoodRound(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{Timeout: -1})
		for range 6 {
			for range 10 {
				r.srv.Script(walinktest.StagePairDevice, walinktest.Pass())
			}
			r.srv.Script(walinktest.StagePairDevice, walinktest.Failure(400))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Hour)
		defer cancel()
		r.link(ctx)
		wantReason(t, r.failed(), walink.ErrTimeout)
	})
}

func TestSessionNamedByANumberIsMaskedInTheLog(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		var log lockedBuffer
		r := newRig(t, walink.Settings{
			Session: "5511987654321",
			Logger:  slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		})
		r.linkByQR()
		if strings.Contains(log.String(), "5511987654321") {
			t.Error("the log has the number")
		}
	})
}

type otherTransport struct{ http.RoundTripper }

//nolint:paralleltest // it replaces a variable of net/http
func TestReplacedDefaultTransportIsRefused(t *testing.T) {
	old := http.DefaultTransport
	http.DefaultTransport = otherTransport{old}
	defer func() { http.DefaultTransport = old }()
	if _, err := walink.New(memoryStore(t), walink.Settings{}); !errors.Is(err, walink.ErrInvalidSettings) {
		t.Errorf("New returns %v", err)
	}
}

// seeing calls a function with each line of the log.
type seeing struct {
	slog.Handler
	see func(line string)
}

func (h seeing) Enabled(context.Context, slog.Level) bool { return true }

func (h seeing) Handle(_ context.Context, r slog.Record) error {
	h.see(r.Message)
	return nil
}

// A Link that ends while a pair-success is being stored leaves the
// whole session or none, and the phone knows which.
func TestPains22EndInTheMiddleOfAPairSuccessStoresAllOrNothing(t *testing.T) {
	t.Parallel()
	for _, hold := range []time.Duration{0, time.Millisecond, 2 * time.Second} {
		for _, mark := range []string{"<pair-success>", "<pair-device-sign>", "Successfully paired"} {
			t.Run(mark+" "+hold.String(), func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T) {
					ctx, cancel := context.WithCancel(t.Context())
					r := newRig(t, walink.Settings{Logger: slog.New(seeing{slog.DiscardHandler, func(line string) {
						if strings.Contains(line, mark) {
							cancel()
							<-time.After(hold)
						}
					}})})
					r.link(ctx)
					code := await[walink.QRCode](r)
					said := make(chan error, 1)
					go func() { said <- r.phone.ScanQR(t.Context(), code.Payload) }()
					wantReason(t, r.failed(), walink.ErrCanceled)
					if err := <-said; err == nil && len(r.phone.LinkedDevices()) == 0 {
						t.Error("the phone says that the device is linked, and lists none")
					}
					if stored, listed := len(r.sessions()), len(r.phone.LinkedDevices()); stored > listed {
						t.Errorf("%d stored, and the phone lists %d", stored, listed)
					}
				})
			})
		}
	}
}
