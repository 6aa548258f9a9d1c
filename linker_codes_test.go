package walink_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/walinktest"
)

func pairing() walink.Settings {
	return walink.Settings{Phone: number, LinkingMode: walink.ModePairing}
}

func TestPains05CodeLivesItsWholeLifeWithoutBeingReplaced(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, pairing())
		r.link(t.Context())
		first := await[walink.PairingCode](r)
		// The refs of the same socket run out at 160 s, and nothing happens to the code.
		timer := time.NewTimer(time.Until(first.Expires) - time.Second)
		select {
		case event := <-r.events:
			t.Fatalf("%v comes %v after the code", event, time.Since(first.Issued))
		case <-timer.C:
		}
		r.enter(first)
		r.linked()
	})
}

func TestExpiredCodeIsReplacedWithinTheBudget(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, pairing())
		r.link(t.Context())
		first := await[walink.PairingCode](r)
		withdrawn := await[walink.Withdrawn](r)
		if withdrawn.Reason != walink.WithdrawnExpired || withdrawn.Number != 1 || withdrawn.Method != walink.MethodPairing {
			t.Errorf("unexpected %v", withdrawn)
		}
		if got := time.Now(); !got.Equal(first.Expires) {
			t.Errorf("withdrawn at %v, but good until %v", got, first.Expires)
		}
		second := await[walink.PairingCode](r)
		if second.Code == first.Code || second.Number != 2 {
			t.Errorf("unexpected %v", second)
		}
		if err := r.phone.EnterCode(t.Context(), first.Code); err == nil {
			t.Error("the phone takes the expired code")
		}
	})
}

func TestPains11CodeBudgetEndsTheLinkOrFallsBack(t *testing.T) {
	t.Parallel()
	t.Run("failed", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			settings := pairing()
			settings.CodeBudget, settings.Timeout = 2, -1
			r := newRig(t, settings)
			r.link(t.Context())
			err := r.failed()
			wantReason(t, err, walink.ErrRateLimited)
			if err.RetryAfter <= 0 || err.RetryAfter > 15*time.Minute {
				t.Errorf("retry after %v", err.RetryAfter)
			}
			if got := r.srv.CodeRequests(strings.TrimPrefix(number, "+")); got != 2 {
				t.Errorf("%d codes were asked for, the budget is 2", got)
			}
		})
	})
	t.Run("QR", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			settings := pairing()
			settings.CodeBudget, settings.QRFallback = 1, true
			r := newRig(t, settings)
			r.link(t.Context())
			qr := await[walink.QRCode](r)
			wantReason(t, qr.Fallback, walink.ErrRateLimited)
			r.scan(qr)
			r.linked()
		})
	})
	t.Run("both", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			settings := pairing()
			settings.CodeBudget, settings.LinkingMode = 1, walink.ModeBoth
			r := newRig(t, settings)
			r.link(t.Context())
			for {
				withdrawn := await[walink.Withdrawn](r)
				if withdrawn.Method == walink.MethodPairing && withdrawn.Err != nil {
					wantReason(t, withdrawn.Err, walink.ErrRateLimited)
					break
				}
			}
			r.scan(*r.linker.Status().QRCode)
			r.linked()
		})
	})
}

func TestPains11CodeBudgetSurvivesARestart(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		srv := walinktest.NewServer(t)
		path := filepath.Join(t.TempDir(), "walink.db")
		for i := range 4 {
			st, err := sqlite.Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			r := newRigOn(t, srv, st, pairing())
			r.link(t.Context())
			if i < 3 {
				await[walink.PairingCode](r)
			} else {
				wantReason(t, r.failed(), walink.ErrRateLimited)
			}
			if err := r.linker.Close(); err != nil {
				t.Fatal(err)
			}
			if err := st.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if got := srv.CodeRequests(strings.TrimPrefix(number, "+")); got != 3 {
			t.Errorf("%d codes were asked for, the budget is 3", got)
		}
	})
}

func TestTwoLinkersOfOneNumberShareTheBudget(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		srv, st := walinktest.NewServer(t), memoryStore(t)
		settings := pairing()
		settings.CodeBudget = 1
		one := newRigOn(t, srv, st, settings)
		one.link(t.Context())
		await[walink.PairingCode](one)
		settings.Session = "other"
		two := newRigOn(t, srv, st, settings)
		two.link(t.Context())
		wantReason(t, two.failed(), walink.ErrRateLimited)
	})
}

func TestPains09WrongCodeIsFollowedByAnother(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, pairing())
		r.link(t.Context())
		first := await[walink.PairingCode](r)
		wrong := "1111-1111"
		if err := r.phone.EnterCode(t.Context(), wrong); err == nil {
			t.Fatal("the phone takes a wrong code")
		}
		withdrawn := await[walink.Withdrawn](r)
		wantReason(t, withdrawn.Err, walink.ErrCodeRefused)
		if withdrawn.Number != first.Number || withdrawn.Reason != walink.WithdrawnRefused || len(withdrawn.Alternatives) != 1 {
			t.Errorf("unexpected %v", withdrawn)
		}
		r.enter(await[walink.PairingCode](r))
		r.linked()
		r.usable()
	})
}

func TestPains09WrongCodeDoesNotSpoilTheQRCode(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{Phone: number, LinkingMode: walink.ModeBoth})
		r.link(t.Context())
		await[walink.PairingCode](r)
		old := *r.linker.Status().QRCode
		if err := r.phone.EnterCode(t.Context(), "1111-1111"); err == nil {
			t.Fatal("the phone takes a wrong code")
		}
		fresh := await[walink.QRCode](r)
		if fresh.Payload == old.Payload || !fresh.Expires.Equal(old.Expires) {
			t.Error("the QR code was not shown again with the new secret")
		}
		await[walink.PairingCode](r)
		r.scan(fresh)
		r.linked()
	})
}

func TestPains06QRCodesRotateAndGoOnWithANewSocket(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		r.link(t.Context())
		start := await[walink.QRCode](r).Issued
		var shown []time.Duration
		for range 6 {
			event := r.next()
			if withdrawn, ok := event.(walink.Withdrawn); ok {
				if withdrawn.Method != walink.MethodQR || withdrawn.Reason != walink.WithdrawnExpired || withdrawn.Number != 6 {
					t.Errorf("unexpected %v", withdrawn)
				}
				shown = append(shown, time.Since(start))
				continue
			}
			qr, ok := event.(walink.QRCode)
			if !ok {
				t.Fatalf("unexpected %v", event)
			}
			shown = append(shown, qr.Issued.Sub(start))
		}
		want := []time.Duration{60 * time.Second, 80 * time.Second, 100 * time.Second, 120 * time.Second, 140 * time.Second, 160 * time.Second}
		if diff := cmp.Diff(want, shown); diff != "" {
			t.Errorf("rotation (-want +got):\n%s", diff)
		}
		if connecting := await[walink.Connecting](r); connecting.Attempt != 2 {
			t.Errorf("unexpected %v", connecting)
		}
		qr := await[walink.QRCode](r)
		if qr.Number != 7 {
			t.Errorf("unexpected %v", qr)
		}
		r.scan(qr)
		r.linked()
	})
}

func TestPains08StaleQRCodeIsRefusedAndTheNextOneLinks(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		r.link(t.Context())
		stale := await[walink.QRCode](r)
		fresh := await[walink.QRCode](r)
		if err := r.phone.ScanQR(t.Context(), stale.Payload); err == nil {
			t.Error("the phone takes a stale QR code")
		}
		r.scan(fresh)
		r.linked()
	})
}

func TestPains07RetiredSecretIsShownAgainAtOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		r.link(t.Context())
		old := await[walink.QRCode](r)
		r.srv.RefreshRegistration(old.Payload)
		fresh := await[walink.QRCode](r)
		if fresh.Number != old.Number+1 || !fresh.Expires.Equal(old.Expires) {
			t.Errorf("unexpected %v after %v", fresh, old)
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
			t.Error("it is not the same ref with another secret")
		}
		if err := r.phone.ScanQR(t.Context(), old.Payload); err == nil {
			t.Error("the phone takes the withdrawn QR code")
		}
		r.scan(fresh)
		r.linked()
		r.usable()
	})
}

func TestPains10PairingThatStallsIsWithdrawnAfterAMinute(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, pairing())
		r.srv.Script(walinktest.StagePairSuccess, walinktest.Silence())
		r.link(t.Context())
		first := await[walink.PairingCode](r)
		entered := time.Now()
		r.take(t.Context(), first)
		withdrawn := await[walink.Withdrawn](r)
		if withdrawn.Reason != walink.WithdrawnStalled || withdrawn.Number != first.Number {
			t.Errorf("unexpected %v", withdrawn)
		}
		wantReason(t, withdrawn.Err, walink.ErrStalled)
		if took := time.Since(entered); took < time.Minute || took > time.Minute+5*time.Second {
			t.Errorf("withdrawn after %v", took)
		}
		wantReason(t, await[walink.Retrying](r).Err, walink.ErrStalled)
		r.enter(await[walink.PairingCode](r))
		r.linked()
	})
}
