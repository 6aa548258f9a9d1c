package doctor_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/util/keys"

	"github.com/walink/walink"
	"github.com/walink/walink/doctor"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/walinktest"
)

func TestExamineStore(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is full")
	advice := &store.Advice{Err: errors.New("nothing is there"), Fix: "Make it."}
	code := walink.Settings{Phone: rig.Number, PreferPairingCode: true}
	both := walink.Settings{Phone: rig.Number, LinkingMode: walink.ModeBoth}
	for name, test := range map[string]struct {
		store  func(store.Store) store.Store
		set    walink.Settings
		first  string
		reason walink.Reason
		want   []string
		detail string // of the first check in want
		cause  string // of the same check
		remedy string // of the same check
	}{
		"none": {
			store: func(store.Store) store.Store { return nil }, first: "store", reason: walink.ErrInvalidSettings,
			want: []string{"session skipped", "linking ok"},
		},
		"cannot be read": {
			store: func(st store.Store) store.Store { return &sickStore{Store: st, list: broken} },
			set:   code, first: "store", reason: walink.ErrStore, want: []string{"session skipped", "codes skipped"},
		},
		"cannot be written": {
			store: func(st store.Store) store.Store { return &sickStore{Store: st, check: broken} },
			first: "store", reason: walink.ErrStore,
		},
		"cannot say whether it can be written": {
			store: func(st store.Store) store.Store { return bareStore{st} },
			set:   both, want: []string{"store ok"}, detail: "was not examined",
		},
		"a session that cannot be loaded": {
			store: func(st store.Store) store.Store { return &sickStore{Store: listing{st}, load: broken} },
			first: "session", reason: walink.ErrStore, want: []string{"store ok"},
		},
		"a session without a device": {
			store: func(st store.Store) store.Store { return &sickStore{Store: listing{st}, device: &wastore.Device{}} },
			first: "session", reason: walink.ErrStore, want: []string{"store ok"},
		},
		"no ledger": {
			store: func(st store.Store) store.Store { return bareStore{st} },
			set:   code, want: []string{"codes skipped"}, detail: "the store does not count pairing codes, so what other processes asked for is not known; in this process 3 of 3",
		},
		"nil for a device": {
			store: func(st store.Store) store.Store { return &sickStore{Store: listing{st}, empty: true} },
			first: "session", reason: walink.ErrStore, want: []string{"session failed"}, detail: "which has no device for it",
		},
		"panics": {
			store: func(store.Store) store.Store { return struct{ store.Store }{} },
			first: "store", reason: walink.ErrStore, want: []string{"store failed"}, detail: "cannot be read", cause: "it panicked: ",
		},
		"advice, for what is not there": {
			store: func(st store.Store) store.Store { return &sickStore{Store: st, list: advice} },
			set:   code, want: []string{"store warning", "session skipped", "codes skipped", "lease skipped"}, detail: "was not opened: nothing is there", cause: "nothing is there",
			remedy: "Make it.",
		},
		"advice, for what is there": {
			store: func(st store.Store) store.Store { return &sickStore{Store: st, check: advice} },
			want:  []string{"store warning", "session ok"}, detail: "holds 0 sessions: nothing is there", remedy: "Make it.",
		},
		"a ledger that fails": {
			store: func(st store.Store) store.Store { return &sickStore{Store: st, ledger: broken} },
			set:   code, first: "codes", reason: walink.ErrStore,
		},
		"one code left": {
			store: func(st store.Store) store.Store { return &sickStore{Store: st, taken: 2} },
			set:   code, want: []string{"codes ok"}, detail: "1 of 3 pairing codes",
		},
		"no code left": {
			store: func(st store.Store) store.Store { return &sickStore{Store: st, taken: 3, wait: 5 * time.Minute} },
			set:   code, first: "codes", reason: walink.ErrRateLimited, want: []string{"codes failed"}, detail: "all 3 pairing codes within 15 minutes have been asked for; the next can be had at 2000-01-01 00:05:00 UTC, in 5 minutes",
		},
		"WhatsApp has refused a code": {
			store: func(st store.Store) store.Store { return &sickStore{Store: st, taken: 1, wait: time.Hour} },
			set:   code, first: "codes", reason: walink.ErrRateLimited, want: []string{"codes failed"}, detail: "refused",
		},
		"no code left, and QR": {
			store: func(st store.Store) store.Store { return &sickStore{Store: st, taken: 3, wait: time.Minute} },
			set:   both, want: []string{"codes warning"}, detail: "QR",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				srv := walinktest.NewServer(t)
				test.set.HTTPClient = srv.HTTPClient()
				report := doctor.Examine(t.Context(), test.store(rig.MemoryStore(t)), test.set)
				wantChecks(t, report, test.want...)
				if test.first != "" {
					wantFirst(t, report, test.first, test.reason)
				} else if !report.OK() {
					t.Errorf("not OK:\n%s", report)
				}
				if test.detail == "" {
					return
				}
				name, _, _ := strings.Cut(test.want[0], " ")
				if c := checkNamed(t, report, name); !strings.Contains(c.Detail, test.detail) {
					t.Errorf("%s says %q, want %q", name, c.Detail, test.detail)
				} else if test.cause != "" && (c.Err == nil || !strings.Contains(c.Err.Error(), test.cause)) || test.remedy != "" && c.Err.Remedy() != test.remedy {
					t.Errorf("%s: %v", name, c.Err)
				}
			})
		})
	}
}

func TestExamineSaysWhoCanReplaceTheDatabase(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("modes do not say who may write")
	}
	dir := t.TempDir()
	st, err := sqlite.Open(t.Context(), filepath.Join(dir, "walink.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	srv := walinktest.NewServer(t)
	report := doctor.Examine(t.Context(), st, walink.Settings{HTTPClient: srv.HTTPClient()})
	wantChecks(t, report, "store warning", "session ok")
	c := checkNamed(t, report, "store")
	if !strings.Contains(c.Detail, "others can write to the directory") || c.Err == nil || !strings.Contains(c.Err.Remedy(), "mode 0700") {
		t.Errorf("store says %q, with the remedy %q", c.Detail, c.Err.Remedy())
	}
}

// listing is a Store that lists a session, whether the Store has one or not.
type listing struct{ store.Store }

func (listing) Sessions(context.Context) ([]store.Session, error) {
	return []store.Session{{Name: "default"}}, nil
}

// late is a server whose every answer takes nearly as long as it may.
type late struct{ base http.RoundTripper }

func (l late) RoundTrip(req *http.Request) (*http.Response, error) {
	time.Sleep(nearly)
	return l.base.RoundTrip(req)
}

const nearly = 9 * time.Second // of the 10 s that a call may take

func TestExamineEndsAlways(t *testing.T) {
	t.Parallel()
	silent := func(srv *walinktest.Server) {
		srv.Script(walinktest.StageVersion, walinktest.Silence().Always())
		srv.Script(walinktest.StageUpgrade, walinktest.Silence().Always())
	}
	for name, test := range map[string]struct {
		after  time.Duration // the time of ctx; ctx has no end if negative
		hang   bool
		slow   bool
		atMost time.Duration
		first  string
		reason walink.Reason
		want   []string
	}{
		"ctx has ended before": {
			after: 0, first: "store", reason: walink.ErrTimeout, want: []string{"settings ok", "linking skipped", "session skipped"},
		},
		"ctx ends while the page is silent":      {after: 5 * time.Second, atMost: 6 * time.Second, first: "websocket", reason: walink.ErrTimeout},
		"ctx ends while the websocket is silent": {after: 15 * time.Second, atMost: 16 * time.Second, first: "websocket", reason: walink.ErrTimeout},
		"a store that heeds no context":          {after: -1, hang: true, atMost: 32 * time.Second, first: "store", reason: walink.ErrStore},
		"everything is slow":                     {after: -1, slow: true, atMost: 62 * time.Second, first: "session", reason: walink.ErrTimeout},
		"nothing answers":                        {after: -1, atMost: 21 * time.Second, first: "websocket", reason: walink.ErrStalled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				srv := walinktest.NewServer(t)
				if !test.slow {
					silent(srv)
				}
				ctx, st := t.Context(), &sickStore{Store: rig.MemoryStore(t)}
				if test.after >= 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.after)
					defer cancel()
				}
				if test.hang {
					st.hang = make(chan struct{})
					defer close(st.hang)
				}
				began := time.Now()
				client := srv.HTTPClient()
				if test.slow {
					st.Store, st.slow = listing{st.Store}, true
					client.Transport = late{client.Transport}
				}
				report := doctor.Examine(ctx, st, walink.Settings{Phone: rig.Number, LinkingMode: walink.ModeBoth, HTTPClient: client})
				if took := time.Since(began); took > test.atMost {
					t.Errorf("took %s", took)
				}
				time.Sleep(nearly) // until the slow store is through
				wantFirst(t, report, test.first, test.reason)
				wantChecks(t, report, test.want...)
			})
		})
	}
}

func TestExamineReportHoldsNoSecret(t *testing.T) {
	t.Parallel()
	const password, user = "s3cret-canary", "canary-user"
	key := base64.StdEncoding.EncodeToString(keys.NewKeyPair().Priv[:])
	gossip := errors.New("dsn postgres://" + user + ":" + password + "@db, key " + key + ", number " + rig.Number +
		", as +55 11 98765-4321, 5511987654321@s.whatsapp.net, other form 551187654321, code ABCD-2345")
	secrets := []string{
		password, user, key, "5511987654321", "551187654321", "98765-4321", "987654321", "ABCD-2345",
	}
	rig.Bubble(t, func(t *testing.T) {
		srv := walinktest.NewServer(t)
		for _, set := range []walink.Settings{
			{Session: "5511987654321", Phone: rig.Number, PreferPairingCode: true, HTTPClient: srv.HTTPClient()},
			{Phone: "+55 11 98765-43210000", DeviceName: "5511987654321 " + strings.Repeat("x", 99), Proxy: "socks5://" + user + ":" + password + "@127.0.0.1:1"},
			{Proxy: "http://" + user + ":" + password + "@[::1", Session: "+55 11 98765-4321\x00"},
		} {
			for _, st := range []*sickStore{
				{Store: rig.MemoryStore(t), list: gossip},
				{Store: rig.MemoryStore(t), check: gossip},
				{Store: rig.MemoryStore(t), ledger: gossip},
				{Store: listing{rig.MemoryStore(t)}, load: gossip},
			} {
				report := doctor.Examine(t.Context(), st, set)
				data, err := json.Marshal(report)
				if err != nil {
					t.Fatal(err)
				}
				for _, secret := range secrets {
					if strings.Contains(report.String(), secret) || strings.Contains(string(data), secret) {
						t.Errorf("%q is in the report:\n%s", secret, report)
					}
				}
				for _, c := range report.Checks {
					if c.Err != nil && errors.Is(c.Err, gossip) {
						t.Errorf("%s still holds the cause", c.Name)
					}
				}
			}
		}
	})
}
