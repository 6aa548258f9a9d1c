package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/internal/redact"
)

// moment is how a time is written in a Detail.
const moment = time.DateOnly + " " + time.TimeOnly + " MST"

// said is an Error in the doctor's own words. Without a remedy it has that of its reason.
func said(reason walink.Reason, text, remedy string) *walink.Error {
	return &walink.Error{Reason: reason, Op: "diagnose", Err: hint.New(errors.New(text), remedy)}
}

// foreign is the text of an error from elsewhere, in one line and without secrets. Without
// a remedy it has that of its cause, or else that of its reason.
func (d *doctor) foreign(reason walink.Reason, cause error, remedy string) (text, fix string) {
	if cause == nil {
		return "", remedy
	}
	if remedy == "" {
		remedy = d.clean((&walink.Error{Reason: reason, Err: cause}).Remedy(), cause)
	}
	return redact.Line(d.clean(strings.TrimPrefix(cause.Error(), "walink: "), cause)), remedy
}

// clean removes possible secrets from a text that the doctor did not write. A path stays
// legible if the doctor knows that path.
func (d *doctor) clean(text string, causes ...error) string {
	for _, path := range d.paths(causes...) {
		quoted := strconv.Quote(path)
		text = strings.ReplaceAll(text, quoted[1:len(quoted)-1], path)
		if before, after, ok := strings.Cut(text, path); ok {
			return d.clean(before, causes...) + d.shownPath(path) + d.clean(after, causes...)
		}
	}
	if d.secrets != nil {
		text = d.secrets.ReplaceAllString(text, redact.Mark)
	}
	return redact.Text(d.shownPath(redact.Credentials(text)))
}

// paths are those that errors name, the store's, and its directory.
func (d *doctor) paths(causes ...error) []string {
	known := []string{d.path, filepath.Dir(d.path)}
	for _, cause := range causes {
		if of, ok := errors.AsType[*fs.PathError](cause); ok {
			known = slices.Insert(known, 0, of.Path)
		}
	}
	return slices.DeleteFunc(known, func(path string) bool { return len(path) < 3 }) // such as . and / and C:
}

// shownPath is a path without the user's name and without what may be a phone number.
func (d *doctor) shownPath(path string) string {
	const separator = string(filepath.Separator)
	if len(d.home) > 1 {
		path = strings.ReplaceAll(path, d.home+separator, "~"+separator)
	}
	return redact.Groups(path)
}

// knownSecrets matches the secrets of settings and environment; nil if there are none.
func (d *doctor) knownSecrets() *regexp.Regexp {
	secrets := []string{d.settings.Phone, d.phone.Digits()}
	for _, other := range d.phone.Alternatives() {
		secrets = append(secrets, other.Digits())
	}
	for _, proxy := range []string{d.settings.Proxy, d.environment("HTTPS_PROXY"), d.environment("ALL_PROXY")} {
		userinfo := proxy[:max(strings.LastIndex(proxy, "@"), 0)] // also of a URL that cannot be parsed
		if _, rest, ok := strings.Cut(userinfo, "://"); ok {
			userinfo = rest
		}
		for _, part := range strings.SplitN(userinfo, ":", 2) {
			plain, _ := url.PathUnescape(part) // "" if it cannot be
			secrets = append(secrets, part, plain)
		}
	}
	return redact.Words(secrets...)
}

// environment is an environment variable as net/http reads it, in either case.
func (d *doctor) environment(name string) string {
	return cmp.Or(d.getenv(name), d.getenv(strings.ToLower(name)))
}

// spoken is a duration for people, to two units: "1 hour", "2 minutes 5 seconds".
func spoken(d time.Duration) string {
	var parts []string
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if n := int(d / unit.of); n > 0 && len(parts) < 2 {
			parts = append(parts, count(n, unit.name))
		}
		d %= unit.of
	}
	return cmp.Or(strings.Join(parts, " "), "less than a second")
}

func capital(clause string) string { return strings.ToUpper(clause[:1]) + clause[1:] }

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
