package walink_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/walinktest"
)

// TestPains02RefusedCodeRequests: what becomes of each answer to the code request.
func TestPains02RefusedCodeRequests(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		action walinktest.Action
		want   walink.Reason
		retry  bool // another attempt follows first
		wait   time.Duration
	}{
		{"400", walinktest.Refuse(400), walink.ErrCodeRefused, false, time.Minute},
		{"401", walinktest.Refuse(401), walink.ErrForbidden, false, 0},
		{"403", walinktest.Refuse(403), walink.ErrForbidden, false, 0},
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
					continue // the way there is the same
				}
				synctest.Test(t, func(t *testing.T) {
					settings := pairing()
					settings.QRFallback = fallback
					r := newRig(t, settings)
					r.srv.Script(walinktest.StageCompanionHello, c.action.Always())
					r.link(t.Context())
					var err *walink.Error
					if fallback {
						qr := await[walink.QRCode](r)
						err = qr.Fallback
						r.scan(qr)
						r.linked()
					} else {
						err = r.failed()
					}
					wantReason(t, err, c.want)
					if err.RetryAfter != c.wait {
						t.Errorf("%s: retry after %v, want %v", name, err.RetryAfter, c.wait)
					}
					if got := strings.Contains(r.kinds(), "retrying"); got != c.retry {
						t.Errorf("%s: retried %t, want %t:\n%s", name, got, c.retry, r.story())
					}
					if strings.Contains(r.kinds(), "pairing_code") {
						t.Errorf("%s: a code is shown that the server never confirmed", name)
					}
				})
			}
			if !c.retry {
				return
			}
			synctest.Test(t, func(t *testing.T) { // once only: the next attempt has its code
				r := newRig(t, pairing())
				r.srv.Script(walinktest.StageCompanionHello, c.action)
				r.link(t.Context())
				wantReason(t, await[walink.Retrying](r).Err, c.want)
				await[walink.PairingCode](r)
			})
		})
	}
}

// TestFailureNodes: what becomes of each way in which the server refuses a
// connection, before linking and at the login of a stored session.
func TestFailureNodes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		action        walinktest.Action
		linking       walink.Reason // "" goes on
		resuming      walink.Reason // "" goes on
		linkingTold   walink.Reason // by Retrying, where it goes on
		resumingTold  walink.Reason
		resumedAfresh bool // the session is dropped
	}{
		{action: walinktest.Failure(400), linkingTold: walink.ErrServer, resumingTold: walink.ErrServer},
		{action: walinktest.Failure(401), linkingTold: walink.ErrForbidden, resumingTold: walink.ErrLoggedOut, resumedAfresh: true},
		{action: walinktest.Failure(402, "expire", "3600"), linking: walink.ErrTemporarilyBanned, resuming: walink.ErrTemporarilyBanned},
		{action: walinktest.Failure(403), linkingTold: walink.ErrForbidden, resumingTold: walink.ErrLoggedOut, resumedAfresh: true},
		{action: walinktest.Failure(405), linkingTold: walink.ErrClientOutdated, resumingTold: walink.ErrClientOutdated},
		{action: walinktest.Failure(406), linking: walink.ErrBanned, resuming: walink.ErrBanned},
		{action: walinktest.Failure(409), linkingTold: walink.ErrClientOutdated, resumingTold: walink.ErrClientOutdated},
		{action: walinktest.Failure(415), linkingTold: walink.ErrServer, resumingTold: walink.ErrServer},
		{action: walinktest.Failure(500), linkingTold: walink.ErrServer, resumingTold: walink.ErrServer},
		{action: walinktest.Failure(501), linkingTold: walink.ErrServer, resumingTold: walink.ErrServer},
		{action: walinktest.Failure(503), linkingTold: walink.ErrServer, resumingTold: walink.ErrServer},
		{action: walinktest.StreamError(503, ""), linkingTold: walink.ErrServer, resumingTold: walink.ErrServer},
		{action: walinktest.StreamError(599, ""), linkingTold: walink.ErrServer, resumingTold: walink.ErrServer},
		{action: walinktest.StreamError(401, "device_removed"), linkingTold: walink.ErrForbidden, resumingTold: walink.ErrLoggedOut, resumedAfresh: true},
		{action: walinktest.StreamError(409, "replaced"), linking: walink.ErrReplaced, resuming: walink.ErrReplaced},
		{action: walinktest.Drop(), linkingTold: walink.ErrNetwork, resumingTold: walink.ErrNetwork},
	} {
		t.Run(fmt.Sprintf("%+v", c.action), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, walink.Settings{})
				r.srv.Script(walinktest.StagePairDevice, c.action)
				r.link(t.Context())
				if c.linking != "" {
					err := r.failed()
					wantReason(t, err, c.linking)
					if c.linking == walink.ErrTemporarilyBanned && err.RetryAfter != time.Hour {
						t.Errorf("retry after %v", err.RetryAfter)
					}
					return
				}
				wantReason(t, await[walink.Retrying](r).Err, c.linkingTold)
				r.scan(await[walink.QRCode](r))
				r.linked()
			})
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, walink.Settings{})
				r.linkByQR()
				r.srv.Script(walinktest.StageLogin, c.action)
				again := r.again(walink.Settings{})
				again.link(t.Context())
				if c.resuming != "" {
					wantReason(t, again.failed(), c.resuming)
					return
				}
				wantReason(t, await[walink.Retrying](again).Err, c.resumingTold)
				if c.resumedAfresh {
					again.scan(await[walink.QRCode](again))
				}
				if linked := again.linked(); linked.Resumed == c.resumedAfresh {
					t.Errorf("resumed %t:\n%s", linked.Resumed, again.story())
				}
				again.usable()
			})
		})
	}
}

// TestTroubleAtEveryStage: one drop, one silence, one stream error at each
// stage; the Link tells of it and links all the same.
func TestTroubleAtEveryStage(t *testing.T) {
	t.Parallel()
	stages := []walinktest.Stage{
		walinktest.StageUpgrade, walinktest.StageHandshake, walinktest.StagePairDevice, walinktest.StageCompanionHello,
		walinktest.StagePrimaryHello, walinktest.StageCompanionFinish, walinktest.StagePairSuccess,
		walinktest.StagePairDeviceSign, walinktest.StageLoginReconnect, walinktest.StageLogin, walinktest.StageAfterLogin,
	}
	for _, stage := range stages {
		for name, action := range map[string]walinktest.Action{
			"drop": walinktest.Drop(), "silence": walinktest.Silence(), "503": walinktest.Refuse(503), "stream error": walinktest.StreamError(500, ""),
		} {
			t.Run(string(stage)+"/"+name, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T) {
					settings := walink.Settings{CodeBudget: 10}
					switch stage {
					case walinktest.StageCompanionHello, walinktest.StagePrimaryHello, walinktest.StageCompanionFinish:
						settings.Phone, settings.LinkingMode = number, walink.ModePairing
					default:
					}
					r := newRig(t, settings)
					r.srv.Script(stage, action)
					r.link(t.Context())
					untilLinked(r)
					r.usable()
				})
			})
		}
	}
}

func TestPains17FirstPairingFailsAndTheSecondLinks(t *testing.T) {
	t.Parallel()
	for name, action := range map[string]walinktest.Action{
		"HMAC": walinktest.BadHMAC(), "signature": walinktest.BadSignature(), "malformed": walinktest.Malformed(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				r := newRig(t, walink.Settings{})
				r.srv.Script(walinktest.StagePairSuccess, action)
				r.link(t.Context())
				first := await[walink.QRCode](r)
				if err := r.phone.ScanQR(t.Context(), first.Payload); err == nil {
					t.Error("the phone says that it is linked")
				}
				wantReason(t, await[walink.Retrying](r).Err, walink.ErrPairing)
				second := await[walink.QRCode](r)
				if got := r.sessions(); len(got) != 0 {
					t.Errorf("%v is stored", got)
				}
				was, _ := walinktest.ParseQR(first.Payload)
				is, err := walinktest.ParseQR(second.Payload)
				if err != nil || is.IdentityKey == was.IdentityKey {
					t.Errorf("the device is not a fresh one (%v)", err)
				}
				r.scan(second)
				r.linked()
				r.usable()
			})
		})
	}
}

func TestPains23AnotherAccountIsRefusedBeforeAnythingIsStored(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{Phone: number, LinkingMode: walink.ModeBoth})
		stranger := r.srv.NewPhone("+4915123456789")
		r.link(t.Context())
		first := await[walink.PairingCode](r)
		if err := stranger.ScanQR(t.Context(), r.linker.Status().QRCode.Payload); err == nil {
			t.Error("the stranger's phone says that it is linked")
		}
		retrying := await[walink.Retrying](r)
		wantReason(t, retrying.Err, walink.ErrWrongAccount)
		if strings.Contains(retrying.Err.Error(), "4915123456789") {
			t.Error("the error holds a whole number")
		}
		second := await[walink.PairingCode](r)
		if second.Code == first.Code {
			t.Error("no fresh code followed")
		}
		if got := r.sessions(); len(got) != 0 {
			t.Errorf("%v is stored", got)
		}
		r.enter(second)
		r.linked()
	})
}

func TestPains24BothFormsOfANumberAreTheSameAccount(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{Phone: number})
		short := r.srv.NewPhone("+551187654321") // as WhatsApp may know it: without the ninth digit
		r.link(t.Context())
		if err := short.ScanQR(t.Context(), await[walink.QRCode](r).Payload); err != nil {
			t.Fatal(err)
		}
		r.linked()
	})
}

func TestPains18OutdatedClientRefreshesTheVersionOnce(t *testing.T) {
	t.Parallel()
	t.Run("refreshed", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, walink.Settings{})
			r.srv.SetRevision(1_999_999_999)
			r.srv.RequireVersion([3]uint32{2, 3000, 1_999_999_999})
			r.link(t.Context())
			wantReason(t, await[walink.Retrying](r).Err, walink.ErrClientOutdated)
			r.scan(await[walink.QRCode](r))
			r.linked()
			r.usable()
		})
	})
	t.Run("still outdated", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, walink.Settings{})
			r.srv.RequireVersion([3]uint32{2, 3000, 4_000_000_000})
			r.srv.SetRevision(1)
			r.link(t.Context())
			wantReason(t, r.failed(), walink.ErrClientOutdated)
			if want := "connecting retrying connecting failed"; r.kinds() != want {
				t.Errorf("events %s, want %s", r.kinds(), want)
			}
		})
	})
	t.Run("disabled", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, walink.Settings{DisableVersionRefresh: true})
			r.srv.RequireVersion([3]uint32{2, 3000, 4_000_000_000})
			r.srv.SetRevision(1)
			r.link(t.Context())
			wantReason(t, r.failed(), walink.ErrClientOutdated)
			if got := r.srv.Stats().VersionRequests; got != 0 {
				t.Errorf("%d version requests", got)
			}
		})
	})
	for name, action := range map[string]walinktest.Action{
		"refused": walinktest.Refuse(503), "malformed": walinktest.Malformed(), "silent": walinktest.Silence(), "dropped": walinktest.Drop(),
	} {
		t.Run("version request "+name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				r := newRig(t, walink.Settings{})
				r.srv.RequireVersion([3]uint32{2, 3000, 4_000_000_000})
				r.srv.SetRevision(1)
				r.srv.Script(walinktest.StageVersion, action.Always())
				r.link(t.Context())
				wantReason(t, r.failed(), walink.ErrClientOutdated)
			})
		})
	}
}

// TestPains21ProxyFailsClosed uses a real socket: a port on which nothing listens.
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
		linker, err := walink.New(memoryStore(t), walink.Settings{Proxy: scheme + "://user:hunter2@" + address})
		if err != nil {
			t.Fatal(err)
		}
		link, err := linker.Link(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for event := range link {
			if retrying, ok := event.(walink.Retrying); ok {
				wantReason(t, retrying.Err, walink.ErrProxy)
				if text := retrying.Err.Error(); !strings.Contains(text, address) || strings.Contains(text, "hunter2") {
					t.Errorf("%s: error %q", scheme, text)
				}
				break
			}
		}
		if err := linker.Close(); err != nil {
			t.Error(err)
		}
	}
}
