// Package redact makes texts fit to be shown.
package redact

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// longest is how many bytes a line may have.
	longest = 500
	// more ends a line that is cut.
	more = "…"
)

// Line returns s as one line of at most 500 bytes. A run of line breaks and other
// control characters becomes a space, unless a space or the end of the line is next
// to it. Characters that change the direction of what follows are dropped, and what
// is not UTF-8 becomes U+FFFD. A longer text is cut between two characters and ends
// in "…".
func Line(s string) string {
	var b strings.Builder
	cut := 0       // the longest length of b after which more still fits
	space := false // a run of control characters is in front of r
	last := ' '    // the last character of b
	for _, r := range s {
		if b.Len() <= longest-len(more) {
			cut = b.Len()
		}
		switch {
		case unicode.IsControl(r) || r == '\u2028' || r == '\u2029':
			space = true
			continue
		case unicode.Is(unicode.Bidi_Control, r):
			continue
		}
		if space && last != ' ' && r != ' ' {
			b.WriteByte(' ')
		}
		space, last = false, r
		if b.Len()+utf8.RuneLen(r) > longest {
			return b.String()[:cut] + more
		}
		b.WriteRune(r)
	}
	return b.String()
}
