package doctor_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mau.fi/whatsmeow"
	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink"
	"github.com/walink/walink/doctor"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/store"
	"github.com/walink/walink/walinktest"
)

var update = flag.Bool("update", false, "write testdata/report.json anew")

// sickStore is a Store with every optional interface that the doctor uses. Its fields
// make it fail.
type sickStore struct {
	store.Store
	list, check, load, ledger error
	taken                     int           // how many pairing codes are used up
	wait                      time.Duration // until the next one
	hang                      chan struct{} // Sessions waits for it, and ignores its context
	device                    *wastore.Device
	empty                     bool // Device returns nil and no error
	slow                      bool // every call takes nearly as long as it may
}

func (s *sickStore) Sessions(ctx context.Context) ([]store.Session, error) {
	if s.hang != nil {
		<-s.hang
	}
	s.dawdle()
	if s.list != nil {
		return nil, s.list
	}
	return s.Store.Sessions(ctx)
}

func (s *sickStore) Device(ctx context.Context, session string) (*wastore.Device, error) {
	s.dawdle()
	if s.load != nil || s.device != nil || s.empty {
		return s.device, s.load
	}
	return s.Store.Device(ctx, session)
}

func (s *sickStore) Check(context.Context) error {
	s.dawdle()
	return s.check
}

func (s *sickStore) dawdle() {
	if s.slow {
		time.Sleep(nearly)
	}
}

func (s *sickStore) TakeCode(context.Context, string, time.Time, int, time.Duration) (time.Time, error) {
	return time.Time{}, errors.New("the doctor uses codes up")
}

func (s *sickStore) RefuseCode(context.Context, string, time.Time, time.Duration) (time.Time, error) {
	return time.Time{}, errors.New("the doctor records a refusal")
}

func (s *sickStore) PeekCode(_ context.Context, _ string, now time.Time, limit int, _ time.Duration) (int, time.Time, error) {
	s.dawdle()
	if s.wait == 0 {
		return limit - s.taken, time.Time{}, s.ledger
	}
	return limit - s.taken, now.Add(s.wait), s.ledger
}

// bareStore has no optional interface.
type bareStore struct{ store.Store }

// wantChecks fails the test unless each "name status" in want is in the report, and every
// check is complete.
func wantChecks(t *testing.T, report doctor.Report, want ...string) {
	t.Helper()
	for _, w := range want {
		name, status, _ := strings.Cut(w, " ")
		if got := checkNamed(t, report, name).Status; string(got) != status {
			t.Errorf("%s is %s, want %s", name, got, status)
		}
	}
	for _, c := range report.Checks {
		faulty := c.Status == doctor.CheckFailed || c.Status == doctor.CheckWarning
		if c.Detail == "" || c.Status == "" || faulty != (c.Err != nil) || faulty && c.Err.Remedy() == "" {
			t.Errorf("check is incomplete: %+v", c)
		}
	}
	if t.Failed() {
		t.Logf("the report:\n%s", report)
	}
}

// wantFirst fails the test unless the named check is the first one to fix.
func wantFirst(t *testing.T, report doctor.Report, name string, reason walink.Reason) {
	t.Helper()
	wantChecks(t, report)
	first := report.First()
	if first == nil || first.Name != name || !errors.Is(first.Err, reason) || report.OK() {
		t.Errorf("first is %+v, want %s with %s\n%s", first, name, reason, report)
	}
}

func checkNamed(t *testing.T, report doctor.Report, name string) doctor.Check {
	t.Helper()
	i := slices.IndexFunc(report.Checks, func(c doctor.Check) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("no check %s in\n%s", name, report)
	}
	return report.Checks[i]
}

func TestExamineHealthy(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		srv := walinktest.NewServer(t)
		report := doctor.Examine(t.Context(), &sickStore{Store: rig.MemoryStore(t)}, walink.Settings{
			Phone: rig.Number, PreferPairingCode: true, HTTPClient: srv.HTTPClient(),
		})
		const want = `✓ settings   session "default" is linked by a pairing code
✓ number     +55•••••••••21, region BR; WhatsApp may know it without the ninth digit, so try that form if codes are refused
✓ store      the store holds 0 sessions and can be written
✓ clock      this machine's clock agrees with WhatsApp's
- proxy      Settings.HTTPClient connects in its own way
- dns        Settings.HTTPClient connects in its own way
- tcp        Settings.HTTPClient connects in its own way
- tls        Settings.HTTPClient connects in its own way
✓ websocket  a websocket to web.whatsapp.com can be opened
✓ noise      WhatsApp's server has proved who it is
✓ version    this build presents VERSION, which is current
✓ linking    WhatsApp offers 6 refs to link a new device with
✓ codes      3 of 3 pairing codes are left within 15 minutes
- lease      whether another program uses the session is not known, because the store has no leases
✓ session    none is stored under "default": Link will ask for the phone

0 failed, 0 to look at.
`
		built, list, _ := strings.Cut(report.String(), "\n\n")
		if parts := strings.Split(built, ", "); len(parts) != 5 || parts[2] != runtime.Version() || parts[3] != runtime.GOOS+"/"+runtime.GOARCH ||
			parts[4] != "at "+time.Now().UTC().Format(time.RFC3339) {
			t.Errorf("the build is %q", built)
		}
		if diff := cmp.Diff(strings.Replace(want, "VERSION", wastore.GetWAVersion().String(), 1), list); diff != "" {
			t.Error(diff)
		}
		if !report.OK() || report.First() != nil {
			t.Error("not OK")
		}
		if stats := srv.Stats(); stats.Connections != 1 || stats.VersionRequests != 1 {
			t.Errorf("WhatsApp saw %+v", stats)
		}
		data, err := json.Marshal(report)
		if err != nil {
			t.Fatal(err)
		}
		var again doctor.Report
		if err := json.Unmarshal(data, &again); err != nil || again.String() != report.String() {
			t.Errorf("from JSON: %v\n%s", err, again)
		}
	})
}

func TestExamineDisturbsNobody(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		st := rig.MemoryStore(t)
		r := rig.New(t, walink.Settings{}, rig.WithStore(st))
		r.LinkByQR()
		settings := walink.Settings{Phone: rig.Number, HTTPClient: r.Server.HTTPClient()}
		report := doctor.Examine(t.Context(), st, settings)
		wantChecks(t, report, "session skipped", "linking ok", "codes skipped", "lease failed")
		wantFirst(t, report, "lease", walink.ErrSessionBusy)
		detail := checkNamed(t, report, "session").Detail
		for _, part := range []string{`"default"`, "+55•••••••••21:1@", "2000-01-01", "Only a login shows whether WhatsApp still knows it", "Linked devices", "shows a new code"} {
			if !strings.Contains(detail, part) {
				t.Errorf("the session is %q, without %q", detail, part)
			}
		}
		r.CheckUsable()
		if names := r.Sessions(); !slices.Equal(names, []string{"default"}) {
			t.Errorf("stored is %q", names)
		}

		settings.Session = "another"
		if detail := checkNamed(t, doctor.Examine(t.Context(), st, settings), "session").Detail; !strings.Contains(detail, "1 session") {
			t.Errorf("another session: %q", detail)
		}
		if err := r.Linker.Close(); err != nil {
			t.Fatal(err)
		}
		settings.Session, settings.Phone = "", "+4915123456789"
		wantFirst(t, doctor.Examine(t.Context(), st, settings), "session", walink.ErrWrongAccount)
	})
}

func TestExamineWhatsApp(t *testing.T) {
	t.Parallel()
	script := func(stage walinktest.Stage, actions ...walinktest.Action) func(*walinktest.Server) {
		return func(srv *walinktest.Server) { srv.Script(stage, actions...) }
	}
	newer := wastore.GetWAVersion()
	newer[2]++
	for name, test := range map[string]struct {
		trouble func(*walinktest.Server)
		set     walink.Settings
		first   string // none if empty
		reason  walink.Reason
		want    []string
	}{
		"websocket: silent": {
			trouble: script(walinktest.StageUpgrade, walinktest.Silence()), first: "websocket", reason: walink.ErrStalled,
			want: []string{"clock ok", "noise skipped", "version ok", "linking skipped", "session ok"},
		},
		"websocket: forbidden by a filter": {
			trouble: script(walinktest.StageUpgrade, walinktest.Refuse(403)), first: "websocket", reason: walink.ErrForbidden,
		},
		"websocket: dropped":        {trouble: script(walinktest.StageUpgrade, walinktest.Drop()), first: "websocket", reason: walink.ErrNetwork},
		"websocket: server trouble": {trouble: script(walinktest.StageUpgrade, walinktest.Refuse(503)), first: "websocket", reason: walink.ErrServer},
		"noise: another's certificate": {
			trouble: script(walinktest.StageHandshake, walinktest.BadSignature()), first: "noise", reason: walink.ErrNetwork,
			want: []string{"websocket ok", "version ok", "linking skipped"},
		},
		"noise: garbage": {trouble: script(walinktest.StageHandshake, walinktest.Malformed()), first: "noise", reason: walink.ErrNetwork},
		"noise: dropped": {trouble: script(walinktest.StageHandshake, walinktest.Drop()), first: "noise", reason: walink.ErrNetwork},
		"noise: silent":  {trouble: script(walinktest.StageHandshake, walinktest.Silence()), first: "noise", reason: walink.ErrStalled},
		"linking: silent": {
			trouble: script(walinktest.StagePairDevice, walinktest.Silence()), first: "linking", reason: walink.ErrStalled,
			want: []string{"noise ok"},
		},
		"linking: dropped":   {trouble: script(walinktest.StagePairDevice, walinktest.Drop()), first: "linking", reason: walink.ErrNetwork},
		"linking: no refs":   {trouble: script(walinktest.StagePairDevice, walinktest.Malformed()), first: "linking", reason: walink.ErrServer},
		"linking: forbidden": {trouble: script(walinktest.StagePairDevice, walinktest.Failure(403)), first: "linking", reason: walink.ErrForbidden},
		"linking: too often": {trouble: script(walinktest.StagePairDevice, walinktest.Failure(429)), first: "linking", reason: walink.ErrRateLimited},
		"linking: an error of the stream": {
			trouble: script(walinktest.StagePairDevice, walinktest.StreamError(503, "")), first: "linking", reason: walink.ErrServer,
		},
		"version: refused, and none newer is known": {
			trouble: script(walinktest.StagePairDevice, walinktest.Failure(405)), first: "version", reason: walink.ErrClientOutdated,
			want: []string{"noise ok", "linking skipped"},
		},
		"version: refused, and Link must not fetch the current one": {
			trouble: func(srv *walinktest.Server) { srv.RequireVersion(newer) },
			set:     walink.Settings{DisableVersionRefresh: true}, first: "version", reason: walink.ErrClientOutdated,
		},
		"version: refused, and Link fetches the current one": {
			trouble: func(srv *walinktest.Server) { srv.RequireVersion(newer) }, want: []string{"version warning", "linking ok"},
		},
		"version: refused even when current": {
			trouble: func(srv *walinktest.Server) {
				srv.SetRevision(newer[2])
				srv.Script(walinktest.StagePairDevice, walinktest.Failure(405).Always())
			}, first: "version", reason: walink.ErrClientOutdated,
		},
		"version: older": {
			trouble: func(srv *walinktest.Server) { srv.SetRevision(newer[2]) }, want: []string{"version warning", "linking ok"},
		},
		"version: refused, and the page names an older one": {
			trouble: func(srv *walinktest.Server) {
				srv.RequireVersion(newer)
				srv.SetRevision(newer[2] - 2)
			}, first: "version", reason: walink.ErrClientOutdated,
		},
		"version: the page names an older one": {
			trouble: func(srv *walinktest.Server) { srv.SetRevision(newer[2] - 2) }, want: []string{"version ok", "linking ok"},
		},
		"version: the page names one that cannot be": {
			trouble: func(srv *walinktest.Server) { srv.SetRevision(newer[2] + 100_000_000) }, want: []string{"version warning", "linking ok"},
		},
		"version: no page": {
			trouble: script(walinktest.StageVersion, walinktest.Refuse(404)), want: []string{"version warning", "clock ok", "linking ok"},
		},
		"version: a silent page": {
			trouble: script(walinktest.StageVersion, walinktest.Silence()), want: []string{"version warning", "clock ok", "linking ok"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				srv := walinktest.NewServer(t)
				test.trouble(srv)
				test.set.HTTPClient = srv.HTTPClient()
				test.set.OnClient = func(*whatsmeow.Client) { t.Error("OnClient was called") }
				began := time.Now()
				report := doctor.Examine(t.Context(), &sickStore{Store: rig.MemoryStore(t)}, test.set)
				if took := time.Since(began); took > 20*time.Second {
					t.Errorf("took %s", took)
				}
				wantChecks(t, report, test.want...)
				if test.first != "" {
					wantFirst(t, report, test.first, test.reason)
				} else if !report.OK() {
					t.Errorf("not OK:\n%s", report)
				}
			})
		})
	}
}

func TestExamineSettingsAndNumber(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		set    walink.Settings
		first  string
		reason walink.Reason
		detail []string // of the first
		want   []string
	}{
		"two faults": {
			set:   walink.Settings{LinkingMode: walink.ModeQR, PreferPairingCode: true, CodeBudget: -1},
			first: "settings", reason: walink.ErrInvalidSettings, detail: []string{"PreferPairingCode", "CodeBudget"},
			want: []string{"number skipped", "codes skipped", "linking ok"},
		},
		"no number for a code": {
			set: walink.Settings{LinkingMode: walink.ModePairing}, first: "settings", reason: walink.ErrInvalidSettings,
			detail: []string{"Phone", "needed for a pairing code"}, want: []string{"number skipped", "codes skipped"},
		},
		"a negative budget for a code": {
			set:   walink.Settings{LinkingMode: walink.ModePairing, Phone: rig.Number, CodeBudget: -1},
			first: "settings", reason: walink.ErrInvalidSettings, want: []string{"number ok", "codes skipped"},
		},
		"a proxy that is none, with which nothing must connect": {
			set: walink.Settings{Proxy: "ftp://127.0.0.1"}, first: "settings", reason: walink.ErrInvalidSettings,
			want: []string{"proxy skipped", "dns skipped", "tcp skipped", "clock skipped", "tls skipped", "websocket skipped", "linking skipped"},
		},
		"a number without its country code": {
			set: walink.Settings{Phone: "011 98765-4321", PreferPairingCode: true}, first: "number", reason: walink.ErrInvalidPhone,
			want: []string{"settings ok", "codes skipped", "linking ok"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				srv := walinktest.NewServer(t)
				test.set.HTTPClient = srv.HTTPClient()
				report := doctor.Examine(t.Context(), &sickStore{Store: rig.MemoryStore(t)}, test.set)
				wantFirst(t, report, test.first, test.reason)
				wantChecks(t, report, test.want...)
				for _, part := range test.detail {
					if !strings.Contains(report.First().Detail, part) {
						t.Errorf("%q does not say %q", report.First().Detail, part)
					}
				}
			})
		})
	}
}

func TestExamineNumberForms(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for phone, want := range map[string]string{
		"+5511987654321": "without the ninth digit", "+551187654321": "with the ninth digit",
		"+5215512345678": "without the 1 after +52", "+5491123456789": "without the 9 after +54", "+4915123456789": "region DE",
	} {
		c := checkNamed(t, doctor.Examine(ctx, nil, walink.Settings{Phone: phone}), "number")
		if c.Status != doctor.CheckOK || !strings.Contains(c.Detail, want) || strings.Contains(c.Detail, phone) {
			t.Errorf("%s: %s %q, want %q", phone, c.Status, c.Detail, want)
		}
	}
}

func TestExamineSaysHowOldTheVersionIs(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, time.November, 28, 12, 0, 0, 0, time.UTC)))
		srv := walinktest.NewServer(t)
		report := doctor.Examine(t.Context(), rig.MemoryStore(t), walink.Settings{HTTPClient: srv.HTTPClient()})
		if detail := checkNamed(t, report, "version").Detail; !strings.HasSuffix(detail, " (68 days old), which is current") {
			t.Errorf("the version is %q", detail)
		}
	})
}
