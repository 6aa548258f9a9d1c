package redact

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// Patterns that Text does not mask, because no line of a log has them: credentials in a
// URL or an assignment, and phone numbers whose digits are in groups.
var (
	userinfo   = regexp.MustCompile(`://[^/\s"]*@`)
	assignment = regexp.MustCompile(`(?i)(password|passwd|pwd|token|secret)(\s*[=:]\s*)(?:'[^']*'|"[^"]*"|\S+)`)
	grouped    = regexp.MustCompile(`\+?\d(?:[ ().\-]{0,3}\d){6,}`)
	date       = regexp.MustCompile(`^20\d\d-(?:0[1-9]|1[0-2])-(?:[0-2]\d|3[01])(?: \d\d)?$`)
)

// Credentials masks what may be a password or a token in a text that another program
// or a person wrote.
func Credentials(text string) string {
	text = userinfo.ReplaceAllString(text, "://"+Mark+"@")
	return assignment.ReplaceAllString(text, "${1}${2}"+Mark)
}

// Groups masks seven digits and more, also in groups, except an IP address or a date.
func Groups(text string) string { return mask(grouped, text) }

func mask(pattern *regexp.Regexp, text string) string {
	return pattern.ReplaceAllStringFunc(text, func(found string) string {
		if _, err := netip.ParseAddr(found); err == nil || date.MatchString(found) {
			return found
		}
		return Mark
	})
}

// Words returns a pattern that matches each of words as a whole word. It skips words
// of fewer than three bytes, and returns nil if no word is left.
func Words(words ...string) *regexp.Regexp {
	starts, ends := regexp.MustCompile(`^\w`), regexp.MustCompile(`\w$`)
	var patterns []string
	for _, word := range words {
		if len(word) > 2 {
			pattern := starts.ReplaceAllString(regexp.QuoteMeta(word), `\b$0`)
			patterns = append(patterns, ends.ReplaceAllString(pattern, `$0\b`))
		}
	}
	if len(patterns) == 0 {
		return nil
	}
	return regexp.MustCompile(strings.Join(patterns, "|"))
}

// Quote quotes a value for an error. It shortens a long value, and hides the digits of
// a value that may be a phone number.
func Quote(value string) string { return strconv.Quote(Value(value)) }

// Value is Quote without the quotes.
func Value(value string) string {
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
	return string(runes)
}
