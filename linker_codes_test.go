package walink_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/walinktest"
)

// pairing returns the Settings for a pairing code and nothing else.
func pairing() walink.Settings {
	return walink.Settings{Phone: rig.Number, LinkingMode: walink.ModePairing}
}

func TestPains05CodeLivesItsWholeLifeWithoutBeingReplaced(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, pairing())
		r.Link(t.Context())
		first := rig.Await[walink.PairingCode](r)
		// The refs of the same socket end after 160 s. The code lives on.
		if event, ok := r.NextBefore(first.Expires.Add(-time.Second)); ok {
			t.Fatalf("%v comes %v after the code", event, time.Since(first.Issued))
		}
		r.Enter(first)
		r.Linked()
	})
}

func TestExpiredCodeIsReplacedWithinTheBudget(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, pairing())
		r.Link(t.Context())
		first := rig.Await[walink.PairingCode](r)
		withdrawn := rig.Await[walink.Withdrawn](r)
		if withdrawn.Reason != walink.WithdrawnExpired || withdrawn.Number != 1 || withdrawn.Method != walink.MethodPairing {
			t.Errorf("the event is %v", withdrawn)
		}
		if got := time.Now(); !got.Equal(first.Expires) {
			t.Errorf("the code is withdrawn at %v, and expires at %v", got, first.Expires)
		}
		second := rig.Await[walink.PairingCode](r)
		if second.Code == first.Code || second.Number != 2 {
			t.Errorf("the next code is %v", second)
		}
		if err := r.Phone.EnterCode(t.Context(), first.Code); err == nil {
			t.Error("the phone takes the expired code")
		}
	})
}

func TestPains11CodeBudgetEndsTheLinkOrFallsBack(t *testing.T) {
	t.Parallel()
	t.Run("failed", func(t *testing.T) {
		t.Parallel()
		rig.Bubble(t, func(t *testing.T) {
			settings := pairing()
			settings.CodeBudget, settings.Timeout = 2, -1
			r := rig.New(t, settings)
			r.Link(t.Context())
			err := r.Failed()
			rig.WantReason(t, err, walink.ErrRateLimited)
			if err.RetryAfter <= 0 || err.RetryAfter > 15*time.Minute {
				t.Errorf("RetryAfter is %v", err.RetryAfter)
			}
			if got := r.Server.CodeRequests(strings.TrimPrefix(rig.Number, "+")); got != 2 {
				t.Errorf("%d codes are requested, the budget is 2", got)
			}
		})
	})
	t.Run("QR", func(t *testing.T) {
		t.Parallel()
		rig.Bubble(t, func(t *testing.T) {
			settings := pairing()
			settings.CodeBudget, settings.QRFallback = 1, true
			r := rig.New(t, settings)
			r.Link(t.Context())
			qr := rig.Await[walink.QRCode](r)
			rig.WantReason(t, qr.Fallback, walink.ErrRateLimited)
			r.Scan(qr)
			r.Linked()
		})
	})
	t.Run("both", func(t *testing.T) {
		t.Parallel()
		rig.Bubble(t, func(t *testing.T) {
			settings := pairing()
			settings.CodeBudget, settings.LinkingMode = 1, walink.ModeBoth
			r := rig.New(t, settings)
			r.Link(t.Context())
			for {
				withdrawn := rig.Await[walink.Withdrawn](r)
				if withdrawn.Method == walink.MethodPairing && withdrawn.Err != nil {
					rig.WantReason(t, withdrawn.Err, walink.ErrRateLimited)
					break
				}
			}
			r.Scan(*r.Linker.Status().QRCode)
			r.Linked()
		})
	})
}

func TestPains11CodeBudgetSurvivesARestart(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "walink.db")
		var r *rig.Rig
		for i := range 4 {
			st, err := sqlite.Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			if r == nil {
				r = rig.New(t, pairing(), rig.WithStore(st))
			} else {
				r = r.Another(pairing(), rig.WithStore(st))
			}
			r.Link(t.Context())
			if i < 3 {
				rig.Await[walink.PairingCode](r)
			} else {
				rig.WantReason(t, r.Failed(), walink.ErrRateLimited)
			}
			r.Close()
			if err := st.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if got := r.Server.CodeRequests(strings.TrimPrefix(rig.Number, "+")); got != 3 {
			t.Errorf("%d codes are requested, the budget is 3", got)
		}
	})
}

func TestTwoLinkersOfOneNumberShareTheBudget(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		settings := pairing()
		settings.CodeBudget = 1
		one := rig.New(t, settings)
		one.Link(t.Context())
		rig.Await[walink.PairingCode](one)
		settings.Session = "other"
		two := one.Another(settings)
		two.Link(t.Context())
		rig.WantReason(t, two.Failed(), walink.ErrRateLimited)
	})
}

func TestPains09WrongCodeIsFollowedByAnother(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, pairing())
		r.Link(t.Context())
		first := rig.Await[walink.PairingCode](r)
		if err := r.Phone.EnterCode(t.Context(), "1111-1111"); !errors.Is(err, walinktest.ErrWrongCode) {
			t.Fatalf("the phone says %v", err)
		}
		typed := time.Now()
		withdrawn := rig.Await[walink.Withdrawn](r)
		rig.WantReason(t, withdrawn.Err, walink.ErrStalled)
		if withdrawn.Number != first.Number || withdrawn.Reason != walink.WithdrawnStalled {
			t.Errorf("the event is %v", withdrawn)
		}
		if took := time.Since(typed); took > time.Minute {
			t.Errorf("the code is withdrawn after %v", took)
		}
		if !strings.Contains(withdrawn.Err.Remedy(), "exactly as it is shown") {
			t.Errorf("the remedy is %q", withdrawn.Err.Remedy())
		}
		r.Enter(rig.Await[walink.PairingCode](r))
		r.Linked()
		r.CheckUsable()
	})
}

// The person who looks at the QR code has entered no code.
func TestPains09WrongCodeReplacesTheQRCodeNextToIt(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		settings := pairing()
		settings.LinkingMode = walink.ModeBoth
		r := rig.New(t, settings)
		r.Link(t.Context())
		rig.Await[walink.PairingCode](r)
		if err := r.Phone.EnterCode(t.Context(), "1111-1111"); !errors.Is(err, walinktest.ErrWrongCode) {
			t.Fatalf("the phone says %v", err)
		}
		rig.WantReason(t, rig.Await[walink.Withdrawn](r).Err, walink.ErrStalled)
		withdrawn := rig.Await[walink.Withdrawn](r)
		if withdrawn.Method != walink.MethodQR || withdrawn.Reason != walink.WithdrawnReplaced || withdrawn.Err != nil {
			t.Errorf("the event is %v", withdrawn)
		}
		r.Scan(rig.Await[walink.QRCode](r))
		r.Linked()
		r.CheckUsable()
	})
}

func TestPains09TheRightCodeLinksAfterWrongOnes(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, pairing())
		r.Link(t.Context())
		code := rig.Await[walink.PairingCode](r)
		for range 2 {
			if err := r.Phone.EnterCode(t.Context(), "1111-1111"); !errors.Is(err, walinktest.ErrWrongCode) {
				t.Fatalf("the phone says %v", err)
			}
			time.Sleep(50 * time.Second)
		}
		r.Enter(code)
		r.Linked()
		r.CheckUsable()
		if got := r.Server.Stats().CodeRequests; got != 1 {
			t.Errorf("%d codes are requested:\n%s", got, r.Story())
		}
	})
}

// WhatsApp says that the phone has refused the code.
func TestRefusedCodeIsFollowedByAnotherAtOnce(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, pairing())
		r.Server.Script(walinktest.StageCompanionFinish, walinktest.RefreshCode(false))
		r.Link(t.Context())
		first := rig.Await[walink.PairingCode](r)
		if err := r.Phone.EnterCode(t.Context(), first.Code); !errors.Is(err, walinktest.ErrWrongCode) {
			t.Fatalf("the phone says %v", err)
		}
		withdrawn := rig.Await[walink.Withdrawn](r)
		rig.WantReason(t, withdrawn.Err, walink.ErrCodeRefused)
		if withdrawn.Number != first.Number || withdrawn.Reason != walink.WithdrawnRefused || len(withdrawn.Alternatives) != 1 {
			t.Errorf("the event is %v", withdrawn)
		}
		r.Enter(rig.Await[walink.PairingCode](r))
		r.Linked()
	})
}

func TestPains09WrongCodeDoesNotSpoilTheQRCode(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{Phone: rig.Number, LinkingMode: walink.ModeBoth})
		r.Link(t.Context())
		rig.Await[walink.PairingCode](r)
		old := *r.Linker.Status().QRCode
		if err := r.Phone.EnterCode(t.Context(), "1111-1111"); err == nil {
			t.Fatal("the phone takes a wrong code")
		}
		fresh := rig.Await[walink.QRCode](r)
		if fresh.Payload == old.Payload || !fresh.Expires.Equal(old.Expires) {
			t.Error("the Linker does not show the QR code again, with the new secret")
		}
		r.Scan(fresh)
		r.Linked()
	})
}

func TestPains06QRCodesRotateAndGoOnWithANewSocket(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.Link(t.Context())
		start := rig.Await[walink.QRCode](r).Issued
		var shown []time.Duration
		for range 6 {
			event := r.Next()
			if withdrawn, ok := event.(walink.Withdrawn); ok {
				if withdrawn.Method != walink.MethodQR || withdrawn.Reason != walink.WithdrawnExpired || withdrawn.Number != 6 {
					t.Errorf("the event is %v", withdrawn)
				}
				shown = append(shown, time.Since(start))
				continue
			}
			qr, ok := event.(walink.QRCode)
			if !ok {
				t.Fatalf("the event is %v", event)
			}
			shown = append(shown, qr.Issued.Sub(start))
		}
		want := []time.Duration{60 * time.Second, 80 * time.Second, 100 * time.Second, 120 * time.Second, 140 * time.Second, 160 * time.Second}
		if diff := cmp.Diff(want, shown); diff != "" {
			t.Errorf("rotation (-want +got):\n%s", diff)
		}
		if connecting := rig.Await[walink.Connecting](r); connecting.Attempt != 2 {
			t.Errorf("the event is %v", connecting)
		}
		qr := rig.Await[walink.QRCode](r)
		if qr.Number != 7 {
			t.Errorf("the event is %v", qr)
		}
		r.Scan(qr)
		r.Linked()
	})
}

func TestPains08StaleQRCodeIsRefusedAndTheNextOneLinks(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.Link(t.Context())
		stale := rig.Await[walink.QRCode](r)
		fresh := rig.Await[walink.QRCode](r)
		if err := r.Phone.ScanQR(t.Context(), stale.Payload); err == nil {
			t.Error("the phone takes a stale QR code")
		}
		r.Scan(fresh)
		r.Linked()
	})
}

func TestPains07RetiredSecretIsShownAgainAtOnce(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.Link(t.Context())
		old := rig.Await[walink.QRCode](r)
		r.Server.RefreshRegistration(old.Payload)
		fresh := rig.Await[walink.QRCode](r)
		if fresh.Number != old.Number+1 || !fresh.Expires.Equal(old.Expires) {
			t.Errorf("%v follows %v", fresh, old)
		}
		was, err := walinktest.ParseQR(old.Payload)
		if err != nil {
			t.Fatal(err)
		}
		is, err := walinktest.ParseQR(fresh.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if is.Ref != was.Ref || cmp.Equal(is.ADVSecret, was.ADVSecret) {
			t.Error("the QR code does not have the same ref and another secret")
		}
		if err := r.Phone.ScanQR(t.Context(), old.Payload); err == nil {
			t.Error("the phone takes the withdrawn QR code")
		}
		r.Scan(fresh)
		r.Linked()
		r.CheckUsable()
	})
}

func TestPains10PairingThatStallsIsWithdrawnAfterAMinute(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, pairing())
		r.Server.Script(walinktest.StagePairSuccess, walinktest.Silence())
		r.Link(t.Context())
		first := rig.Await[walink.PairingCode](r)
		entered := time.Now()
		r.Take(t.Context(), first)
		withdrawn := rig.Await[walink.Withdrawn](r)
		if withdrawn.Reason != walink.WithdrawnStalled || withdrawn.Number != first.Number {
			t.Errorf("the event is %v", withdrawn)
		}
		rig.WantReason(t, withdrawn.Err, walink.ErrStalled)
		if took := time.Since(entered); took < time.Minute || took > time.Minute+5*time.Second {
			t.Errorf("the code is withdrawn after %v", took)
		}
		rig.WantReason(t, rig.Await[walink.Retrying](r).Err, walink.ErrStalled)
		r.Enter(rig.Await[walink.PairingCode](r))
		r.Linked()
	})
}

func TestPains37UnansweredCodeRequestBringsAQRCodeWithin35Seconds(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]struct {
		refs, hello walinktest.Action
		reason      walink.Reason
	}{
		"silence":               {walinktest.Pass(), walinktest.Silence().Always(), walink.ErrStalled},
		"silence and late refs": {walinktest.Delay(29 * time.Second), walinktest.Silence().Always(), walink.ErrStalled},
		"the connection ends":   {walinktest.Pass(), walinktest.Drop().Always(), walink.ErrNetwork},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				settings := pairing()
				settings.QRFallback = true
				r := rig.New(t, settings)
				r.Server.Script(walinktest.StagePairDevice, script.refs)
				r.Server.Script(walinktest.StageCompanionHello, script.hello)
				start := time.Now()
				r.Link(t.Context())
				code := rig.Await[walink.QRCode](r)
				if took := time.Since(start); took > 35*time.Second {
					t.Errorf("the first QR code comes after %v", took)
				}
				rig.WantReason(t, code.Fallback, script.reason)
				r.Scan(code)
				r.Linked()
			})
		})
	}
}

func TestLateAnswerToTheCodeRequestIsShownNextToTheQRCode(t *testing.T) {
	t.Parallel()
	for _, late := range []time.Duration{10 * time.Second, 50 * time.Second} {
		t.Run(late.String(), func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				settings := pairing()
				settings.QRFallback = true
				r := rig.New(t, settings)
				r.Server.Script(walinktest.StageCompanionHello, walinktest.Delay(late))
				r.Link(t.Context())
				rig.Await[walink.QRCode](r)
				code := rig.Await[walink.PairingCode](r)
				if got := code.Expires.Sub(code.Issued); got != 180*time.Second || time.Since(code.Issued) < late {
					t.Errorf("a code that was issued %v ago is good for %v", time.Since(code.Issued), got)
				}
				if r.Linker.Status().QRCode == nil {
					t.Error("the QR code has left the screen")
				}
				r.Enter(code)
				r.Linked()
			})
		})
	}
}

// Once a code has come, the next connection shows a pairing code alone again.
func TestQRCodeInPlaceOfALateCodeEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		settings := pairing()
		settings.QRFallback = true
		r := rig.New(t, settings)
		r.Server.Script(walinktest.StageCompanionHello, walinktest.Delay(10*time.Second))
		r.Link(t.Context())
		rig.Await[walink.PairingCode](r)
		for {
			if connecting := rig.Await[walink.Connecting](r); connecting.Attempt == 2 {
				break
			}
		}
		code, ok := r.Next().(walink.PairingCode)
		if !ok {
			t.Fatalf("the events are\n%s", r.Story())
		}
		if r.Linker.Status().QRCode != nil {
			t.Error("a QR code is on the screen")
		}
		r.Enter(code)
		r.Linked()
	})
}

func TestSecondPairDeviceReplacesTheQRCodeAtOnce(t *testing.T) {
	t.Parallel()
	for _, mode := range []walink.LinkingMode{walink.ModeQR, walink.ModeBoth} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				r := rig.New(t, walink.Settings{Phone: rig.Number, LinkingMode: mode})
				r.Link(t.Context())
				dead := rig.Await[walink.QRCode](r)
				if mode == walink.ModeBoth {
					rig.Await[walink.PairingCode](r)
				}
				time.Sleep(time.Second)
				if n := r.Server.RenewRefs(); n != 1 {
					t.Fatalf("%d companions get other refs", n)
				}
				renewed := time.Now()
				fresh, ok := r.Next().(walink.QRCode)
				if !ok || fresh.Number != dead.Number+1 || !fresh.Issued.Equal(renewed) || !fresh.Expires.Equal(renewed.Add(time.Minute)) {
					t.Errorf("the refs are renewed at %v, and the events are\n%s", renewed, r.Story())
				}
				if err := r.Phone.ScanQR(t.Context(), dead.Payload); err == nil {
					t.Error("the phone takes the dead QR code")
				}
				if mode == walink.ModeBoth {
					r.Enter(*r.Linker.Status().PairingCode) // the code is not of the refs
				} else {
					r.Scan(fresh)
				}
				r.Linked()
			})
		})
	}
}

// The secret that a code or a passkey has made counts until the answer is there, also if
// WhatsApp refreshes the registration meanwhile.
func TestRefreshOfTheRegistrationCostsNoCode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		stage   walinktest.Stage // 10 s late, and refreshed 5 s before that
		passkey bool
	}{
		{"before pair-success", walinktest.StagePairSuccess, false},
		{"before the challenge", walinktest.StagePasskeyRequest, true},
		{"before the phone's identity", walinktest.StagePasskeyContinuation, true},
		{"before the pair-success of a passkey", walinktest.StagePairSuccess, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				var options []rig.Option
				if c.passkey {
					options = append(options, rig.WithPhone(walinktest.WithPasskey()))
				}
				r := rig.New(t, pairing(), options...)
				r.Server.Script(c.stage, walinktest.Delay(10*time.Second))
				r.Link(t.Context())
				code := rig.Await[walink.PairingCode](r)
				refresh := func() {
					time.Sleep(5 * time.Second)
					if n := r.Server.RefreshRegistration(); n != 1 {
						t.Errorf("%d companions refresh their registration", n)
					}
				}
				go func() {
					if err := r.Phone.EnterCode(t.Context(), code.Code); err != nil {
						t.Errorf("the phone says: %v", err)
					}
				}()
				if c.stage == walinktest.StagePasskeyRequest || !c.passkey {
					refresh()
				}
				if c.passkey {
					answer(t, r, rig.Await[walink.PasskeyRequired](r))
					if c.stage == walinktest.StagePasskeyContinuation {
						refresh()
					}
					if confirmation := rig.Await[walink.PasskeyConfirmation](r); !confirmation.Automatic {
						t.Errorf("the event is %v", confirmation)
					}
					if c.stage == walinktest.StagePairSuccess {
						refresh()
					}
				}
				r.Linked()
				if want := 1; r.Server.Stats().CodeRequests != want {
					t.Errorf("%d codes are requested:\n%s", r.Server.Stats().CodeRequests, r.Story())
				}
			})
		})
	}
}

// Once the phone has refused the code, the refreshed secret is in the QR code.
func TestRefreshedSecretIsShownAfterTheAnswer(t *testing.T) {
	t.Parallel()
	for name, action := range map[string]walinktest.Action{
		"companion_finish is refused": walinktest.Refuse(400),
		"refresh_code":                walinktest.RefreshCode(false),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				r := rig.New(t, walink.Settings{Phone: rig.Number, LinkingMode: walink.ModeBoth})
				r.Server.Script(walinktest.StageCompanionFinish, action.After(10*time.Second))
				r.Link(t.Context())
				code := rig.Await[walink.PairingCode](r).Code
				go func() {
					if err := r.Phone.EnterCode(t.Context(), code); err == nil {
						t.Error("the phone takes the code")
					}
				}()
				old := rig.Await[walink.QRCode](r)
				time.Sleep(5 * time.Second)
				r.Server.RefreshRegistration(old.Payload)
				if withdrawn := rig.Await[walink.Withdrawn](r); withdrawn.Method != walink.MethodPairing {
					t.Errorf("the event is %v", withdrawn)
				}
				fresh := rig.Await[walink.QRCode](r)
				if fresh.Payload == old.Payload {
					t.Error("the QR code has the old secret")
				}
				synctest.Wait() // the phone is done with the pairing code
				r.Scan(fresh)
				r.Linked()
			})
		})
	}
}

// WhatsApp retires the secret of a QR code that was scanned in vain.
func TestPains35ScansThatAllFailGetAFreshConnectionAndThenAnEnd(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.Server.Script(walinktest.StagePairSuccess, walinktest.RefreshQR().Always())
		r.Link(t.Context())
		scans, told := 0, []int(nil)
		for event := range r.Rest() {
			switch e := event.(type) {
			case walink.QRCode:
				time.Sleep(5 * time.Second)
				scans++
				if err := r.Phone.ScanQR(t.Context(), e.Payload); err == nil {
					t.Fatal("the phone links")
				}
			case walink.Withdrawn:
				rig.WantReason(t, e.Err, walink.ErrPairing)
			case walink.Retrying:
				rig.WantReason(t, e.Err, walink.ErrPairing)
				told = append(told, scans)
			case walink.Failed:
				rig.WantReason(t, e.Err, walink.ErrPairing)
				told = append(told, scans)
				if !strings.Contains(e.Err.Remedy(), "Wait some hours") {
					t.Errorf("the remedy is %q", e.Err.Remedy())
				}
			}
		}
		if want := []int{3, 6}; !slices.Equal(told, want) {
			t.Errorf("the scans are told after %v, want %v:\n%s", told, want, r.Story())
		}
	})
}

// A round of QR codes that nobody scans forgets the scans before.
func TestScansThatFailNowAndThenEndNothing(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{Timeout: -1})
		r.Server.Script(walinktest.StagePairSuccess, walinktest.RefreshQR().Times(8))
		r.Link(t.Context())
		for range 4 {
			for range 2 {
				if err := r.Phone.ScanQR(t.Context(), rig.Await[walink.QRCode](r).Payload); err == nil {
					t.Fatal("the phone links")
				}
			}
			rig.Await[walink.Connecting](r)
			rig.Await[walink.Connecting](r) // nobody scans the codes of this connection
		}
		r.Scan(rig.Await[walink.QRCode](r))
		r.Linked()
		if strings.Contains(r.Kinds(), "retrying") {
			t.Errorf("the events are\n%s", r.Story())
		}
	})
}

// One scan a minute counts, too.
func TestScansThatFailSlowlyEndTheLink(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{Timeout: -1})
		r.Server.Script(walinktest.StagePairSuccess, walinktest.RefreshQR().Always())
		r.Link(t.Context())
		for scans := 0; ; {
			switch e := r.Next().(type) {
			case walink.QRCode:
				if time.Until(e.Expires) == time.Minute || e.Number%3 == 0 {
					if scans++; scans > 8 {
						t.Fatalf("after %d scans the Link goes on", scans)
					}
					if err := r.Phone.ScanQR(t.Context(), e.Payload); err == nil {
						t.Fatal("the phone links")
					}
				}
			case walink.Failed:
				rig.WantReason(t, e.Err, walink.ErrPairing)
				return
			}
		}
	})
}

// WhatsApp wants the person to ask for the next code (force_manual_refresh).
func TestCodeThatThePersonHasToAskForIsHeldBack(t *testing.T) {
	t.Parallel()
	for _, attended := range []bool{false, true} {
		t.Run(fmt.Sprintf("attended %t", attended), func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				r := rig.New(t, pairing())
				r.Link(t.Context())
				rig.Await[walink.PairingCode](r)
				if n := r.Server.RefreshCodes(true); n != 1 {
					t.Fatalf("%d codes are refreshed", n)
				}
				refused := time.Now()
				withdrawn := rig.Await[walink.Withdrawn](r)
				rig.WantReason(t, withdrawn.Err, walink.ErrCodeRefused)
				if withdrawn.Number != 1 || withdrawn.Err.RetryAfter != time.Minute {
					t.Errorf("the event is %v, with RetryAfter %v", withdrawn, withdrawn.Err.RetryAfter)
				}
				wait := time.Minute
				if attended {
					time.Sleep(20 * time.Second)
					r.Linker.Attend()
					wait = 20 * time.Second
				}
				code := rig.Await[walink.PairingCode](r)
				if took := time.Since(refused); took < wait || took > wait+2*time.Second {
					t.Errorf("the next code comes after %v, want %v", took, wait)
				}
				r.Enter(code)
				r.Linked()
				if got := r.Server.Stats().CodeRequests; got != 2 {
					t.Errorf("%d codes are requested", got)
				}
			})
		})
	}
}
