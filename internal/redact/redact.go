// Package redact makes texts fit to be shown: Text and its relatives mask secrets,
// which are pairing codes, QR payloads, keys and phone numbers, Plain takes out what a
// terminal would obey, and Line keeps a text from outside to one short line.
package redact

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
)

const (
	longest = 500 // bytes of a line
	tail    = 200 // bytes for the end of a text that is too long, because an error's text ends with its cause
	gap     = " … "
)

// Plain returns s without what a terminal or a log would obey. A run of line breaks and
// other control characters becomes a space, unless a space or the end of s is next to it.
// Plain drops characters that change the direction of the text after them, and replaces
// what is not UTF-8 by U+FFFD.
func Plain(s string) string {
	var b strings.Builder
	space := false // a run of control characters is in front of r
	last := ' '    // the last character of b
	for _, r := range s {
		switch {
		case unicode.Is(unicode.Bidi_Control, r):
			continue
		case obeyed(r):
			space = true
			continue
		}
		if space && last != ' ' && r != ' ' {
			b.WriteByte(' ')
		}
		space, last = false, r
		b.WriteRune(r)
	}
	return b.String()
}

// JSON returns JSON with what a terminal would obey as escapes, which mean the same.
// encoding/json escapes only some of it.
func JSON(data []byte) []byte {
	raw := func(r rune) bool { return r >= 0x7f && obeyed(r) } // a string has no others, and an indent has line breaks
	if !bytes.ContainsFunc(data, raw) {
		return data
	}
	var b bytes.Buffer
	for _, r := range string(data) {
		if raw(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.Bytes()
}

// obeyed reports whether a terminal obeys r, and does not just show it.
func obeyed(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r)
}

// Line returns [Plain] of s as one line of at most 500 bytes. A text that is too long
// loses its middle.
func Line(s string) string {
	if len(s) > 4*longest { // the rest is lost in any case, and may be huge
		s = s[:2*longest] + gap + s[len(s)-2*longest:]
	}
	line := Plain(s)
	if len(line) <= longest {
		return line
	}
	// ToValidUTF8 removes a character that is cut in two.
	return strings.ToValidUTF8(line[:longest-tail-len(gap)], "") + gap + strings.ToValidUTF8(line[len(line)-tail:], "")
}

// Errorf returns the error that [fmt.Errorf] returns, with Line of its text.
func Errorf(format string, args ...any) error {
	return bounded{fmt.Errorf(format, args...)}
}

// bounded is an error whose text is one line.
type bounded struct{ error }

// Error returns the text in one line.
func (b bounded) Error() string { return Line(b.error.Error()) }

// Unwrap returns the error with its whole text.
func (b bounded) Unwrap() error { return b.error }
