package walink_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/process"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/store"
	"github.com/walink/walink/walinktest"
)

// The context ends at moments all through a Link, by a cancellation or a deadline.
func TestLinkWhoseContextEndsLeavesAWholeSessionOrNone(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{
		0, time.Nanosecond, time.Millisecond, time.Second, 3 * time.Second, 5 * time.Second, 12 * time.Second, time.Minute,
	} {
		for _, deadline := range []bool{false, true} {
			for _, stage := range []walinktest.Stage{
				walinktest.StageHandshake, walinktest.StagePairDevice, walinktest.StagePairSuccess,
				walinktest.StagePairDeviceSign, walinktest.StageLoginReconnect, walinktest.StageLogin, walinktest.StageAfterLogin,
			} {
				t.Run(fmt.Sprintf("%v/%t/%s", after, deadline, stage), func(t *testing.T) {
					t.Parallel()
					rig.Bubble(t, func(t *testing.T) { endAt(t, stage, after, deadline) })
				})
			}
		}
	}
}

func endAt(t *testing.T, stage walinktest.Stage, after time.Duration, deadline bool) {
	t.Helper()
	r := rig.New(t, walink.Settings{})
	r.Server.Script(stage, walinktest.Silence()) // so that the stage lasts long enough
	ctx, cancel := context.WithCancel(t.Context())
	want := walink.ErrCanceled
	if deadline {
		want = walink.ErrTimeout
		ctx, cancel = context.WithTimeout(t.Context(), after)
	} else {
		time.AfterFunc(after, cancel)
	}
	defer cancel()
	r.Link(ctx)
	for event := range r.Rest() {
		r.Take(ctx, event)
	}
	switch end := r.Seen[len(r.Seen)-1].(type) {
	case walink.Linked: // it was faster than the context
		return
	case walink.Failed:
		rig.WantReason(t, end.Err, want)
	}
	again := r.Again(walink.Settings{})
	again.Link(t.Context())
	again.TakeUntilLinked()
	again.CheckUsable()
}

func TestSlowReaderLosesNothing(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{Timeout: time.Hour})
		r.Link(t.Context())
		synctest.Wait()
		time.Sleep(2 * time.Hour)
		rig.WantReason(t, r.Failed(), walink.ErrTimeout)
		last := 0
		for _, event := range r.Seen {
			if qr, ok := event.(walink.QRCode); ok {
				if qr.Number != last+1 {
					t.Fatalf("QR code %d follows QR code %d", qr.Number, last)
				}
				last = qr.Number
			}
		}
		if last < 100 {
			t.Errorf("there are only %d QR codes in an hour", last)
		}
	})
}

func TestAbsentReaderDoesNotKeepTheLinkFromEnding(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.Link(t.Context())
		time.Sleep(11 * time.Minute)
		if got := r.Linker.Status().State; got != walink.StateFailed {
			t.Errorf("the state is %s", got)
		}
	})
}

func TestSilentServerEndsWithTheTimeout(t *testing.T) {
	t.Parallel()
	for _, stage := range []walinktest.Stage{
		walinktest.StageUpgrade, walinktest.StageHandshake, walinktest.StagePairDevice,
	} {
		t.Run(string(stage), func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				r := rig.New(t, walink.Settings{Timeout: 2 * time.Minute})
				r.Server.Script(stage, walinktest.Silence().Always())
				start := time.Now()
				r.Link(t.Context())
				err := r.Failed()
				rig.WantReason(t, err, walink.ErrTimeout)
				if !errors.Is(err, walink.ErrNetwork) && !errors.Is(err, walink.ErrStalled) {
					t.Errorf("the error %v does not say what failed", err)
				}
				if took := time.Since(start); took < 2*time.Minute || took > 2*time.Minute+5*time.Second {
					t.Errorf("the Link takes %v", took)
				}
			})
		})
	}
}

// deadTransport is a machine without a network.
type deadTransport struct{}

func (deadTransport) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "web.whatsapp.com", IsNotFound: true}}
}

func TestLinkWithoutANetworkRetriesAndSaysSo(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{Timeout: time.Minute},
			rig.WithTransport(func(http.RoundTripper) http.RoundTripper { return deadTransport{} }))
		r.Link(t.Context())
		retrying := rig.Await[walink.Retrying](r)
		rig.WantReason(t, retrying.Err, walink.ErrNetwork)
		if wait := time.Until(retrying.At); wait < time.Second || wait > 30*time.Second {
			t.Errorf("the next attempt follows in %v", wait)
		}
		rig.WantReason(t, r.Failed(), walink.ErrTimeout, walink.ErrNetwork)
	})
}

func TestProbationHoldsLinkedBack(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{Probation: time.Minute, Timeout: 30 * time.Second})
		r.Link(t.Context())
		r.Scan(rig.Await[walink.QRCode](r))
		rig.Await[walink.Paired](r)
		start := time.Now()
		if r.Linked(); time.Since(start) < 59*time.Second { // probation begins with the login
			t.Errorf("Linked comes after %v", time.Since(start))
		}
		r.CheckUsable()
		again := r.Again(walink.Settings{Probation: time.Minute})
		again.Link(t.Context())
		start = time.Now()
		if again.Linked(); time.Since(start) > 10*time.Second {
			t.Errorf("Linked for a session that is not new comes after %v", time.Since(start))
		}
	})
}

func TestPains15RemovalOnProbationIsToldAndLinkedAfreshOnce(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{Probation: 20 * time.Second})
		r.Link(t.Context())
		for range 2 {
			r.Scan(rig.Await[walink.QRCode](r))
			jid := rig.Await[walink.Paired](r).Account.JID
			time.Sleep(12 * time.Second)
			if !r.Phone.Remove(jid) {
				t.Fatal("the phone does not know the device")
			}
		}
		rig.WantReason(t, r.Failed(), walink.ErrRemoved)
		if want := "connecting qr_code paired retrying connecting qr_code paired failed"; r.Kinds() != want {
			t.Errorf("the events are %s, want %s", r.Kinds(), want)
		}
		if got := r.Sessions(); len(got) != 0 {
			t.Errorf("%v is stored", got)
		}
	})
}

func TestDeadlineWithACauseIsATimeout(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		closed := errors.New("the page was closed")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, closed)
		defer cancel()
		r.Link(ctx)
		err := r.Failed()
		rig.WantReason(t, err, walink.ErrTimeout)
		if !errors.Is(err, closed) {
			t.Errorf("the error %v does not have the cause of the context", err)
		}
	})
}

// A program that waits for days does not fail because of what went wrong long before.
func TestFailuresNoLongerCountAfterAGoodRound(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{Timeout: -1})
		for range 6 {
			for range 10 {
				r.Server.Script(walinktest.StagePairDevice, walinktest.Pass())
			}
			r.Server.Script(walinktest.StagePairDevice, walinktest.Failure(400))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Hour)
		defer cancel()
		r.Link(ctx)
		rig.WantReason(t, r.Failed(), walink.ErrTimeout)
	})
}

// A person who scanned is not asked to enter a code. A person who has done their part is asked for no code.
func TestRemedyOfATimeoutFitsWhatWasOnTheScreen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		settings walink.Settings
		options  []walinktest.PhoneOption
		do       func(t *testing.T, r *rig.Rig)
		want     string
	}{
		"a pairing code": {
			settings: walink.Settings{Phone: rig.Number, LinkingMode: walink.ModePairing}, want: "enter the pairing code while",
			do: func(_ *testing.T, r *rig.Rig) { rig.Await[walink.PairingCode](r) },
		},
		"a QR code": {want: "scan the QR code while", do: func(_ *testing.T, r *rig.Rig) { rig.Await[walink.QRCode](r) }},
		"both": {
			settings: walink.Settings{Phone: rig.Number, LinkingMode: walink.ModeBoth}, want: "enter the pairing code, or scan",
			do: func(_ *testing.T, r *rig.Rig) { rig.Await[walink.PairingCode](r) },
		},
		"a scan with the wrong phone": {
			settings: walink.Settings{Phone: "+4915112345678", LinkingMode: walink.ModeBoth}, want: "phone that holds",
			do: func(t *testing.T, r *rig.Rig) {
				r.Take(t.Context(), rig.Await[walink.QRCode](r))
				rig.Await[walink.Retrying](r)
				rig.Await[walink.PairingCode](r)
				rig.Await[walink.QRCode](r)
			},
		},
		"a passkey": {
			options: []walinktest.PhoneOption{walinktest.WithPasskey()}, want: "answer the passkey",
			do: func(t *testing.T, r *rig.Rig) { challenged(t, r) },
		},
		"a passkey's code": {
			settings: walink.Settings{ComparePasskeyCode: true}, options: []walinktest.PhoneOption{walinktest.WithPasskey(), walinktest.WithCodeCheck()},
			want: "confirm at once",
			do: func(t *testing.T, r *rig.Rig) {
				required, _ := challenged(t, r)
				answer(t, r, required)
				rig.Await[walink.PasskeyConfirmation](r)
			},
		},
		"nothing new after Paired": {
			want: "no new code is needed",
			do: func(_ *testing.T, r *rig.Rig) {
				r.Server.Script(walinktest.StageLoginReconnect, walinktest.Silence().Always())
				r.Scan(rig.Await[walink.QRCode](r))
				rig.Await[walink.Paired](r)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				r := rig.New(t, c.settings, rig.WithPhone(c.options...))
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				r.Link(ctx)
				c.do(t, r)
				cancel(context.DeadlineExceeded)
				err := r.Failed()
				rig.WantReason(t, err, walink.ErrTimeout)
				if !strings.Contains(err.Remedy(), c.want) {
					t.Errorf("%v: the remedy is %q, want one with %q", err, err.Remedy(), c.want)
				}
			})
		})
	}
}

func TestRemedyOfAnUnlinkSpeaksOfNoCode(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		unlink := func(want string) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			failed, ok := errors.AsType[*walink.Error](r.Linker.Unlink(ctx))
			if !ok || !strings.Contains(failed.Remedy(), want) {
				t.Errorf("%v: the remedy is %q, want one with %q", failed, failed.Remedy(), want)
			}
		}
		unlink("nothing is stored")
		r.LinkByQR()
		r = r.Again(walink.Settings{})
		r.Server.Script(walinktest.StageLogin, walinktest.Silence().Always())
		unlink("remove the device on the phone")
	})
}

func TestRemedySaysThatThisProgramHasTheSession(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.LinkByQR()
		other := r.Another(walink.Settings{})
		other.Link(t.Context())
		if err := other.Failed(); !strings.Contains(err.Remedy(), "other Linker of this program") {
			t.Errorf("%v: the remedy is %q", err, err.Remedy())
		}
	})
	for what, test := range map[string]struct {
		lease store.Lease
		want  string
	}{
		"its ID":          {store.Lease{HolderID: process.ID() + " 2", Holder: "renamed"}, "other Linker of this program"},
		"its name":        {store.Lease{HolderID: "before the restart", Holder: process.Name()}, "just started again"},
		"another program": {store.Lease{HolderID: "another", Holder: "another"}, "Stop the other program"},
	} {
		err := &walink.Error{Reason: walink.ErrSessionBusy, Err: &store.BusyError{Lease: test.lease}}
		if !strings.Contains(err.Remedy(), test.want) {
			t.Errorf("%s: the remedy is %q, want one with %q", what, err.Remedy(), test.want)
		}
	}
}
