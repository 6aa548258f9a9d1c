package doctor_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink"
	"github.com/walink/walink/doctor"
	"github.com/walink/walink/internal/process"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/store"
	"github.com/walink/walink/walinktest"
)

// TestReportGolden holds the JSON form of a Report, which programs read.
func TestReportGolden(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		srv := walinktest.NewServer(t)
		srv.Script(walinktest.StageUpgrade, walinktest.Refuse(503))
		report := doctor.Examine(t.Context(), &sickStore{Store: rig.MemoryStore(t), taken: 3, wait: 5 * time.Minute}, walink.Settings{
			Phone: rig.Number, PreferPairingCode: true, QRFallback: true, HTTPClient: srv.HTTPClient(),
		})
		report.Build = doctor.Build{Walink: "v0.1.0", Whatsmeow: "v0.0.0", Go: "go1.26", System: "linux/amd64"}
		got, err := json.MarshalIndent(report, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, '\n')
		text := strings.ReplaceAll(string(got), wastore.GetWAVersion().String(), "2.3000.0")
		path := filepath.Join("testdata", "report.json")
		if *update {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), text); diff != "" {
			t.Errorf("JSON (-golden +got):\n%s", diff)
		}
		var again doctor.Report
		if err := json.Unmarshal(got, &again); err != nil || again.String() != report.String() {
			t.Errorf("from JSON: %v\n%s", err, again)
		}
	})
}

func TestReportOfNothing(t *testing.T) {
	t.Parallel()
	var zero doctor.Report
	if zero.OK() || zero.First() != nil || zero.String() != "Nothing was examined.\n" {
		t.Errorf("OK %v, %q", zero.OK(), zero)
	}
	bare := doctor.Report{Checks: []doctor.Check{{Name: "x", Status: doctor.CheckFailed}, {Name: "y", Status: doctor.CheckWarning}}}
	if bare.OK() || !strings.Contains(bare.String(), "1 failed, 1 to look at.") {
		t.Errorf("without errors: %s", bare)
	}
}

// TestExamineWithFaults hands over an error of ParseSettings.
func TestExamineWithFaults(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		srv := walinktest.NewServer(t)
		settings, fault := walink.ParseSettings([]byte(`{"proxi": "http://user:canary@host", "timeout": 600}`))
		settings.HTTPClient = srv.HTTPClient()
		report := doctor.Examine(t.Context(), &sickStore{Store: rig.MemoryStore(t)}, settings, fault)
		wantFirst(t, report, "settings", walink.ErrInvalidSettings)
		wantChecks(t, report, "number skipped", "store ok", "proxy skipped", "websocket skipped", "session skipped", "lease skipped")
		const want = `"proxi": unknown key. Write "proxy" if that is meant.` + "\n" +
			`"timeout": a number where a duration string is wanted. Write a Go duration in quotes, such as "10m" or "1h30m".`
		if c := report.First(); c.Detail != want || c.Err.Remedy() != `Write "proxy" if that is meant.` {
			t.Errorf("%q, and %q", c.Detail, c.Err.Remedy())
		}
		if stats := srv.Stats(); stats.Connections+stats.VersionRequests > 0 {
			t.Errorf("the doctor sent something: %+v", stats)
		}
		report = doctor.Examine(t.Context(), &sickStore{Store: rig.MemoryStore(t)}, settings, errors.New("password=canary"), nil)
		if c := report.First(); c.Detail != "password=[redacted]" {
			t.Errorf("%q", c.Detail)
		}
	})
}

func TestExamineNumberThatIsMissing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for mode, want := range map[walink.LinkingMode]string{
		walink.ModeQR: "none is set: any account that scans the QR code is linked", walink.ModePairing: "none is set, though a pairing code needs one",
	} {
		if c := checkNamed(t, doctor.Examine(ctx, nil, walink.Settings{LinkingMode: mode}), "number"); c.Detail != want {
			t.Errorf("%s: %q, want %q", mode, c.Detail, want)
		}
	}
}

// lender is a Store with leases.
type lender struct {
	store.Store
	store.Leaser
	lease store.Lease
	err   error
}

func (l lender) PeekLease(_ context.Context, session string) (store.Lease, error) {
	if session != "default" {
		return store.Lease{}, errors.New("the doctor asks for another session")
	}
	return l.lease, l.err
}

func TestExamineLease(t *testing.T) {
	t.Parallel()
	since := time.Date(1999, 12, 31, 23, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		lender lender
		want   doctor.CheckStatus
		detail string
		reason walink.Reason
		remedy string
	}{
		"in use": {
			lender{lease: store.Lease{Holder: "bot-1, process 42, +55 11 98765-4321", Since: since}},
			doctor.CheckFailed,
			`session "default" is in use by bot-1, process 42, [redacted] since 1999-12-31 23:00:00 UTC`, walink.ErrSessionBusy,
			"Stop the other program that uses this session (wait a while if it was killed), or choose another session name.",
		},
		"in use by this program": {
			lender{lease: store.Lease{Holder: process.Name(), Since: since}},
			doctor.CheckFailed,
			`session "default" is in use by ` + process.Name() + ` since 1999-12-31 23:00:00 UTC`, walink.ErrSessionBusy,
			"Close the other Linker of this program that has the session, or wait a moment if the program has just started again.",
		},
		"free":           {lender{err: store.ErrNotFound}, doctor.CheckOK, `nobody uses session "default"`, "", ""},
		"cannot be read": {lender{err: &fs.PathError{Op: "read", Path: "leases", Err: fs.ErrPermission}}, doctor.CheckFailed, `the lease of session "default" cannot be read`, walink.ErrStore, "Check that the database can be opened and written, and that its disk is not full."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				test.lender.Store = rig.MemoryStore(t)
				report := doctor.Examine(t.Context(), test.lender, walink.Settings{HTTPClient: walinktest.NewServer(t).HTTPClient()})
				c := checkNamed(t, report, "lease")
				if c.Status != test.want || c.Detail != test.detail || test.reason != "" && (!errors.Is(c.Err, test.reason) || c.Err.Remedy() != test.remedy) {
					t.Errorf("%s %q, %v", c.Status, c.Detail, c.Err)
				}
			})
		})
	}
}

// shifted is a server whose clock differs from this machine's.
type shifted struct {
	base http.RoundTripper
	by   time.Duration
	age  string
}

func (s shifted) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := s.base.RoundTrip(req)
	if err == nil {
		resp.Header.Set("Date", time.Now().Add(s.by).UTC().Format(http.TimeFormat))
		resp.Header.Set("Age", s.age)
	}
	return resp, err
}

func TestExamineClock(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		by     time.Duration
		age    string
		status doctor.CheckStatus
		detail string
	}{
		"an hour ahead":       {-time.Hour, "", doctor.CheckFailed, "clock is 1 hour ahead of"},
		"an hour behind":      {time.Hour, "", doctor.CheckFailed, "clock is 1 hour behind"},
		"a little off":        {2 * time.Minute, "", doctor.CheckWarning, "clock is 2 minutes behind"},
		"within a minute":     {59 * time.Second, "", doctor.CheckOK, "agrees"},
		"beyond a minute":     {-61 * time.Second, "", doctor.CheckWarning, "1 minute 1 second ahead of"},
		"within five minutes": {-5 * time.Minute, "", doctor.CheckWarning, "5 minutes ahead of"},
		"beyond five minutes": {5*time.Minute + time.Second, "", doctor.CheckFailed, "5 minutes 1 second behind"},
		"right":               {time.Second, "", doctor.CheckOK, "agrees"},
		"right, from a cache": {-time.Hour, "3600", doctor.CheckOK, "agrees"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				srv := walinktest.NewServer(t)
				srv.Script(walinktest.StageUpgrade, walinktest.Refuse(500)) // a later failure
				client := srv.HTTPClient()
				client.Transport = shifted{client.Transport, test.by, test.age}
				report := doctor.Examine(t.Context(), &sickStore{Store: rig.MemoryStore(t)}, walink.Settings{HTTPClient: client})
				if c := checkNamed(t, report, "clock"); c.Status != test.status || !strings.Contains(c.Detail, test.detail) {
					t.Errorf("the clock is %s: %s", c.Status, c.Detail)
				}
				if c := checkNamed(t, report, "clock"); c.Err != nil && c.Err.Remedy() != "Set this machine's clock, and let it be set automatically (NTP)." {
					t.Errorf("the remedy is %q", c.Err.Remedy())
				}
				first := "websocket"
				if test.status == doctor.CheckFailed {
					first = "clock"
				}
				if got := report.First(); got == nil || got.Name != first {
					t.Errorf("first is %+v, want %s", got, first)
				}
			})
		})
	}
}
