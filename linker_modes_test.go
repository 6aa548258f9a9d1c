package walink_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/walink/walink"
	"github.com/walink/walink/walinktest"
)

// TestPains01LinkingModeTable goes through the table of the LinkingMode row by row:
// what the person sees when a pairing code can be had, and when it cannot.
func TestPains01LinkingModeTable(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		mode             walink.LinkingMode
		prefer, fallback bool
		healthy          string // until the first code, or both, are on the screen
		refused          string // when WhatsApp answers the code request with 400
	}{
		{walink.ModeAuto, false, false, "qr", "qr"},
		{walink.ModeAuto, false, true, "qr", "qr"},
		{walink.ModeAuto, true, false, "code", "failed"},
		{walink.ModeAuto, true, true, "code", "qr instead"},
		{walink.ModePairing, false, false, "code", "failed"},
		{walink.ModePairing, true, false, "code", "failed"},
		{walink.ModePairing, false, true, "code", "qr instead"},
		{walink.ModePairing, true, true, "code", "qr instead"},
		{walink.ModeQR, false, false, "qr", "qr"},
		{walink.ModeQR, false, true, "qr", "qr"},
		{walink.ModeQR, true, false, "error", "error"},
		{walink.ModeQR, true, true, "error", "error"},
		{walink.ModeBoth, false, false, "both", "qr, code withdrawn"},
		{walink.ModeBoth, true, true, "both", "qr, code withdrawn"},
	} {
		t.Run(fmt.Sprintf("%s/prefer=%t/fallback=%t", row.mode, row.prefer, row.fallback), func(t *testing.T) {
			t.Parallel()
			settings := walink.Settings{
				Phone: number, LinkingMode: row.mode, PreferPairingCode: row.prefer, QRFallback: row.fallback,
			}
			for _, c := range []struct {
				refuse bool
				want   string
			}{{false, row.healthy}, {true, row.refused}} {
				synctest.Test(t, func(t *testing.T) {
					if got := whatIsSeen(t, settings, c.refuse); got != c.want {
						t.Errorf("refused %t: %s, want %s", c.refuse, got, c.want)
					}
				})
			}
		})
	}
}

// whatIsSeen links until it is clear what the person gets, and then really
// links with the QR code, where there is one.
func whatIsSeen(t *testing.T, settings walink.Settings, refuse bool) string {
	t.Helper()
	srv := walinktest.NewServer(t)
	settings.HTTPClient = srv.HTTPClient()
	if _, err := walink.New(memoryStore(t), settings); err != nil {
		if !errors.Is(err, walink.ErrInvalidSettings) {
			t.Errorf("New returns %v", err)
		}
		return "error"
	}
	r := newRigOn(t, srv, memoryStore(t), settings)
	r.phone = srv.NewPhone(number)
	if refuse {
		srv.Script(walinktest.StageCompanionHello, walinktest.Refuse(400).Always())
	}
	r.link(t.Context())
	var (
		code      *walink.PairingCode
		qr        *walink.QRCode
		withdrawn *walink.Withdrawn
	)
	// Half a minute is long enough for whatever is coming, and no QR code rotates.
	settled := time.NewTimer(30 * time.Second)
	defer settled.Stop()
reading:
	for {
		select {
		case event, ok := <-r.events:
			if !ok {
				break reading
			}
			r.seen = append(r.seen, event)
			switch e := event.(type) {
			case walink.PairingCode:
				code = &e
			case walink.QRCode:
				qr = &e
			case walink.Withdrawn:
				withdrawn = &e
			case walink.Failed:
				wantReason(t, e.Err, walink.ErrCodeRefused)
				if withdrawn == nil || len(withdrawn.Alternatives) == 0 {
					t.Error("the number's other form is not proposed")
				}
				return "failed"
			}
		case <-settled.C:
			break reading
		}
	}
	seen := ""
	switch {
	case code != nil && qr != nil:
		seen = "both"
	case code != nil:
		seen = "code"
	case qr != nil && withdrawn != nil && qr.Fallback == nil:
		seen = "qr, code withdrawn"
		if withdrawn.Method != walink.MethodPairing || withdrawn.Reason != walink.WithdrawnRefused {
			t.Errorf("unexpected %v", withdrawn)
		}
		wantReason(t, withdrawn.Err, walink.ErrCodeRefused)
		if len(withdrawn.Alternatives) != 1 || withdrawn.Alternatives[0].String() != "+551187654321" {
			t.Errorf("the other form of the number is not proposed: %v", withdrawn.Alternatives)
		}
	case qr != nil && qr.Fallback != nil:
		seen = "qr instead"
		wantReason(t, qr.Fallback, walink.ErrCodeRefused)
	case qr != nil:
		seen = "qr"
	}
	if qr != nil {
		r.scan(*qr)
		r.linked()
		r.usable()
	}
	return seen
}

func TestPains26DeviceNameAndBrowserAreTheLinkersOwn(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		srv := walinktest.NewServer(t)
		shop := newRigOn(t, srv, memoryStore(t), walink.Settings{DeviceName: "Shop", Browser: "Firefox", OS: "Windows"})
		desk := newRigOn(t, srv, memoryStore(t), walink.Settings{
			DeviceName: "Desk", Phone: number, LinkingMode: walink.ModePairing, Browser: "Edge", OS: "Linux", DisablePush: true,
		})
		plain := newRigOn(t, srv, memoryStore(t), walink.Settings{Phone: "+4915123456789", LinkingMode: walink.ModePairing})
		for _, r := range []*rig{shop, desk, plain} {
			r.link(t.Context())
		}
		qr := await[walink.QRCode](shop)
		await[walink.PairingCode](desk)
		await[walink.PairingCode](plain)
		payload, err := walinktest.ParseQR(qr.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if payload.ClientType != "3" {
			t.Errorf("the QR code names client type %q, want Firefox", payload.ClientType)
		}
		got := map[string]walinktest.Companion{}
		for _, c := range srv.Companions() {
			got[c.OS] = c
		}
		if c := got["Shop"]; c.Platform != "FIREFOX" {
			t.Errorf("Shop is %+v", c)
		}
		if c := got["Desk"]; c.Platform != "EDGE" || c.DisplayName != "Edge (Linux)" || c.Push {
			t.Errorf("Desk is %+v", c)
		}
		if c := got["walink"]; c.Platform != "CHROME" || c.DisplayName != "Chrome (Linux)" || !c.Push {
			t.Errorf("walink is %+v", c)
		}
	})
}

func TestPains27HandlersAddedThroughOnClientMissNothing(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		var clients int
		seen := make(chan any, 100)
		r := newRig(t, walink.Settings{OnClient: func(client *whatsmeow.Client) {
			clients++
			if client.IsConnected() {
				t.Error("the client is connected already")
			}
			client.AddEventHandler(func(evt any) {
				select {
				case seen <- evt:
				default:
				}
			})
		}})
		r.linkByQR()
		var paired, connected bool
		for len(seen) > 0 {
			switch (<-seen).(type) {
			case *events.PairSuccess:
				paired = true
			case *events.Connected:
				connected = true
			}
		}
		if clients != 1 || !paired || !connected {
			t.Errorf("%d clients, paired %t, connected %t", clients, paired, connected)
		}
	})
}
