package walink_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/store"
	"github.com/walink/walink/walinktest"
)

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
	for pause := time.Duration(0); pause < 400*time.Millisecond; pause += 10 * time.Millisecond {
		rig.Bubble(t, func(t *testing.T) {
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
			for ok := true; ok; { // whatever is reported meanwhile
				_, ok = r.NextBefore(time.Now().Add(10 * time.Minute))
			}
			if status := r.Linker.Status(); status.State != walink.StateLinked || status.Err != nil {
				t.Errorf("after %d the status is %+v", code, status)
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

// What the program unlinks, nobody links again.
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

// The server lets the session in and ends the connection at once.
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
				r.Server.Script(walinktest.StageAfterLogin, walinktest.Drop().Always())
				r.Server.Restart()
				for range 8 {
					before := r.Server.Stats().Connections
					for end := time.Now().Add(15 * time.Minute); time.Now().Before(end); {
						if !supervised {
							time.Sleep(time.Minute)
						} else if _, ok := r.NextBefore(end); !ok {
							break
						}
					}
					if made := r.Server.Stats().Connections - before; made > 60 || made < 1 {
						t.Errorf("%d connections in 15 minutes", made)
					}
				}
				r.Server.Script(walinktest.StageAfterLogin)
				time.Sleep(10 * time.Minute)
				r.CheckUsable()
			})
		})
	}
}
