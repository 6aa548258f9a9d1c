// Package doctor finds out why linking does not work. It examines one thing after the
// other, from the settings to WhatsApp's offer to link a new device, and reports the first
// thing that is wrong and its remedy:
//
//	report := doctor.Examine(ctx, st, settings)
//	report.WriteTo(os.Stdout)
package doctor

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/store"
)

// Examine examines what linking depends on: the settings, the store, the clock and the
// way to WhatsApp. It takes seconds if all is well and at most about a minute if nothing
// answers, and it ends soon after ctx. The Report holds no secret and no whole phone
// number, so it can be pasted into an issue.
//
// Examine asks for no pairing code, stores nothing that stays, and logs no stored session
// in, because the login would throw out a program that uses the session. It looks
// web.whatsapp.com up, fetches the page of WhatsApp Web, and connects a new device that is
// never linked, and another one if WhatsApp refuses the first for its version. A
// [store.Checker] may write and undo that; the store of sqlite.Inspect leaves its file as
// it is. Examine does not call Settings.OnClient, and st stays open.
//
// faults are errors of the settings that Settings.Check cannot know, such as the error of
// [walink.ParseSettings]. With faults Examine sends nothing over the network, because the
// settings that could not be read may name a proxy.
func Examine(ctx context.Context, st store.Store, settings walink.Settings, faults ...error) Report {
	return newDoctor(st, settings, faults...).examine(ctx)
}

// Report is what [Examine] found: plain data with a stable JSON form, which prints as a
// checklist for people. In the zero value nothing was examined.
type Report struct {
	Time   time.Time `json:"time"`   // of the start, by this machine's clock
	Build  Build     `json:"build"`  // the program that was examined
	Checks []Check   `json:"checks"` // all of them, in the order in which a person should fix what failed
}

// Build is the program that was examined. An unknown version is "unknown".
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
		switch m.Path {
		case "github.com/walink/walink":
			b.Walink = cmp.Or(version, b.Walink)
		case "go.mau.fi/whatsmeow":
			b.Whatsmeow = cmp.Or(version, b.Whatsmeow)
		}
	}
	return b
}

// Check is one thing that was examined.
type Check struct {
	// Name is settings, number, store, clock, proxy, dns, tcp, tls, websocket, noise,
	// version, linking, codes, lease or session. Minor releases may add some.
	Name string `json:"name"`
	// Status is how the check ended.
	Status CheckStatus `json:"status"`
	// Detail says what was found, or why it was not examined.
	Detail string `json:"detail"`
	// Err is what is wrong; nil unless Status is CheckWarning or CheckFailed. errors.Is
	// finds its Reason and nothing else: only the text of the cause is kept.
	Err *walink.Error `json:"error,omitempty"`
}

// CheckStatus is how a [Check] ended.
type CheckStatus string

// The statuses.
const (
	// CheckOK: nothing is wrong.
	CheckOK CheckStatus = "ok"
	// CheckWarning: linking may work, and a person should look at the detail.
	CheckWarning CheckStatus = "warning"
	// CheckFailed: linking cannot work before this is fixed.
	CheckFailed CheckStatus = "failed"
	// CheckSkipped: the check was not done, or there is nothing to examine.
	CheckSkipped CheckStatus = "skipped"
)

// OK reports whether something was examined and no check failed. There may be warnings.
func (r Report) OK() bool { return len(r.Checks) > 0 && r.First() == nil }

// First returns the first check that failed; nil if none did.
func (r Report) First() *Check {
	if i := slices.IndexFunc(r.Checks, func(c Check) bool { return c.Status == CheckFailed }); i >= 0 {
		return &r.Checks[i]
	}
	return nil
}

// String returns the checklist that WriteTo writes.
func (r Report) String() string {
	if len(r.Checks) == 0 {
		return "Nothing was examined.\n"
	}
	marks := map[CheckStatus]string{CheckOK: "✓", CheckWarning: "!", CheckFailed: "✗", CheckSkipped: "-"}
	var b strings.Builder
	fmt.Fprintf(&b, "walink %s, whatsmeow %s, %s, %s, at %s\n\n",
		r.Build.Walink, r.Build.Whatsmeow, r.Build.Go, r.Build.System, r.Time.Format(time.RFC3339))
	found := map[CheckStatus]int{}
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "%s %-10s %s\n", marks[c.Status], c.Name, strings.ReplaceAll(c.Detail, "\n", "\n             "))
		found[c.Status]++
		if c.Err == nil {
			continue
		}
		if cause := c.Err.Err; cause != nil && cause.Error() != "" && !strings.Contains(c.Detail, cause.Error()) {
			fmt.Fprintf(&b, "%13scause: %s\n", "", cause)
		}
		if remedy := c.Err.Remedy(); !strings.Contains(c.Detail, remedy) {
			fmt.Fprintf(&b, "%13sremedy: %s\n", "", remedy)
		}
	}
	fmt.Fprintf(&b, "\n%d failed, %d to look at.", found[CheckFailed], found[CheckWarning])
	if first := r.First(); first != nil && first.Err != nil {
		fmt.Fprintf(&b, " Begin with %s. %s", first.Name, first.Err.Remedy())
	}
	b.WriteByte('\n')
	return b.String()
}

// WriteTo writes the checklist, with a mark for each check: ✓ is ok, ! a warning, ✗ a
// failure, - not examined. The last line says what to begin with.
func (r Report) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, r.String())
	return int64(n), err
}
