package walinktest_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/socket"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/walink/walink/walinktest"
)

func TestTroubleWhileConnecting(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		stage  walinktest.Stage
		action walinktest.Action
		status int
	}{
		{"upgrade refused", walinktest.StageUpgrade, walinktest.Refuse(http.StatusForbidden), http.StatusForbidden},
		{"upgrade dropped", walinktest.StageUpgrade, walinktest.Drop(), 0},
		{"handshake garbled", walinktest.StageHandshake, walinktest.Malformed(), 0},
		{"handshake of a stranger", walinktest.StageHandshake, walinktest.BadSignature(), 0},
		{"handshake never answered", walinktest.StageHandshake, walinktest.Silence(), 0},
		{"handshake dropped", walinktest.StageHandshake, walinktest.Drop(), 0},
		{"handshake too late", walinktest.StageHandshake, walinktest.Delay(25 * time.Second), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := walinktest.NewServer(t)
				srv.Script(test.stage, test.action)
				c := newClient(t, srv)
				err := c.Connect()
				var status socket.ErrWithStatusCode
				if err == nil || errors.As(err, &status) != (test.status != 0) || status.StatusCode != test.status {
					t.Errorf("connect: %v", err)
				}
				pass(time.Minute)
				c.connect() // the script is used up
				await[*events.QR](c)
			})
		})
	}
}

func TestTroubleBeforeTheQR(t *testing.T) {
	t.Parallel()
	failure := func(c *client) bool { _, ok := next[*events.ConnectFailure](c, time.Minute); return ok }
	disconnected := func(c *client) bool { _, ok := next[*events.Disconnected](c, time.Minute); return ok }
	for _, test := range []struct {
		name   string
		action walinktest.Action
		seen   func(*client) bool
	}{
		{"failure", walinktest.Failure(409), failure},
		{"refused", walinktest.Refuse(400), failure},
		{"temporary ban", walinktest.Failure(402, "code", "101", "expire", "3600"), func(c *client) bool {
			ban, ok := next[*events.TemporaryBan](c, time.Minute)
			return ok && ban.Expire == time.Hour && ban.Code == events.TempBanSentToTooManyPeople
		}},
		{"stream error", walinktest.StreamError(503, ""), disconnected},
		{"dropped", walinktest.Drop(), disconnected},
		{"silence", walinktest.Silence(), func(c *client) bool {
			_, ok := next[*events.QR](c, time.Minute)
			return !ok && c.IsConnected()
		}},
		{"no refs", walinktest.Malformed(), func(c *client) bool {
			qr, ok := next[*events.QR](c, time.Minute)
			return ok && len(qr.Codes) == 0
		}},
		{"late", walinktest.Delay(10 * time.Second), func(c *client) bool {
			_, early := next[*events.QR](c, 9*time.Second)
			_, ok := next[*events.QR](c, 2*time.Second)
			return !early && ok
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := walinktest.NewServer(t)
				srv.Script(walinktest.StagePairDevice, test.action)
				c := newClient(t, srv)
				c.connect()
				if !test.seen(c) {
					t.Error("the client did not see it")
				}
			})
		})
	}
}

func TestTroubleWithTheCodeRequest(t *testing.T) {
	t.Parallel()
	code := func(want int) func(error) bool {
		return func(err error) bool {
			var iq *whatsmeow.IQError
			return errors.As(err, &iq) && iq.Code == want
		}
	}
	for _, test := range []struct {
		name   string
		action walinktest.Action
		want   func(error) bool
	}{
		{"server error", walinktest.Refuse(503).After(time.Second), code(503)},
		{"rate limit", walinktest.RateLimit(time.Hour), code(429)},
		{"no codes for this number", walinktest.Refuse(452), func(err error) bool {
			var iq *whatsmeow.IQError
			return errors.As(err, &iq) && iq.Code == 452 && iq.Text == "feature-not-available"
		}},
		{"silence", walinktest.Silence(), func(err error) bool { return errors.Is(err, whatsmeow.ErrIQTimedOut) }},
		{"no ref", walinktest.Malformed(), func(err error) bool {
			var missing *whatsmeow.ElementMissingError
			return errors.As(err, &missing)
		}},
		{"dropped", walinktest.Drop(), func(err error) bool {
			var lost *whatsmeow.DisconnectedError
			return errors.As(err, &lost)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := walinktest.NewServer(t)
				srv.Script(walinktest.StageCompanionHello, test.action)
				c, _ := connected(t, srv)
				if _, err := c.pairPhone(); !test.want(err) {
					t.Errorf("the request ended with %v", err)
				}
			})
		})
	}
}

func TestTroubleWhilePairing(t *testing.T) {
	t.Parallel()
	pairError := func(want error) func(*client) bool {
		return func(c *client) bool {
			failure, ok := next[*events.PairError](c, time.Minute)
			return ok && (want == nil || errors.Is(failure.Error, want))
		}
	}
	unmoved := func(c *client) bool { return c.IsConnected() }
	disconnected := func(c *client) bool { _, ok := next[*events.Disconnected](c, time.Minute); return ok }
	for _, test := range []struct {
		name   string
		stage  walinktest.Stage
		action walinktest.Action
		seen   func(*client) bool
	}{
		{"phone refused", walinktest.StagePrimaryHello, walinktest.Refuse(500), unmoved},
		{"hello lost", walinktest.StagePrimaryHello, walinktest.Silence(), unmoved},
		{"hello garbled", walinktest.StagePrimaryHello, walinktest.Malformed(), unmoved},
		{"dropped at hello", walinktest.StagePrimaryHello, walinktest.Drop(), disconnected},
		{"finish refused", walinktest.StageCompanionFinish, walinktest.Refuse(400), unmoved},
		{"finish lost", walinktest.StageCompanionFinish, walinktest.Silence(), unmoved},
		{"no pair-success", walinktest.StagePairSuccess, walinktest.Silence(), unmoved},
		{"phone refused at the end", walinktest.StagePairSuccess, walinktest.Refuse(429), unmoved},
		{"bad HMAC", walinktest.StagePairSuccess, walinktest.BadHMAC(), pairError(whatsmeow.ErrPairInvalidDeviceIdentityHMAC)},
		{"bad signature", walinktest.StagePairSuccess, walinktest.BadSignature(), pairError(whatsmeow.ErrPairInvalidDeviceSignature)},
		{"pair-success garbled", walinktest.StagePairSuccess, walinktest.Malformed(), pairError(nil)},
		{"dropped at pair-success", walinktest.StagePairSuccess, walinktest.Drop(), disconnected},
		{"signature lost", walinktest.StagePairDeviceSign, walinktest.Silence(), func(c *client) bool {
			_, ok := next[*events.PairSuccess](c, time.Minute)
			return ok
		}},
		{"dropped at the signature", walinktest.StagePairDeviceSign, walinktest.Drop(), func(c *client) bool {
			pass(time.Second)
			return !c.IsConnected()
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, srv := t.Context(), walinktest.NewServer(t)
				srv.Script(test.stage, test.action)
				phone := srv.NewPhone(number)
				c, codes := connected(t, srv)
				var said error
				switch test.stage {
				case walinktest.StagePrimaryHello, walinktest.StageCompanionFinish:
					said = phone.EnterCode(ctx, c.code())
				default:
					said = phone.ScanQR(ctx, codes[0])
				}
				wantSays(t, said, walinktest.ErrLinkFailed)
				if !test.seen(c) {
					t.Error("the companion did not see it")
				}
				if devices := srv.Devices(); len(devices) != 0 {
					t.Errorf("linked all the same: %+v", devices)
				}
			})
		})
	}
}

func TestCompanionRejectsThePhone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		phone := srv.NewPhone(number)
		c := newClient(t, srv)
		c.PrePairCallback = func(types.JID, string, string) bool { return false }
		c.connect()
		codes := await[*events.QR](c).Codes
		wantSays(t, phone.ScanQR(ctx, codes[0]), walinktest.ErrLinkFailed)
		if failure := await[*events.PairError](c); !errors.Is(failure.Error, whatsmeow.ErrPairRejectedLocally) {
			t.Errorf("the companion fails with %v", failure.Error)
		}
	})
}

func TestTroubleAfterTheLink(t *testing.T) {
	t.Parallel()
	later := func(c *client) bool { // by whatsmeow's own reconnect
		_, ok := next[*events.Connected](c, 2*time.Minute)
		return ok
	}
	byHand := func(c *client) bool {
		if _, ok := next[*events.Connected](c, time.Minute); ok {
			return false
		}
		c.leave()
		c.connect()
		return later(c)
	}
	for _, test := range []struct {
		name   string
		stage  walinktest.Stage
		action walinktest.Action
		seen   func(*client) bool
	}{
		{"no 515", walinktest.StageLoginReconnect, walinktest.Silence(), byHand},
		{"dropped instead of 515", walinktest.StageLoginReconnect, walinktest.Drop(), byHand},
		{"515 late", walinktest.StageLoginReconnect, walinktest.Delay(10 * time.Second), later},
		{"login unavailable", walinktest.StageLogin, walinktest.Failure(503), later},
		{"login dropped twice", walinktest.StageLogin, walinktest.Drop().Times(2), later},
		{"login never answered", walinktest.StageLogin, walinktest.Silence(), byHand},
		{"login refused", walinktest.StageLogin, walinktest.Failure(403), func(c *client) bool {
			event, ok := next[*events.LoggedOut](c, time.Minute)
			return ok && event.Reason == 403
		}},
		{"login upgrade unavailable", walinktest.StageUpgrade, walinktest.Refuse(503), byHand},
		{"first IQ refused", walinktest.StageAfterLogin, walinktest.Refuse(500), later},
		{"first IQ garbled", walinktest.StageAfterLogin, walinktest.Malformed(), later},
		{"first IQ late", walinktest.StageAfterLogin, walinktest.Delay(time.Minute), later},
		{"dropped at first IQ", walinktest.StageAfterLogin, walinktest.Drop(), later},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, srv := t.Context(), walinktest.NewServer(t)
				c, codes := connected(t, srv)
				srv.Script(test.stage, test.action)
				wantSays(t, srv.NewPhone(number).ScanQR(ctx, codes[0]), nil)
				if !test.seen(c) {
					t.Error("the client did not see it")
				}
			})
		})
	}
}

func TestScriptQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		ask := func() string {
			version, err := whatsmeow.GetLatestVersion(ctx, srv.HTTPClient())
			if err != nil {
				return "error"
			}
			return version.String()
		}
		srv.SetRevision(7)
		srv.Script(walinktest.StageVersion, walinktest.Refuse(503), walinktest.Pass(), walinktest.Malformed().Times(2))
		srv.Script(walinktest.StageVersion, walinktest.Drop(), walinktest.Delay(time.Hour), walinktest.Refuse(404).Always())
		began := time.Now()
		for i, want := range []string{"error", "2.3000.7", "error", "error", "error", "2.3000.7", "error", "error"} {
			if got := ask(); got != want {
				t.Errorf("answer %d is %s, want %s", i, got, want)
			}
		}
		if took := time.Since(began); took != time.Hour {
			t.Errorf("took %s", took)
		}
		srv.Script(walinktest.StageVersion)
		if got := ask(); got != "2.3000.7" {
			t.Errorf("after the script: %s", got)
		}

		srv.Script(walinktest.StageVersion, walinktest.Silence())
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if _, err := whatsmeow.GetLatestVersion(ctx, srv.HTTPClient()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("silence: %v", err)
		}
	})
}

func TestSendPanicsForANodeThatCannotBeEncoded(t *testing.T) {
	t.Parallel()
	defer func() {
		if err, _ := recover().(error); !errors.Is(err, waBinary.ErrInvalidType) {
			t.Errorf("Send panics with %v", err)
		}
	}()
	walinktest.Send(node("ib", waBinary.Attrs{"count": 1.5}))
}

func TestInterruptedPhone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		phone := srv.NewPhone(number)
		srv.Script(walinktest.StagePrimaryHello, walinktest.Silence())
		c, _ := connected(t, srv)
		code := c.code()
		short, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		wantSays(t, phone.EnterCode(short, code), context.DeadlineExceeded)
		wantSays(t, phone.EnterCode(ctx, code), nil)
		await[*events.Connected](c)
	})
}
