package walink

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/walink/walink/internal/redact"
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
	r := settingsReader{values: make(map[string]json.RawMessage), names: make(map[string]string)}
	var s Settings
	if r.open(data) {
		s = r.settings()
	}
	if len(r.faults) > 0 {
		return Settings{}, &Error{Reason: ErrInvalidSettings, Op: "parse settings", Err: errors.Join(r.faults...)}
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

// settingKeys are the keys that ParseSettings reads.
func settingKeys() []string {
	return []string{
		"session", "phone", "linkingMode", "preferPairingCode", "qrFallback", "resumeOnly", "browser", "os", "deviceName", "disablePush",
		"timeout", "probation", "codeBudget", "disableVersionRefresh", "comparePasskeyCode", "proxy",
		"number", "preferQr", "mode", "qrcode", "pairing",
	}
}

// settingsReader reads one JSON object and collects what is wrong with it.
type settingsReader struct {
	values map[string]json.RawMessage
	names  map[string]string // by field: the key that was written, if it is another name of the field
	faults []error
}

func (r *settingsReader) fault(key, value, problem, remedy string) {
	r.faults = append(r.faults, &SettingError{Field: key, quoted: true, Value: value, Problem: problem, Fix: remedy})
}

// open splits the object into its keys, and reports whether data is an object.
func (r *settingsReader) open(data []byte) bool {
	document := func(problem, remedy string) bool {
		r.faults = append(r.faults, &SettingError{Field: "settings", Problem: problem, Fix: remedy})
		return false
	}
	if !utf8.Valid(data) {
		return document("not valid UTF-8", "Save the settings as UTF-8.")
	}
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		return document("not JSON: "+err.Error()+where(data, err), "Correct the JSON: write one object, and nothing after the object.")
	}
	if kind := kindOf(whole); kind != "an object" {
		return document(kind+" where an object is wanted", `Write the settings as {"phone": "...", ...}.`)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	_, err := decoder.Token()
	for err == nil && decoder.More() {
		var token json.Token
		if token, err = decoder.Token(); err != nil {
			break
		}
		key, _ := token.(string)
		var value json.RawMessage
		err = decoder.Decode(&value)
		r.add(key, value)
	}
	if err != nil {
		return document("not JSON: "+err.Error(), "Correct the JSON.")
	}
	return true
}

func (r *settingsReader) add(key string, value json.RawMessage) {
	for _, known := range settingKeys() {
		if key != known {
			continue
		}
		if _, doubled := r.values[key]; doubled {
			r.fault(key, "", "written twice", "Keep one of the two.")
		}
		r.values[key] = value
		return
	}
	remedy := "Known are " + strings.Join(settingKeys(), ", ") + "."
	if near, ok := nearest(key, settingKeys()); ok {
		remedy = fmt.Sprintf("Write %q if that is meant.", near)
	}
	r.faults = append(r.faults, &SettingError{Field: redact.Value(key), quoted: true, Problem: "unknown key", Fix: remedy})
}

// settings reads the values, reconciles the names of Evolution API, and checks.
func (r *settingsReader) settings() Settings {
	s := Settings{
		Session:               r.text("session"),
		Phone:                 r.phone(),
		LinkingMode:           r.mode(),
		Browser:               closed(r, "browser", browsers()),
		OS:                    closed(r, "os", systems()),
		DeviceName:            r.text("deviceName"),
		Timeout:               r.duration("timeout"),
		Probation:             r.duration("probation"),
		CodeBudget:            r.integer("codeBudget"),
		DisablePush:           r.is("disablePush"),
		DisableVersionRefresh: r.is("disableVersionRefresh"),
		ComparePasskeyCode:    r.is("comparePasskeyCode"),
		Proxy:                 r.text("proxy"),
		PreferPairingCode:     r.preference(),
		QRFallback:            r.is("qrFallback"),
		ResumeOnly:            r.is("resumeOnly"),
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
		r.faults = append(r.faults, fault)
	}
	return s
}

// phone reads phone and number, which must be one number.
func (r *settingsReader) phone() string {
	phone, number := r.text("phone"), r.text("number")
	if !r.has("number") {
		return phone
	}
	if !r.has("phone") {
		r.names["Phone"] = "number"
		return number
	}
	a, errA := ParsePhone(phone)
	b, errB := ParsePhone(number)
	if phone != number && (errA != nil || errB != nil || a != b) {
		r.fault("number", "", `contradicts "phone", which has another number`, "Keep one of the two.")
	}
	return phone
}

// mode reads linkingMode and mode, which must be one mode.
func (r *settingsReader) mode() LinkingMode {
	mode, alias := closed(r, "linkingMode", linkingModes()), closed(r, "mode", linkingModes())
	if !r.has("mode") {
		return mode
	}
	if !r.has("linkingMode") {
		r.names["LinkingMode"] = "mode"
		return alias
	}
	if cmp.Or(mode, ModeAuto) != cmp.Or(alias, ModeAuto) {
		r.fault("mode", redact.Quote(string(alias)), `contradicts "linkingMode" `+redact.Quote(string(mode)), "Keep one of the two.")
	}
	return mode
}

// preference reads preferPairingCode and its opposite, preferQr.
func (r *settingsReader) preference() bool {
	code, qr := r.is("preferPairingCode"), r.is("preferQr")
	switch {
	case code && qr:
		r.fault("preferQr", "true", `contradicts "preferPairingCode"`, "Keep one of the two.")
	case r.has("preferQr") && !r.has("preferPairingCode"):
		r.names["PreferPairingCode"] = "preferQr"
		return r.valid("preferQr") && !qr
	}
	return code
}

// allowances applies qrcode and pairing as the table of ParseSettings says.
func (r *settingsReader) allowances(s *Settings) {
	mode, _ := canonical(s.LinkingMode, linkingModes())
	wantCode := mode == ModePairing || mode == ModeBoth || mode == ModeAuto && s.PreferPairingCode
	wantQR := mode == ModeQR || mode == ModeBoth || mode == ModeAuto && !s.PreferPairingCode
	noQR := r.valid("qrcode") && !r.is("qrcode")
	noCode := r.valid("pairing") && !r.is("pairing")
	switch {
	case noQR && noCode:
		r.fault("qrcode", "false", `allows nothing together with "pairing" false`, "Allow one of the two.")
		return
	case noQR && wantQR && wantCode:
		r.fault("qrcode", "false", "contradicts the mode both, which shows a QR code", "Choose the mode pairing, or allow the QR code.")
	case noQR && wantQR:
		r.fault("qrcode", "false", "leaves nothing to show: no pairing code is asked for", "Choose the mode pairing, or allow the QR code.")
	case noQR && s.QRFallback:
		r.fault("qrcode", "false", `contradicts "qrFallback" true`, "Keep one of the two.")
	case r.is("qrcode") && wantCode && r.valid("qrFallback") && !s.QRFallback:
		r.fault("qrcode", "true", `contradicts "qrFallback" false`, "Keep one of the two.")
	case r.is("qrcode") && wantCode:
		s.QRFallback = true
	}
	switch {
	case noCode && wantCode && wantQR:
		r.fault("pairing", "false", "contradicts the mode both, which asks for a pairing code", "Choose the mode qr, or allow the pairing code.")
	case noCode && mode == ModePairing:
		r.fault("pairing", "false", "leaves nothing to show: the mode pairing shows only a pairing code",
			"Choose the mode qr, or allow the pairing code.")
	case noCode && wantCode:
		r.fault("pairing", "false", "contradicts the preference for a pairing code", `Set "preferPairingCode" to false, or allow the pairing code.`)
	}
}

func (r *settingsReader) has(key string) bool { return r.values[key] != nil }

// valid reports whether the key is there and its value is a boolean.
func (r *settingsReader) valid(key string) bool {
	value := string(r.values[key])
	return value == "true" || value == "false"
}

// read unmarshals the value of key, if any. A value of another type is a fault.
func (r *settingsReader) read(key string, into any, wanted, remedy string) bool {
	value, ok := r.values[key]
	if !ok {
		return false
	}
	if string(value) == "null" || json.Unmarshal(value, into) != nil {
		r.fault(key, "", kindOf(value)+" where "+wanted+" is wanted", remedy)
		return false
	}
	return true
}

func (r *settingsReader) text(key string) (s string) {
	r.read(key, &s, "a string", "Put the value in quotes, or leave the key out.")
	return s
}

func (r *settingsReader) is(key string) (b bool) {
	if r.has(key) && !r.valid(key) {
		r.read(key, &b, "true or false", "Write true or false, without quotes.")
		r.values[key] = nil // reported once
	}
	return string(r.values[key]) == "true"
}

func (r *settingsReader) integer(key string) (n int) {
	r.read(key, &n, "a whole number", "Write a whole number, without quotes.")
	return n
}

func (r *settingsReader) duration(key string) time.Duration {
	const remedy = `Write a Go duration in quotes, such as "10m" or "1h30m".`
	var s string
	if !r.read(key, &s, "a duration string", remedy) {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		r.fault(key, redact.Quote(s), "not a duration", remedy)
	}
	return d
}

// closed reads a value of a closed set, in its canonical spelling. An unknown value
// stays as it is, and check reports it.
func closed[T ~string](r *settingsReader, key string, known []T) T {
	value := T(r.text(key))
	if k, ok := canonical(value, known); ok && value != "" {
		return k
	}
	return value
}

// kindOf names the type of a JSON value.
func kindOf(value []byte) string {
	switch value = bytes.TrimSpace(value); value[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// where names the line of a syntax error.
func where(data []byte, err error) string {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return ""
	}
	read := data[:min(syntax.Offset, int64(len(data)))]
	return fmt.Sprintf(" (line %d)", 1+bytes.Count(read, []byte("\n")))
}
