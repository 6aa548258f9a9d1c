package faults_test

import (
	"context"
	"testing"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/store"
	"github.com/walink/walink/walinktest"
)

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
				r, linked := superviseLinked(t, test.settings)
				time.Sleep(time.Hour)
				codes, connections := r.Server.CodeRequests(rig.Number), r.Server.Stats().Connections
				if test.trouble != nil {
					test.trouble(r.Server)
				}
				r.Phone.Remove(linked.Account.JID)
				var rounds []time.Time
				for _, retrying := range rig.Drift[walink.Retrying](r, 24*time.Hour) {
					rounds = append(rounds, retrying.At)
				}
				if codes = r.Server.CodeRequests(rig.Number) - codes; codes > 10 {
					t.Errorf("%d code requests in a day", codes)
				}
				if connections = r.Server.Stats().Connections - connections; connections > 80 {
					t.Errorf("%d connections in a day", connections)
				}
				for i := 1; i < len(rounds); i++ {
					if pause := rounds[i].Sub(rounds[i-1]); pause > 6*time.Hour {
						t.Errorf("a round comes %v after the one before", pause)
					}
				}
				if last := rounds[len(rounds)-1]; time.Until(last) < 0 {
					t.Errorf("no event says when the next round is: %v", rounds)
				}
				for _, stage := range everyStage {
					r.Server.Script(stage)
				}
				start := time.Now()
				r.Linker.Attend()
				if r.TakeFirst(); time.Since(start) > 15*time.Second {
					t.Errorf("Linked comes %v after Attend", time.Since(start))
				}
				r.CheckUsable()
			})
		})
	}
}

// superviseLinked supervises a session that was linked by QR code before: pairing codes take
// much time to compute.
func superviseLinked(t *testing.T, settings walink.Settings, options ...rig.Option) (*rig.Rig, walink.Linked) {
	t.Helper()
	r := rig.New(t, walink.Settings{}, options...)
	r.LinkByQR()
	r = r.Again(settings)
	r.Supervise(t.Context())
	return r, rig.Await[walink.Linked](r)
}

func always(stage walinktest.Stage, action walinktest.Action) func(*walinktest.Server) {
	return func(s *walinktest.Server) { s.Script(stage, action.Always()) }
}

// Somebody who attends a round that began without them has the time of a whole Link.
func TestAttendDuringARoundGivesItTheTimeOfAPerson(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r, linked := superviseLinked(t, walink.Settings{Phone: rig.Number, LinkingMode: walink.ModePairing})
		r.Phone.Remove(linked.Account.JID)
		for drifted := time.Duration(0); drifted < 24*time.Hour; drifted += time.Hour {
			rig.Drift[walink.Retrying](r, time.Hour)
		}
		rig.Await[walink.PairingCode](r)
		r.Linker.Attend()
		start := time.Now()
		if codes := rig.Drift[walink.PairingCode](r, 9*time.Minute); len(codes) < 2 {
			t.Errorf("%d codes follow in 9 minutes", len(codes))
		}
		if retries := rig.Drift[walink.Retrying](r, 5*time.Minute); len(retries) == 0 || retries[0].At.Sub(start) < 10*time.Minute {
			t.Errorf("the round is over too soon: %v", retries)
		}
		r.Linker.Attend()
		r.Enter(rig.Await[walink.PairingCode](r))
		rig.Await[walink.Linked](r)
	})
}

// Attend counts although it comes when a Link has just ended.
func TestAttendIsNeverLost(t *testing.T) {
	t.Parallel()
	for late := time.Duration(0); late < 40*time.Millisecond; late += 10 * time.Millisecond {
		rig.Bubble(t, func(t *testing.T) {
			settings := walink.Settings{Phone: rig.Number, LinkingMode: walink.ModePairing}
			r, linked := superviseLinked(t, settings, rig.WithStore(slowRelease{rig.MemoryStore(t)}))
			r.Phone.Remove(linked.Account.JID)
			rig.Drift[walink.Event](r, 15*time.Minute)
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

func (s slowRelease) EndHolder(ctx context.Context, holder store.Holder) error {
	time.Sleep(20 * time.Millisecond)
	return s.Memory.EndHolder(ctx, holder)
}

// A hiccup of the Store does not turn a person into nobody.
func TestPersonStaysAPersonWhenTheStoreFailsForAMoment(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		st := &faultyStore{fullStore: rig.MemoryStore(t)}
		r, linked := superviseLinked(t, walink.Settings{Phone: rig.Number, LinkingMode: walink.ModePairing}, rig.WithStore(st))
		r.Phone.Remove(linked.Account.JID)
		rig.Drift[walink.Event](r, 24*time.Hour)
		fail(callCode, errDiskFull)(st)
		r.Linker.Attend()
		rig.WantReason(t, rig.Await[walink.Retrying](r).Err, walink.ErrStore)
		st.heal()
		if codes := rig.Drift[walink.PairingCode](r, 8*time.Minute); len(codes) < 2 {
			t.Errorf("%d codes follow in 8 minutes", len(codes))
		}
	})
}

// waitsForStore demands that Supervise waits while the Store fails, and that the person who
// comes back after the Store has healed can link.
func waitsForStore(t *testing.T, r *rig.Rig, st *faultyStore) {
	t.Helper()
	rig.WantReason(t, rig.Await[walink.Retrying](r).Err, walink.ErrStore)
	rig.Drift[walink.Event](r, 10*time.Minute)
	st.heal()
	r.Linker.Attend()
	r.Enter(rig.Await[walink.PairingCode](r))
	rig.Await[walink.Linked](r)
}

func TestSuperviseWaitsForAStoreThatFailsWhileAPersonIsPairing(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		st := &faultyStore{fullStore: rig.MemoryStore(t)}
		r := rig.New(t, walink.Settings{Phone: rig.Number, LinkingMode: walink.ModePairing}, rig.WithStore(st))
		r.Supervise(t.Context())
		rig.Await[walink.PairingCode](r)
		fail(callCode, errDiskFull)(st)
		waitsForStore(t, r, st)
	})
}

// Hundreds of sessions that a program opens at once make a database slow.
func TestSuperviseWaitsForAStoreThatIsSlowFromTheStart(t *testing.T) {
	t.Parallel()
	for name, calls := range map[string]map[storeCall]error{
		"lease": {callTake: nil}, "session": {callDevice: nil}, "lease and session": {callTake: nil, callDevice: nil}, "code": {callCode: nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				st := &faultyStore{fullStore: rig.MemoryStore(t), broken: calls}
				r := rig.New(t, walink.Settings{Phone: rig.Number, LinkingMode: walink.ModePairing}, rig.WithStore(st))
				r.Supervise(t.Context())
				waitsForStore(t, r, st)
			})
		})
	}
}

// A session that may be stored is tried again within a minute, however long the Store was
// slow, and with nobody there.
func TestSessionIsResumedSoonAfterAStoreThatWasSlowFromTheStart(t *testing.T) {
	t.Parallel()
	for _, timeout := range []time.Duration{0, 15 * time.Second} { // the shorter one ends the Link first
		rig.Bubble(t, func(t *testing.T) {
			st := &faultyStore{fullStore: rig.MemoryStore(t)}
			r := rig.New(t, walink.Settings{}, rig.WithStore(st))
			r.LinkByQR()
			r = r.Again(walink.Settings{Timeout: timeout})
			fail(callDevice, nil)(st)
			r.Supervise(t.Context())
			rig.Drift[walink.Event](r, 4*time.Hour)
			st.heal()
			healed := time.Now()
			rig.Await[walink.Linked](r)
			if took := time.Since(healed); took > 2*time.Minute {
				t.Errorf("with a Timeout of %v the session is linked %v after the store has answered", timeout, took)
			}
		})
	}
}

func TestSuperviseEndsIfTheStoreFailsAtTheStart(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		st := &faultyStore{fullStore: rig.MemoryStore(t), broken: map[storeCall]error{callDevice: errDiskFull}}
		r := rig.New(t, walink.Settings{}, rig.WithStore(st))
		r.Supervise(t.Context())
		rig.WantReason(t, rig.Await[walink.Failed](r).Err, walink.ErrStore)
	})
}

// The server accepts a new device, and ends each of its connections at once.
func TestDeviceThatWasJustLinkedMakesNoStormOfLogins(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.Server.Script(walinktest.StageAfterLogin, walinktest.Drop().Always())
		r.Supervise(t.Context())
		r.Take(t.Context(), rig.Await[walink.QRCode](r))
		rig.Await[walink.Paired](r)
		rig.Drift[walink.Event](r, 15*time.Minute)
		if logins := r.Server.Stats().Logins; logins > 60 || logins < 10 {
			t.Errorf("%d logins in 15 minutes", logins)
		}
	})
}

// A round that a failing Store cuts short does not forget that WhatsApp refuses the session.
func TestRefusedSessionIsTriedRarelyAlsoIfTheStoreFails(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		st := &faultyStore{fullStore: rig.MemoryStore(t)}
		r := rig.New(t, walink.Settings{}, rig.WithStore(st))
		r.SuperviseByQR()
		r.Server.Script(walinktest.StageLogin, walinktest.Failure(503).Always())
		fail(callRenew, errDiskFull)(st)
		r.Server.Restart()
		rig.Drift[walink.Event](r, 24*time.Hour)
		before := r.Server.Stats().Connections
		rig.Drift[walink.Event](r, 24*time.Hour)
		if made := r.Server.Stats().Connections - before; made < 24 || made > 250 {
			t.Errorf("%d connections on the second day", made)
		}
		r.Server.Script(walinktest.StageLogin)
		st.heal()
		rig.Await[walink.Linked](r)
	})
}
