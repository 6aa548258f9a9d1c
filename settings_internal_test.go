package walink

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mau.fi/whatsmeow"

	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/number"
	"github.com/walink/walink/internal/wire"
)

const testPhone = "+55 11 98765-4321"

func TestSettingsLinkingModeTable(t *testing.T) {
	t.Parallel()
	type shown struct{ Code, QR, Fallback bool }
	tests := []struct {
		mode             LinkingMode
		prefer, fallback bool
		want             shown
		contradiction    bool
	}{
		{mode: "", want: shown{QR: true}},
		{mode: "", fallback: true, want: shown{QR: true}},
		{mode: "", prefer: true, want: shown{Code: true}},
		{mode: ModeAuto, want: shown{QR: true}},
		{mode: ModeAuto, fallback: true, want: shown{QR: true}},
		{mode: ModeAuto, prefer: true, want: shown{Code: true}},
		{mode: ModeAuto, prefer: true, fallback: true, want: shown{Code: true, Fallback: true}},
		{mode: ModePairing, want: shown{Code: true}},
		{mode: ModePairing, prefer: true, want: shown{Code: true}},
		{mode: ModePairing, fallback: true, want: shown{Code: true, Fallback: true}},
		{mode: ModePairing, prefer: true, fallback: true, want: shown{Code: true, Fallback: true}},
		{mode: ModeQR, want: shown{QR: true}},
		{mode: ModeQR, fallback: true, want: shown{QR: true}},
		{mode: ModeQR, prefer: true, contradiction: true},
		{mode: ModeQR, prefer: true, fallback: true, contradiction: true},
		{mode: ModeBoth, want: shown{Code: true, QR: true}},
		{mode: ModeBoth, prefer: true, want: shown{Code: true, QR: true}},
		{mode: ModeBoth, fallback: true, want: shown{Code: true, QR: true}},
		{mode: ModeBoth, prefer: true, fallback: true, want: shown{Code: true, QR: true}},
		{mode: "QR", want: shown{QR: true}},
	}
	for _, tt := range tests {
		s := Settings{Phone: testPhone, LinkingMode: tt.mode, PreferPairingCode: tt.prefer, QRFallback: tt.fallback}
		r, err := s.resolve()
		if tt.contradiction {
			if !errors.Is(err, ErrInvalidSettings) || !strings.Contains(err.Error(), "PreferPairingCode") {
				t.Errorf("mode %q, prefer %v, fallback %v: %v, want a contradiction", tt.mode, tt.prefer, tt.fallback, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("mode %q, prefer %v, fallback %v: %v", tt.mode, tt.prefer, tt.fallback, err)
		}
		if diff := cmp.Diff(tt.want, shown{r.machine.Code, r.machine.QR, r.machine.Fallback}); diff != "" {
			t.Errorf("mode %q, prefer %v, fallback %v: %s", tt.mode, tt.prefer, tt.fallback, diff)
		}
		// The same without a phone: refused wherever a pairing code can be asked for.
		s.Phone = ""
		_, err = s.resolve()
		if needed := errors.Is(err, ErrInvalidPhone) && errors.Is(err, ErrInvalidSettings); needed != tt.want.Code {
			t.Errorf("mode %q, prefer %v without a phone: %v", tt.mode, tt.prefer, err)
		}
	}
}

// given is what resolve makes of Settings, as far as it can be compared.
type given struct {
	Session, Browser, OS, DeviceName string
	Push                             bool
	CodeBudget                       int
	Link                             machine.Config
}

func givenBy(r resolved) given {
	link := r.machine
	link.Jitter = nil
	return given{r.session, r.conn.Browser.Name, r.conn.OS, r.conn.DeviceName, r.conn.Push, r.codeBudget, link}
}

func TestSettingsDefaults(t *testing.T) {
	t.Parallel()
	r, err := Settings{}.resolve()
	if err != nil {
		t.Fatal(err)
	}
	if r.logger == nil || r.logger.Enabled(t.Context(), slog.LevelError) {
		t.Error("the default logger discards")
	}
	want := given{
		Session: "default", Browser: "Chrome", OS: "Linux", DeviceName: "walink", Push: true, CodeBudget: 3,
		Link: machine.Config{QR: true, Timeout: 10 * time.Minute, Patient: true, VersionRefresh: true},
	}
	if diff := cmp.Diff(want, givenBy(r)); diff != "" {
		t.Error(diff)
	}
	if !r.phone.IsZero() || r.conn.Proxy != nil || r.conn.OnClient != nil || r.passkey != nil {
		t.Errorf("resolved %+v", r)
	}
}

func TestSettingsAreResolved(t *testing.T) {
	t.Parallel()
	s := Settings{
		Session: "shop", Phone: testPhone, LinkingMode: "Pairing", Browser: "firefox", OS: "macos", DeviceName: "Loja 👩\u200d💻",
		DisablePush: true, Timeout: -1, Probation: time.Minute, CodeBudget: 5, DisableVersionRefresh: true,
		Proxy: "socks5://user:secret@proxy.example:1080", Logger: slog.Default(), OnClient: func(*whatsmeow.Client) {},
	}
	r, err := s.resolve()
	if err != nil {
		t.Fatal(err)
	}
	if r.phone.String() != "+5511987654321" || r.conn.Proxy.Host != "proxy.example:1080" ||
		r.logger != s.Logger || r.conn.Log != s.Logger || r.conn.OnClient == nil {
		t.Errorf("resolved %+v", r)
	}
	want := given{
		Session: "shop", Browser: "Firefox", OS: "Mac OS", DeviceName: s.DeviceName, CodeBudget: 5,
		Link: machine.Config{Code: true, OtherForm: true, Probation: time.Minute, Proxy: "socks5://proxy.example:1080"},
	}
	if diff := cmp.Diff(want, givenBy(r)); diff != "" {
		t.Error(diff)
	}
}

func TestEveryBrowserIsKnownToWire(t *testing.T) {
	t.Parallel()
	for i, b := range wire.Browsers() {
		if known := browsers(); i >= len(known) || b.Name != string(known[i]) {
			t.Errorf("wire knows %q, and the constants do not", b.Name)
		}
	}
	if len(browsers()) != len(wire.Browsers()) {
		t.Error("a constant is unknown to wire")
	}
}

func TestSettingsFaults(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		settings Settings
		want     []string // what the error says
		phone    bool
	}{
		"phone without country code": {Settings{Phone: "11 98765-4321"}, []string{`Phone "•••••••••21"`, "no country code", "Put a +"}, true},
		"phone with a trunk zero":    {Settings{Phone: "+49 0170 1234567"}, []string{`Phone "+49•••••••••67"`, "Remove the 0 after +49"}, true},
		"phone with letters":         {Settings{Phone: "+1800FLOWERS"}, []string{`Phone "•••"`, "the letter 'F'"}, true},
		"blank phone":                {Settings{Phone: " ", LinkingMode: ModePairing}, []string{`Phone " "`, "is empty"}, true},
		"no phone for a code":        {Settings{PreferPairingCode: true}, []string{`Phone ""`, "needed for a pairing code", "Set Phone"}, true},
		"no phone for both":          {Settings{LinkingMode: ModeBoth}, []string{`Phone ""`, "needed for a pairing code"}, true},
		"unknown mode":               {Settings{LinkingMode: "paring"}, []string{`LinkingMode "paring"`, `Write "pairing"`, `"auto", "pairing", "qr" or "both"`}, false},
		"unknown browser":            {Settings{Browser: "Chromium"}, []string{`Browser "Chromium"`, `"Chrome"`, `"Safari"`}, false},
		"product as browser":         {Settings{Browser: "My Fine Shop"}, []string{`Browser "My Fine Shop"`, `or "Safari"`}, false},
		"unknown OS":                 {Settings{OS: "Lunix"}, []string{`OS "Lunix"`, `Write "Linux"`, `"Mac OS"`}, false},
		"negative probation":         {Settings{Probation: -time.Second}, []string{"Probation -1s", "negative", "Set it to 0"}, false},
		"negative budget":            {Settings{CodeBudget: -2}, []string{"CodeBudget -2", "negative", "default of 3"}, false},
		"long session":               {Settings{Session: strings.Repeat("x", 129)}, []string{"Session", "longer than 128 bytes", "Choose"}, false},
		"control in session":         {Settings{Session: "a\nb"}, []string{`Session "a\nb"`, "control character"}, false},
		"session not UTF-8":          {Settings{Session: "a\xff"}, []string{"Session", "UTF-8"}, false},
		"long device name":           {Settings{DeviceName: strings.Repeat("é", 51)}, []string{"DeviceName", "longer than 50"}, false},
		"control in device name":     {Settings{DeviceName: "a\u202eb"}, []string{"DeviceName", "cannot be shown"}, false},
		"blank device name":          {Settings{DeviceName: "  "}, []string{"DeviceName", "blank"}, false},
		"device name not UTF-8":      {Settings{DeviceName: "\xff"}, []string{"DeviceName", "UTF-8"}, false},
		"proxy without scheme":       {Settings{Proxy: "user:secret@host:8080"}, []string{"Proxy (not shown", "Write it like http://"}, false},
		"proxy without host":         {Settings{Proxy: "http://:8080"}, []string{"no host"}, false},
		"proxy of another scheme":    {Settings{Proxy: "socks4://user:secret@host:1080"}, []string{`Proxy "socks4://host:1080"`, `Write "socks5"`}, false},
		"proxy that is no URL":       {Settings{Proxy: "http://user:sec%ret@host"}, []string{"not a URL", "escaped"}, false},
		"proxy with a stray #":       {Settings{Proxy: "http://user:12#secret@host:1"}, []string{"Proxy (not shown", "after the host"}, false},
		"proxy with a bad port":      {Settings{Proxy: "http://host:99999"}, []string{`Proxy "http://host:99999"`, "1 to 65535"}, false},
		"proxy and HTTPClient": {
			Settings{Proxy: "http://user:secret@host:8080", HTTPClient: http.DefaultClient},
			[]string{`Proxy "http://host:8080"`, "contradicts HTTPClient"},
			false,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tt.settings.resolve()
			if !errors.Is(err, ErrInvalidSettings) || errors.Is(err, ErrInvalidPhone) != tt.phone {
				t.Fatalf("error %v", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if text := err.Error(); strings.Contains(text, "secret") || strings.Contains(text, "ret@") || strings.Count(text, "\n") > 0 {
				t.Errorf("one fault without a password, not %q", text)
			}
			var e *Error
			if !errors.As(err, &e) || e.Op != "settings" || e.Remedy() == (&Error{Reason: ErrInvalidSettings}).Remedy() {
				t.Errorf("%#v with the remedy %q", e, e.Remedy())
			}
		})
	}
}

func TestSettingsReportEveryFault(t *testing.T) {
	t.Parallel()
	_, err := Settings{
		Session: "a\tb", Phone: "+55 11", LinkingMode: "qrr", Browser: "Lynx", OS: "BeOS", DeviceName: "\n", Probation: -1, CodeBudget: -1, Proxy: "x",
	}.resolve()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("the error is %v", err)
	}
	faults := e.Err.Error() // one a line, and longer than the text of an Error may be
	for _, field := range []string{"Session", "Phone", "LinkingMode", "Browser", "OS", "DeviceName", "Probation", "CodeBudget", "Proxy"} {
		if !strings.Contains("\n"+faults, "\n"+field+" ") {
			t.Errorf("%q does not name %s", faults, field)
		}
	}
}

func TestPhoneFromDigitsNeverFails(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"5511987654321": "+5511987654321", "999000111222": "+999000111222", "1": "+1", "": "", "x": "",
		strings.Repeat("9", 400): "+" + strings.Repeat("9", 400),
	}
	for in, want := range tests {
		p := Phone{digits: number.Digits(in)}
		if p.String() != want || p.International() == "" != p.IsZero() || len(p.Alternatives()) > 1 || p.Region() == "ZZ" {
			t.Errorf("Digits(%q) = %v, %q", in, p, p.International())
		}
		if len(in) > 5 && strings.Contains(p.Redacted(), in[3:]) {
			t.Errorf("redacted %q", p.Redacted())
		}
	}
	if p, err := ParsePhone("+5511987654321"); err != nil || p != (Phone{digits: number.Digits("5511987654321")}) {
		t.Errorf("%v is another than what WhatsApp says, %v", p, err)
	}
}
