package walink

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waCompanionReg"
)

// linkingModes, browsers and systems are the closed sets, the default first.
func linkingModes() []LinkingMode { return []LinkingMode{ModeAuto, ModePairing, ModeQR, ModeBoth} }

func browsers() []Browser {
	return []Browser{BrowserChrome, BrowserEdge, BrowserFirefox, BrowserIE, BrowserOpera, BrowserSafari}
}

func systems() []OS { return []OS{OSLinux, OSWindows, OSMac} }

// displayName is the companion_platform_display of a pairing code request,
// "Chrome (Linux)". WhatsApp answers 400 to any other form.
func displayName(b Browser, o OS) string {
	return string(orDefault(b, BrowserChrome)) + " (" + string(orDefault(o, OSLinux)) + ")"
}

// clientType is the companion_platform_id, which the QR code carries too.
func (b Browser) clientType() whatsmeow.PairClientType {
	switch b {
	case BrowserChrome:
		return whatsmeow.PairClientChrome
	case BrowserEdge:
		return whatsmeow.PairClientEdge
	case BrowserFirefox:
		return whatsmeow.PairClientFirefox
	case BrowserIE:
		return whatsmeow.PairClientIE
	case BrowserOpera:
		return whatsmeow.PairClientOpera
	case BrowserSafari:
		return whatsmeow.PairClientSafari
	}
	return whatsmeow.PairClientChrome
}

// platformType is what the device properties say; it chooses the icon in the
// phone's list of linked devices.
func (b Browser) platformType() waCompanionReg.DeviceProps_PlatformType {
	switch b {
	case BrowserChrome:
		return waCompanionReg.DeviceProps_CHROME
	case BrowserEdge:
		return waCompanionReg.DeviceProps_EDGE
	case BrowserFirefox:
		return waCompanionReg.DeviceProps_FIREFOX
	case BrowserIE:
		return waCompanionReg.DeviceProps_IE
	case BrowserOpera:
		return waCompanionReg.DeviceProps_OPERA
	case BrowserSafari:
		return waCompanionReg.DeviceProps_SAFARI
	}
	return waCompanionReg.DeviceProps_CHROME
}

// canonical finds the value in its closed set, whatever its case and spaces; ""
// is the first. Without one it returns "" and false.
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

// nearest returns the known name that takes the fewest typing errors to become
// value, unless more than half of it is wrong.
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

// show quotes a value for an error: not all of a long one, and no digits of one
// that may be somebody's number.
func show(value string) string {
	const longest, fewDigits = 40, 6
	runes, digits := []rune(value), 0
	for _, r := range runes {
		if unicode.IsDigit(r) {
			digits++
		}
	}
	for i, r := range runes {
		if digits > fewDigits && unicode.IsDigit(r) {
			runes[i] = '•'
		}
	}
	if len(runes) > longest {
		runes = append(runes[:longest], '…')
	}
	return strconv.Quote(string(runes))
}

// settingsFault is one thing wrong with the Settings.
type settingsFault struct {
	field   string // as the user knows it: Phone, or "phone" in JSON
	value   string // as it may be shown
	problem string
	remedy  string
	err     error // the cause, if it is an error of this package
}

func (f *settingsFault) Error() string {
	text := f.field
	if f.value != "" {
		text += " " + f.value
	}
	return text + ": " + f.problem + ". " + f.remedy
}

func (f *settingsFault) Unwrap() error  { return f.err }
func (f *settingsFault) Remedy() string { return f.remedy }
