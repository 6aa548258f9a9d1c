package wire

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waCompanionReg"
	"go.mau.fi/whatsmeow/proto/waWa6"
	wastore "go.mau.fi/whatsmeow/store"
	"google.golang.org/protobuf/proto"

	"github.com/walink/walink/internal/machine"
)

// Config is what all Conns of a Linker have in common. Its fields are not changed
// once a Conn has been made.
type Config struct {
	// Reject returns why the account with these digits must not be linked, or nil. A
	// nil Reject lets every account link.
	Reject     func(account string) *machine.Failure
	Browser    Browser
	OS         string
	DeviceName string
	Push       bool
	HTTP       *http.Client
	Direct     bool     // HTTP leads to WhatsApp and nowhere else
	Proxy      *url.URL // the proxy of HTTP, to be named in failures; nil if there is none
	Log        *slog.Logger
	OnClient   func(*whatsmeow.Client) // may be nil

	version atomic.Pointer[wastore.WAVersionContainer] // nil is the one of whatsmeow
}

// Browser is a browser that WhatsApp knows, under all its names.
type Browser struct {
	Name     string                                  // of companion_platform_display
	Client   whatsmeow.PairClientType                // companion_platform_id, which the QR code carries too
	Platform waCompanionReg.DeviceProps_PlatformType // the icon in the phone's list of linked devices
}

// Browsers are whatsmeow's PairClient constants that are browsers (pair-code.go).
// The first one is the default.
func Browsers() []Browser {
	return []Browser{
		{"Chrome", whatsmeow.PairClientChrome, waCompanionReg.DeviceProps_CHROME},
		{"Edge", whatsmeow.PairClientEdge, waCompanionReg.DeviceProps_EDGE},
		{"Firefox", whatsmeow.PairClientFirefox, waCompanionReg.DeviceProps_FIREFOX},
		{"IE", whatsmeow.PairClientIE, waCompanionReg.DeviceProps_IE},
		{"Opera", whatsmeow.PairClientOpera, waCompanionReg.DeviceProps_OPERA},
		{"Safari", whatsmeow.PairClientSafari, waCompanionReg.DeviceProps_SAFARI},
	}
}

// BrowserOf returns the browser with the name, in any case, and the default one for
// any other name.
func BrowserOf(name string) Browser {
	all := Browsers()
	for _, b := range all {
		if strings.EqualFold(b.Name, name) {
			return b
		}
	}
	return all[0]
}

// displayName is the companion_platform_display of a pairing code request,
// "Chrome (Linux)". WhatsApp answers 400 to any other form.
func (cfg *Config) displayName() string { return cfg.Browser.Name + " (" + cfg.OS + ")" }

// SetVersion has every client that connects from now on announce the version.
func (cfg *Config) SetVersion(version *wastore.WAVersionContainer) { cfg.version.Store(version) }

// payload is the client payload: whatsmeow's own, with the device name, the browser
// and the refreshed version in it.
func (cfg *Config) payload(device *wastore.Device) *waWa6.ClientPayload {
	payload := device.GetClientPayload()
	version := cfg.version.Load()
	if version != nil {
		payload.UserAgent.AppVersion = version.ProtoAppVersion()
	}
	if reg := payload.DevicePairingData; reg != nil {
		props := proto.CloneOf(wastore.DeviceProps)
		props.Os = &cfg.DeviceName
		props.PlatformType = cfg.Browser.Platform.Enum()
		if data, err := proto.Marshal(props); err == nil {
			reg.DeviceProps = data
		}
		if version != nil {
			hash := version.Hash()
			reg.BuildHash = hash[:]
		}
	}
	return payload
}

// newClient makes the client. It sets for this client alone what whatsmeow keeps in
// process-wide variables.
func (c *Conn) newClient() {
	cfg := c.cfg
	client := whatsmeow.NewClient(c.device, &logger{sink: &sink{
		ctx: c.base, log: cfg.Log, received: c.received, sending: c.sending,
		opened: c.transport.opened, gone: c.transport.tornDown,
	}})
	client.SetPreLoginHTTPClient(c.http)
	client.SetWebsocketHTTPClient(c.http)
	if cfg.Proxy != nil {
		client.SetMediaHTTPClient(&http.Client{Transport: cfg.HTTP.Transport})
	}
	client.QRClientType = cfg.Browser.Client
	device := c.device
	client.GetClientPayload = func() *waWa6.ClientPayload { return cfg.payload(device) }
	client.AddEventHandler(c.handle)
	if cfg.OnClient != nil {
		cfg.OnClient(client)
	}
	c.refreshCAT(client)
	// Until the login walink does every reconnect. Under Supervise walink also goes on
	// reconnecting after a 515, because whatsmeow does nothing if that connect fails.
	c.reconnects, client.EnableAutoReconnect = client.EnableAutoReconnect, false
	c.manual, client.DisableLoginAutoReconnect = client.DisableLoginAutoReconnect || c.manual, true
	client.PrePairCallback = c.checkAccount(client.PrePairCallback)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.client = client
}

// NewHTTPClient returns a copy of own, or walink's own client if own is nil. That
// client uses the proxy for everything: without the proxy nothing connects. direct says
// that the client leads to WhatsApp and nowhere else.
func NewHTTPClient(own *http.Client, proxy *url.URL) (client *http.Client, direct bool) {
	switch {
	case own != nil:
		c := *own
		return &c, false
	case proxy != nil:
		transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:errcheck // as whatsmeow's NewClient does
		transport.Proxy = http.ProxyURL(proxy)
		return &http.Client{Transport: transport}, true
	default:
		return &http.Client{}, true
	}
}
