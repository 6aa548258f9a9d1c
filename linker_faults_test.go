package walink_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/store"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/walinktest"
)

// The outcome of each answer to the code request.
func TestPains02RefusedCodeRequests(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		action walinktest.Action
		want   walink.Reason
		retry  bool          // there is another attempt first, unless a QR code is shown meanwhile
		wait   time.Duration // RetryAfter
	}{
		{"400", walinktest.Refuse(400), walink.ErrCodeRefused, false, time.Minute},
		{"401", walinktest.Refuse(401), walink.ErrForbidden, false, 0},
		{"403", walinktest.Refuse(403), walink.ErrForbidden, false, 0},
		{"452", walinktest.Refuse(452), walink.ErrForbidden, false, 0},
		{"429", walinktest.Refuse(429), walink.ErrRateLimited, false, 15 * time.Minute},
		{"429 with a backoff", walinktest.RateLimit(7 * time.Minute), walink.ErrRateLimited, false, 7 * time.Minute},
		{"500", walinktest.Refuse(500), walink.ErrServer, true, 0},
		{"503", walinktest.Refuse(503), walink.ErrServer, true, 0},
		{"malformed", walinktest.Malformed(), walink.ErrPairing, true, 0},
		{"silence", walinktest.Silence(), walink.ErrStalled, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for name, fallback := range map[string]bool{"failed": false, "QR": true} {
				if fallback && c.retry && c.want != walink.ErrStalled {
					continue // the fallback does not depend on the reason
				}
				rig.Bubble(t, func(t *testing.T) {
					settings := pairing()
					settings.QRFallback = fallback
					r := rig.New(t, settings)
					r.Server.Script(walinktest.StageCompanionHello, c.action.Always())
					r.Link(t.Context())
					var err *walink.Error
					if fallback {
						qr := rig.Await[walink.QRCode](r)
						err = qr.Fallback
						r.Scan(qr)
						r.Linked()
					} else {
						err = r.Failed()
					}
					rig.WantReason(t, err, c.want)
					if err.RetryAfter != c.wait {
						t.Errorf("%s: RetryAfter is %v, want %v", name, err.RetryAfter, c.wait)
					}
					if got := strings.Contains(r.Kinds(), "retrying"); got != (c.retry && !fallback) {
						t.Errorf("%s: a Retrying is there: %t:\n%s", name, got, r.Story())
					}
					if strings.Contains(r.Kinds(), "pairing_code") {
						t.Errorf("%s: the Linker shows a code that the server did not confirm", name)
					}
				})
			}
			if !c.retry {
				return
			}
			rig.Bubble(t, func(t *testing.T) { // the server refuses once: the next attempt has its code
				r := rig.New(t, pairing())
				r.Server.Script(walinktest.StageCompanionHello, c.action)
				r.Link(t.Context())
				rig.WantReason(t, rig.Await[walink.Retrying](r).Err, c.want)
				rig.Await[walink.PairingCode](r)
			})
		})
	}
}

// The outcome of each way in which the server refuses a connection, before linking
// and at the login of a stored session.
func TestConnectionThatTheServerRefuses(t *testing.T) {
	t.Parallel()
	const (
		fails  = "the Link fails"
		goesOn = "the next attempt links, or resumes the session"
		afresh = "the next attempt links, afresh in place of the stored session"
	)
	for _, c := range []struct {
		action            walinktest.Action
		linking, resuming walink.Reason
		outcome           string
	}{
		{walinktest.Failure(400), walink.ErrServer, walink.ErrServer, goesOn},
		{walinktest.Failure(401), walink.ErrForbidden, walink.ErrLoggedOut, afresh},
		{walinktest.Failure(402, "expire", "3600"), walink.ErrTemporarilyBanned, walink.ErrTemporarilyBanned, fails},
		{walinktest.Failure(403), walink.ErrForbidden, walink.ErrLoggedOut, afresh},
		{walinktest.Failure(405), walink.ErrClientOutdated, walink.ErrClientOutdated, goesOn},
		{walinktest.Failure(406), walink.ErrBanned, walink.ErrBanned, fails},
		{walinktest.Failure(409), walink.ErrClientOutdated, walink.ErrClientOutdated, goesOn},
		{walinktest.Failure(415), walink.ErrServer, walink.ErrServer, goesOn},
		{walinktest.Failure(500), walink.ErrServer, walink.ErrServer, goesOn},
		{walinktest.Failure(501), walink.ErrServer, walink.ErrServer, goesOn},
		{walinktest.Failure(503), walink.ErrServer, walink.ErrServer, goesOn},
		{walinktest.StreamError(503, ""), walink.ErrServer, walink.ErrServer, goesOn},
		{walinktest.StreamError(599, ""), walink.ErrServer, walink.ErrServer, goesOn},
		{walinktest.StreamError(401, "device_removed"), walink.ErrForbidden, walink.ErrLoggedOut, afresh},
		{walinktest.StreamError(409, "replaced"), walink.ErrReplaced, walink.ErrReplaced, fails},
		{walinktest.Drop(), walink.ErrNetwork, walink.ErrNetwork, goesOn},
	} {
		t.Run(fmt.Sprintf("%+v", c.action), func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				r := rig.New(t, walink.Settings{})
				r.Server.Script(walinktest.StagePairDevice, c.action)
				r.Link(t.Context())
				if c.outcome == fails {
					err := r.Failed()
					rig.WantReason(t, err, c.linking)
					if c.linking == walink.ErrTemporarilyBanned && err.RetryAfter != time.Hour {
						t.Errorf("RetryAfter is %v", err.RetryAfter)
					}
					return
				}
				rig.WantReason(t, rig.Await[walink.Retrying](r).Err, c.linking)
				r.Scan(rig.Await[walink.QRCode](r))
				r.Linked()
			})
			rig.Bubble(t, func(t *testing.T) {
				r := rig.New(t, walink.Settings{})
				r.LinkByQR()
				r.Server.Script(walinktest.StageLogin, c.action)
				again := r.Again(walink.Settings{})
				again.Link(t.Context())
				if c.outcome == fails {
					rig.WantReason(t, again.Failed(), c.resuming)
					return
				}
				rig.WantReason(t, rig.Await[walink.Retrying](again).Err, c.resuming)
				if c.outcome == afresh {
					again.Scan(rig.Await[walink.QRCode](again))
				}
				if linked := again.Linked(); linked.Resumed == (c.outcome == afresh) {
					t.Errorf("Resumed is %t:\n%s", linked.Resumed, again.Story())
				}
				again.CheckUsable()
			})
		})
	}
}

func TestPains17FirstPairingFailsAndTheSecondLinks(t *testing.T) {
	t.Parallel()
	for name, action := range map[string]walinktest.Action{
		"HMAC": walinktest.BadHMAC(), "signature": walinktest.BadSignature(), "malformed": walinktest.Malformed(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				r := rig.New(t, walink.Settings{})
				r.Server.Script(walinktest.StagePairSuccess, action)
				r.Link(t.Context())
				first := rig.Await[walink.QRCode](r)
				if err := r.Phone.ScanQR(t.Context(), first.Payload); err == nil {
					t.Error("the phone says that it is linked")
				}
				rig.WantReason(t, rig.Await[walink.Retrying](r).Err, walink.ErrPairing)
				second := rig.Await[walink.QRCode](r)
				if got := r.Sessions(); len(got) != 0 {
					t.Errorf("%v is stored", got)
				}
				was, _ := walinktest.ParseQR(first.Payload)
				is, err := walinktest.ParseQR(second.Payload)
				if err != nil || is.IdentityKey == was.IdentityKey {
					t.Errorf("the second QR code is not that of a fresh device (%v)", err)
				}
				r.Scan(second)
				r.Linked()
				r.CheckUsable()
			})
		})
	}
}

func TestPains23AnotherAccountIsRefusedBeforeAnythingIsStored(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{Phone: rig.Number, LinkingMode: walink.ModeBoth})
		stranger := r.Server.NewPhone("+4915123456789")
		r.Link(t.Context())
		first := rig.Await[walink.PairingCode](r)
		if err := stranger.ScanQR(t.Context(), r.Linker.Status().QRCode.Payload); err == nil {
			t.Error("a stranger's phone says that it is linked")
		}
		retrying := rig.Await[walink.Retrying](r)
		rig.WantReason(t, retrying.Err, walink.ErrWrongAccount)
		if strings.Contains(retrying.Err.Error(), "4915123456789") {
			t.Error("the error holds a whole number")
		}
		second := rig.Await[walink.PairingCode](r)
		if second.Code == first.Code {
			t.Error("the next code is the same")
		}
		if got := r.Sessions(); len(got) != 0 {
			t.Errorf("%v is stored", got)
		}
		r.Enter(second)
		r.Linked()
	})
}

func TestPains24BothFormsOfANumberAreTheSameAccount(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{Phone: rig.Number})
		short := r.Server.NewPhone("+551187654321") // as WhatsApp may know it: without the ninth digit
		r.Link(t.Context())
		if err := short.ScanQR(t.Context(), rig.Await[walink.QRCode](r).Payload); err != nil {
			t.Fatal(err)
		}
		r.Linked()
	})
}

func TestPains18OutdatedClientRefreshesTheVersionOnce(t *testing.T) {
	t.Parallel()
	t.Run("refreshed", func(t *testing.T) {
		t.Parallel()
		rig.Bubble(t, func(t *testing.T) {
			r := rig.New(t, walink.Settings{})
			r.Server.RequireVersion([3]uint32{2, 3000, store.GetWAVersion()[2] + 1_000_000})
			r.Link(t.Context())
			rig.WantReason(t, rig.Await[walink.Retrying](r).Err, walink.ErrClientOutdated)
			r.Scan(rig.Await[walink.QRCode](r))
			r.Linked()
			r.CheckUsable()
		})
	})
	t.Run("still outdated", func(t *testing.T) {
		t.Parallel()
		rig.Bubble(t, func(t *testing.T) {
			r := rig.New(t, walink.Settings{})
			r.Server.RequireVersion([3]uint32{2, 3000, 4_000_000_000})
			r.Server.SetRevision(store.GetWAVersion()[2] + 1)
			r.Link(t.Context())
			rig.WantReason(t, r.Failed(), walink.ErrClientOutdated)
			if want := "connecting retrying connecting failed"; r.Kinds() != want {
				t.Errorf("the events are %s, want %s", r.Kinds(), want)
			}
		})
	})
	for name, c := range map[string]struct {
		revision uint32
		told     string
	}{
		"older":         {store.GetWAVersion()[2] - 1, "which is older than this build's"},
		"far too new":   {store.GetWAVersion()[2] + 100_000_000, "which is too far ahead of this build's"},
		"nearly no end": {4_000_000_000, "which is too far ahead of this build's"},
	} {
		t.Run("the page names a version that is "+name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				r := rig.New(t, walink.Settings{})
				r.Server.RequireVersion([3]uint32{2, 3000, 4_000_000_000})
				r.Server.SetRevision(c.revision)
				r.Link(t.Context())
				err := r.Failed()
				rig.WantReason(t, err, walink.ErrClientOutdated)
				if !strings.Contains(err.Error(), fmt.Sprintf("names 2.3000.%d, %s", c.revision, c.told)) {
					t.Errorf("the error is %v", err)
				}
				if got := r.Server.Stats().LastVersion; got != store.GetWAVersion() {
					t.Errorf("the version %s is announced", got)
				}
			})
		})
	}
	t.Run("disabled", func(t *testing.T) {
		t.Parallel()
		rig.Bubble(t, func(t *testing.T) {
			r := rig.New(t, walink.Settings{DisableVersionRefresh: true})
			r.Server.RequireVersion([3]uint32{2, 3000, 4_000_000_000})
			r.Server.SetRevision(1)
			r.Link(t.Context())
			rig.WantReason(t, r.Failed(), walink.ErrClientOutdated)
			if got := r.Server.Stats().VersionRequests; got != 0 {
				t.Errorf("there are %d version requests", got)
			}
		})
	})
	for name, c := range map[string]struct {
		action walinktest.Action
		want   []walink.Reason
	}{
		"refused":   {walinktest.Refuse(503), []walink.Reason{walink.ErrTimeout, walink.ErrServer}},
		"forbidden": {walinktest.Refuse(403), []walink.Reason{walink.ErrClientOutdated}},
		"malformed": {walinktest.Malformed(), []walink.Reason{walink.ErrClientOutdated}},
		"silent":    {walinktest.Silence(), []walink.Reason{walink.ErrTimeout, walink.ErrNetwork}},
		"dropped":   {walinktest.Drop(), []walink.Reason{walink.ErrTimeout, walink.ErrNetwork}},
	} {
		t.Run("version request "+name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				r := rig.New(t, walink.Settings{})
				r.Server.RequireVersion([3]uint32{2, 3000, 4_000_000_000})
				r.Server.SetRevision(1)
				r.Server.Script(walinktest.StageVersion, c.action.Always())
				r.Link(t.Context())
				rig.WantReason(t, r.Failed(), c.want...)
			})
		})
	}
}

// Nothing listens on the port of the proxy, which a real socket had before.
func TestPains21ProxyFailsClosed(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	for _, scheme := range []string{"http", "https", "socks5"} {
		linker, err := walink.New(rig.MemoryStore(t), walink.Settings{Proxy: scheme + "://user:hunter2@" + address})
		if err != nil {
			t.Fatal(err)
		}
		link, err := linker.Link(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for event := range link {
			if retrying, ok := event.(walink.Retrying); ok {
				rig.WantReason(t, retrying.Err, walink.ErrProxy)
				if text := retrying.Err.Error(); !strings.Contains(text, address) || strings.Contains(text, "hunter2") {
					t.Errorf("%s: the error is %q", scheme, text)
				}
				break
			}
		}
		if err := linker.Close(); err != nil {
			t.Error(err)
		}
	}
}
