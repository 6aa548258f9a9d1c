package walink_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/store"
	"github.com/walink/walink/walinktest"
)

func TestSuperviseShowsANewCodeAfterALogoutOnThePhone(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		first := r.SuperviseByQR()
		time.Sleep(time.Hour)
		r.Phone.Remove(first.Account.JID)
		start := time.Now()
		rig.WantReason(t, rig.Await[walink.Disconnected](r).Err, walink.ErrLoggedOut)
		code := rig.Await[walink.QRCode](r)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("the new code comes after %v", took)
		}
		r.Scan(code)
		if linked := rig.Await[walink.Linked](r); linked.Resumed || linked.Account.JID == first.Account.JID {
			t.Errorf("the event is %v", linked)
		}
		r.CheckUsable()
	})
}

// The stream error 516 may be trouble at WhatsApp: only the next login tells.
func TestSuperviseShowsANewCodeAfterARemovalBy516(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		first := r.SuperviseByQR()
		time.Sleep(time.Hour)
		r.Server.Script(walinktest.StageRemoval, walinktest.StreamError(516, ""))
		r.Phone.Remove(first.Account.JID)
		start := time.Now()
		code := rig.Await[walink.QRCode](r)
		if took := time.Since(start); took > offlineLimit || !strings.Contains(r.Story(), "logged out") {
			t.Errorf("the new code comes after %v:\n%s", took, r.Story())
		}
		r.Scan(code)
		rig.Await[walink.Linked](r)
		r.CheckUsable()
	})
}

func TestSuperviseTellsWhenTheConnectionIsLostAndBack(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		account := r.SuperviseByQR().Account
		client := r.Linker.Client()
		for range 3 {
			time.Sleep(time.Minute)
			r.Server.Script(walinktest.StageLogin, walinktest.Delay(time.Second)) // otherwise whatsmeow is back at once
			r.Server.Restart()
			rig.WantReason(t, rig.Await[walink.Disconnected](r).Err, walink.ErrNetwork)
			if status := r.Linker.Status(); status.State != walink.StateOffline || !errors.Is(status.Err, walink.ErrNetwork) {
				t.Errorf("the status is %+v", status)
			}
			if back := rig.Await[walink.Reconnected](r); back.Account.JID != account.JID {
				t.Errorf("Reconnected has another account: %v", back.Account)
			}
			if status := r.Linker.Status(); status.State != walink.StateLinked || status.Err != nil || r.Linker.Client() != client {
				t.Errorf("the status is %+v, the client the same: %t", status, r.Linker.Client() == client)
			}
		}
		r.CheckUsable()
	})
}

func TestSuperviseConnectsAnewWhereWhatsmeowDoesNot(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]walinktest.Action{
		"version refused":    walinktest.Failure(405),
		"asked to reconnect": walinktest.StreamError(515, ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				r := rig.New(t, walink.Settings{})
				r.SuperviseByQR()
				time.Sleep(time.Hour)
				r.Server.Script(walinktest.StageLogin, trouble)
				r.Server.Restart()
				rig.Await[walink.Disconnected](r)
				if linked := rig.Await[walink.Linked](r); !linked.Resumed {
					t.Error("the session is not resumed")
				}
				r.CheckUsable()
			})
		})
	}
}

func TestSuperviseConnectsAnewWhenWhatsAppIsGoneForLong(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.SuperviseByQR()
		start := time.Now()
		r.Server.Script(walinktest.StageUpgrade, walinktest.Drop().Always())
		r.Server.Restart()
		rig.WantReason(t, rig.Await[walink.Disconnected](r).Err, walink.ErrNetwork)
		rig.Await[walink.Connecting](r)
		if took := time.Since(start); took < 4*time.Minute || took > 6*time.Minute {
			t.Errorf("the new Link comes after %v", took)
		}
		for { // the first Link ends with its Timeout
			if retrying := rig.Await[walink.Retrying](r); errors.Is(retrying.Err, walink.ErrTimeout) {
				rig.WantReason(t, retrying.Err, walink.ErrTimeout, walink.ErrNetwork)
				break
			}
		}
		for end := time.Now().Add(3 * time.Hour); time.Now().Before(end); { // the others make one connection each
			retrying := rig.Await[walink.Retrying](r)
			rig.WantReason(t, retrying.Err, walink.ErrNetwork)
			if pause := time.Until(retrying.At); pause > time.Minute {
				t.Errorf("the next Link comes after %v, though the network is at fault", pause)
			}
		}
		r.Server.Script(walinktest.StageUpgrade)
		if linked := rig.Await[walink.Linked](r); !linked.Resumed {
			t.Error("the session is not resumed")
		}
	})
}

func TestSuperviseGoesOnWhenNobodyLinks(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{Timeout: time.Minute})
		r.Supervise(t.Context())
		for range 5 {
			rig.WantReason(t, rig.Await[walink.Retrying](r).Err, walink.ErrTimeout)
		}
		r.Scan(rig.Await[walink.QRCode](r))
		rig.Await[walink.Linked](r)
	})
}

func TestSuperviseEndsWithABan(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.SuperviseByQR()
		r.Server.Script(walinktest.StageLogin, walinktest.Failure(406).Always())
		r.Server.Restart()
		rig.WantReason(t, r.Failed(), walink.ErrBanned)
		if r.Linker.Client() != nil {
			t.Error("there is still a client")
		}
	})
}

// A Store without leases cannot keep two programs apart. The older program gives way.
func TestPains19SuperviseYieldsToAnotherProgram(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{}, rig.WithStore(struct{ store.Store }{rig.MemoryStore(t)}))
		r.SuperviseByQR()
		other := r.Another(walink.Settings{})
		other.Supervise(t.Context())
		rig.Await[walink.Linked](other)
		rig.WantReason(t, r.Failed(), walink.ErrReplaced)
		time.Sleep(time.Hour)
		other.CheckUsable()
	})
}

func TestSuperviseExcludesEverythingElse(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.SuperviseByQR()
		_, link := r.Linker.Link(t.Context())
		_, supervise := r.Linker.Supervise(t.Context())
		for _, err := range []error{link, supervise, r.Linker.Unlink(t.Context())} {
			if !errors.Is(err, walink.ErrInProgress) {
				t.Errorf("a call during Supervise returns %v", err)
			}
		}
		r.Close()
		rig.WantReason(t, r.Failed(), walink.ErrClosed)
		if _, err := r.Linker.Supervise(t.Context()); !errors.Is(err, walink.ErrClosed) {
			t.Errorf("Supervise after Close returns %v", err)
		}
	})
}

func TestSuperviseEndsWithItsContext(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		ctx, cancel := context.WithCancel(t.Context())
		r.Supervise(ctx)
		rig.Await[walink.QRCode](r)
		cancel()
		rig.WantReason(t, r.Failed(), walink.ErrCanceled)

		ctx, cancel = context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		r.Supervise(ctx)
		r.Scan(rig.Await[walink.QRCode](r))
		rig.WantReason(t, r.Failed(), walink.ErrTimeout)
		if r.Linker.Client() != nil || r.Linker.Status().State != walink.StateFailed {
			t.Errorf("the status is %+v", r.Linker.Status())
		}
	})
}

// A service need not know which reasons a clean end has.
func TestFailedSaysWhetherTheProgramWantedTheEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		start func(*rig.Rig, context.Context)
		end   func(*rig.Rig, context.CancelFunc)
		want  bool
	}{
		"Supervise, canceled":         {(*rig.Rig).Supervise, func(_ *rig.Rig, cancel context.CancelFunc) { cancel() }, true},
		"Supervise, closed":           {(*rig.Rig).Supervise, func(r *rig.Rig, _ context.CancelFunc) { r.Close() }, true},
		"Supervise, deadline":         {(*rig.Rig).Supervise, func(*rig.Rig, context.CancelFunc) { time.Sleep(2 * time.Hour) }, true},
		"Supervise, banned":           {(*rig.Rig).Supervise, banned, false},
		"Link, canceled":              {(*rig.Rig).Link, func(_ *rig.Rig, cancel context.CancelFunc) { cancel() }, true},
		"Link, closed":                {(*rig.Rig).Link, func(r *rig.Rig, _ context.CancelFunc) { r.Close() }, true},
		"Link, nobody scans the code": {(*rig.Rig).Link, func(*rig.Rig, context.CancelFunc) { time.Sleep(time.Hour / 2) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				r := rig.New(t, walink.Settings{})
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				c.start(r, ctx)
				rig.Await[walink.QRCode](r)
				c.end(r, cancel)
				_ = r.Failed()
				if failed, ok := r.Seen[len(r.Seen)-1].(walink.Failed); !ok || failed.Stopped != c.want {
					t.Errorf("the event is %+v, want one with Stopped %t", failed, c.want)
				}
			})
		})
	}
}

func banned(r *rig.Rig, _ context.CancelFunc) {
	r.Scan(*r.Linker.Status().QRCode)
	rig.Await[walink.Linked](r)
	r.Server.Script(walinktest.StageLogin, walinktest.Failure(406).Always())
	r.Server.Restart()
}

// The remedy after the end of a Supervise has nothing to do with codes, if the session is linked.
func TestRemedyOfASuperviseThatHasLinkedSpeaksOfNoCode(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		r.Supervise(ctx)
		r.Scan(rig.Await[walink.QRCode](r))
		if err := r.Failed(); !strings.Contains(err.Remedy(), "still stored") {
			t.Errorf("%v: the remedy is %q", err, err.Remedy())
		}
	})
}

// offlineLimit is how soon a Supervise says that its session is offline.
const offlineLimit = 90 * time.Second

// A slow log handler holds up whatsmeow's reader, so that the end of a connection
// passes while Supervise takes the connection over.
type slowHandler struct{ slog.Handler }

func (slowHandler) Enabled(context.Context, slog.Level) bool { return true }
func (slowHandler) Handle(context.Context, slog.Record) error {
	time.Sleep(50 * time.Millisecond)
	return nil
}
func (h slowHandler) WithAttrs([]slog.Attr) slog.Handler { return h }

func TestPains30SuperviseSeesWhatHasEndedTheConnectionBefore(t *testing.T) {
	t.Parallel()
	for pause := time.Duration(0); pause < 400*time.Millisecond; pause += 20 * time.Millisecond {
		rig.Bubble(t, func(t *testing.T) {
			t.Cleanup(func() { time.Sleep(time.Second) }) // Close does not wait for the log
			r := rig.New(t, walink.Settings{Logger: slog.New(slowHandler{slog.DiscardHandler})})
			linked := r.LinkByQR()
			r.Phone.Remove(linked.Account.JID)
			time.Sleep(pause)
			start := time.Now()
			r.Supervise(t.Context())
			if rig.Await[walink.QRCode](r); time.Since(start) > offlineLimit {
				t.Errorf("with a pause of %v the new code comes after %v", pause, time.Since(start))
			}
		})
	}
}

func TestPains30SuperviseIsNotOnlineAfterAStreamErrorDuringTheLogin(t *testing.T) {
	t.Parallel()
	for _, code := range []int{413, 414, 503, 500} {
		rig.Bubble(t, func(t *testing.T) {
			r := rig.New(t, walink.Settings{})
			r.SuperviseByQR()
			time.Sleep(time.Minute)
			r.Server.Script(walinktest.StageAfterLogin, walinktest.StreamError(code, "").Times(3))
			r.Server.Restart()
			rig.Await[walink.Disconnected](r)
			for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); { // whatever is reported meanwhile
				_, _ = r.NextBefore(end)
			}
			if status := r.Linker.Status(); status.State != walink.StateLinked || status.Err != nil {
				t.Errorf("two minutes after the first %d the status is %+v", code, status)
			}
			r.CheckUsable()
		})
	}
}

func TestPains30SuperviseNoticesTheProgramsOwnDisconnect(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.SuperviseByQR()
		time.Sleep(time.Minute)
		start := time.Now()
		r.Linker.Client().Disconnect()
		rig.WantReason(t, rig.Await[walink.Disconnected](r).Err, walink.ErrNetwork)
		if took := time.Since(start); took > offlineLimit {
			t.Errorf("Disconnected comes after %v", took)
		}
		if linked := rig.Await[walink.Linked](r); !linked.Resumed {
			t.Error("the session is not resumed")
		}
		r.CheckUsable()
	})
}

// Nobody links again a session that the program unlinks.
func TestPains34SuperviseEndsWithTheProgramsOwnLogout(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.SuperviseByQR()
		time.Sleep(time.Minute)
		if err := r.Linker.Client().Logout(t.Context()); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		rig.WantReason(t, r.Failed(), walink.ErrLoggedOut)
		if took := time.Since(start); took > offlineLimit {
			t.Errorf("Failed comes after %v", took)
		}
		if sessions := r.Sessions(); len(sessions) != 0 {
			t.Errorf("the store has %v", sessions)
		}
	})
}

// The server asks for a new connection shortly after each login.
func TestStormOfRestartsIsDamped(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.SuperviseByQR()
		r.Server.Script(walinktest.StageAfterLogin, walinktest.StreamError(515, "").Always())
		r.Server.Restart()
		before := r.Server.Stats().Logins
		rig.Drift[walink.Event](r, 15*time.Minute)
		if made := r.Server.Stats().Logins - before; made > 60 {
			t.Errorf("%d logins in 15 minutes", made)
		}
		r.Server.Script(walinktest.StageAfterLogin)
		rig.Drift[walink.Event](r, 3*time.Minute)
		r.CheckUsable()
	})
}

func TestPains30DeviceThatIsRemovedAfterALinkIsGivenBack(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(t *testing.T, r *rig.Rig, linked walink.Linked){
		"on the phone": func(_ *testing.T, r *rig.Rig, linked walink.Linked) { r.Phone.Remove(linked.Account.JID) },
		"by the program": func(t *testing.T, r *rig.Rig, _ walink.Linked) {
			t.Helper()
			if err := r.Linker.Client().Logout(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				r := rig.New(t, walink.Settings{})
				linked := r.LinkByQR()
				time.Sleep(time.Hour)
				remove(t, r, linked)
				time.Sleep(offlineLimit)
				status := r.Linker.Status()
				rig.WantReason(t, status.Err, walink.ErrLoggedOut)
				if status.State != walink.StateFailed || r.Linker.Client() != nil {
					t.Errorf("the status is %+v, the client %v", status, r.Linker.Client())
				}
				leaser, _ := r.Store.(store.Leaser)
				if _, err := leaser.PeekLease(t.Context(), "default"); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("the lease is still taken: %v", err)
				}
				other := r.Another(walink.Settings{})
				other.LinkByQR()
			})
		})
	}
}

// After these stream errors whatsmeow does not reconnect.
func TestPains30ConnectionThatWhatsmeowAbandonsAfterALinkIsGivenBack(t *testing.T) {
	t.Parallel()
	for _, code := range []int{413, 414} {
		rig.Bubble(t, func(t *testing.T) {
			r := rig.New(t, walink.Settings{})
			r.LinkByQR()
			time.Sleep(time.Hour)
			r.Server.Script(walinktest.StageAfterLogin, walinktest.StreamError(code, ""))
			r.Server.Restart()
			time.Sleep(offlineLimit)
			status := r.Linker.Status()
			rig.WantReason(t, status.Err, walink.ErrServer)
			if status.State != walink.StateFailed || r.Linker.Client() != nil {
				t.Errorf("after %d the status is %+v, the client %v", code, status, r.Linker.Client())
			}
			other := r.Another(walink.Settings{})
			other.Link(t.Context())
			if linked := other.Linked(); !linked.Resumed {
				t.Errorf("after %d the session is not resumed", code)
			}
		})
	}
}

// Without Supervise the client belongs to the program, which may connect it again.
func TestProgramsOwnDisconnectAfterALinkIsItsOwnAffair(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.LinkByQR()
		client := r.Linker.Client()
		client.Disconnect()
		time.Sleep(time.Hour)
		if err := client.ConnectContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if r.Linker.Client() != client {
			t.Error("the Linker has another client")
		}
		r.CheckUsable()
	})
}

// The server ends each connection a second after the login.
func TestConnectionStormIsDamped(t *testing.T) {
	t.Parallel()
	for name, supervised := range map[string]bool{"Link": false, "Supervise": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				r := rig.New(t, walink.Settings{})
				r.LinkByQR()
				if supervised {
					r.Supervise(t.Context())
				}
				time.Sleep(time.Minute)
				for range 3 {
					before := r.Server.Stats().Connections
					for end := time.Now().Add(15 * time.Minute); time.Now().Before(end); {
						for next, ok := time.Now().Add(time.Second), supervised; ok; {
							_, ok = r.NextBefore(next)
						}
						if !supervised {
							time.Sleep(time.Second)
						}
						r.Server.Restart()
					}
					if made := r.Server.Stats().Connections - before; made > 60 || made < 10 {
						t.Errorf("%d connections in 15 minutes", made)
					}
				}
				for end, ok := time.Now().Add(10*time.Minute), supervised; ok; {
					_, ok = r.NextBefore(end)
				}
				time.Sleep(time.Minute)
				r.CheckUsable()
			})
		})
	}
}
