package walink_test

import (
	"errors"
	"testing"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/walinktest"
)

// newPasskeyRig is newRig with an account that wants a passkey.
func newPasskeyRig(t *testing.T, settings walink.Settings, options ...walinktest.PhoneOption) *rig {
	t.Helper()
	srv := walinktest.NewServer(t)
	r := newRigOn(t, srv, memoryStore(t), settings)
	r.phone = srv.NewPhone(number, append(options, walinktest.WithPasskey())...)
	return r
}

// challenged links up to the passkey, and returns it with what will come from the phone.
func (r *rig) challenged() (walink.PasskeyRequired, <-chan error) {
	r.t.Helper()
	code := await[walink.QRCode](r)
	said := make(chan error, 1)
	go func() { said <- r.phone.ScanQR(r.t.Context(), code.Payload) }()
	return await[walink.PasskeyRequired](r), said
}

func (r *rig) assertion(challenge []byte, options ...walinktest.AssertOption) []byte {
	r.t.Helper()
	data, err := r.phone.Assert(challenge, options...)
	if err != nil {
		r.t.Fatal(err)
	}
	return data
}

func (r *rig) answer(required walink.PasskeyRequired, options ...walinktest.AssertOption) {
	r.t.Helper()
	if err := r.linker.AnswerPasskey(r.t.Context(), r.assertion(required.Challenge, options...)); err != nil {
		r.t.Fatal(err)
	}
}

// The challenge is told, everything else leaves the screen, and an answer links.
func TestPains13PasskeyByQR(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newPasskeyRig(t, walink.Settings{})
		r.link(t.Context())
		required, said := r.challenged()
		if left := time.Until(required.Expires); left != 10*time.Minute || time.Until(required.HandoffExpires) != 5*time.Minute {
			t.Errorf("deadlines in %v and %v", left, time.Until(required.HandoffExpires))
		}
		if status := r.linker.Status(); status.State != walink.StateAwaitingPasskey || status.QRCode != nil {
			t.Errorf("status %+v", status)
		}
		<-time.After(4 * time.Minute) // all refs have run out
		r.answer(required)
		if confirmation := await[walink.PasskeyConfirmation](r); !confirmation.Automatic || len(confirmation.Code) != 9 {
			t.Errorf("confirmation %+v", confirmation)
		}
		if linked := r.linked(); linked.Resumed {
			t.Error("resumed")
		}
		if err := <-said; err != nil {
			t.Errorf("the phone says %v", err)
		}
		if want := "connecting qr_code passkey_required passkey_confirmation paired linked"; r.kinds() != want {
			t.Errorf("events %s, want %s", r.kinds(), want)
		}
		r.usable()
	})
}

func TestPains13PasskeyByPairingCode(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newPasskeyRig(t, walink.Settings{Phone: number, LinkingMode: walink.ModePairing})
		r.link(t.Context())
		r.take(t.Context(), await[walink.PairingCode](r))
		required := await[walink.PasskeyRequired](r)
		r.answer(required)
		r.linked()
		r.usable()
	})
}

// After five minutes the hand-off is no proof any more: the person compares.
func TestPasskeyCodeIsComparedByThePerson(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		settings walink.Settings
		wait     time.Duration
		options  []walinktest.PhoneOption
	}{
		"hand-off too old":    {wait: 6 * time.Minute},
		"asked for by walink": {settings: walink.Settings{ComparePasskeyCode: true}, options: []walinktest.PhoneOption{walinktest.WithCodeCheck()}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				r := newPasskeyRig(t, c.settings, c.options...)
				r.link(t.Context())
				required, said := r.challenged()
				if err := r.linker.ConfirmPasskey(t.Context()); !errors.Is(err, walink.ErrPasskey) {
					t.Errorf("a confirmation without a request: %v", err)
				}
				<-time.After(c.wait)
				r.answer(required)
				confirmation := await[walink.PasskeyConfirmation](r)
				shown, err := r.phone.PasskeyCode(t.Context())
				if err != nil || shown != confirmation.Code || confirmation.Automatic {
					t.Errorf("the phone shows %q (%v), the event is %#v", shown, err, confirmation.Automatic)
				}
				go func() { _ = r.phone.ConfirmPasskey(t.Context()) }()
				<-time.After(time.Minute)
				if err := r.linker.ConfirmPasskey(t.Context()); err != nil {
					t.Fatal(err)
				}
				r.linked()
				if err := <-said; err != nil {
					t.Errorf("the phone says %v", err)
				}
			})
		})
	}
}

// Every wrong answer gets an error that says so, and the right one still links.
func TestPasskeyWrongAnswers(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newPasskeyRig(t, walink.Settings{})
		if err := r.linker.AnswerPasskey(t.Context(), nil); !errors.Is(err, walink.ErrPasskey) {
			t.Errorf("before a Link: %v", err)
		}
		r.link(t.Context())
		required, _ := r.challenged()
		other := []byte(`{"challenge":"b3RoZXI","rpId":"whatsapp.com"}`)
		for name, answer := range map[string][]byte{
			"not JSON":           []byte("passkey"),
			"a field missing":    []byte(`{"id":"YQ","rawId":"YQ","type":"public-key"}`),
			"another challenge":  r.assertion(other),
			"another page":       r.assertion(required.Challenge, walinktest.FromOrigin("https://example.org")),
			"another credential": r.assertion(required.Challenge, walinktest.ByAnotherPasskey()),
		} {
			if err := r.linker.AnswerPasskey(t.Context(), answer); !errors.Is(err, walink.ErrPasskey) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if refused := r.phone.PasskeyRefusals(); len(refused) != 0 {
			t.Errorf("sent to WhatsApp: %v", refused)
		}
		// What walink cannot know, WhatsApp refuses.
		err := r.linker.AnswerPasskey(t.Context(), r.assertion(required.Challenge, walinktest.WronglySigned()))
		if !errors.Is(err, walink.ErrPasskey) || len(r.phone.PasskeyRefusals()) != 1 {
			t.Errorf("wrongly signed: %v, refused %v", err, r.phone.PasskeyRefusals())
		}
		good := r.assertion(required.Challenge)
		r.answer(required)
		if err := r.linker.AnswerPasskey(t.Context(), good); !errors.Is(err, walink.ErrPasskey) {
			t.Errorf("a second answer: %v", err)
		}
		r.linked()
		if err := r.linker.AnswerPasskey(t.Context(), good); !errors.Is(err, walink.ErrPasskey) {
			t.Errorf("after the Link: %v", err)
		}
	})
}

func TestPasskeyRefusedThreeTimesBringsAFreshAttempt(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newPasskeyRig(t, walink.Settings{})
		r.link(t.Context())
		required, _ := r.challenged()
		for range 3 {
			err := r.linker.AnswerPasskey(t.Context(), r.assertion(required.Challenge, walinktest.WronglySigned()))
			if !errors.Is(err, walink.ErrPasskey) {
				t.Errorf("answer: %v", err)
			}
		}
		wantReason(t, await[walink.Retrying](r).Err, walink.ErrPasskey)
		required, _ = r.challenged()
		r.answer(required)
		r.linked()
	})
}

// Nothing after the passkey waits for ever.
func TestPains14PasskeyTroubleAtEachStep(t *testing.T) {
	t.Parallel()
	for _, stage := range []walinktest.Stage{
		walinktest.StagePasskeyRef,
		walinktest.StagePasskeyPrologue,
		walinktest.StagePasskeyContinuation,
		walinktest.StageCompanionNonce,
		walinktest.StagePairingRequest,
		walinktest.StagePairSuccess,
	} {
		t.Run(string(stage), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				r := newPasskeyRig(t, walink.Settings{})
				r.srv.Script(stage, walinktest.Silence())
				r.link(t.Context())
				required, _ := r.challenged()
				start := time.Now()
				go func() {
					_ = r.linker.AnswerPasskey(t.Context(), r.assertion(required.Challenge))
				}()
				wantReason(t, await[walink.Retrying](r).Err, walink.ErrStalled)
				if took := time.Since(start); took > 2*time.Minute {
					t.Errorf("told after %v", took)
				}
				required, _ = r.challenged()
				r.answer(required)
				r.linked()
				r.usable()
			})
		})
	}
}

func TestPasskeyThatNobodyAnswers(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newPasskeyRig(t, walink.Settings{})
		r.link(t.Context())
		required, _ := r.challenged()
		wantReason(t, await[walink.Retrying](r).Err, walink.ErrPasskey)
		if !time.Now().Equal(required.Expires) {
			t.Errorf("given up %v before the challenge expires", time.Until(required.Expires))
		}
		wantReason(t, r.failed(), walink.ErrTimeout)
	})
	bubble(t, func(t *testing.T) {
		r := newPasskeyRig(t, walink.Settings{Timeout: 5 * time.Minute})
		r.link(t.Context())
		r.challenged()
		start := time.Now()
		wantReason(t, r.failed(), walink.ErrTimeout)
		if time.Since(start) > 5*time.Minute {
			t.Errorf("the program's own Timeout was extended to %v", time.Since(start))
		}
	})
}

func TestPasskeyChallengeThatIsNotJSONIsHandedOn(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newPasskeyRig(t, walink.Settings{})
		r.srv.Script(walinktest.StagePasskeyRequest, walinktest.Malformed().Always())
		r.link(t.Context())
		required, _ := r.challenged()
		if len(required.Challenge) == 0 || !errors.Is(required.Err, walink.ErrPasskey) {
			t.Errorf("handed on %q, error %v", required.Challenge, required.Err)
		}
	})
}
