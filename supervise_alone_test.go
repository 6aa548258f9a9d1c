package walink_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/store"
	"github.com/walink/walink/walinktest"
)

// drift reads events until the time has passed, and returns those of kind E.
func drift[E walink.Event](r *rig.Rig, d time.Duration) (seen []E) {
	for end := time.Now().Add(d); ; {
		event, ok := r.NextBefore(end)
		if !ok {
			return seen
		}
		if e, ok := event.(E); ok {
			seen = append(seen, e)
		}
	}
}

// superviseByCode supervises until the session is linked by pairing code.
func superviseByCode(r *rig.Rig) walink.Linked {
	r.Supervise(context.Background())
	r.Enter(rig.Await[walink.PairingCode](r))
	return rig.Await[walink.Linked](r)
}

func TestPains28CodesThatNobodyTakesBecomeRare(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		settings walink.Settings
		trouble  func(s *walinktest.Server)
	}{
		"pairing code":       {settings: walink.Settings{LinkingMode: walink.ModePairing}},
		"QR code":            {},
		"both":               {settings: walink.Settings{LinkingMode: walink.ModeBoth}},
		"without a timeout":  {settings: walink.Settings{Timeout: -1}},
		"a limit of codes":   {walink.Settings{LinkingMode: walink.ModePairing}, func(s *walinktest.Server) { s.SetCodeLimit(7, 5*time.Hour) }},
		"refused codes":      {walink.Settings{LinkingMode: walink.ModePairing}, always(walinktest.StageCompanionHello, walinktest.Refuse(429))},
		"codes with trouble": {walink.Settings{LinkingMode: walink.ModePairing}, always(walinktest.StageCompanionHello, walinktest.Refuse(500))},
		"requests cut off":   {walink.Settings{LinkingMode: walink.ModePairing}, always(walinktest.StageCompanionHello, walinktest.Drop())},
		"no answer":          {walink.Settings{LinkingMode: walink.ModePairing}, always(walinktest.StageCompanionHello, walinktest.Silence())},
		"no network":         {walink.Settings{LinkingMode: walink.ModePairing}, always(walinktest.StageUpgrade, walinktest.Drop())},
		"no server":          {walink.Settings{}, always(walinktest.StagePairDevice, walinktest.Failure(503))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				test.settings.Phone = rig.Number
				r := rig.New(t, test.settings)
				r.Supervise(t.Context())
				linked := takeUntilLinked(r)
				time.Sleep(time.Hour)
				codes, connections := r.Server.CodeRequests(rig.Number), r.Server.Stats().Connections
				if test.trouble != nil {
					test.trouble(r.Server)
				}
				r.Phone.Remove(linked.Account.JID)
				var rounds []time.Time
				for end := time.Now().Add(24 * time.Hour); ; {
					event, ok := r.NextBefore(end)
					if !ok {
						break
					}
					if retrying, ok := event.(walink.Retrying); ok {
						rounds = append(rounds, retrying.At)
					}
				}
				if codes = r.Server.CodeRequests(rig.Number) - codes; codes > 10 {
					t.Errorf("%d code requests in a day", codes)
				}
				if connections = r.Server.Stats().Connections - connections; connections > 80 {
					t.Errorf("%d connections in a day", connections)
				}
				for pair := range slices.Chunk(rounds, 2) {
					if pause := pair[len(pair)-1].Sub(pair[0]); pause > 6*time.Hour {
						t.Errorf("a round comes %v after the one before", pause)
					}
				}
				if last := rounds[len(rounds)-1]; time.Until(last) < 0 {
					t.Errorf("no event says when the next round is: %v", rounds)
				}
				for stage := range map[walinktest.Stage]bool{walinktest.StageCompanionHello: true, walinktest.StageUpgrade: true, walinktest.StagePairDevice: true} {
					r.Server.Script(stage)
				}
				start := time.Now()
				r.Linker.Attend()
				if takeUntilLinked(r); time.Since(start) > 15*time.Second {
					t.Errorf("Linked comes %v after Attend", time.Since(start))
				}
				r.CheckUsable()
			})
		})
	}
}

// takeUntilLinked has the phone take the first code that is shown.
func takeUntilLinked(r *rig.Rig) walink.Linked {
	for {
		switch e := r.Next().(type) {
		case walink.PairingCode:
			r.Enter(e)
			return rig.Await[walink.Linked](r)
		case walink.QRCode:
			r.Scan(e)
			return rig.Await[walink.Linked](r)
		}
	}
}

func always(stage walinktest.Stage, action walinktest.Action) func(*walinktest.Server) {
	return func(s *walinktest.Server) { s.Script(stage, action.Always()) }
}

// Somebody who attends a round that began without them has the time of a whole Link.
func TestAttendDuringARoundGivesItTheTimeOfAPerson(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{Phone: rig.Number, LinkingMode: walink.ModePairing})
		linked := superviseByCode(r)
		r.Phone.Remove(linked.Account.JID)
		for drifted := time.Duration(0); drifted < 24*time.Hour; drifted += time.Hour {
			drift[walink.Retrying](r, time.Hour)
		}
		rig.Await[walink.PairingCode](r)
		r.Linker.Attend()
		start := time.Now()
		if codes := drift[walink.PairingCode](r, 9*time.Minute); len(codes) < 2 {
			t.Errorf("%d codes follow in 9 minutes", len(codes))
		}
		if retries := drift[walink.Retrying](r, 5*time.Minute); len(retries) == 0 || retries[0].At.Sub(start) < 10*time.Minute {
			t.Errorf("the round is over too soon: %v", retries)
		}
		r.Linker.Attend()
		r.Enter(rig.Await[walink.PairingCode](r))
		rig.Await[walink.Linked](r)
	})
}

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
		if events := drift[walink.Event](second, time.Hour); len(events) > 0 {
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
		drift[walink.Event](r, 24*time.Hour)
		before := r.Server.Stats().Connections
		var last walink.Retrying
		for _, retrying := range drift[walink.Retrying](r, 24*time.Hour) {
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

// Nothing is announced that does not follow.
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
		for _, retrying := range drift[walink.Retrying](r, 24*time.Hour) {
			longest = max(longest, time.Until(retrying.At))
		}
		before := r.Server.Stats().Connections
		drift[walink.Event](r, 24*time.Hour)
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

// Attend counts although it comes when a Link has just ended.
func TestAttendIsNeverLost(t *testing.T) {
	t.Parallel()
	for late := time.Duration(0); late < 40*time.Millisecond; late += 10 * time.Millisecond {
		rig.Bubble(t, func(t *testing.T) {
			settings := walink.Settings{Phone: rig.Number, LinkingMode: walink.ModePairing}
			r := rig.New(t, settings, rig.WithStore(slowRelease{rig.MemoryStore(t)}))
			linked := superviseByCode(r)
			r.Phone.Remove(linked.Account.JID)
			drift[walink.Event](r, 15*time.Minute)
			alone := rig.Await[walink.PairingCode](r)
			time.Sleep(time.Until(alone.Expires) + late)
			r.Linker.Attend()
			start := time.Now()
			if r.Enter(rig.Await[walink.PairingCode](r)); time.Since(start) > 10*time.Second {
				t.Errorf("the code comes %v after Attend, %v after the one before", time.Since(start), late)
			}
			rig.Await[walink.Linked](r)
		})
	}
}

// slowRelease is a Store that takes 20 ms to release a lease.
type slowRelease struct{ rig.Memory }

func (s slowRelease) ReleaseLease(ctx context.Context, lease store.Lease) error {
	time.Sleep(20 * time.Millisecond)
	return s.Memory.ReleaseLease(ctx, lease)
}

// A hiccup of the Store does not turn a person into nobody.
func TestPersonStaysAPersonWhenTheStoreFailsForAMoment(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		st := &ledgerless{Memory: rig.MemoryStore(t)}
		r := rig.New(t, walink.Settings{Phone: rig.Number, LinkingMode: walink.ModePairing}, rig.WithStore(st))
		linked := superviseByCode(r)
		r.Phone.Remove(linked.Account.JID)
		drift[walink.Event](r, 24*time.Hour)
		st.broken.Store(true)
		r.Linker.Attend()
		rig.WantReason(t, rig.Await[walink.Retrying](r).Err, walink.ErrStore)
		st.broken.Store(false)
		if codes := drift[walink.PairingCode](r, 8*time.Minute); len(codes) < 2 {
			t.Errorf("%d codes follow in 8 minutes", len(codes))
		}
	})
}

// ledgerless is a Store whose ledger fails on request.
type ledgerless struct {
	rig.Memory
	broken atomic.Bool
}

func (s *ledgerless) TakeCode(ctx context.Context, number string, now time.Time, limit int, window time.Duration) (time.Time, error) {
	if s.broken.Load() {
		return time.Time{}, errors.New("the database is gone")
	}
	return s.Memory.TakeCode(ctx, number, now, limit, window)
}

func TestSuperviseWaitsForAStoreThatFailsWhileAPersonIsPairing(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		st := &ledgerless{Memory: rig.MemoryStore(t)}
		r := rig.New(t, walink.Settings{Phone: rig.Number, LinkingMode: walink.ModePairing}, rig.WithStore(st))
		r.Supervise(t.Context())
		rig.Await[walink.PairingCode](r)
		st.broken.Store(true)
		rig.WantReason(t, rig.Await[walink.Retrying](r).Err, walink.ErrStore)
		drift[walink.Event](r, 10*time.Minute)
		st.broken.Store(false)
		r.Linker.Attend()
		r.Enter(rig.Await[walink.PairingCode](r))
		rig.Await[walink.Linked](r)
	})
}
