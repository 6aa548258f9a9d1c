package walink

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/walink/walink/internal/choice"
	"github.com/walink/walink/internal/number"
	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/internal/strictjson"
	"github.com/walink/walink/internal/wire"
)

// ParseSettings reads Settings from JSON, strictly. An unknown, misspelt or repeated
// key is an error, and so are a wrong type, null, and text after the object. A field
// without a key stays zero. ParseSettings also reads the keys that users of Evolution
// API know:
//
//	number    phone
//	mode      linkingMode
//	preferQr  the opposite of preferPairingCode
//	qrcode    whether a QR code may be shown
//	pairing   whether a pairing code may be asked for; true changes nothing
//
// Two keys of one setting must agree. The effect of qrcode and pairing depends on
// linkingMode and preferPairingCode:
//
//	linkingMode                 qrcode: true  qrcode: false          pairing: false
//	auto                        -             error: nothing left    -
//	auto with preferPairingCode qrFallback    qrFallback stays off   error: contradiction
//	pairing                     qrFallback    qrFallback stays off   error: nothing left
//	qr                          -             error: nothing left    -
//	both                        qrFallback    error: contradiction   error: contradiction
//
// ParseSettings reports all faults at once, also those that New would find, except for
// a missing phone, which the program may still add. Every error is an *Error with
// ErrInvalidSettings. It also wraps ErrInvalidPhone if the phone number is at fault.
func ParseSettings(data []byte) (Settings, error) {
	object, ok := strictjson.Read(data, settingKeys())
	r := settingsReader{Object: object, names: map[string]string{}}
	var s Settings
	if ok {
		s = r.settings()
	}
	if faults := r.faults(); len(faults) > 0 {
		return Settings{}, &Error{Reason: ErrInvalidSettings, Op: "parse settings", Err: errors.Join(faults...)}
	}
	return s, nil
}

// MarshalJSON writes JSON that ParseSettings reads: each field that is not zero, with
// durations as strings. The JSON holds the whole phone number and the password of the
// proxy. It leaves out HTTPClient, Logger, OnClient and Passkey, which are not data.
func (s Settings) MarshalJSON() ([]byte, error) {
	type plain Settings // without methods
	out := struct {
		plain
		Timeout   string `json:"timeout,omitempty"` // in place of plain's, which is deeper
		Probation string `json:"probation,omitempty"`
	}{plain: plain(s)}
	if s.Timeout != 0 {
		out.Timeout = s.Timeout.String()
	}
	if s.Probation != 0 {
		out.Probation = s.Probation.String()
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads with ParseSettings, so that Settings inside a larger document
// are read as strictly. It keeps HTTPClient, Logger, OnClient and Passkey.
func (s *Settings) UnmarshalJSON(data []byte) error {
	parsed, err := ParseSettings(data)
	if err != nil {
		return err
	}
	parsed.HTTPClient, parsed.Logger, parsed.OnClient, parsed.Passkey = s.HTTPClient, s.Logger, s.OnClient, s.Passkey
	*s = parsed
	return nil
}

// String returns the settings as JSON, without the password of the proxy and with the
// phone number masked, also in names.
func (s Settings) String() string {
	if s.Phone != "" {
		s.Phone = number.RedactedInput(s.Phone)
	}
	if s.Proxy != "" {
		_, shown, _, _ := wire.ParseProxy(s.Proxy)
		s.Proxy = strings.Trim(shown, `"`)
	}
	s.Session, s.DeviceName = redact.Name(s.Session), redact.Name(s.DeviceName)
	data, err := json.Marshal(s)
	if err != nil {
		return err.Error() // never: all of it is plain data
	}
	return string(data)
}

// Format prints String with every verb, so that none shows a secret, and %#v with the type
// in front.
func (s Settings) Format(f fmt.State, verb rune) {
	text := s.String()
	if verb == 'v' && f.Flag('#') {
		text = "walink.Settings" + text
	}
	format(f, verb, text)
}

// LogValue returns what String returns.
func (s Settings) LogValue() slog.Value { return slog.StringValue(s.String()) }

// settingKeys are the keys that ParseSettings reads.
func settingKeys() []string {
	return []string{
		"session", "phone", "linkingMode", "preferPairingCode", "qrFallback", "resumeOnly", "browser", "os", "deviceName", "disablePush",
		"timeout", "probation", "codeBudget", "disableVersionRefresh", "comparePasskeyCode", "proxy",
		"number", "preferQr", "mode", "qrcode", "pairing",
	}
}

// settingsReader reads Settings, and collects what is wrong with them.
type settingsReader struct {
	*strictjson.Object
	names   map[string]string // by field: the key that was written, if it is another name of the field
	invalid []error           // what Settings.check has found
}

// faults returns every fault as a [*SettingError].
func (r *settingsReader) faults() []error {
	all := make([]error, 0, len(r.Faults)+len(r.invalid))
	for _, f := range r.Faults {
		e := SettingError{Field: f.Key, quoted: true, Value: f.Value, Problem: f.Problem, Fix: f.Fix}
		if f.Whole {
			e.Field, e.quoted = "settings", false
		}
		all = append(all, &e)
	}
	return append(all, r.invalid...)
}

// settings reads the values, reconciles the names of Evolution API, and checks.
func (r *settingsReader) settings() Settings {
	s := Settings{
		Session:               r.Text("session"),
		Phone:                 r.phone(),
		LinkingMode:           r.mode(),
		Browser:               closed(r, "browser", browsers()),
		OS:                    closed(r, "os", systems()),
		DeviceName:            r.Text("deviceName"),
		Timeout:               r.Duration("timeout"),
		Probation:             r.Duration("probation"),
		CodeBudget:            r.Integer("codeBudget"),
		DisablePush:           r.Bool("disablePush"),
		DisableVersionRefresh: r.Bool("disableVersionRefresh"),
		ComparePasskeyCode:    r.Bool("comparePasskeyCode"),
		Proxy:                 r.Text("proxy"),
		PreferPairingCode:     r.preference(),
		QRFallback:            r.Bool("qrFallback"),
		ResumeOnly:            r.Bool("resumeOnly"),
	}
	r.allowances(&s)
	_, faults := s.check(func(field string) string {
		if name, ok := r.names[field]; ok {
			return name
		}
		for _, key := range settingKeys() {
			if strings.EqualFold(key, field) {
				return key
			}
		}
		return field
	})
	for _, fault := range faults {
		if e, ok := errors.AsType[*SettingError](fault); ok && e.Field == "preferQr" {
			e.Value = "false" // the opposite of preferPairingCode
		}
	}
	r.invalid = faults
	return s
}

// phone reads phone and number, which must be one number.
func (r *settingsReader) phone() string {
	phone, number := r.Text("phone"), r.Text("number")
	if !r.Has("number") {
		return phone
	}
	if !r.Has("phone") {
		r.names["Phone"] = "number"
		return number
	}
	a, errA := ParsePhone(phone)
	b, errB := ParsePhone(number)
	if phone != number && (errA != nil || errB != nil || a != b) {
		r.Fault("number", "", `contradicts "phone", which has another number`, "Keep one of the two.")
	}
	return phone
}

// mode reads linkingMode and mode, which must be one mode.
func (r *settingsReader) mode() LinkingMode {
	mode, alias := closed(r, "linkingMode", linkingModes()), closed(r, "mode", linkingModes())
	if !r.Has("mode") {
		return mode
	}
	if !r.Has("linkingMode") {
		r.names["LinkingMode"] = "mode"
		return alias
	}
	if cmp.Or(mode, ModeAuto) != cmp.Or(alias, ModeAuto) {
		r.Fault("mode", redact.Quote(string(alias)), `contradicts "linkingMode" `+redact.Quote(string(mode)), "Keep one of the two.")
	}
	return mode
}

// preference reads preferPairingCode and its opposite, preferQr.
func (r *settingsReader) preference() bool {
	code, qr := r.Bool("preferPairingCode"), r.Bool("preferQr")
	switch {
	case code && qr:
		r.Fault("preferQr", "true", `contradicts "preferPairingCode"`, "Keep one of the two.")
	case r.Has("preferQr") && !r.Has("preferPairingCode"):
		r.names["PreferPairingCode"] = "preferQr"
		return r.HasBool("preferQr") && !qr
	}
	return code
}

// allowances applies qrcode and pairing as the table of ParseSettings says.
func (r *settingsReader) allowances(s *Settings) {
	mode, _ := choice.Of(s.LinkingMode, linkingModes())
	wantCode := mode == ModePairing || mode == ModeBoth || mode == ModeAuto && s.PreferPairingCode
	wantQR := mode == ModeQR || mode == ModeBoth || mode == ModeAuto && !s.PreferPairingCode
	noQR := r.HasBool("qrcode") && !r.Bool("qrcode")
	noCode := r.HasBool("pairing") && !r.Bool("pairing")
	switch {
	case noQR && noCode:
		r.Fault("qrcode", "false", `allows nothing together with "pairing" false`, "Allow one of the two.")
		return
	case noQR && wantQR && wantCode:
		r.Fault("qrcode", "false", "contradicts the mode both, which shows a QR code", "Choose the mode pairing, or allow the QR code.")
	case noQR && wantQR:
		r.Fault("qrcode", "false", "leaves nothing to show: no pairing code is asked for", "Choose the mode pairing, or allow the QR code.")
	case noQR && s.QRFallback:
		r.Fault("qrcode", "false", `contradicts "qrFallback" true`, "Keep one of the two.")
	case r.Bool("qrcode") && wantCode && r.HasBool("qrFallback") && !s.QRFallback:
		r.Fault("qrcode", "true", `contradicts "qrFallback" false`, "Keep one of the two.")
	case r.Bool("qrcode") && wantCode:
		s.QRFallback = true
	}
	switch {
	case noCode && wantCode && wantQR:
		r.Fault("pairing", "false", "contradicts the mode both, which asks for a pairing code", "Choose the mode qr, or allow the pairing code.")
	case noCode && mode == ModePairing:
		r.Fault("pairing", "false", "leaves nothing to show: the mode pairing shows only a pairing code",
			"Choose the mode qr, or allow the pairing code.")
	case noCode && wantCode:
		r.Fault("pairing", "false", "contradicts the preference for a pairing code", `Set "preferPairingCode" to false, or allow the pairing code.`)
	}
}

// closed reads a value of a closed set, in its canonical spelling. An unknown value
// stays as it is, and check reports it.
func closed[T ~string](r *settingsReader, key string, known []T) T {
	value := T(r.Text(key))
	if k, ok := choice.Of(value, known); ok && value != "" {
		return k
	}
	return value
}
