package redact

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Mark replaces a secret.
const Mark = "[redacted]"

// The patterns of secrets: a QR payload, base64 or hex of 16 bytes and more, a
// pairing code, and seven digits or more in a row.
var (
	qrPayload = regexp.MustCompile(`\S*wa\.me/\S*|\S+,\S+,\S+,\S+`)
	longWord  = regexp.MustCompile(`[A-Za-z0-9+/=_@-]{22,}`)
	pairCode  = regexp.MustCompile(`\b[1-9A-HJ-NP-Z]{4}-?[1-9A-HJ-NP-Z]{4}\b`)
	digitRun  = regexp.MustCompile(`\d{7,}`)
	separated = regexp.MustCompile(`\+?\p{Nd}(?:[^\pL\p{Nd}]{0,3}\p{Nd}){6,}`)
)

// Text returns [Plain] of text with [Mark] in place of everything that looks like a secret.
func Text(text string) string {
	text = qrPayload.ReplaceAllString(Plain(text), Mark)
	text = longWord.ReplaceAllString(text, Mark)
	text = pairCode.ReplaceAllString(text, Mark)
	return Numbers(text)
}

// Numbers replaces seven digits and more in a row, which may be a phone number,
// by [Mark].
func Numbers(text string) string { return digitRun.ReplaceAllString(text, Mark) }

// Name is Text for a name that somebody has chosen, such as that of a session. It also
// masks seven digits and more with up to three spaces or signs between them, in every
// script, unless they are an IP address or a date.
func Name(name string) string { return mask(separated, Text(name)) }

// Digits hides all but the last two digits of a number, and all of a short one.
func Digits(digits string) string {
	const shown, bullet = 2, "•"
	if len(digits) < 3*shown {
		return strings.Repeat(bullet, len(digits))
	}
	hidden := len(digits) - shown
	return strings.Repeat(bullet, hidden) + digits[hidden:]
}

// Session returns err with the name of the session masked in its text, also where the
// name is quoted: sessions are often named by a phone number, and a Store may name the
// session.
func Session(err error, name string) error {
	masked, text := Name(name), err.Error()
	if masked == name {
		return err
	}
	for _, form := range []string{name, inQuotes(strconv.Quote(name)), inQuotes(strconv.QuoteToASCII(name)), url.PathEscape(name), url.QueryEscape(name)} {
		text = strings.ReplaceAll(text, form, masked)
	}
	if text == err.Error() {
		return err
	}
	return &renamed{err, text}
}

func inQuotes(quoted string) string { return quoted[1 : len(quoted)-1] }

// renamed is an error with another text.
type renamed struct {
	error
	text string
}

func (r *renamed) Error() string { return r.text }
func (r *renamed) Unwrap() error { return r.error }
