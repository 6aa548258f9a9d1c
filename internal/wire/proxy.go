package wire

import (
	"net/url"
	"slices"
	"strconv"

	"github.com/walink/walink/internal/choice"
	"github.com/walink/walink/internal/redact"
)

// ParseProxy reads the URL of a proxy. problem is "" if the proxy can be used. shown is the part of the URL that an error may
// show: scheme and host, or neither if a password may have got into them.
func ParseProxy(s string) (proxy *url.URL, shown, problem, remedy string) {
	const hidden, example = "(not shown, it may hold a password)", "Write it like http://host:8080 or socks5://user:password@host:1080"
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, hidden, "not a URL", example + ", with special characters of the password escaped."
	case u.Hostname() == "" || u.Opaque != "":
		return nil, hidden, "has no scheme or no host", example + "."
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, hidden, "has more after the host", example + ", with special characters of the password escaped."
	}
	shown = strconv.Quote(redact.Line(u.Scheme + "://" + u.Host))
	if schemes := []string{"http", "https", "socks5"}; !slices.Contains(schemes, u.Scheme) {
		return nil, shown, "not a scheme that can be used", choice.Fix(u.Scheme, schemes)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, shown, "has a port that does not exist", "Choose a port from 1 to 65535."
		}
	}
	return u, shown, "", ""
}
