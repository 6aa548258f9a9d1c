package walink_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/walinktest"
)

// The rows are those of the table of LinkingMode: what the person sees if WhatsApp
// makes a pairing code, and if it refuses.
func TestPains01LinkingModeTable(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		mode             walink.LinkingMode
		prefer, fallback bool
		healthy          string // what the person sees if WhatsApp makes a pairing code
		refused          string // and if it answers the request with 400
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
				Phone: rig.Number, LinkingMode: row.mode, PreferPairingCode: row.prefer, QRFallback: row.fallback,
			}
			for _, c := range []struct {
				refuse bool
				want   string
			}{{false, row.healthy}, {true, row.refused}} {
				rig.Bubble(t, func(t *testing.T) {
					if got := whatIsSeen(t, settings, c.refuse); got != c.want {
						t.Errorf("refused: %t; the person sees %q, want %q", c.refuse, got, c.want)
					}
				})
			}
		})
	}
}

// whatIsSeen links, and says what the person sees in the first half minute. If
// that is a QR code, the person scans it.
func whatIsSeen(t *testing.T, settings walink.Settings, refuse bool) string {
	t.Helper()
	if _, err := walink.New(rig.MemoryStore(t), settings); err != nil {
		if !errors.Is(err, walink.ErrInvalidSettings) {
			t.Errorf("New returns %v", err)
		}
		return "error"
	}
	r := rig.New(t, settings)
	if refuse {
		r.Server.Script(walinktest.StageCompanionHello, walinktest.Refuse(400).Always())
	}
	r.Link(t.Context())
	var (
		code      *walink.PairingCode
		qr        *walink.QRCode
		withdrawn *walink.Withdrawn
	)
	// Half a minute is long enough for everything to appear, and too short for another QR code.
	settled := time.Now().Add(30 * time.Second)
	for {
		event, ok := r.NextBefore(settled)
		if !ok {
			break
		}
		switch e := event.(type) {
		case walink.PairingCode:
			code = &e
		case walink.QRCode:
			qr = &e
		case walink.Withdrawn:
			withdrawn = &e
		case walink.Failed:
			rig.WantReason(t, e.Err, walink.ErrCodeRefused)
			if withdrawn == nil || len(withdrawn.Alternatives) == 0 {
				t.Error("the number's other form is not proposed")
			}
			return "failed"
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
			t.Errorf("the event is %v", withdrawn)
		}
		rig.WantReason(t, withdrawn.Err, walink.ErrCodeRefused)
		if len(withdrawn.Alternatives) != 1 || withdrawn.Alternatives[0].String() != "+551187654321" {
			t.Errorf("the other form of the number is not proposed: %v", withdrawn.Alternatives)
		}
	case qr != nil && qr.Fallback != nil:
		seen = "qr instead"
		rig.WantReason(t, qr.Fallback, walink.ErrCodeRefused)
	case qr != nil:
		seen = "qr"
	}
	if qr != nil {
		r.Scan(*qr)
		r.Linked()
		r.CheckUsable()
	}
	return seen
}

func TestPains26DeviceNameAndBrowserAreTheLinkersOwn(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		shop := rig.New(t, walink.Settings{Session: "shop", DeviceName: "Shop", Browser: "Firefox", OS: "Windows"})
		desk := shop.Another(walink.Settings{
			Session: "desk", DeviceName: "Desk", Phone: rig.Number, LinkingMode: walink.ModePairing,
			Browser: "Edge", OS: "Linux", DisablePush: true,
		})
		plain := shop.Another(walink.Settings{Session: "plain", Phone: "+4915123456789", LinkingMode: walink.ModePairing})
		for _, r := range []*rig.Rig{shop, desk, plain} {
			r.Link(t.Context())
		}
		qr := rig.Await[walink.QRCode](shop)
		rig.Await[walink.PairingCode](desk)
		rig.Await[walink.PairingCode](plain)
		payload, err := walinktest.ParseQR(qr.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if payload.ClientType != "3" {
			t.Errorf("the QR code names client type %q, want Firefox", payload.ClientType)
		}
		got := map[string]walinktest.Companion{}
		for _, c := range shop.Server.Companions() {
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
	rig.Bubble(t, func(t *testing.T) {
		var clients int
		seen := make(chan any, 100)
		r := rig.New(t, walink.Settings{OnClient: func(client *whatsmeow.Client) {
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
		r.LinkByQR()
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
			t.Errorf("there are %d clients; the handler has seen PairSuccess: %t, Connected: %t", clients, paired, connected)
		}
	})
}
