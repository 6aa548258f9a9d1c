package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/absent"
	"github.com/walink/walink/internal/bound"
	"github.com/walink/walink/internal/wire"
	"github.com/walink/walink/store"
)

const (
	wholeLimit = time.Minute      // how long the whole examination may take
	stepLimit  = 10 * time.Second // how long one call may take
	stepGrace  = time.Second      // how long the doctor waits for a call that ignores the end of its context
)

type step struct {
	name  string
	run   func(context.Context) finding
	needs []string // if one of these failed or was skipped because of another check, this one is skipped
}

// steps are the checks in the order of the Report. They run in that order, the clock last.
func (d *doctor) steps() []step {
	return []step{
		{"settings", d.checkSettings, nil},
		{"number", d.checkNumber, nil},
		{"store", d.checkStore, nil},
		{"clock", d.checkClock, nil}, // listed before the checks that fail because of it
		{"proxy", d.checkProxy, nil},
		{"dns", d.checkDNS, []string{"proxy"}},
		{"tcp", d.checkTCP, []string{"dns"}},
		{"tls", d.checkTLS, []string{"tcp"}},
		{"websocket", d.checkWebsocket, []string{"tls"}},
		{"noise", d.checkNoise, []string{"websocket"}},
		{"version", d.checkVersion, []string{"tls"}},
		{"linking", d.checkLinking, []string{"noise", "version"}},
		{"codes", d.checkCodes, []string{"settings", "store"}},
		{"lease", d.checkLease, []string{"store"}},
		{"session", d.checkSession, []string{"store"}},
	}
}

// finding is how a step ended.
type finding struct {
	Check
	culprit string // the check that this one was skipped for; "" if this one was done
	cut     bool   // the end of the context explains the failure
}

func good(detail string) finding { return finding{Check: Check{"", CheckOK, detail, nil}} }

func skip(detail string) finding { return finding{Check: Check{"", CheckSkipped, detail, nil}} }

// warn and wrong use the doctor's own words. wrong is for failures that the end of the
// context cannot have caused.
func warn(detail string, reason walink.Reason, cause, remedy string) finding {
	return finding{Check: Check{"", CheckWarning, detail, said(reason, cause, remedy)}}
}

func wrong(detail string, reason walink.Reason, cause, remedy string) finding {
	return finding{Check: Check{"", CheckFailed, detail, said(reason, cause, remedy)}}
}

// fail is the failure of a call, unless ctx has ended.
func (d *doctor) fail(ctx context.Context, detail string, reason walink.Reason, cause error, remedy string) finding {
	text, remedy := d.foreign(reason, cause, remedy)
	f := wrong(detail, reason, text, remedy)
	f.cut = ctx.Err() != nil
	return f
}

func (d *doctor) because(culprit string) finding {
	f := skip("not examined, see " + culprit)
	f.culprit = culprit
	if culprit == d.cut {
		f.Detail = "because the examination was cut short"
	} else if d.found[culprit].Status == CheckFailed {
		f.Detail = "because " + culprit + " failed"
	}
	return f
}

// doctor is one examination. It belongs to one goroutine.
type doctor struct {
	store    store.Store
	settings walink.Settings
	faults   []error // of the settings; some may be nil
	direct   bool    // no Settings.HTTPClient leads elsewhere than to WhatsApp
	unread   bool    // Settings.Check does not find all faults, so the settings are incomplete
	session  string
	phone    walink.Phone // zero if there is no usable number
	code, qr bool         // what the settings show at first
	version  wastore.WAVersionContainer

	// Tests replace these.
	now       func() time.Time
	resolve   func(ctx context.Context, host string) ([]string, error)
	getenv    func(name string) string
	home      string            // the user's directory; "" if not known
	transport *http.Transport   // of a program without Settings.HTTPClient
	base      http.RoundTripper // of the program

	secrets *regexp.Regexp // of the settings and the environment; nil if none
	path    string         // the store's; "" if it has none

	found map[string]finding
	cut   string // the first check that the end of ctx cut short; "" if none

	proxy *url.URL // on the way to WhatsApp; nil if none
	page  *visit   // nil before the request
	link  *contact // nil before the connection
	heard trail    // of the first answer with a date
}

func newDoctor(st store.Store, settings walink.Settings, faults ...error) *doctor {
	d := &doctor{
		store: st, settings: settings, session: cmp.Or(settings.Session, "default"), version: wastore.GetWAVersion(),
		now: time.Now, resolve: net.DefaultResolver.LookupHost, getenv: os.Getenv,
		direct: settings.HTTPClient == nil, found: make(map[string]finding),
	}
	if absent.Is(st) {
		d.store = nil
	}
	d.home, _ = os.UserHomeDir() // "" if there is none
	d.phone, _ = walink.ParsePhone(settings.Phone)
	mode := walink.LinkingMode(strings.ToLower(strings.ReplaceAll(string(settings.LinkingMode), " ", "")))
	auto := mode == "" || mode == walink.ModeAuto
	d.code = mode == walink.ModePairing || mode == walink.ModeBoth || auto && settings.PreferPairingCode
	d.qr = mode == walink.ModeQR || mode == walink.ModeBoth || auto && !settings.PreferPairingCode

	if client := settings.HTTPClient; client != nil {
		d.base = client.Transport
	}
	if transport, ok := http.DefaultTransport.(*http.Transport); ok {
		d.transport = transport.Clone()
		d.base = cmp.Or[http.RoundTripper](d.base, d.transport)
	}
	d.faults = append([]error{settings.Check(), wire.Unfit(false)}, faults...)
	d.unread = errors.Join(faults...) != nil
	return d
}

func (d *doctor) examine(ctx context.Context) Report {
	ctx, cancel := context.WithTimeout(ctx, wholeLimit)
	defer cancel()
	d.secrets = d.knownSecrets()
	report := Report{Time: d.now().UTC().Truncate(time.Second), Build: thisBuild()}
	steps := d.steps()
	for _, s := range steps {
		if s.name != "clock" {
			d.found[s.name] = d.do(ctx, s)
		}
	}
	d.found["clock"] = d.checkClock(ctx) // from what the others have heard
	for _, s := range steps {
		c := d.found[s.name].Check
		c.Name = s.name
		report.Checks = append(report.Checks, c)
	}
	return report
}

func (d *doctor) do(ctx context.Context, s step) finding {
	if culprit := d.culprit(s.needs...); culprit != "" {
		return d.because(culprit)
	}
	f := s.run(ctx)
	switch {
	case f.cut && d.cut != "":
		return d.because(d.cut)
	case f.cut:
		d.cut = s.name
		reason := walink.ErrCanceled
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			reason = walink.ErrTimeout
		}
		return wrong("the examination was cut short", reason, ctx.Err().Error(),
			"Examine again, with a context that lasts longer than "+spoken(wholeLimit)+".")
	}
	return f
}

// culprit returns the check that keeps one of needs from being done; "" if none does.
func (d *doctor) culprit(needs ...string) string {
	for _, need := range needs {
		if f := d.found[need]; f.culprit != "" {
			return f.culprit
		} else if f.Status == CheckFailed {
			return need
		}
	}
	return ""
}

// within calls code of the program, which may ignore the end of its context, and may
// panic. It does not call if ctx has ended.
func within[T any](ctx context.Context, call func(context.Context) (T, error)) (T, error) {
	if err := ctx.Err(); err != nil {
		return *new(T), err
	}
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	value, answered, err := bound.Call(ctx, stepGrace, func(ctx context.Context) (value T, err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("it panicked: %v", p)
			}
		}()
		return call(ctx)
	})
	if !answered {
		err = fmt.Errorf("no answer within %s: %w", spoken(stepLimit), err)
	}
	return value, err
}
