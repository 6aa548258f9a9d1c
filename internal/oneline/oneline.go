// Package oneline bounds the texts of errors. An error that carries a text from
// outside, such as a path or what another program says, is as long as that text
// and has its line breaks.
package oneline

import (
	"fmt"
	"strings"
	"unicode"
)

const (
	// limit is how many bytes a text may have.
	limit = 500
	// tail is how many of them are for the end of a text that is too long. The end
	// of an error's text is its cause.
	tail = 200
	gap  = " … "
)

// Text returns s as one line of at most 500 bytes of valid UTF-8. Characters
// that break a line, or that a terminal obeys, become spaces. A text that is too
// long loses its middle.
func Text(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
			return ' '
		}
		return r
	}, s)
	if len(s) <= limit {
		return s
	}
	// ToValidUTF8 removes a character that is cut in two.
	head := strings.ToValidUTF8(s[:limit-tail-len(gap)], "")
	return head + gap + strings.ToValidUTF8(s[len(s)-tail:], "")
}

// Errorf returns the error that [fmt.Errorf] returns, with Text of its text.
func Errorf(format string, args ...any) error {
	return line{fmt.Errorf(format, args...)}
}

// line is an error whose text is bounded.
type line struct{ error }

// Error returns the text in one line.
func (l line) Error() string { return Text(l.error.Error()) }

// Unwrap returns the error with its whole text.
func (l line) Unwrap() error { return l.error }
