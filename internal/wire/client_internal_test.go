package wire

import (
	"testing"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waCompanionReg"
)

func TestPains12SettingsBrowserOnTheWire(t *testing.T) {
	t.Parallel()
	tests := []struct {
		browser, os string
		display     string
		client      whatsmeow.PairClientType
		device      waCompanionReg.DeviceProps_PlatformType
	}{
		{"", "Linux", "Chrome (Linux)", "1", waCompanionReg.DeviceProps_CHROME},
		{"Chrome", "Windows", "Chrome (Windows)", "1", waCompanionReg.DeviceProps_CHROME},
		{"Edge", "Windows", "Edge (Windows)", "2", waCompanionReg.DeviceProps_EDGE},
		{"Firefox", "Linux", "Firefox (Linux)", "3", waCompanionReg.DeviceProps_FIREFOX},
		{"IE", "Windows", "IE (Windows)", "4", waCompanionReg.DeviceProps_IE},
		{"Opera", "Linux", "Opera (Linux)", "5", waCompanionReg.DeviceProps_OPERA},
		{"Safari", "Mac OS", "Safari (Mac OS)", "6", waCompanionReg.DeviceProps_SAFARI},
	}
	for _, tt := range tests {
		cfg := &Config{Browser: BrowserOf(tt.browser), OS: tt.os}
		if got := cfg.displayName(); got != tt.display {
			t.Errorf("display name %q, want %q", got, tt.display)
		}
		if got := cfg.Browser.Client; got != tt.client {
			t.Errorf("%s: client type %q, want %q", tt.browser, got, tt.client)
		}
		if got := cfg.Browser.Platform; got != tt.device {
			t.Errorf("%s: platform type %v, want %v", tt.browser, got, tt.device)
		}
	}
}
