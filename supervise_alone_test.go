package walink_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/walinktest"
)

func TestPains29ResumeOnlyAsksNobodyForAnything(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(t *testing.T, r *rig.Rig){
		"nothing stored": func(*testing.T, *rig.Rig) {},
		"removed": func(_ *testing.T, r *rig.Rig) {
			linked := r.LinkByQR()
			r.Close()
			r.Phone.Remove(linked.Account.JID)
		},
	} {
		for _, supervised := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				rig.Bubble(t, func(t *testing.T) {
					first := rig.New(t, walink.Settings{})
					prepare(t, first)
					r := first.Another(walink.Settings{ResumeOnly: true, PreferPairingCode: true})
					start := time.Now()
					if supervised {
						r.Supervise(t.Context())
					} else {
						r.Link(t.Context())
					}
					rig.WantReason(t, r.Failed(), walink.ErrLoggedOut)
					if kinds := r.Kinds(); strings.Contains(kinds, "code") || time.Since(start) > 10*time.Second {
						t.Errorf("after %v the events are %s", time.Since(start), kinds)
					}
				})
			})
		}
	}
	rig.Bubble(t, func(t *testing.T) {
		first := rig.New(t, walink.Settings{})
		first.LinkByQR()
		first.Close()
		r := first.Another(walink.Settings{ResumeOnly: true})
		r.Supervise(t.Context())
		linked := rig.Await[walink.Linked](r)
		time.Sleep(time.Hour)
		r.Phone.Remove(linked.Account.JID)
		rig.WantReason(t, r.Failed(), walink.ErrLoggedOut)
		if strings.Contains(r.Kinds(), "code") {
			t.Errorf("the events are %s", r.Kinds())
		}
	})
}

func TestPains31AnotherAccountIsRefusedAfterARemoval(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		stranger := r.Server.NewPhone("+491701234567")
		linked := r.SuperviseByQR()
		r.Phone.Remove(linked.Account.JID)
		if err := stranger.ScanQR(t.Context(), rig.Await[walink.QRCode](r).Payload); err == nil {
			t.Error("the stranger's phone is linked")
		}
		rig.WantReason(t, rig.Await[walink.Retrying](r).Err, walink.ErrWrongAccount)
		r.Scan(rig.Await[walink.QRCode](r))
		rig.Await[walink.Linked](r)
		r.Close()

		// A Link that finds the session stored expects its account, too.
		r.Phone.Remove(r.Phone.LinkedDevices()[0].JID)
		second := r.Another(walink.Settings{})
		second.Link(t.Context())
		if err := stranger.ScanQR(t.Context(), rig.Await[walink.QRCode](second).Payload); err == nil {
			t.Error("the stranger's phone is linked")
		}
		rig.WantReason(t, rig.Await[walink.Retrying](second).Err, walink.ErrWrongAccount)
		second.Scan(rig.Await[walink.QRCode](second))
		second.Linked()

		// After Unlink nobody is expected.
		if err := second.Linker.Unlink(t.Context()); err != nil {
			t.Fatal(err)
		}
		second.Link(t.Context())
		if err := stranger.ScanQR(t.Context(), rig.Await[walink.QRCode](second).Payload); err != nil {
			t.Error(err)
		}
		second.Linked()
	})
}

func TestPains34StandbyDoesNotLinkWhatAnotherProgramHasUnlinked(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		st := rig.SQLiteStore(t)
		first := rig.New(t, walink.Settings{}, rig.WithStore(st))
		first.LinkByQR()
		second := first.Another(walink.Settings{})
		second.Supervise(t.Context())
		if standby := rig.Await[walink.Standby](second); !strings.Contains(standby.Holder, "process") {
			t.Errorf("the holder is %q", standby.Holder)
		}
		if events := rig.Drift[walink.Event](second, time.Hour); len(events) > 0 {
			t.Errorf("in an hour of standing by the events are %v", events)
		}
		if state := second.Linker.Status().State; state != walink.StateStandby {
			t.Errorf("the state is %s", state)
		}
		if err := first.Linker.Unlink(t.Context()); err != nil {
			t.Fatal(err)
		}
		rig.WantReason(t, second.Failed(), walink.ErrLoggedOut)
		if kinds := second.Kinds(); strings.Contains(kinds, "code") {
			t.Errorf("the events are %s", kinds)
		}
	})
}

// The other program had nothing, either, so that a code is what its end leads to.
func TestStandbyOffersCodesForASessionThatWasNeverStored(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		st := rig.SQLiteStore(t)
		first := rig.New(t, walink.Settings{}, rig.WithStore(st))
		first.Link(t.Context())
		rig.Await[walink.QRCode](first)
		second := first.Another(walink.Settings{})
		second.Supervise(t.Context())
		rig.Await[walink.Standby](second)
		time.Sleep(time.Minute)
		first.Close()
		second.Scan(rig.Await[walink.QRCode](second))
		rig.Await[walink.Linked](second)
	})
}

func TestPains33SessionThatIsRefusedForWeeksIsTriedOnceAnHour(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.SuperviseByQR()
		r.Server.Script(walinktest.StageLogin, walinktest.Failure(503).Always())
		r.Server.Restart()
		rig.Drift[walink.Event](r, 24*time.Hour)
		before := r.Server.Stats().Connections
		var last walink.Retrying
		for _, retrying := range rig.Drift[walink.Retrying](r, 24*time.Hour) {
			if pause := retrying.At.Sub(last.At); pause > time.Hour+time.Minute && !last.At.IsZero() {
				t.Errorf("an attempt comes %v after the one before", pause)
			}
			last = retrying
		}
		if made := r.Server.Stats().Connections - before; made < 24 || made > 60 {
			t.Errorf("%d connections on the second day", made)
		}
		rig.WantReason(t, last.Err, walink.ErrServer)
		if remedy := last.Err.Remedy(); !strings.Contains(remedy, "Unlink") {
			t.Errorf("after two days the remedy is %q", remedy)
		}
		r.Server.Script(walinktest.StageLogin)
		rig.Await[walink.Linked](r)
	})
}

func TestPains33UnlinkForgetsASessionThatCannotLogIn(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.LinkByQR()
		r.Close()
		r.Server.Script(walinktest.StageLogin, walinktest.Failure(503).Always())
		second := r.Another(walink.Settings{})
		err := second.Linker.Unlink(t.Context())
		rig.WantReason(t, err, walink.ErrNotTold, walink.ErrServer)
		if told := (*walink.Error)(nil); !errors.As(err, &told) || !strings.Contains(told.Remedy(), "Linked devices") {
			t.Errorf("the remedy of %v is %q", err, told.Remedy())
		}
		if sessions := second.Sessions(); len(sessions) != 0 {
			t.Errorf("the store has %v", sessions)
		}
		rig.WantReason(t, second.Linker.Unlink(t.Context()), walink.ErrLoggedOut)
	})
}

// Supervise announces no retry that does not follow.
func TestSuperviseEndsAtOnceWithAFailureThatNoLinkCures(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		trouble walinktest.Action
		want    walink.Reason
	}{
		"temporary ban": {walinktest.Failure(402, "code", "101", "expire", "3600"), walink.ErrTemporarilyBanned},
		"replaced":      {walinktest.StreamError(0, "replaced"), walink.ErrReplaced},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				r := rig.New(t, walink.Settings{})
				r.SuperviseByQR()
				r.Server.Script(walinktest.StageLogin, test.trouble)
				r.Server.Restart()
				start := time.Now()
				rig.WantReason(t, r.Failed(), test.want)
				if strings.Contains(r.Kinds(), "retrying") || time.Since(start) > 10*time.Second {
					t.Errorf("after %v the events are %s", time.Since(start), r.Kinds())
				}
			})
		})
	}
}

func TestPains32SuperviseGoesOnAfterAVersionThatIsRefused(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.SuperviseByQR()
		newer := wastore.GetWAVersion()
		newer[2] += 1000
		r.Server.RequireVersion(newer)
		r.Server.SetRevision(newer[2] - 1) // the page names a version that is refused too
		r.Server.Restart()
		var longest time.Duration
		for _, retrying := range rig.Drift[walink.Retrying](r, 24*time.Hour) {
			longest = max(longest, time.Until(retrying.At))
		}
		before := r.Server.Stats().Connections
		rig.Drift[walink.Event](r, 24*time.Hour)
		if made := r.Server.Stats().Connections - before; made < 20 || made > 100 {
			t.Errorf("%d connections on the second day", made)
		}
		r.Server.SetRevision(newer[2])
		start := time.Now()
		if rig.Await[walink.Linked](r); time.Since(start) > time.Hour+time.Minute {
			t.Errorf("Linked comes %v after the cure", time.Since(start))
		}
	})
}

// Trouble with the page that names the version says nothing about the version.
func TestPains32TroubleWithTheVersionPageIsNetworkTrouble(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]walinktest.Action{
		"503": walinktest.Refuse(503), "cut": walinktest.Drop(), "silence": walinktest.Silence(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				r := rig.New(t, walink.Settings{})
				newer := wastore.GetWAVersion()
				newer[2] += 1000
				r.Server.RequireVersion(newer)
				r.Server.Script(walinktest.StageVersion, trouble)
				r.Link(t.Context())
				want := walink.ErrNetwork
				if name == "503" {
					want = walink.ErrServer
				}
				err := rig.Await[walink.Retrying](r).Err
				rig.WantReason(t, err, want)
				if strings.Contains(err.Remedy(), "Update") {
					t.Errorf("the remedy is %q", err.Remedy())
				}
				r.TakeUntilLinked()
				r.CheckUsable()
			})
		})
	}
}
