package walink_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/walinktest"
)

// Whatever happens, Status is what the events so far say.
func TestStatusIsTheFoldOfTheEvents(t *testing.T) {
	t.Parallel()
	for range 8 {
		seed := rand.Uint64()
		t.Run("", func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				t.Logf("seed %d", seed)
				foldAtRandom(t, rand.New(rand.NewPCG(seed, 0)))
			})
		})
	}
}

// foldAtRandom supervises a session for a while, with a person and a server that do
// this and that, and compares Status with the fold of the events.
func foldAtRandom(t *testing.T, rnd *rand.Rand) {
	modes := []walink.LinkingMode{walink.ModePairing, walink.ModeQR, walink.ModeBoth}
	settings := walink.Settings{Phone: rig.Number, LinkingMode: modes[rnd.IntN(len(modes))], QRFallback: rnd.IntN(2) == 0}
	var options []walinktest.PhoneOption
	if rnd.IntN(2) == 0 {
		options = append(options, walinktest.WithPasskey())
	}
	r := rig.New(t, settings, rig.WithPhone(options...))
	stages := []walinktest.Stage{
		walinktest.StageUpgrade, walinktest.StagePairDevice, walinktest.StageCompanionHello, walinktest.StagePairSuccess, walinktest.StageLogin,
	}
	faults := []walinktest.Action{
		walinktest.Drop(), walinktest.Failure(503), walinktest.StreamError(500, ""), walinktest.RateLimit(time.Minute), walinktest.Silence(),
	}
	r.Supervise(t.Context())
	want := walink.Status{State: walink.StateConnecting}
	for end := time.Now().Add(2 * time.Hour); time.Now().Before(end) && len(r.Seen) < 150; {
		event, ok := r.NextBefore(time.Now().Add(10 * time.Minute))
		for ; ok; event, ok = r.NextBefore(time.Now().Add(time.Millisecond)) {
			want = want.Apply(event)
			r.Server.Script(stages[rnd.IntN(len(stages))])
			switch rnd.IntN(4) {
			case 0:
				r.Server.Script(stages[rnd.IntN(len(stages))], faults[rnd.IntN(len(faults))])
			default:
				r.Take(t.Context(), event)
			}
			switch e := event.(type) {
			case walink.PasskeyRequired:
				if answer, err := r.Phone.Assert(e.Challenge); err == nil && rnd.IntN(3) > 0 {
					go func() { _ = r.Linker.AnswerPasskey(t.Context(), answer) }()
				}
			case walink.Linked:
				switch rnd.IntN(3) {
				case 0:
					r.Phone.Remove(e.Account.JID)
				case 1:
					r.Server.Restart()
				}
			}
		}
		same := cmp.Options{
			cmp.Comparer(func(a, b walink.Phone) bool { return a == b }), cmp.Comparer(func(a, b *walink.Error) bool { return a == b }),
		}
		if diff := cmp.Diff(want, r.Linker.Status(), same); diff != "" {
			t.Fatalf("the status is not the fold of the events (-fold +status):\n%s\n%s", diff, r.Story())
		}
	}
	r.Close()
	for event := range r.Rest() {
		want = want.Apply(event)
	}
	if got := r.Linker.Status(); got.State != want.State {
		t.Errorf("after Close the state is %s, and by the events %s", got.State, want.State)
	}
}

func TestStatusIsEnoughForWhoComesLate(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := newPasskeyRig(t, walink.Settings{ComparePasskeyCode: true}, walinktest.WithCodeCheck())
		r.Supervise(t.Context())
		required, _ := challenged(t, r)
		status := r.Linker.Status()
		if got := status.PasskeyRequired; got == nil || !bytes.Equal(got.Challenge, required.Challenge) || status.PasskeyConfirmation != nil {
			t.Errorf("after the challenge the status is %+v", status)
		}
		answer(t, r, required)
		confirmation := rig.Await[walink.PasskeyConfirmation](r)
		status = r.Linker.Status()
		if got := status.PasskeyConfirmation; got == nil || *got != confirmation || status.PasskeyRequired != nil {
			t.Errorf("after the confirmation the status is %+v", status)
		}
		go func() { _ = r.Phone.ConfirmPasskey(t.Context()) }()
		if err := r.Linker.ConfirmPasskey(t.Context()); err != nil {
			t.Fatal(err)
		}
		linked := rig.Await[walink.Linked](r)

		client := r.Linker.Client()
		r.Server.Script(walinktest.StageLogin, walinktest.Silence().Always())
		r.Server.Restart()
		rig.Await[walink.Disconnected](r)
		status = r.Linker.Status()
		if status.State != walink.StateOffline || status.Err == nil || status.Account.JID != linked.Account.JID || r.Linker.Client() != client {
			t.Errorf("offline the status is %+v", status)
		}
		retrying := rig.Await[walink.Retrying](r)
		if status = r.Linker.Status(); status.State != walink.StateRetrying || !status.RetryAt.Equal(retrying.At) || status.Err != retrying.Err {
			t.Errorf("before the next attempt the status is %+v", status)
		}
	})
}

func TestStatusNamesTheHolderOnStandby(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.LinkByQR()
		other := r.Another(walink.Settings{})
		other.Supervise(t.Context())
		standby := rig.Await[walink.Standby](other)
		time.Sleep(time.Minute)
		status := other.Linker.Status()
		if status.State != walink.StateStandby || status.Holder == "" || status.Holder != standby.Holder || status.Publish().Holder != "" {
			t.Errorf("on standby the status is %+v", status)
		}
		r.Close()
		rig.Await[walink.Linked](other)
		if status := other.Linker.Status(); status.State != walink.StateLinked || status.Holder != "" {
			t.Errorf("afterwards the status is %+v", status)
		}
	})
}

// statuses returns the status after each sample event on a fresh Link.
func statuses(t *testing.T) map[string]walink.Status {
	t.Helper()
	all := map[string]walink.Status{"idle": {State: walink.StateIdle}}
	for name, event := range sampleEvents(t) {
		all[name] = walink.Status{State: walink.StateConnecting}.Apply(event)
	}
	return all
}

func TestStatusKeepsItsJSONForm(t *testing.T) {
	t.Parallel()
	all := statuses(t)
	got, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "status.json")
	if *update {
		if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
		t.Errorf("JSON (-golden +got):\n%s", diff)
	}
	var back map[string]walink.Status
	if err := json.Unmarshal(got, &back); err != nil {
		t.Fatal(err)
	}
	again, err := json.MarshalIndent(back, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(got), string(again)); diff != "" {
		t.Errorf("JSON of what comes back (-want +got):\n%s", diff)
	}
}

func TestStatusLogsNoSecrets(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&buf, nil))
	for name, status := range statuses(t) {
		log.Info(name, "status", status)
	}
	for _, secret := range []string{secretCode, "advsecret", "noisekey", "c2VjcmV0", secretNumber} {
		if strings.Contains(buf.String(), secret) {
			t.Errorf("the log shows %q:\n%s", secret, &buf)
		}
	}
}
