package walink_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/walink/walink"
)

// settingErrors takes the error of Check, New or ParseSettings apart.
func settingErrors(t *testing.T, err error) []walink.SettingError {
	t.Helper()
	e, ok := errors.AsType[*walink.Error](err)
	if !ok || e.Reason != walink.ErrInvalidSettings {
		t.Fatalf("%v is no ErrInvalidSettings", err)
	}
	joined, ok := e.Err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%T joins nothing", e.Err)
	}
	var all []walink.SettingError
	for _, part := range joined.Unwrap() {
		one, ok := errors.AsType[*walink.SettingError](part)
		if !ok {
			t.Fatalf("%T is no SettingError", part)
		}
		if one.Remedy() != one.Fix || !strings.Contains(e.Err.Error(), one.Error()) { // the text of err itself is bounded
			t.Errorf("%v has the remedy %q and is not in %v", one, one.Remedy(), err)
		}
		if errors.Is(one, walink.ErrInvalidPhone) != (one.Field == "Phone" || one.Field == "phone" || one.Field == "number") {
			t.Errorf("%v is ErrInvalidPhone: %v", one, errors.Is(one, walink.ErrInvalidPhone))
		}
		all = append(all, *one)
	}
	return all
}

func TestSettingsCheck(t *testing.T) {
	t.Parallel()
	if err := (walink.Settings{}).Check(); err != nil {
		t.Errorf("the zero Settings: %v", err)
	}
	s := walink.Settings{LinkingMode: walink.ModeBoth, DeviceName: " ", CodeBudget: -1, Proxy: "http://user:secret@host:99999"}
	want := []walink.SettingError{
		{Field: "DeviceName", Value: `" "`, Problem: "blank", Fix: "Choose a name of at most 50 printable characters."},
		{Field: "CodeBudget", Value: "-1", Problem: "negative", Fix: "Set it to 0 for the default of 3, or to a positive number."},
		{Field: "Proxy", Value: `"http://host:99999"`, Problem: "has a port that does not exist", Fix: "Choose a port from 1 to 65535."},
		{
			Field: "Phone", Value: `""`, Problem: "needed for a pairing code",
			Fix: "Set Phone to the account's number with its country code, or link by QR code.",
		},
	}
	if diff := cmp.Diff(want, settingErrors(t, s.Check()), cmpopts.IgnoreUnexported(walink.SettingError{})); diff != "" {
		t.Error(diff)
	}
	if _, err := walink.New(nil, s); err == nil || err.Error() != s.Check().Error() {
		t.Errorf("New says %v, and Check %v", err, s.Check())
	}
}

func TestParseSettingsNamesKeys(t *testing.T) {
	t.Parallel()
	_, err := walink.ParseSettings([]byte(`{"number": "11 98765-4321", "preferQr": false, "mode": "qr", "codeBudget": "x", "15551234567": 1}`))
	want := []walink.SettingError{
		{Field: "•••••••••••", Problem: "unknown key"},
		{Field: "codeBudget", Problem: "a string where a whole number is wanted", Fix: "Write a whole number, without quotes."},
		{
			Field: "number", Value: `"•••••••••21"`, Problem: "the number has no country code, and is no valid number with a + in front",
			Fix: "Put a + and the country code in front, such as +55 for Brazil.",
		},
		{
			Field: "preferQr", Value: "false", Problem: `contradicts "mode" qr, which shows no pairing code`,
			Fix: "Choose the mode auto or pairing for a pairing code, or drop the preference for one.",
		},
	}
	got := settingErrors(t, err)
	got[0].Fix = "" // all keys
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(walink.SettingError{})); diff != "" {
		t.Error(diff)
	}
	if _, err := walink.ParseSettings([]byte(`[]`)); settingErrors(t, err)[0].Field != "settings" {
		t.Errorf("a document that is no object: %v", err)
	}
}

// A form shows each fault next to its field.
func ExampleSettings_Check() {
	settings := walink.Settings{Phone: "+49 0170 1234567", CodeBudget: -1}
	if invalid, ok := errors.AsType[*walink.Error](settings.Check()); ok {
		if joined, ok := invalid.Err.(interface{ Unwrap() []error }); ok {
			for _, err := range joined.Unwrap() {
				if fault, ok := errors.AsType[*walink.SettingError](err); ok {
					fmt.Printf("%s: %s\n", fault.Field, fault.Fix)
				}
			}
		}
	}
	// Output:
	// Phone: Remove the 0 after +49.
	// CodeBudget: Set it to 0 for the default of 3, or to a positive number.
}

func TestParseSettingsReads(t *testing.T) {
	t.Parallel()
	const number = "+55 11 98765-4321"
	tests := map[string]struct {
		in   string
		want walink.Settings
	}{
		"nothing":      {`{}`, walink.Settings{}},
		"space around": {" {\n} \n", walink.Settings{}},
		"every name": {
			`{"session": "shop", "phone": "+55 11 98765-4321", "linkingMode": "pairing", "preferPairingCode": true, "qrFallback": true,
			  "browser": "Firefox", "os": "Windows", "deviceName": "Loja", "disablePush": true, "timeout": "2m30s", "probation": "30s",
			  "codeBudget": 5, "disableVersionRefresh": true, "comparePasskeyCode": true, "proxy": "socks5://user:secret@host:1080"}`,
			walink.Settings{
				Session: "shop", Phone: number, LinkingMode: walink.ModePairing, PreferPairingCode: true, QRFallback: true,
				Browser: walink.BrowserFirefox, OS: walink.OSWindows, DeviceName: "Loja", DisablePush: true,
				Timeout: 150 * time.Second, Probation: 30 * time.Second, CodeBudget: 5, DisableVersionRefresh: true,
				ComparePasskeyCode: true, Proxy: "socks5://user:secret@host:1080",
			},
		},
		"any case of a closed set": {
			`{"linkingMode": "BOTH", "browser": "chrome", "os": "macOS"}`,
			walink.Settings{LinkingMode: walink.ModeBoth, Browser: walink.BrowserChrome, OS: walink.OSMac},
		},
		"no timeout":                       {`{"timeout": "-1s"}`, walink.Settings{Timeout: -time.Second}},
		"a code, the phone from elsewhere": {`{"preferPairingCode": true}`, walink.Settings{PreferPairingCode: true}},

		"number":                        {`{"number": "5511987654321"}`, walink.Settings{Phone: "5511987654321"}},
		"number and the same phone":     {`{"number": "5511987654321", "phone": "+55 11 98765-4321"}`, walink.Settings{Phone: number}},
		"mode":                          {`{"mode": "qr"}`, walink.Settings{LinkingMode: walink.ModeQR}},
		"mode and the same linkingMode": {`{"mode": "QR", "linkingMode": "qr"}`, walink.Settings{LinkingMode: walink.ModeQR}},
		"preferQr":                      {`{"preferQr": true}`, walink.Settings{}},
		"preferQr false":                {`{"preferQr": false}`, walink.Settings{PreferPairingCode: true}},
		"preferQr and its opposite":     {`{"preferQr": false, "preferPairingCode": true}`, walink.Settings{PreferPairingCode: true}},
		"preferQr and the same":         {`{"preferQr": true, "preferPairingCode": false}`, walink.Settings{}},
		"no preference":                 {`{"preferQr": false, "preferPairingCode": false}`, walink.Settings{}},

		"qrcode in auto":              {`{"qrcode": true}`, walink.Settings{}},
		"qrcode next to a code":       {`{"preferPairingCode": true, "qrcode": true}`, walink.Settings{PreferPairingCode: true, QRFallback: true}},
		"no qrcode next to a code":    {`{"preferPairingCode": true, "qrcode": false}`, walink.Settings{PreferPairingCode: true}},
		"qrcode in pairing":           {`{"mode": "pairing", "qrcode": true}`, walink.Settings{LinkingMode: walink.ModePairing, QRFallback: true}},
		"no qrcode in pairing":        {`{"mode": "pairing", "qrcode": false}`, walink.Settings{LinkingMode: walink.ModePairing}},
		"qrcode and qrFallback agree": {`{"mode": "pairing", "qrcode": true, "qrFallback": true}`, walink.Settings{LinkingMode: walink.ModePairing, QRFallback: true}},
		"qrcode in qr":                {`{"mode": "qr", "qrcode": true}`, walink.Settings{LinkingMode: walink.ModeQR}},
		"qrcode in both":              {`{"mode": "both", "qrcode": true}`, walink.Settings{LinkingMode: walink.ModeBoth, QRFallback: true}},
		"pairing changes nothing":     {`{"mode": "qr", "pairing": true}`, walink.Settings{LinkingMode: walink.ModeQR}},
		"no pairing in auto":          {`{"pairing": false}`, walink.Settings{}},
		"no pairing in qr":            {`{"mode": "qr", "pairing": false, "qrcode": true}`, walink.Settings{LinkingMode: walink.ModeQR}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := walink.ParseSettings([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseSettingsSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   string
		want []string
	}{
		"nothing at all":            {``, []string{"not JSON"}},
		"not JSON":                  {"{\n\"phone\": +55}", []string{"not JSON", "line 2"}},
		"cut off":                   {`{"phone": "`, []string{"not JSON"}},
		"an array":                  {` []`, []string{"an array where an object is wanted"}},
		"null":                      {`null`, []string{"null where an object is wanted"}},
		"a second object":           {`{} {}`, []string{"not JSON", "nothing after the object"}},
		"not UTF-8":                 {"{\"session\": \"\xff\"}", []string{"not valid UTF-8"}},
		"misspelt key":              {`{"preferParingCode": true}`, []string{`"preferParingCode"`, "unknown key", `"preferPairingCode"`}},
		"transposed key":            {`{"proxi": ""}`, []string{`"proxi"`, `"proxy"`}},
		"wrong case":                {`{"Phone": "+55 11 98765-4321"}`, []string{`"Phone"`, "unknown key", `"phone"`}},
		"snake case":                {`{"linking_mode": "qr"}`, []string{`"linking_mode"`, `"linkingMode"`}},
		"a key like none":           {`{"webhookBase64Delivery": 1}`, []string{"unknown key", "Known are session, phone,"}},
		"a number as key":           {`{"5511987654321": 1}`, []string{`"•••••••••••••"`, "unknown key"}},
		"not data":                  {`{"onClient": null}`, []string{`"onClient"`, "unknown key"}},
		"key twice":                 {`{"session": "a", "session": "b"}`, []string{`"session"`, "written twice"}},
		"key twice, escaped":        {`{"session": "a", "sess\u0069on": "b"}`, []string{`"session"`, "written twice"}},
		"number that is no string":  {`{"number": 5511987654321}`, []string{`"number"`, "a number where a string is wanted", "quotes"}},
		"null phone":                {`{"phone": null}`, []string{`"phone"`, "null where a string is wanted", "leave the key out"}},
		"boolean in quotes":         {`{"qrFallback": "true"}`, []string{`"qrFallback"`, "a string where true or false is wanted"}},
		"null preferQr":             {`{"preferQr": null}`, []string{`"preferQr"`, "null where true or false is wanted"}},
		"an object for a string":    {`{"session": {}}`, []string{`"session"`, "an object where a string is wanted"}},
		"a fraction for the budget": {`{"codeBudget": 1.5}`, []string{`"codeBudget"`, "a whole number"}},
		"a timeout without unit":    {`{"timeout": 600}`, []string{`"timeout"`, "a number where a duration string is wanted", `"10m"`}},
		"a timeout of days":         {`{"timeout": "1d"}`, []string{`"timeout" "1d"`, "not a duration", `"10m"`}},
		"a bad phone":               {`{"phone": "11 98765-4321"}`, []string{`"phone" "•••••••••21"`, "no country code", "Put a +"}},
		"a bad number":              {`{"number": "11 98765-4321"}`, []string{`"number" "•••••••••21"`, "no country code", "Put a +"}},
		"an unknown mode":           {`{"mode": "qrcode"}`, []string{`"mode" "qrcode"`, "unknown mode", `"qr"`}},
		"an unknown browser":        {`{"browser": "Fierfox"}`, []string{`"browser" "Fierfox"`, `"Firefox"`}},
		"an unknown system":         {`{"os": "Ubuntu"}`, []string{`"os" "Ubuntu"`, `"Linux"`}},
		"a negative budget":         {`{"codeBudget": -1}`, []string{`"codeBudget" -1`, "negative"}},
		"a proxy without scheme":    {`{"proxy": "user:secret@host"}`, []string{`"proxy"`, "not shown"}},

		"two phones":                {`{"phone": "+5511987654321", "number": "+5511987654322"}`, []string{`"number"`, `contradicts "phone"`}},
		"two forms of one phone":    {`{"phone": "+5511987654321", "number": "+551187654321"}`, []string{`"number"`, `contradicts "phone"`}},
		"two modes":                 {`{"linkingMode": "qr", "mode": "both"}`, []string{`"mode" "both"`, `contradicts "linkingMode" "qr"`}},
		"two preferences":           {`{"preferQr": true, "preferPairingCode": true}`, []string{`"preferQr"`, `contradicts "preferPairingCode"`}},
		"qr and a preference":       {`{"mode": "qr", "preferPairingCode": true}`, []string{`"preferPairingCode" true`, `contradicts "mode" qr`}},
		"qr and not preferQr":       {`{"linkingMode": "qr", "preferQr": false}`, []string{`"preferQr" false`, `contradicts "linkingMode" qr`}},
		"pairing without pairing":   {`{"mode": "pairing", "pairing": false}`, []string{`"pairing" false`, "leaves nothing"}},
		"both without pairing":      {`{"mode": "both", "pairing": false}`, []string{`"pairing" false`, "contradicts the mode both"}},
		"preference, no pairing":    {`{"preferPairingCode": true, "pairing": false}`, []string{`"pairing" false`, "contradicts the preference"}},
		"neither":                   {`{"qrcode": false, "pairing": false}`, []string{`"qrcode" false`, "allows nothing"}},
		"neither, in pairing":       {`{"mode": "pairing", "qrcode": false, "pairing": false}`, []string{"allows nothing"}},
		"auto without qrcode":       {`{"number": "+5511987654321", "qrcode": false}`, []string{`"qrcode" false`, "leaves nothing", "mode pairing"}},
		"qr without qrcode":         {`{"mode": "qr", "qrcode": false}`, []string{`"qrcode" false`, "leaves nothing"}},
		"both without qrcode":       {`{"mode": "both", "qrcode": false}`, []string{`"qrcode" false`, "contradicts the mode both"}},
		"qrcode against qrFallback": {`{"mode": "pairing", "qrcode": true, "qrFallback": false}`, []string{`"qrcode" true`, `contradicts "qrFallback" false`}},
		"qrFallback against qrcode": {`{"mode": "pairing", "qrcode": false, "qrFallback": true}`, []string{`"qrcode" false`, `contradicts "qrFallback" true`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := walink.ParseSettings([]byte(tt.in))
			var e *walink.Error
			if !errors.Is(err, walink.ErrInvalidSettings) || !errors.As(err, &e) || e.Reason != walink.ErrInvalidSettings {
				t.Fatalf("ParseSettings: %+v, %v; want ErrInvalidSettings", got, err)
			}
			if strings.HasPrefix(name, "a bad ") && !errors.Is(err, walink.ErrInvalidPhone) {
				t.Errorf("%v is not ErrInvalidPhone", err)
			}
			if diff := cmp.Diff(walink.Settings{}, got); diff != "" {
				t.Errorf("the Settings next to an error (-want +got):\n%s", diff)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if text := err.Error(); strings.Contains(text, "\n") || strings.Contains(text, "secret") || digitRun.MatchString(text) {
				t.Errorf("%q is not one fault on one line, without secrets", text)
			}
			if e.Remedy() == "" || !strings.HasSuffix(err.Error(), ".") {
				t.Errorf("%q has the remedy %q", err, e.Remedy())
			}
		})
	}
}

func TestParseSettingsReportsEveryFault(t *testing.T) {
	t.Parallel()
	_, err := walink.ParseSettings([]byte(`{"preferParingCode": true, "number": 55, "timeout": 600, "mode": "qr", "linkingMode": "both",
		"browser": "Lynx", "codeBudget": -1, "qrcode": false, "pairing": false, "os": "x", "os": "y", "phone": "+55"}`))
	e, ok := errors.AsType[*walink.Error](err)
	if !ok || !errors.Is(err, walink.ErrInvalidSettings) || !errors.Is(err, walink.ErrInvalidPhone) {
		t.Fatal(err)
	}
	faults := e.Err.Error() // longer than the text of an Error may be
	for _, key := range []string{"preferParingCode", "number", "timeout", "mode", "browser", "codeBudget", "qrcode", "os", "phone"} {
		if !strings.Contains(faults, `"`+key+`"`) {
			t.Errorf("%s\ndoes not name %q", faults, key)
		}
	}
}

func TestSettingsWriteTheirJSONNames(t *testing.T) {
	t.Parallel()
	s := walink.Settings{
		Session: "shop", Phone: "+55 11 98765-4321", LinkingMode: walink.ModeBoth, Timeout: 10 * time.Minute, Probation: time.Second,
		Browser: walink.BrowserSafari, OS: walink.OSMac, CodeBudget: 4, Logger: slog.Default(),
	}
	got, err := json.Marshal(s)
	const want = `{"session":"shop","phone":"+55 11 98765-4321","linkingMode":"both","browser":"Safari","os":"Mac OS",` +
		`"codeBudget":4,"timeout":"10m0s","probation":"1s"}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
	if got, err := json.Marshal(walink.Settings{}); err != nil || string(got) != "{}" {
		t.Errorf("the zero Settings are %s, %v", got, err)
	}
}

func TestSettingsInsideADocumentAreStrict(t *testing.T) {
	t.Parallel()
	type config struct {
		Link walink.Settings `json:"link"`
	}
	c := config{Link: walink.Settings{Session: "old", Logger: slog.Default()}}
	if err := json.Unmarshal([]byte(`{"link": {"mode": "both", "timeout": "1m"}}`), &c); err != nil {
		t.Fatal(err)
	}
	if c.Link.LinkingMode != walink.ModeBoth || c.Link.Timeout != time.Minute || c.Link.Session != "" || c.Link.Logger == nil {
		t.Errorf("the Settings are %+v", c.Link)
	}
	if err := json.Unmarshal([]byte(`{"link": {"preferParingCode": true}}`), &c); !errors.Is(err, walink.ErrInvalidSettings) {
		t.Errorf("an unknown key in a document: %v", err)
	}
}

func TestSettingsSurviveJSON(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	coin := func() bool { return random.IntN(2) == 0 }
	for range 500 {
		s := walink.Settings{
			Session:               pick(random, "", "default", "a b", "«é»", `"<&>\`),
			Phone:                 pick(random, "", "+55 11 98765-4321", "5511987654321", "＋５５１１９８７６５４３２１"),
			LinkingMode:           pick(random, "", walink.ModeAuto, walink.ModePairing, walink.ModeQR, walink.ModeBoth),
			QRFallback:            coin(),
			Browser:               pick(random, "", walink.BrowserChrome, walink.BrowserIE, walink.BrowserOpera),
			OS:                    pick(random, "", walink.OSLinux, walink.OSMac),
			DeviceName:            pick(random, "", "walink", "Loja da Ana 👩\u200d💻"),
			DisablePush:           coin(),
			Timeout:               pick(random, 0, -1, 1, time.Hour, math.MaxInt64, math.MinInt64, time.Duration(random.Int64())),
			Probation:             pick(random, 0, 1, time.Hour, math.MaxInt64, time.Duration(random.Int64())),
			CodeBudget:            pick(random, 0, 1, math.MaxInt),
			DisableVersionRefresh: coin(),
			Proxy:                 pick(random, "", "http://host", "socks5://user:p%23@[::1]:1080", "https://host:8080/"),
		}
		s.PreferPairingCode = s.LinkingMode != walink.ModeQR && coin()
		checkSettingsRoundTrip(t, s)
	}
}

func pick[T any](random *rand.Rand, from ...T) T { return from[random.IntN(len(from))] }

func checkSettingsRoundTrip(t *testing.T, s walink.Settings) {
	t.Helper()
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	again, err := walink.ParseSettings(data)
	if err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	if diff := cmp.Diff(s, again); diff != "" {
		t.Fatalf("%s: %s", data, diff)
	}
}

func FuzzParseSettings(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `[]`, `null`, `{} {}`, `{"phone": "+55 11 98765-4321", "preferPairingCode": true, "qrFallback": true}`,
		`{"session": "shop", "linkingMode": "both", "browser": "edge", "os": "mac os", "deviceName": "Loja", "timeout": "-1s", "probation": "1h"}`,
		`{"number": "5511987654321", "mode": "pairing", "qrcode": true, "pairing": true, "preferQr": false}`,
		`{"number": 5511987654321}`, `{"preferParingCode": true}`, `{"qrcode": false, "pairing": false}`, `{"timeout": 600}`,
		`{"session": "a", "session": "b"}`, `{"proxy": "http://user:secret@host:8080", "codeBudget": 3, "disablePush": true}`,
		`{"session": "\ud800"}`, `{"phone": "11 98765-4321", "os": "5511987654321"}`, "{\"session\": \"\xff\"}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := walink.ParseSettings(data)
		if err != nil {
			var e *walink.Error
			if !errors.As(err, &e) || e.Reason != walink.ErrInvalidSettings || e.Remedy() == "" {
				t.Fatalf("%q: %v", data, err)
			}
			return
		}
		checkSettingsRoundTrip(t, s)
	})
}

// allVerbs are the verbs of fmt, and one that it does not know. For %p and %w fmt calls no
// method of a value.
const allVerbs = "vTtbcdoOqxXUeEfFgGsz"

func TestSettingsPrintNoSecrets(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]walink.Settings{
		"a session": {Session: "+55 11 98765-4321", Phone: "+55 11 98765-4321", DeviceName: "11 98765-4321", Proxy: "http://me:geheim@proxy:8080"},
		"dots":      {Session: "55.11.98765.4321", Phone: "5511987654321", Proxy: "me:geheim@proxy:8080"},
		"no URL":    {Phone: "55 11 98765 4321 office", Proxy: "http://me:ge heim%@proxy"},
	} {
		var buf bytes.Buffer
		slog.New(slog.NewTextHandler(&buf, nil)).Info("settings", "settings", s, "pointer", &s, "list", []walink.Settings{s})
		slog.New(slog.NewJSONHandler(&buf, nil)).Info("settings", "settings", s, "pointer", &s)
		fmt.Fprintf(&buf, "%v %+v %#v %s %v %v\n", s, s, s, s, &s, []walink.Settings{s})
		fmt.Fprintf(&buf, "%+v", struct{ Settings walink.Settings }{s})
		for _, verb := range allVerbs {
			fmt.Fprintf(&buf, "%"+string(verb), s)
			fmt.Fprintf(&buf, "%+#"+string(verb), &s)
		}
		for _, secret := range []string{"heim", "98765", "4321"} {
			if strings.Contains(buf.String(), secret) {
				t.Errorf("%s: the settings show %q:\n%s", name, secret, &buf)
			}
		}
	}
	if text := fmt.Sprint(walink.Settings{Session: "shop", Proxy: "http://me:geheim@proxy:8080", Timeout: time.Hour}); text != `{"session":"shop","timeout":"1h0m0s","proxy":"http://proxy:8080"}` &&
		text != `{"session":"shop","proxy":"http://proxy:8080","timeout":"1h0m0s"}` {
		t.Errorf("the settings print as %s", text)
	}
}
