package walink_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.mau.fi/whatsmeow"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/walinktest"
)

// whatsmeow reports pair-success in its own goroutine, so that a failure may
// overtake it. The device is still linked.
func TestFailureThatOvertakesPairSuccessFollowsPaired(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stage  walinktest.Stage
		action walinktest.Action
		want   walink.Reason // of the Retrying
	}{
		"removed at once":    {walinktest.StagePairDeviceSign, walinktest.StreamError(401, "device_removed"), walink.ErrLoggedOut},
		"failure 401":        {walinktest.StagePairDeviceSign, walinktest.Failure(401), walink.ErrLoggedOut},
		"failure 403":        {walinktest.StagePairDeviceSign, walinktest.Failure(403), walink.ErrLoggedOut},
		"503 before the 515": {walinktest.StageLoginReconnect, walinktest.StreamError(503, ""), walink.ErrServer},
		"failure 503":        {walinktest.StageLoginReconnect, walinktest.Failure(503), walink.ErrServer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 4 { // either may come first
				rig.Bubble(t, func(t *testing.T) {
					r := rig.New(t, walink.Settings{Timeout: 2 * time.Minute})
					r.Server.Script(c.stage, c.action)
					r.Link(t.Context())
					r.Take(t.Context(), rig.Await[walink.QRCode](r))
					rig.WantReason(t, rig.Await[walink.Retrying](r).Err, c.want)
					rig.Await[walink.Connecting](r)
					if want := "connecting qr_code paired retrying connecting"; r.Kinds() != want {
						t.Errorf("the events are %s, want %s", r.Kinds(), want)
					}
					if c.want == walink.ErrLoggedOut {
						if stored := r.Sessions(); len(stored) > 0 {
							t.Errorf("%v is stored, which WhatsApp does not know", stored)
						}
						return
					}
					if linked := r.Linked(); linked.Resumed {
						t.Error("Linked says that the new link is resumed")
					}
				})
			}
		})
	}
}

// whatsmeow holds its lock while it dials and shakes hands. Link and Close must
// not wait for that lock.
func TestLinkAndCloseDoNotWaitForAReconnectOfWhatsmeow(t *testing.T) {
	t.Parallel()
	for _, stage := range []walinktest.Stage{walinktest.StageUpgrade, walinktest.StageHandshake} {
		t.Run(string(stage), func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				r := rig.New(t, walink.Settings{})
				r.LinkByQR()
				r.Server.Script(stage, walinktest.Silence().Always())
				r.Server.Restart()
				time.Sleep(3 * time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start := time.Now()
				r.Link(ctx)
				rig.WantReason(t, r.Failed(), walink.ErrTimeout)
				if took := time.Since(start); took > 3*time.Second {
					t.Errorf("a Link with a deadline of one second ends after %v", took)
				}
			})
			rig.Bubble(t, func(t *testing.T) {
				r := rig.New(t, walink.Settings{})
				r.LinkByQR()
				r.Server.Script(stage, walinktest.Silence().Always())
				r.Server.Restart()
				time.Sleep(3 * time.Second)
				start := time.Now()
				if err := r.Linker.Close(); err != nil || time.Since(start) > 2*time.Second {
					t.Errorf("Close takes %v (%v)", time.Since(start), err)
				}
			})
		})
	}
}

func TestPains16ReconnectAfterPairingThatHangs(t *testing.T) {
	t.Parallel()
	for _, stage := range []walinktest.Stage{walinktest.StageUpgrade, walinktest.StageHandshake} {
		t.Run(string(stage), func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				r := rig.New(t, walink.Settings{})
				r.Link(t.Context())
				code := rig.Await[walink.QRCode](r)
				r.Server.Script(stage, walinktest.Silence().Always())
				r.Scan(code)
				rig.Await[walink.Paired](r)
				start := time.Now()
				err := r.Failed()
				rig.WantReason(t, err, walink.ErrStalled)
				if took := time.Since(start); took < 25*time.Second || took > 40*time.Second {
					t.Errorf("Failed comes after %v", took)
				}
				if strings.Count(err.Error(), "walink: ") != 1 {
					t.Errorf("the error is %v", err)
				}
			})
		})
	}
}

func TestClientKeepsTheReconnectsThatTheProgramSets(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{OnClient: func(c *whatsmeow.Client) { c.EnableAutoReconnect = false }})
		r.LinkByQR()
		client := r.Linker.Client()
		time.Sleep(time.Second)
		synctest.Wait()
		if client.EnableAutoReconnect || client.DisableLoginAutoReconnect {
			t.Errorf("EnableAutoReconnect is %t, DisableLoginAutoReconnect is %t", client.EnableAutoReconnect, client.DisableLoginAutoReconnect)
		}
		client.EnableAutoReconnect = true
		for range 2 {
			r.Server.Restart()
			time.Sleep(10 * time.Second)
			synctest.Wait()
		}
		r.CheckUsable()
	})
}

// seeing is a slog.Handler that calls see with each message.
type seeing struct {
	slog.Handler
	see func(message string)
}

func (h seeing) Enabled(context.Context, slog.Level) bool { return true }

func (h seeing) Handle(_ context.Context, r slog.Record) error {
	h.see(r.Message)
	return nil
}

// The phone knows whether the session is stored.
func TestPains22EndInTheMiddleOfAPairSuccessStoresAllOrNothing(t *testing.T) {
	t.Parallel()
	for _, hold := range []time.Duration{0, time.Millisecond, 2 * time.Second} {
		for _, mark := range []string{"<pair-success>", "<pair-device-sign>", "Successfully paired"} {
			t.Run(mark+" "+hold.String(), func(t *testing.T) {
				t.Parallel()
				rig.Bubble(t, func(t *testing.T) {
					ctx, cancel := context.WithCancel(t.Context())
					r := rig.New(t, walink.Settings{Logger: slog.New(seeing{slog.DiscardHandler, func(message string) {
						if strings.Contains(message, mark) {
							cancel()
							time.Sleep(hold)
						}
					}})})
					r.Link(ctx)
					code := rig.Await[walink.QRCode](r)
					said := make(chan error, 1)
					go func() { said <- r.Phone.ScanQR(t.Context(), code.Payload) }()
					rig.WantReason(t, r.Failed(), walink.ErrCanceled)
					if err := <-said; err == nil && len(r.Phone.LinkedDevices()) == 0 {
						t.Error("the phone says that the device is linked, and lists none")
					}
					if stored, listed := len(r.Sessions()), len(r.Phone.LinkedDevices()); stored > listed {
						t.Errorf("%d sessions are stored, and the phone lists %d", stored, listed)
					}
					time.Sleep(hold) // Close does not wait for the log
				})
			})
		}
	}
}
