package walink

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/walink/walink/store"
)

// Diagnose examines by itself what guides to trouble with linking have people
// examine by hand, and names the first thing that is wrong and what to do about
// it. It takes seconds where all is well, at most about two minutes where nothing
// answers, and ends soon after ctx.
//
// It changes nothing and disturbs nobody: no pairing code is asked for, nothing
// is stored, and no stored session logs in, because that would throw out a
// program that is using it. WhatsApp sees one request for the page of
// web.whatsapp.com and the connection of a new device that is never linked; after
// a refusal for its age, once more with the current version. Settings.OnClient is
// not called, and st stays open.
//
// The Report holds no secret and no whole phone number, so it can be pasted into
// an issue. It asks a store that is a [store.Checker] whether it is in order, and a
// ledger that is a [store.CodePeeker] what is left of the budget. Without them the
// Report says what was not examined.
func Diagnose(ctx context.Context, st store.Store, settings Settings) Report {
	return newDoctor(st, settings).examine(ctx)
}

// Report is what [Diagnose] found. It is plain data with a stable JSON form, and
// prints as a checklist for people.
type Report struct {
	// Time is when the examination began, by this machine's clock.
	Time time.Time `json:"time"`
	// Checks are what was examined, in the order in which it should be mended.
	// Every Report has all of them.
	Checks []Check `json:"checks"`
}

// Check is one thing that was examined.
type Check struct {
	// Name is what was examined: settings, number, store, proxy, dns, tcp, clock,
	// tls, websocket, noise, version, linking, codes or session. Minor releases may
	// add some.
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

// OK reports whether no check failed. There may be warnings.
func (r Report) OK() bool { return r.First() == nil }

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
	var b strings.Builder
	warnings, failures := 0, 0
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "%s %-10s %s\n", c.Status.mark(), c.Name, indented(c.Detail))
		if c.Err == nil {
			continue
		}
		if c.Status == CheckFailed {
			failures++
		} else {
			warnings++
		}
		if cause := c.Err.Err; cause != nil && cause.Error() != "" && !strings.Contains(c.Detail, cause.Error()) {
			fmt.Fprintf(&b, "%13scause: %s\n", "", indented(cause.Error()))
		}
		if remedy := c.Err.Remedy(); !strings.Contains(c.Detail, remedy) {
			fmt.Fprintf(&b, "%13sremedy: %s\n", "", indented(remedy))
		}
	}
	fmt.Fprintf(&b, "\n%d failed, %d to look at.", failures, warnings)
	if first := r.First(); first != nil && first.Err != nil {
		fmt.Fprintf(&b, " Begin with %s: %s", first.Name, first.Err.Remedy())
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
