package walink_test

import (
	"path/filepath"
	"strings"
	"testing"
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
		if err := r.Phone.EnterCode(t.Context(), "1111-1111"); err == nil {
			t.Fatal("the phone takes a wrong code")
		}
		withdrawn := rig.Await[walink.Withdrawn](r)
		rig.WantReason(t, withdrawn.Err, walink.ErrCodeRefused)
		if withdrawn.Number != first.Number || withdrawn.Reason != walink.WithdrawnRefused || len(withdrawn.Alternatives) != 1 {
			t.Errorf("the event is %v", withdrawn)
		}
		r.Enter(rig.Await[walink.PairingCode](r))
		r.Linked()
		r.CheckUsable()
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
		rig.Await[walink.PairingCode](r)
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
