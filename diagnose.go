package walink

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/walink/walink/store"
)

// Diagnose examines by itself what guides to trouble with linking have people
// examine by hand, and names the first thing that is wrong and what to do about
// it. It takes seconds where all is well, about a minute at most where nothing
// answers, and ends soon after ctx.
//
// No pairing code is asked for, nothing is stored that stays, and no stored
// session logs in, because that would throw out a program that is using it. What
// is sent: a lookup of web.whatsapp.com and a connection that is closed at once, to
// it or to the proxy; a request for its page, and another where the certificate is
// not valid at this machine's time; and the connection of a new device that is
// never linked, with a second one, of the current version, if the first is refused
// for its age. A [store.Checker] may write and take back, and
// [github.com/walink/walink/store/sqlite] does; who wants its file left as it is
// hands over what its Inspect returns. Settings.OnClient is not called, and st
// stays open.
//
// faults are what is known to be wrong with the settings beside what New finds,
// such as the error of [ParseSettings]. Nothing is asked for over the network then,
// because a proxy may be among what could not be read.
//
// The Report holds no secret and no whole phone number, so it can be pasted into
// an issue. It asks a store that is a [store.Checker] whether it is in order, one
// that is a [store.Leaser] who uses the session, and one that is a [store.Ledger]
// what is left of the budget. Without them the Report says what was not examined.
func Diagnose(ctx context.Context, st store.Store, settings Settings, faults ...error) Report {
	return newDoctor(st, settings, faults...).examine(ctx)
}

// Report is what [Diagnose] found. It is plain data with a stable JSON form, and
// prints as a checklist for people. In the zero value nothing was examined.
type Report struct {
	// Time is when the examination began, by this machine's clock.
	Time time.Time `json:"time"`
	// Build is what was examined.
	Build Build `json:"build"`
	// Checks are what was examined, in the order in which it should be mended.
	// Every Report of Diagnose has all of them.
	Checks []Check `json:"checks"`
}

// Build is the program that was examined. What the program does not know of
// itself is "unknown".
type Build struct {
	Walink    string `json:"walink"`
	Whatsmeow string `json:"whatsmeow"`
	Go        string `json:"go"`
	System    string `json:"system"` // such as linux/amd64
}

func thisBuild() Build {
	b := Build{Walink: "unknown", Whatsmeow: "unknown", Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, m := range append(info.Deps, &info.Main) {
		version := m.Version
		if m.Replace != nil {
			version = strings.TrimSpace(m.Replace.Version + " (replaced)")
		}
		switch {
		case version == "":
		case m.Path == "github.com/walink/walink":
			b.Walink = version
		case m.Path == "go.mau.fi/whatsmeow":
			b.Whatsmeow = version
		}
	}
	return b
}

// Check is one thing that was examined.
type Check struct {
	// Name is what was examined: settings, number, store, clock, proxy, dns, tcp,
	// tls, websocket, noise, version, linking, codes, lease or session. Minor
	// releases may add some.
	Name string `json:"name"`
	// Status is how it was found.
	Status CheckStatus `json:"status"`
	// Detail says in words what was found, or why it was not examined.
	Detail string `json:"detail"`
	// Err is what is wrong, with its Reason and its remedy; nil unless Status is
	// CheckWarning or CheckFailed. Of what caused it the text alone is kept, without
	// secrets, so errors.Is finds the Reason and nothing else.
	Err *Error `json:"error,omitempty"`
}

// CheckStatus is how a [Check] ended.
type CheckStatus string

// The statuses.
const (
	// CheckOK: it is as it should be.
	CheckOK CheckStatus = "ok"
	// CheckWarning: linking may work, and this should be looked at.
	CheckWarning CheckStatus = "warning"
	// CheckFailed: linking cannot work before this is mended.
	CheckFailed CheckStatus = "failed"
	// CheckSkipped: it was not examined, or there is nothing to examine.
	CheckSkipped CheckStatus = "skipped"
)

// OK reports whether something was examined and no check failed. There may be warnings.
func (r Report) OK() bool { return len(r.Checks) > 0 && r.First() == nil }

// First returns the first check that failed, which is what to mend first; nil if
// none did.
func (r Report) First() *Check {
	for i := range r.Checks {
		if r.Checks[i].Status == CheckFailed {
			return &r.Checks[i]
		}
	}
	return nil
}

// String returns the checklist that WriteTo writes.
func (r Report) String() string {
	if len(r.Checks) == 0 {
		return "Nothing was examined.\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "walink %s, whatsmeow %s, %s, %s, at %s\n\n",
		r.Build.Walink, r.Build.Whatsmeow, r.Build.Go, r.Build.System, r.Time.Format(time.RFC3339))
	found := map[CheckStatus]int{}
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "%s %-10s %s\n", c.Status.mark(), c.Name, indented(c.Detail))
		found[c.Status]++
		if c.Err == nil {
			continue
		}
		if cause := c.Err.Err; cause != nil && cause.Error() != "" && !strings.Contains(c.Detail, cause.Error()) {
			fmt.Fprintf(&b, "%13scause: %s\n", "", indented(cause.Error()))
		}
		if remedy := c.Err.Remedy(); !strings.Contains(c.Detail, remedy) {
			fmt.Fprintf(&b, "%13sremedy: %s\n", "", indented(remedy))
		}
	}
	fmt.Fprintf(&b, "\n%d failed, %d to look at.", found[CheckFailed], found[CheckWarning])
	if first := r.First(); first != nil && first.Err != nil {
		fmt.Fprintf(&b, " Begin with %s. %s", first.Name, first.Err.Remedy())
	}
	b.WriteByte('\n')
	return b.String()
}

// WriteTo writes the checklist: ✓ for what is well, ! for a warning, ✗ for a
// failure, - for what was not examined; and last what to begin with.
func (r Report) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, r.String())
	return int64(n), err
}

func (s CheckStatus) mark() string {
	switch s {
	case CheckOK:
		return "✓"
	case CheckWarning:
		return "!"
	case CheckFailed:
		return "✗"
	case CheckSkipped:
		return "-"
	}
	return "?"
}

// indented keeps what has several lines within its column.
func indented(text string) string {
	return strings.ReplaceAll(text, "\n", "\n             ")
}
