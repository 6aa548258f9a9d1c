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
	"github.com/walink/walink/walinktest"
)

func TestPasskeyHookDoesItAllByItself(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		var r *rig
		r = newPasskeyRig(t, walink.Settings{
			Passkey: func(_ context.Context, challenge json.RawMessage) (json.RawMessage, error) {
				return r.phone.Assert(challenge)
			},
		})
		r.linkByQR()
		r.usable()
	})
}

func TestPasskeyHookThatFails(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
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
				<-ctx.Done() // as long as the challenge lives
				return nil, ctx.Err()
			},
		})
		r.link(t.Context())
		r.challenged()
		if err := await[walink.Retrying](r).Err; !errors.Is(err, walink.ErrPasskey) || !errors.Is(err, cancelled) {
			t.Errorf("retrying for %v", err)
		}
		r.challenged()
		wantReason(t, await[walink.Retrying](r).Err, walink.ErrPasskey)
		r.challenged()
		start := time.Now()
		wantReason(t, await[walink.Retrying](r).Err, walink.ErrPasskey)
		if waited := time.Since(start); waited != 10*time.Minute {
			t.Errorf("the hook had %v", waited)
		}
	})
}

// The hook is called again with the same challenge, where its answer is not
// good, and the attempt goes on.
func TestPasskeyHookMayTryAgain(t *testing.T) {
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
			bubble(t, func(t *testing.T) {
				var (
					r     *rig
					asked []string
				)
				r = newPasskeyRig(t, walink.Settings{
					Passkey: func(_ context.Context, challenge json.RawMessage) (json.RawMessage, error) {
						asked = append(asked, string(challenge))
						if len(asked) < 3 {
							return wrong(r.phone, challenge)
						}
						return r.phone.Assert(challenge)
					},
				})
				r.link(t.Context())
				r.challenged()
				r.linked()
				if want := "connecting qr_code passkey_required passkey_confirmation paired linked"; r.kinds() != want {
					t.Errorf("events %s, want %s", r.kinds(), want)
				}
				if len(asked) != 3 || asked[0] != asked[1] || asked[1] != asked[2] {
					t.Errorf("asked %q", asked)
				}
			})
		})
	}
}

func TestPasskeyHookIsAskedThreeTimes(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		var r *rig
		calls := 0
		r = newPasskeyRig(t, walink.Settings{
			Passkey: func(_ context.Context, challenge json.RawMessage) (json.RawMessage, error) {
				calls++
				return r.phone.Assert(challenge, walinktest.WronglySigned())
			},
		})
		r.link(t.Context())
		r.challenged()
		wantReason(t, await[walink.Retrying](r).Err, walink.ErrPasskey)
		if calls != 3 {
			t.Errorf("%d calls for one challenge", calls)
		}
	})
}

// What a person has pasted, and WhatsApp refuses, is nothing to the hook, which
// is still at it.
func TestPasskeyRefusedBesideTheHook(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		var r *rig
		calls, found := 0, make(chan struct{})
		r = newPasskeyRig(t, walink.Settings{
			Passkey: func(_ context.Context, challenge json.RawMessage) (json.RawMessage, error) {
				calls++
				<-found
				return r.phone.Assert(challenge)
			},
		})
		r.link(t.Context())
		required, _ := r.challenged()
		for _, answer := range [][]byte{r.assertion(required.Challenge, walinktest.WronglySigned()), []byte("{}")} {
			if err := r.linker.AnswerPasskey(t.Context(), answer); !errors.Is(err, walink.ErrPasskey) {
				t.Errorf("pasted: %v", err)
			}
		}
		close(found)
		r.linked()
		if want := "connecting qr_code passkey_required passkey_confirmation paired linked"; r.kinds() != want || calls != 1 {
			t.Errorf("events %s after %d calls", r.kinds(), calls)
		}
	})
}

// A second challenge comes while the answer to the first is on its way: the
// second answer waits for WhatsApp's word on the first, and counts.
func TestPasskeySecondChallengeUnderAnAnswer(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newPasskeyRig(t, walink.Settings{})
		r.link(t.Context())
		code := await[walink.QRCode](r)
		scan, giveUp := context.WithCancel(t.Context())
		scanned := make(chan struct{})
		go func() {
			_ = r.phone.ScanQR(scan, code.Payload)
			close(scanned)
		}()
		first := await[walink.PasskeyRequired](r)
		r.srv.Script(walinktest.StagePasskeyPrologue, walinktest.Delay(5*time.Second))
		early := make(chan struct{})
		go func() {
			_ = r.linker.AnswerPasskey(t.Context(), r.assertion(first.Challenge))
			close(early)
		}()
		<-time.After(time.Second)
		giveUp()
		<-scanned
		said := make(chan error, 1)
		go func() { said <- r.phone.ScanQR(t.Context(), code.Payload) }()
		second := await[walink.PasskeyRequired](r)
		err := r.linker.AnswerPasskey(t.Context(), r.assertion(second.Challenge))
		synctest.Wait() // at the same moment the first may hear of it a little later
		select {
		case <-early:
		default:
			t.Error("the second answer was sent before the first one's fate was known")
		}
		// whatsmeow proves the hand-off by a secret that the QR code did not have, which
		// WhatsApp refuses until whatsmeow no longer tries.
		if err == nil || strings.Contains(err.Error(), "already") || len(r.phone.PasskeyRefusals()) != 2 {
			t.Errorf("the second answer: %v, refused %v", err, r.phone.PasskeyRefusals())
		}
		<-time.After(6 * time.Minute)
		r.answer(second)
		await[walink.PasskeyConfirmation](r)
		go func() { _ = r.phone.ConfirmPasskey(t.Context()) }()
		if err := r.linker.ConfirmPasskey(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.linked()
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
			bubble(t, func(t *testing.T) {
				r := newPasskeyRig(t, walink.Settings{})
				r.srv.Script(stage, walinktest.RateLimit(time.Hour))
				r.link(t.Context())
				required, _ := r.challenged()
				_ = r.linker.AnswerPasskey(t.Context(), r.assertion(required.Challenge))
				err := r.failed()
				wantReason(t, err, walink.ErrRateLimited)
				if err.RetryAfter != time.Hour || err.Remedy() != "Wait as long as the error says, then try again." {
					t.Errorf("after %v: %s", err.RetryAfter, err.Remedy())
				}
			})
		})
	}
}
