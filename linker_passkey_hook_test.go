package walink_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/walinktest"
)

func TestPasskeyHookAnswersByItself(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		var r *rig.Rig
		r = newPasskeyRig(t, walink.Settings{
			Passkey: func(_ context.Context, challenge json.RawMessage) (json.RawMessage, error) {
				return r.Phone.Assert(challenge)
			},
		})
		r.LinkByQR()
		r.CheckUsable()
	})
}

func TestPasskeyHookThatFailsBringsAFreshAttempt(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		cancelled := errors.New("the person pressed cancel")
		calls := 0
		r := newPasskeyRig(t, walink.Settings{
			Passkey: func(ctx context.Context, _ json.RawMessage) (json.RawMessage, error) {
				switch calls++; calls {
				case 1:
					return nil, cancelled
				case 2, 3, 4:
					return json.RawMessage(`{"not":"an assertion"}`), nil
				}
				<-ctx.Done() // until the challenge expires
				return nil, ctx.Err()
			},
		})
		r.Link(t.Context())
		challenged(t, r)
		if err := rig.Await[walink.Retrying](r).Err; !errors.Is(err, walink.ErrPasskey) || !errors.Is(err, cancelled) {
			t.Errorf("the error of Retrying is %v", err)
		}
		challenged(t, r)
		rig.WantReason(t, rig.Await[walink.Retrying](r).Err, walink.ErrPasskey)
		challenged(t, r)
		start := time.Now()
		rig.WantReason(t, rig.Await[walink.Retrying](r).Err, walink.ErrPasskey)
		if waited := time.Since(start); waited != 10*time.Minute {
			t.Errorf("the hook has %v, want ten minutes", waited)
		}
	})
}

// walink calls the hook again with the same challenge, and the attempt goes on.
func TestPasskeyHookWhoseAnswerIsNotGoodMayTryAgain(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]func(*walinktest.Phone, []byte) ([]byte, error){
		"not an assertion": func(*walinktest.Phone, []byte) ([]byte, error) { return []byte("{}"), nil },
		"nothing":          func(*walinktest.Phone, []byte) ([]byte, error) { return nil, nil },
		"refused": func(phone *walinktest.Phone, challenge []byte) ([]byte, error) {
			return phone.Assert(challenge, walinktest.WronglySigned())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				var (
					r          *rig.Rig
					challenges []string
				)
				r = newPasskeyRig(t, walink.Settings{
					Passkey: func(_ context.Context, challenge json.RawMessage) (json.RawMessage, error) {
						challenges = append(challenges, string(challenge))
						if len(challenges) < 3 {
							return wrong(r.Phone, challenge)
						}
						return r.Phone.Assert(challenge)
					},
				})
				r.Link(t.Context())
				challenged(t, r)
				r.Linked()
				if want := "connecting qr_code passkey_required passkey_confirmation paired linked"; r.Kinds() != want {
					t.Errorf("the events are %s, want %s", r.Kinds(), want)
				}
				if len(challenges) != 3 || challenges[0] != challenges[1] || challenges[1] != challenges[2] {
					t.Errorf("the challenges are %q", challenges)
				}
			})
		})
	}
}

func TestPasskeyHookHasThreeTries(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		var r *rig.Rig
		calls := 0
		r = newPasskeyRig(t, walink.Settings{
			Passkey: func(_ context.Context, challenge json.RawMessage) (json.RawMessage, error) {
				calls++
				return r.Phone.Assert(challenge, walinktest.WronglySigned())
			},
		})
		r.Link(t.Context())
		challenged(t, r)
		rig.WantReason(t, rig.Await[walink.Retrying](r).Err, walink.ErrPasskey)
		if calls != 3 {
			t.Errorf("the hook has %d calls for one challenge, want 3", calls)
		}
	})
}

// A person pastes a wrong answer while the hook works on its own.
func TestPasskeyHookGoesOnAfterAnAnswerByHandIsRefused(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		var r *rig.Rig
		calls, found := 0, make(chan struct{})
		r = newPasskeyRig(t, walink.Settings{
			Passkey: func(_ context.Context, challenge json.RawMessage) (json.RawMessage, error) {
				calls++
				<-found
				return r.Phone.Assert(challenge)
			},
		})
		r.Link(t.Context())
		required, _ := challenged(t, r)
		for _, answer := range [][]byte{assertion(t, r, required.Challenge, walinktest.WronglySigned()), []byte("{}")} {
			if err := r.Linker.AnswerPasskey(t.Context(), answer); !errors.Is(err, walink.ErrPasskey) {
				t.Errorf("AnswerPasskey returns %v", err)
			}
		}
		close(found)
		r.Linked()
		if want := "connecting qr_code passkey_required passkey_confirmation paired linked"; r.Kinds() != want || calls != 1 {
			t.Errorf("the events are %s, after %d calls of the hook", r.Kinds(), calls)
		}
	})
}

// A second challenge comes while the first answer is on its way. The second answer
// waits until WhatsApp has answered the first one.
func TestPasskeyAnswerWaitsForTheAnswerBeforeIt(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := newPasskeyRig(t, walink.Settings{})
		r.Link(t.Context())
		code := rig.Await[walink.QRCode](r)
		scan, giveUp := context.WithCancel(t.Context())
		scanned := make(chan struct{})
		go func() {
			_ = r.Phone.ScanQR(scan, code.Payload)
			close(scanned)
		}()
		first := rig.Await[walink.PasskeyRequired](r)
		r.Server.Script(walinktest.StagePasskeyPrologue, walinktest.Delay(5*time.Second))
		early := make(chan struct{})
		go func() {
			_ = r.Linker.AnswerPasskey(t.Context(), assertion(t, r, first.Challenge))
			close(early)
		}()
		time.Sleep(time.Second)
		giveUp()
		<-scanned
		said := make(chan error, 1)
		go func() { said <- r.Phone.ScanQR(t.Context(), code.Payload) }()
		second := rig.Await[walink.PasskeyRequired](r)
		err := r.Linker.AnswerPasskey(t.Context(), assertion(t, r, second.Challenge))
		synctest.Wait() // the first call returns at the same moment, and may be the later one
		select {
		case <-early:
		default:
			t.Error("the second AnswerPasskey returns before the first one")
		}
		// whatsmeow proves the hand-off by a secret that is not in the QR code. WhatsApp
		// refuses that, until the proof has expired and whatsmeow goes without it.
		if err == nil || strings.Contains(err.Error(), "already") || len(r.Phone.PasskeyRefusals()) != 2 {
			t.Errorf("the second AnswerPasskey returns %v, WhatsApp has refused %v", err, r.Phone.PasskeyRefusals())
		}
		time.Sleep(6 * time.Minute)
		answer(t, r, second)
		rig.Await[walink.PasskeyConfirmation](r)
		go func() { _ = r.Phone.ConfirmPasskey(t.Context()) }()
		if err := r.Linker.ConfirmPasskey(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.Linked()
		if err := <-said; err != nil {
			t.Errorf("the phone says %v", err)
		}
	})
}

func TestPasskeyRateLimitHasItsOwnRemedy(t *testing.T) {
	t.Parallel()
	for name, stage := range map[string]walinktest.Stage{
		"answer": walinktest.StagePasskeyPrologue, "ref": walinktest.StagePasskeyRef, "confirmation": walinktest.StagePairingRequest,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				r := newPasskeyRig(t, walink.Settings{})
				r.Server.Script(stage, walinktest.RateLimit(time.Hour))
				r.Link(t.Context())
				required, _ := challenged(t, r)
				_ = r.Linker.AnswerPasskey(t.Context(), assertion(t, r, required.Challenge))
				err := r.Failed()
				rig.WantReason(t, err, walink.ErrRateLimited)
				if err.RetryAfter != time.Hour || err.Remedy() != "Wait 1 hour, then try again." {
					t.Errorf("RetryAfter is %v, the remedy %q", err.RetryAfter, err.Remedy())
				}
			})
		})
	}
}
