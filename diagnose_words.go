package walink

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// foreign is an Error about what somebody else said, without secrets in it. Without
// a remedy it has that of its cause, or else of its reason.
func (d *doctor) foreign(reason Reason, cause error, remedy string) *Error {
	if cause == nil {
		return said(reason, "", remedy)
	}
	var hint interface{ Remedy() string }
	if remedy == "" && errors.As(cause, &hint) {
		remedy = d.clean(hint.Remedy(), cause)
	}
	text := strings.TrimPrefix(cause.Error(), "walink: ")
	return said(reason, firstRunes(d.clean(text, cause), 1000), remedy)
}

// What mask does not take for a secret because a log line cannot hold it.
var (
	maskUserinfo   = regexp.MustCompile(`://[^/\s"]*@`)
	maskAssignment = regexp.MustCompile(`(?i)(password|passwd|pwd|token|secret)(\s*[=:]\s*)(?:'[^']*'|"[^"]*"|\S+)`)
	maskGrouped    = regexp.MustCompile(`\+?\d(?:[ ().\-]{0,3}\d){6,}`)
	aDate          = regexp.MustCompile(`^20\d\d-(?:0[1-9]|1[0-2])-(?:[0-2]\d|3[01])(?: \d\d)?$`)
)

// clean takes out of a text that the doctor has not written what may be a secret:
// what is known as one, credentials, phone numbers, keys and codes. What is known
// to be a path stays legible.
func (d *doctor) clean(text string, causes ...error) string {
	paths := d.paths(causes...)
	for i, path := range paths {
		text = strings.ReplaceAll(text, path.found, keep(i))
	}
	if d.secrets != nil {
		text = d.secrets.ReplaceAllString(text, redacted)
	}
	text = maskUserinfo.ReplaceAllString(text, "://"+redacted+"@")
	text = maskAssignment.ReplaceAllString(text, "${1}${2}"+redacted)
	text = mask(maskNumbers(d.fromHome(text)))
	for i, path := range paths {
		text = strings.ReplaceAll(text, keep(i), d.shownPath(path.path))
	}
	return text
}

// keep stands for the path with the number i, and looks like nothing that is masked.
func keep(i int) string { return "\ue000" + strconv.Itoa(i) + "\ue001" } // private use

// knownPath is a path, and how a text may have it.
type knownPath struct{ found, path string }

// paths returns what is known to be a path: the store's, its directory, and those
// that errors name; also as they are quoted; and the longest first.
func (d *doctor) paths(causes ...error) []knownPath {
	var known []string
	var out []knownPath
	if d.path != "" {
		known = append(known, d.path, filepath.Dir(d.path))
	}
	for _, cause := range causes {
		if of, ok := errors.AsType[*fs.PathError](cause); ok {
			known = append(known, of.Path)
		}
	}
	for _, path := range known {
		if utf8.RuneCountInString(path) > 2 { // neither . nor / nor C:
			quoted := strconv.Quote(path)
			out = append(out, knownPath{path, path}, knownPath{quoted[1 : len(quoted)-1], path})
		}
	}
	slices.SortStableFunc(out, func(a, b knownPath) int { return len(b.found) - len(a.found) })
	return out
}

// shownPath is a path without the user's name and without what may be a number.
func (d *doctor) shownPath(path string) string { return maskNumbers(d.fromHome(path)) }

func (d *doctor) fromHome(text string) string {
	if len(d.home) < 2 {
		return text
	}
	for _, separator := range []string{"/", `\`} {
		text = strings.ReplaceAll(text, d.home+separator, "~"+separator)
	}
	return text
}

// maskNumbers masks seven digits and more, also where they stand apart, unless they
// are an IP address or a date.
func maskNumbers(text string) string {
	return maskGrouped.ReplaceAllStringFunc(text, func(found string) string {
		if _, err := netip.ParseAddr(found); err == nil || aDate.MatchString(found) {
			return found
		}
		return redacted
	})
}

// knownSecrets finds the secrets of the settings and the environment, as words of
// their own; nil if there are none.
func (d *doctor) knownSecrets() *regexp.Regexp {
	secrets := []string{d.settings.Phone, d.set.phone.Digits()}
	for _, other := range d.set.phone.Alternatives() {
		secrets = append(secrets, other.Digits())
	}
	for _, proxy := range []string{d.settings.Proxy, d.environment("HTTPS_PROXY"), d.environment("ALL_PROXY")} {
		// A URL that cannot be parsed holds them as well.
		if i := strings.LastIndex(proxy, "@"); i >= 0 {
			_, userinfo, hasScheme := strings.Cut(proxy[:i], "://")
			if !hasScheme {
				userinfo = proxy[:i]
			}
			for _, part := range append(strings.SplitN(userinfo, ":", 2), userinfo) {
				plain, _ := url.PathUnescape(part) // "" if it cannot be
				secrets = append(secrets, part, plain)
			}
		}
	}
	const shortest = 3
	var words []string
	for _, secret := range secrets {
		if len(secret) < shortest {
			continue
		}
		word := regexp.QuoteMeta(secret)
		if isWord(secret[0]) {
			word = `\b` + word
		}
		if isWord(secret[len(secret)-1]) {
			word += `\b`
		}
		words = append(words, word)
	}
	if len(words) == 0 {
		return nil
	}
	return regexp.MustCompile(strings.Join(words, "|"))
}

func isWord(b byte) bool {
	return b == '_' || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

// environment is an environment variable as net/http reads it: in capitals, or else in
// small letters.
func (d *doctor) environment(name string) string {
	return orDefault(d.getenv(name), d.getenv(strings.ToLower(name)))
}

// spoken is a duration for people, to two units: "1 hour", "2 minutes 5 seconds".
func spoken(d time.Duration) string {
	const day = 24 * time.Hour
	var parts []string
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{day, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		n := int(d / unit.of)
		d -= time.Duration(n) * unit.of
		if n > 0 {
			parts = append(parts, count(n, unit.name))
		}
		if len(parts) == 2 {
			break
		}
	}
	if len(parts) == 0 {
		return "less than a second"
	}
	return strings.Join(parts, " ")
}

// capital makes a sentence of a clause.
func capital(clause string) string { return strings.ToUpper(clause[:1]) + clause[1:] }

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
