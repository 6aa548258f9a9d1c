package walink_test

import (
	"errors"
	"testing"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/walinktest"
)

// newPasskeyRig is rig.New with an account that has a passkey.
func newPasskeyRig(t *testing.T, settings walink.Settings, options ...walinktest.PhoneOption) *rig.Rig {
	t.Helper()
	return rig.New(t, settings, rig.WithPhone(append(options, walinktest.WithPasskey())...))
}

// challenged scans a QR code, and returns the challenge that follows. The channel
// has what the phone says in the end.
func challenged(t *testing.T, r *rig.Rig) (walink.PasskeyRequired, <-chan error) {
	t.Helper()
	code := rig.Await[walink.QRCode](r)
	said := make(chan error, 1)
	go func() { said <- r.Phone.ScanQR(t.Context(), code.Payload) }()
	return rig.Await[walink.PasskeyRequired](r), said
}

// assertion returns what the person's browser makes of a challenge.
func assertion(t *testing.T, r *rig.Rig, challenge []byte, options ...walinktest.AssertOption) []byte {
	t.Helper()
	data, err := r.Phone.Assert(challenge, options...)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// answer answers a challenge.
func answer(t *testing.T, r *rig.Rig, required walink.PasskeyRequired) {
	t.Helper()
	if err := r.Linker.AnswerPasskey(t.Context(), assertion(t, r, required.Challenge)); err != nil {
		t.Fatal(err)
	}
}

// An event has the challenge, every code leaves the screen, and an answer links.
func TestPains13PasskeyByQR(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := newPasskeyRig(t, walink.Settings{})
		r.Link(t.Context())
		required, said := challenged(t, r)
		if left := time.Until(required.Expires); left != 10*time.Minute || time.Until(required.HandoffExpires) != 5*time.Minute {
			t.Errorf("the deadlines are in %v and %v", left, time.Until(required.HandoffExpires))
		}
		if status := r.Linker.Status(); status.State != walink.StateAwaitingPasskey || status.QRCode != nil {
			t.Errorf("the status is %+v", status)
		}
		time.Sleep(4 * time.Minute) // all refs have expired
		answer(t, r, required)
		if confirmation := rig.Await[walink.PasskeyConfirmation](r); !confirmation.Automatic || len(confirmation.Code) != 9 {
			t.Errorf("the confirmation is %+v", confirmation)
		}
		if linked := r.Linked(); linked.Resumed {
			t.Error("Linked says that the new link is resumed")
		}
		if err := <-said; err != nil {
			t.Errorf("the phone says %v", err)
		}
		if want := "connecting qr_code passkey_required passkey_confirmation paired linked"; r.Kinds() != want {
			t.Errorf("the events are %s, want %s", r.Kinds(), want)
		}
		r.CheckUsable()
	})
}

func TestPains13PasskeyByPairingCode(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := newPasskeyRig(t, walink.Settings{Phone: rig.Number, LinkingMode: walink.ModePairing})
		r.Link(t.Context())
		r.Take(t.Context(), rig.Await[walink.PairingCode](r))
		required := rig.Await[walink.PasskeyRequired](r)
		answer(t, r, required)
		r.Linked()
		r.CheckUsable()
	})
}

// After five minutes the hand-off is no longer a proof: the person compares the codes.
func TestPasskeyCodeIsComparedByThePerson(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		settings walink.Settings
		wait     time.Duration
		options  []walinktest.PhoneOption
	}{
		"hand-off too old": {wait: 6 * time.Minute},
		"Settings ask for it": {
			settings: walink.Settings{ComparePasskeyCode: true},
			options:  []walinktest.PhoneOption{walinktest.WithCodeCheck()},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				r := newPasskeyRig(t, c.settings, c.options...)
				r.Link(t.Context())
				required, said := challenged(t, r)
				if err := r.Linker.ConfirmPasskey(t.Context()); !errors.Is(err, walink.ErrPasskey) {
					t.Errorf("ConfirmPasskey without a confirmation returns %v", err)
				}
				time.Sleep(c.wait)
				answer(t, r, required)
				confirmation := rig.Await[walink.PasskeyConfirmation](r)
				shown, err := r.Phone.PasskeyCode(t.Context())
				if err != nil || shown != confirmation.Code || confirmation.Automatic {
					t.Errorf("the phone shows %q (%v), the event has %q, Automatic: %t", shown, err, confirmation.Code, confirmation.Automatic)
				}
				go func() { _ = r.Phone.ConfirmPasskey(t.Context()) }()
				time.Sleep(time.Minute)
				if err := r.Linker.ConfirmPasskey(t.Context()); err != nil {
					t.Fatal(err)
				}
				r.Linked()
				if err := <-said; err != nil {
					t.Errorf("the phone says %v", err)
				}
			})
		})
	}
}

// Every wrong answer returns an error, and the right one still links.
func TestPasskeyWrongAnswers(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := newPasskeyRig(t, walink.Settings{})
		if err := r.Linker.AnswerPasskey(t.Context(), nil); !errors.Is(err, walink.ErrPasskey) {
			t.Errorf("AnswerPasskey before a Link returns %v", err)
		}
		r.Link(t.Context())
		required, _ := challenged(t, r)
		other := []byte(`{"challenge":"b3RoZXI","rpId":"whatsapp.com"}`)
		for name, answer := range map[string][]byte{
			"not JSON":           []byte("passkey"),
			"a field missing":    []byte(`{"id":"YQ","rawId":"YQ","type":"public-key"}`),
			"another challenge":  assertion(t, r, other),
			"another page":       assertion(t, r, required.Challenge, walinktest.FromOrigin("https://example.org")),
			"another credential": assertion(t, r, required.Challenge, walinktest.ByAnotherPasskey()),
		} {
			if err := r.Linker.AnswerPasskey(t.Context(), answer); !errors.Is(err, walink.ErrPasskey) {
				t.Errorf("%s: AnswerPasskey returns %v", name, err)
			}
		}
		if refused := r.Phone.PasskeyRefusals(); len(refused) != 0 {
			t.Errorf("WhatsApp has refused %v", refused)
		}
		// walink cannot check the signature. WhatsApp does.
		err := r.Linker.AnswerPasskey(t.Context(), assertion(t, r, required.Challenge, walinktest.WronglySigned()))
		if !errors.Is(err, walink.ErrPasskey) || len(r.Phone.PasskeyRefusals()) != 1 {
			t.Errorf("wrongly signed: AnswerPasskey returns %v, WhatsApp has refused %v", err, r.Phone.PasskeyRefusals())
		}
		good := assertion(t, r, required.Challenge)
		answer(t, r, required)
		if err := r.Linker.AnswerPasskey(t.Context(), good); !errors.Is(err, walink.ErrPasskey) {
			t.Errorf("a second AnswerPasskey returns %v", err)
		}
		r.Linked()
		if err := r.Linker.AnswerPasskey(t.Context(), good); !errors.Is(err, walink.ErrPasskey) {
			t.Errorf("AnswerPasskey after the Link returns %v", err)
		}
	})
}

func TestPasskeyRefusedThreeTimesBringsAFreshAttempt(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := newPasskeyRig(t, walink.Settings{})
		r.Link(t.Context())
		required, _ := challenged(t, r)
		for range 3 {
			err := r.Linker.AnswerPasskey(t.Context(), assertion(t, r, required.Challenge, walinktest.WronglySigned()))
			if !errors.Is(err, walink.ErrPasskey) {
				t.Errorf("AnswerPasskey returns %v", err)
			}
		}
		rig.WantReason(t, rig.Await[walink.Retrying](r).Err, walink.ErrPasskey)
		required, _ = challenged(t, r)
		answer(t, r, required)
		r.Linked()
	})
}

// No step after the challenge waits for ever.
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
			rig.Bubble(t, func(t *testing.T) {
				r := newPasskeyRig(t, walink.Settings{})
				r.Server.Script(stage, walinktest.Silence())
				r.Link(t.Context())
				required, _ := challenged(t, r)
				start := time.Now()
				go func() {
					_ = r.Linker.AnswerPasskey(t.Context(), assertion(t, r, required.Challenge))
				}()
				rig.WantReason(t, rig.Await[walink.Retrying](r).Err, walink.ErrStalled)
				if took := time.Since(start); took > 2*time.Minute {
					t.Errorf("Retrying comes after %v", took)
				}
				required, _ = challenged(t, r)
				answer(t, r, required)
				r.Linked()
				r.CheckUsable()
			})
		})
	}
}

func TestPasskeyWithoutAnAnswerEndsWithItsChallengeOrTheTimeout(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := newPasskeyRig(t, walink.Settings{})
		r.Link(t.Context())
		required, _ := challenged(t, r)
		rig.WantReason(t, rig.Await[walink.Retrying](r).Err, walink.ErrPasskey)
		if !time.Now().Equal(required.Expires) {
			t.Errorf("Retrying comes %v before the challenge expires", time.Until(required.Expires))
		}
		rig.WantReason(t, r.Failed(), walink.ErrTimeout)
	})
	rig.Bubble(t, func(t *testing.T) {
		r := newPasskeyRig(t, walink.Settings{Timeout: 5 * time.Minute})
		r.Link(t.Context())
		challenged(t, r)
		start := time.Now()
		rig.WantReason(t, r.Failed(), walink.ErrTimeout)
		if time.Since(start) > 5*time.Minute {
			t.Errorf("the Link takes %v, and its Timeout is five minutes", time.Since(start))
		}
	})
}

func TestPasskeyChallengeThatIsNotJSONIsHandedOver(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := newPasskeyRig(t, walink.Settings{})
		r.Server.Script(walinktest.StagePasskeyRequest, walinktest.Malformed().Always())
		r.Link(t.Context())
		required, _ := challenged(t, r)
		if len(required.Challenge) == 0 || !errors.Is(required.Err, walink.ErrPasskey) {
			t.Errorf("the challenge is %q, its error %v", required.Challenge, required.Err)
		}
	})
}

// WhatsApp learns the platform twice, and the fake refuses an answer whose platform is not
// the one of the registration.
func TestPasskeySaysTheSamePlatformAsTheRegistration(t *testing.T) {
	t.Parallel()
	for _, browser := range []walink.Browser{walink.BrowserChrome, walink.BrowserFirefox, walink.BrowserSafari} {
		t.Run(string(browser), func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				r := newPasskeyRig(t, walink.Settings{Browser: browser})
				r.Link(t.Context())
				required, _ := challenged(t, r)
				answer(t, r, required)
				r.Linked()
				if got := r.Phone.PasskeyRefusals(); len(got) > 0 {
					t.Errorf("WhatsApp refuses: %v", got)
				}
			})
		})
	}
}
