package walink_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/walinktest"
)

// TestContextEndsAtAnyMoment cancels at moments all through a Link.
func TestContextEndsAtAnyMoment(t *testing.T) {
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
					bubble(t, func(t *testing.T) { endAt(t, stage, after, deadline) })
				})
			}
		}
	}
}

func endAt(t *testing.T, stage walinktest.Stage, after time.Duration, deadline bool) {
	t.Helper()
	settings := walink.Settings{}
	r := newRig(t, settings)
	r.srv.Script(stage, walinktest.Silence()) // the moment is long enough to be met
	ctx, cancel := context.WithCancel(t.Context())
	want := walink.ErrCanceled
	if deadline {
		want = walink.ErrTimeout
		ctx, cancel = context.WithTimeout(t.Context(), after)
	} else {
		time.AfterFunc(after, cancel)
	}
	defer cancel()
	r.link(ctx)
	for event := range r.events {
		r.seen = append(r.seen, event)
		r.take(ctx, event)
	}
	switch end := r.seen[len(r.seen)-1].(type) {
	case walink.Linked: // it was quicker
		return
	case walink.Failed:
		wantReason(t, end.Err, want)
	}
	// What is left is a whole session or none: the next Link ends linked.
	again := r.again(settings)
	again.link(t.Context())
	untilLinked(again)
	again.usable()
}

func TestSlowReaderLosesNothing(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{Timeout: time.Hour})
		r.link(t.Context())
		synctest.Wait()
		<-time.After(2 * time.Hour)
		wantReason(t, r.failed(), walink.ErrTimeout)
		last := 0
		for _, event := range r.seen {
			if qr, ok := event.(walink.QRCode); ok {
				if qr.Number != last+1 {
					t.Fatalf("QR code %d follows %d", qr.Number, last)
				}
				last = qr.Number
			}
		}
		if last < 100 {
			t.Errorf("only %d QR codes in an hour", last)
		}
	})
}

func TestAbsentReaderDoesNotKeepTheLinkFromEnding(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		r.link(t.Context())
		<-time.After(11 * time.Minute)
		if got := r.linker.Status().State; got != walink.StateFailed {
			t.Errorf("state %s", got)
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
			bubble(t, func(t *testing.T) {
				r := newRig(t, walink.Settings{Timeout: 2 * time.Minute})
				r.srv.Script(stage, walinktest.Silence().Always())
				start := time.Now()
				r.link(t.Context())
				err := r.failed()
				wantReason(t, err, walink.ErrTimeout)
				if !errors.Is(err, walink.ErrNetwork) && !errors.Is(err, walink.ErrStalled) {
					t.Errorf("%v does not say what failed", err)
				}
				if took := time.Since(start); took < 2*time.Minute || took > 2*time.Minute+5*time.Second {
					t.Errorf("it took %v", took)
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

func TestWithoutNetworkItRetriesAndSaysSo(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		linker, err := walink.New(memoryStore(t), walink.Settings{HTTPClient: &http.Client{Transport: deadTransport{}}, Timeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		r := &rig{t: t, linker: linker}
		r.link(t.Context())
		retrying := await[walink.Retrying](r)
		wantReason(t, retrying.Err, walink.ErrNetwork)
		if wait := time.Until(retrying.At); wait < time.Second || wait > 30*time.Second {
			t.Errorf("the next attempt is in %v", wait)
		}
		wantReason(t, r.failed(), walink.ErrTimeout, walink.ErrNetwork)
	})
}

func TestProbationHoldsLinkedBack(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{Probation: time.Minute, Timeout: 30 * time.Second})
		r.link(t.Context())
		r.scan(await[walink.QRCode](r))
		await[walink.Paired](r)
		start := time.Now()
		if r.linked(); time.Since(start) < 59*time.Second { // it counts from the login
			t.Errorf("Linked after %v", time.Since(start))
		}
		r.usable()
		again := r.again(walink.Settings{Probation: time.Minute})
		again.link(t.Context())
		start = time.Now()
		if again.linked(); time.Since(start) > 10*time.Second {
			t.Errorf("a session that is not new is Linked after %v", time.Since(start))
		}
	})
}

func TestPains15RemovalOnProbationIsToldAndLinkedAfreshOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{Probation: 20 * time.Second})
		r.link(t.Context())
		for range 2 {
			r.scan(await[walink.QRCode](r))
			jid := await[walink.Paired](r).Account.JID
			<-time.After(12 * time.Second)
			if !r.phone.Remove(jid) {
				t.Fatal("the phone does not know the device")
			}
		}
		wantReason(t, r.failed(), walink.ErrRemoved)
		if want := "connecting qr_code paired retrying connecting qr_code paired failed"; r.kinds() != want {
			t.Errorf("events %s, want %s", r.kinds(), want)
		}
		if got := r.sessions(); len(got) != 0 {
			t.Errorf("%v is stored", got)
		}
	})
}
