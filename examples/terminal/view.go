package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/walink/walink"
	"github.com/walink/walink/qr"
)

// view is what a person has to see now. It is plain data: apply updates the view with an
// event, and frame draws it.
type view struct {
	code *walink.PairingCode // on the screen
	qr   *walink.QRCode      // on the screen
	// gone are the codes that have been withdrawn and not yet replaced.
	gone map[walink.Method]int
	// busy is what the program does while there is no code. With until set it ends in
	// "in" or "for".
	busy  string
	until time.Time
	// typing is whether the person may be typing or pasting.
	typing bool
	// last is the failure that was shown last.
	last string
	// surprised is whether the screen has said what else the phone may show.
	surprised bool
	// fallback is whether the screen has said why there is a QR code instead of a pairing code.
	fallback bool
}

// apply updates the view with an event, and returns the lines that stay on the screen. It
// returns none for what the frame shows.
func (v *view) apply(event walink.Event, now time.Time) []string {
	v.busy, v.until, v.typing = "", time.Time{}, false
	switch e := event.(type) {
	case walink.Connecting:
		v.busy = "Connecting to WhatsApp"
		if e.Attempt > 1 {
			v.busy += fmt.Sprintf(", attempt %d", e.Attempt)
		}
	case walink.PairingCode:
		old := v.gone[walink.MethodPairing]
		if v.code != nil {
			old = v.code.Number
		}
		v.code = &e
		return append(v.surprises(), v.replaced(walink.MethodPairing, old, e.Number)...)
	case walink.QRCode:
		old := v.gone[walink.MethodQR]
		if v.qr != nil {
			old = v.qr.Number
		}
		v.qr = &e
		notes := v.surprises()
		if e.Fallback != nil && !v.fallback {
			v.fallback = true
			what := "No pairing code can be had: "
			if errors.Is(e.Fallback, walink.ErrStalled) {
				what = "The pairing code is late: "
			}
			notes = append(notes, what+v.because(e.Fallback, now))
			notes = append(notes, "Going on with QR codes.")
		}
		return append(notes, v.replaced(walink.MethodQR, old, e.Number)...)
	case walink.Withdrawn:
		return v.withdrawn(e, now)
	case walink.PasskeyRequired:
		v.code, v.qr = nil, nil
		v.busy, v.typing = "Waiting for the passkey until "+clock(e.Expires), true
		return []string{"WhatsApp wants the account's passkey before it links this device."}
	case walink.PasskeyConfirmation:
		v.busy, v.typing = "Waiting for the phone", !e.Automatic
		if e.Automatic {
			return []string{"The passkey is accepted, and proves that the phone is yours. If the phone asks for a code, the code is " + e.Code + "."}
		}
		return []string{"The phone shows a code. If it is " + e.Code + ", type yes here and press Enter."}
	case walink.Paired:
		v.code, v.qr = nil, nil
		v.busy = "Logging in"
		return []string{"Leave WhatsApp open on the phone. The phone has accepted, and the login follows."}
	case walink.Retrying:
		v.code, v.qr = nil, nil
		v.busy, v.until = "Trying again in", e.At
		return []string{fmt.Sprintf("Attempt %d failed: %s", e.Attempt-1, v.because(e.Err, now))}
	case walink.Linked, walink.Failed, walink.Disconnected, walink.Reconnected, walink.Standby:
		v.code, v.qr = nil, nil
	}
	return nil
}

// replaced says that a code has replaced another one.
func (v *view) replaced(method walink.Method, old, number int) []string {
	delete(v.gone, method)
	if old == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s takes the place of %s.", name(method, number), lower(name(method, old)))}
}

// withdrawn removes a code from the screen, and says why and what to do.
func (v *view) withdrawn(e walink.Withdrawn, now time.Time) []string {
	if v.gone == nil {
		v.gone = map[walink.Method]int{}
	}
	switch e.Method {
	case walink.MethodPairing:
		v.code = nil
	case walink.MethodQR:
		v.qr = nil
	}
	if v.code == nil && v.qr == nil {
		v.busy = "Getting a new code"
	}
	var notes []string
	if e.Number == 0 {
		what := "No pairing code can be had"
		if e.Method == walink.MethodQR {
			what = "No QR code can be had"
		}
		notes = append(notes, what+": "+v.because(e.Err, now))
	} else {
		v.gone[e.Method] = e.Number
		notes = append(notes, name(e.Method, e.Number)+" is no longer good: "+v.why(e, now))
	}
	for _, phone := range e.Alternatives {
		notes = append(notes, fmt.Sprintf(
			"If codes are refused again, start again with -phone %q: WhatsApp may know the number as %s.", phone, phone.International()))
	}
	return notes
}

// why says why a code is no longer good.
func (v *view) why(e walink.Withdrawn, now time.Time) string {
	if e.Err != nil {
		return v.because(e.Err, now)
	}
	switch e.Reason {
	case walink.WithdrawnExpired:
		return "it has expired."
	case walink.WithdrawnRefused:
		return "it was refused."
	case walink.WithdrawnReplaced:
		return "another code replaces it."
	case walink.WithdrawnStalled:
		return "the phone answered, and WhatsApp did not complete the link."
	}
	return "WhatsApp has withdrawn it."
}

// because says what failed and what to do about it. It does not repeat itself.
func (v *view) because(err *walink.Error, now time.Time) string {
	if err == nil {
		return "WhatsApp gave no reason."
	}
	text := reason(err) + ". " + err.Remedy()
	if text == v.last {
		return "see above."
	}
	v.last = text
	if err.RetryAfter > 0 {
		text += fmt.Sprintf(" Try again at %s.", clock(now.Add(err.RetryAfter)))
	}
	return text
}

// reason is the text of an error without the name of the library.
func reason(err error) string {
	return strings.TrimRight(strings.TrimPrefix(err.Error(), "walink: "), ". ")
}

// name is what a code is called on the screen.
func name(method walink.Method, number int) string {
	if method == walink.MethodQR {
		return fmt.Sprintf("QR code %d", number)
	}
	return fmt.Sprintf("Code %d", number)
}

// lower is a name inside a sentence.
func lower(name string) string {
	return strings.Replace(name, "Code", "code", 1)
}

// steps are the way through the phone's menus. They work with and without the
// notification that WhatsApp may send.
func (v *view) steps() []string {
	last, account := "Point the phone at the QR code.", "the phone"
	if v.code != nil {
		account = "the phone with " + v.code.Phone.International()
		last = `Tap "Link with phone number instead", at the bottom, and enter this code:`
		if v.qr != nil {
			last = `Point the phone at the QR code, or tap "Link with phone number instead" and enter this code:`
		}
	}
	return []string{
		"On " + account + ":",
		"  1. Open WhatsApp, or WhatsApp Business.",
		"  2. Android: tap the three dots, then Linked devices.",
		"     iPhone: tap Settings (or You), then Linked Devices.",
		"  3. Tap Link a device. Confirm with fingerprint, face or PIN if you are asked.",
		"  4. " + last,
	}
}

// surprises explain, once, what else the phone may show.
func (v *view) surprises() []string {
	if v.surprised {
		return nil
	}
	v.surprised = true
	return []string{
		"The phone may show something else first:",
		"  - A warning that names a place: that is where this program runs, or its proxy. Go on if you asked for this link.",
		"  - \"Create a passkey\": create one on the phone, then take the code that is shown here by then.",
		"  - \"Try again later\": wait some hours. WhatsApp limits attempts, and each new one makes the wait longer.",
	}
}

// drawn are the lines of the QR code.
func (v *view) drawn() []string {
	var out bytes.Buffer
	if err := qr.Terminal(&out, v.qr.Payload); err != nil {
		return []string{"The QR code cannot be drawn: " + err.Error()}
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

// status is the line that changes each second.
func (v *view) status(now time.Time) string {
	var parts []string
	if v.code != nil {
		parts = append(parts, name(walink.MethodPairing, v.code.Number)+" is good for "+countdown(now, v.code.Expires))
	}
	if v.qr != nil {
		parts = append(parts, name(walink.MethodQR, v.qr.Number)+" is good for "+countdown(now, v.qr.Expires))
	}
	switch {
	case len(parts) > 0:
	case v.busy == "":
		return ""
	case v.until.IsZero():
		parts = append(parts, v.busy+" ...")
	default:
		parts = append(parts, v.busy+" "+countdown(now, v.until))
	}
	return strings.Join(parts, " | ")
}

// countdown is the time that is left, "2:51".
func countdown(now, end time.Time) string {
	left := max(end.Sub(now).Round(time.Second), 0)
	return fmt.Sprintf("%d:%02d", left/time.Minute, left%time.Minute/time.Second)
}

func clock(t time.Time) string { return t.Local().Format(time.TimeOnly) }

// frame is what a terminal of that size shows at its bottom above the status line: the
// most detailed layout that fits. It has at most one code of each method.
func (v *view) frame(columns, rows int) []string {
	if v.code == nil && v.qr == nil {
		return nil
	}
	const way = "In WhatsApp: Linked devices, Link a device, "
	full := v.steps()
	var short []string
	if v.code != nil {
		full = slices.Concat([]string{""}, full, []string{""}, box(v.code.Code), []string{""})
		short = []string{way + "Link with phone number instead: " + bold(v.code.Code)}
	}
	full, short = fold(full, columns), fold(short, columns)
	layouts := [][]string{full, short}
	if v.qr != nil {
		scan := way + "scan:"
		if v.code != nil {
			scan = "Linked devices, Link a device, then scan or enter " + bold(v.code.Code) + ":"
		}
		picture := v.drawn()
		hint := fold([]string{fmt.Sprintf(
			"Enlarge this window or zoom out: the QR code needs a window of %d columns and %d rows, and this one has %d and %d.",
			width(picture[0]), len(fold([]string{scan}, width(picture[0])))+len(picture)+1, columns, rows)}, columns)
		layouts = [][]string{
			slices.Concat(full, picture), append(fold([]string{scan}, columns), picture...),
			slices.Concat(full, hint), slices.Concat(short, hint),
		}
		if v.code != nil {
			layouts = append(layouts, short)
		}
	}
	for _, lines := range layouts {
		if fits(lines, columns, rows-1) { // the status line takes the last row
			return lines
		}
	}
	least := layouts[len(layouts)-1] // its end is what matters most
	return least[max(len(least)-max(rows-1, 0), 0):]
}

// fits reports whether the window can show all lines without breaking one.
func fits(lines []string, columns, rows int) bool {
	for _, line := range lines {
		if width(line) > columns {
			return false
		}
	}
	return len(lines) <= rows
}

// box draws a code large, in a box.
func box(code string) []string {
	spaced := strings.Join(strings.Split(code, ""), " ")
	edge := strings.Repeat("─", len(spaced)+6)
	return []string{"     ┌" + edge + "┐", "     │   " + bold(spaced) + "   │", "     └" + edge + "┘"}
}

// bold marks s as bold. A screen without colours removes the marks.
func bold(s string) string { return "\x1b[1m" + s + "\x1b[0m" }

// width is the number of columns that a line takes.
func width(line string) int { return utf8.RuneCountInString(plain(line)) }

// plain removes the marks of bold text and of colours.
func plain(line string) string {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(line, "\x1b[")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		_, line, _ = strings.Cut(after, "m")
	}
}

// fold breaks long lines between words, and indents the rest of a line like its text.
func fold(lines []string, columns int) []string {
	var out []string
	for _, line := range lines {
		indent := strings.Repeat(" ", len(line)-len(strings.TrimLeft(line, " 0123456789.")))
		for width(line) > columns {
			at := -1
			for i := len(indent); i < len(line); i++ {
				if line[i] == ' ' && width(line[:i]) <= columns {
					at = i
				}
			}
			if at < 0 {
				break // a word longer than the window
			}
			out = append(out, line[:at])
			line = indent + strings.TrimLeft(line[at:], " ")
		}
		out = append(out, line)
	}
	return out
}
