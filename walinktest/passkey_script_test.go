package walinktest_test

import (
	"encoding/json"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/walink/walink/walinktest"
)

// ceremony does what a companion has to do until it is linked, and returns how far the
// companion has come.
func (c *client) ceremony(phone *walinktest.Phone) string {
	c.tb.Helper()
	seen, event := c.sees()
	request, ok := event.(*events.PairPasskeyRequest)
	if !ok {
		return "request: " + seen
	}
	challenge, err := json.Marshal(request.PublicKey)
	if err != nil {
		c.tb.Fatal(err)
	}
	if err := c.SendPasskeyResponse(c.tb.Context(), assertion(c.tb, phone, challenge)); err != nil {
		return "response: " + cause(err)
	}
	seen, event = c.sees()
	if _, ok := event.(*events.PairPasskeyConfirmation); !ok {
		return "continuation: " + seen
	}
	if err := c.SendPasskeyConfirmation(c.tb.Context()); err != nil {
		return "confirmation: " + cause(err)
	}
	if seen, _ = c.sees(); seen != "connected" {
		return "login: " + seen
	}
	return "linked"
}

// sees returns the next event of the ceremony, if one comes within two minutes of a
// bubble's time.
func (c *client) sees() (string, any) {
	timer := time.NewTimer(2 * time.Minute)
	defer timer.Stop()
	for {
		select {
		case event := <-c.events:
			switch event := event.(type) {
			case *events.PairPasskeyRequest, *events.PairPasskeyConfirmation:
				return "", event
			case *events.PairPasskeyError:
				return cause(event.Error), event
			case *events.ConnectFailure:
				return "failure " + event.Reason.NumberString(), event
			case *events.PairError:
				return "pair error", event
			case *events.Disconnected:
				return "disconnected", event
			case *events.Connected:
				return "connected", event
			}
		case <-timer.C:
			return "nothing", nil
		}
	}
}

// cause returns the cause of an error of whatsmeow in one word.
func cause(err error) string {
	var iq *whatsmeow.IQError
	var missing *whatsmeow.ElementMissingError
	var lost *whatsmeow.DisconnectedError
	switch {
	case errors.As(err, &iq):
		return strconv.Itoa(iq.Code)
	case errors.As(err, &missing):
		return "incomplete"
	case errors.As(err, &lost):
		return "disconnected"
	case errors.Is(err, whatsmeow.ErrIQTimedOut):
		return "timeout"
	default:
		return "malformed"
	}
}

func TestTroubleWithThePasskey(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		stage   walinktest.Stage
		actions []walinktest.Action
		want    string
	}{
		{"request refused", walinktest.StagePasskeyRequest, script(walinktest.Refuse(500)), "request: nothing"},
		{"request lost", walinktest.StagePasskeyRequest, script(walinktest.Silence()), "request: nothing"},
		{"request dropped", walinktest.StagePasskeyRequest, script(walinktest.Drop()), "request: disconnected"},
		{"request failed", walinktest.StagePasskeyRequest, script(walinktest.Failure(409)), "request: failure 409"},
		{"stream error at the request", walinktest.StagePasskeyRequest, script(walinktest.StreamError(503, "")), "request: disconnected"},
		{"request late", walinktest.StagePasskeyRequest, script(walinktest.Delay(50 * time.Second)), "linked"},
		{"request after the phone", walinktest.StagePasskeyRequest, script(walinktest.Delay(61 * time.Second)), "request: nothing"},
		{"request garbled", walinktest.StagePasskeyRequest, script(walinktest.Malformed()), "linked"},
		{"request garbled twice", walinktest.StagePasskeyRequest, script(walinktest.Malformed().Times(2)), "request: malformed"},
		{"request garbled, then refused", walinktest.StagePasskeyRequest, script(walinktest.Malformed(), walinktest.Refuse(503)), "request: 503"},
		{"ref refused", walinktest.StagePasskeyRef, script(walinktest.Refuse(500)), "response: 500"},
		{"ref missing", walinktest.StagePasskeyRef, script(walinktest.Malformed()), "response: incomplete"},
		{"ref lost", walinktest.StagePasskeyRef, script(walinktest.Silence()), "response: timeout"},
		{"dropped at the ref", walinktest.StagePasskeyRef, script(walinktest.Drop()), "response: disconnected"},
		{"assertion refused", walinktest.StagePasskeyPrologue, script(walinktest.Refuse(503)), "response: 503"},
		{"assertion too often", walinktest.StagePasskeyPrologue, script(walinktest.RateLimit(time.Hour)), "response: 429"},
		{"assertion lost", walinktest.StagePasskeyPrologue, script(walinktest.Silence()), "response: timeout"},
		{"assertion late", walinktest.StagePasskeyPrologue, script(walinktest.Delay(time.Minute)), "linked"},
		{"dropped at the assertion", walinktest.StagePasskeyPrologue, script(walinktest.Drop()), "response: disconnected"},
		{"stream error at the assertion", walinktest.StagePasskeyPrologue, script(walinktest.StreamError(503, "")), "response: disconnected"},
		{"continuation refused", walinktest.StagePasskeyContinuation, script(walinktest.Refuse(500)), "continuation: nothing"},
		{"continuation lost", walinktest.StagePasskeyContinuation, script(walinktest.Silence()), "continuation: nothing"},
		{"continuation garbled", walinktest.StagePasskeyContinuation, script(walinktest.Malformed()), "continuation: malformed"},
		{"continuation late", walinktest.StagePasskeyContinuation, script(walinktest.Delay(time.Minute)), "linked"},
		{"dropped at the continuation", walinktest.StagePasskeyContinuation, script(walinktest.Drop()), "continuation: disconnected"},
		{"nonce refused", walinktest.StageCompanionNonce, script(walinktest.Refuse(500)), "continuation: 500"},
		{"nonce lost", walinktest.StageCompanionNonce, script(walinktest.Silence()), "continuation: timeout"},
		{"dropped at the nonce", walinktest.StageCompanionNonce, script(walinktest.Drop()), "continuation: disconnected"},
		{"pairing request refused", walinktest.StagePairingRequest, script(walinktest.Refuse(503)), "confirmation: 503"},
		{"pairing request lost", walinktest.StagePairingRequest, script(walinktest.Silence()), "confirmation: timeout"},
		{"pairing request late", walinktest.StagePairingRequest, script(walinktest.Delay(time.Minute)), "linked"},
		{"dropped at the pairing request", walinktest.StagePairingRequest, script(walinktest.Drop()), "confirmation: disconnected"},
		{"pair-success lost", walinktest.StagePairSuccess, script(walinktest.Silence()), "login: nothing"},
		{"bad HMAC", walinktest.StagePairSuccess, script(walinktest.BadHMAC()), "login: pair error"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, srv := t.Context(), walinktest.NewServer(t)
				phone := srv.NewPhone(number, walinktest.WithPasskey())
				c, codes := connected(t, srv)
				srv.Script(test.stage, test.actions...)
				said := make(chan error, 1)
				go func() { said <- phone.ScanQR(ctx, codes[0]) }()
				if got := c.ceremony(phone); got != test.want {
					t.Errorf("the companion sees %q, want %q", got, test.want)
				}
				if test.want == "linked" {
					wantSays(t, <-said, nil)
				} else {
					wantSays(t, <-said, walinktest.ErrLinkFailed)
				}
				wantRefusals(t, phone)
				if linked := len(srv.Devices()) == 1; linked != (test.want == "linked") {
					t.Errorf("linked: %t", linked)
				}
			})
		})
	}
}

func script(actions ...walinktest.Action) []walinktest.Action { return actions }

func TestPasskeyAfterTrouble(t *testing.T) {
	t.Parallel()
	for _, stage := range []walinktest.Stage{walinktest.StagePasskeyRef, walinktest.StagePasskeyPrologue} {
		t.Run(string(stage), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, srv := t.Context(), walinktest.NewServer(t)
				phone := srv.NewPhone(number, walinktest.WithPasskey())
				c, challenge, said := scanned(ctx, t, srv, phone)
				srv.Script(stage, walinktest.Silence())
				if err := c.SendPasskeyResponse(ctx, assertion(t, phone, challenge)); !errors.Is(err, whatsmeow.ErrIQTimedOut) {
					t.Errorf("silence: %v", err)
				}
				c.answer(phone, challenge)
				c.confirm()
				wantSays(t, <-said, nil)
				await[*events.Connected](c)
			})
		})
	}
}
