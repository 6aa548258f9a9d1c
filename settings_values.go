package walink

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/walink/walink/internal/number"
	"github.com/walink/walink/internal/redact"
)

// linkingModes, browsers and systems are the closed sets, the default first.
func linkingModes() []LinkingMode { return []LinkingMode{ModeAuto, ModePairing, ModeQR, ModeBoth} }

func browsers() []Browser {
	return []Browser{BrowserChrome, BrowserEdge, BrowserFirefox, BrowserIE, BrowserOpera, BrowserSafari}
}

func systems() []OS { return []OS{OSLinux, OSWindows, OSMac} }

// canonical finds the value in its closed set, and ignores case and spaces. It returns
// the first of the set for "", and false for an unknown value.
func canonical[T ~string](value T, known []T) (T, bool) {
	if value == "" {
		return known[0], true
	}
	for _, k := range known {
		if fold(string(k)) == fold(string(value)) {
			return k, true
		}
	}
	return "", false
}

func fold(s string) string { return strings.ToLower(strings.ReplaceAll(s, " ", "")) }

// propose is the remedy for a value that is not one of known.
func propose[T ~string](value T, known []T) string {
	all := make([]string, len(known))
	for i, k := range known {
		all[i] = strconv.Quote(string(k))
	}
	list := strings.Join(all[:len(all)-1], ", ") + " or " + all[len(all)-1]
	if near, ok := nearest(string(value), known); ok {
		return fmt.Sprintf("Write %q if that is meant; known are %s.", string(near), list)
	}
	return "Write " + list + "."
}

// nearest returns the known name that differs from value by the fewest typing errors,
// and false if more than half of value is wrong.
func nearest[T ~string](value string, known []T) (T, bool) {
	value = fold(value)
	if len(value) > 64 {
		return "", false
	}
	best, fewest := T(""), len(value)/2+1
	for _, k := range known {
		if d := editDistance(value, fold(string(k))); d < fewest {
			best, fewest = k, d
		}
	}
	return best, best != ""
}

// editDistance counts the insertions, deletions, substitutions and transpositions
// of neighbours between two words (optimal string alignment).
func editDistance(a, b string) int {
	s, t := []rune(a), []rune(b)
	before, last, row := make([]int, len(t)+1), make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range row {
		row[j] = j
	}
	for i := range s {
		before, last, row = last, row, before
		row[0] = i + 1
		for j := range t {
			cost := 1
			if s[i] == t[j] {
				cost = 0
			}
			row[j+1] = min(row[j]+1, last[j+1]+1, last[j]+cost)
			if i > 0 && j > 0 && s[i] == t[j-1] && s[i-1] == t[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(t)]
}

// String returns the settings as JSON, without the password of the proxy and with the
// phone number masked, also in names.
func (s Settings) String() string {
	if s.Phone != "" {
		s.Phone = number.RedactedInput(s.Phone)
	}
	if s.Proxy != "" {
		_, shown, _, _ := parseProxy(s.Proxy)
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

// SettingError is one fault of Settings, so that a form can show it next to its
// field. [Settings.Check], New and ParseSettings join one for each fault in an
// [*Error]. It wraps ErrInvalidPhone if the phone number is at fault.
type SettingError struct {
	// Field is the name of the field, such as Phone. From ParseSettings it is the JSON
	// key that was written, such as phone or number, or "settings" if the whole
	// document is at fault.
	Field string
	// Value is the value that was set, shortened and without secrets; "" if there is
	// none to show.
	Value string
	// Problem says what is wrong with the value.
	Problem string
	// Fix says how to fix the setting, in a sentence for a person.
	Fix string

	quoted bool  // Field is a JSON key, which the text quotes
	cause  error // ErrInvalidPhone or nil
}

// Error returns "field value: problem. fix".
func (e *SettingError) Error() string {
	text := e.Field
	if e.quoted {
		text = strconv.Quote(e.Field)
	}
	if e.Value != "" {
		text += " " + e.Value
	}
	return redact.Line(text + ": " + e.Problem + ". " + e.Fix)
}

// Unwrap returns ErrInvalidPhone if the phone number is at fault, and nil otherwise.
func (e *SettingError) Unwrap() error { return e.cause }

// Remedy returns Fix.
func (e *SettingError) Remedy() string { return e.Fix }
