package walink

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink/internal/ledger"
	"github.com/walink/walink/store"
)

// The checks. The clock comes before what fails because of it.
const (
	onSettings  = "settings"
	onNumber    = "number"
	onStore     = "store"
	onProxy     = "proxy"
	onDNS       = "dns"
	onTCP       = "tcp"
	onClock     = "clock"
	onTLS       = "tls"
	onWebsocket = "websocket"
	onNoise     = "noise"
	onVersion   = "version"
	onLinking   = "linking"
	onCodes     = "codes"
	onSession   = "session"
)

// checkOrder is the order of the checks in a Report.
func checkOrder() []string {
	return []string{
		onSettings, onNumber, onStore, onProxy, onDNS, onTCP, onClock, onTLS,
		onWebsocket, onNoise, onVersion, onLinking, onCodes, onSession,
	}
}

// cutShort stands in doctor.because for the end of ctx.
const cutShort = "cut short"

const (
	// stepLimit is how long one step may take.
	stepLimit = 10 * time.Second
	// stepGrace is how much longer a step is waited for that does not heed its context.
	stepGrace = time.Second
)

// doctor is one examination. It belongs to one goroutine.
type doctor struct {
	store    store.Store
	ledger   store.Ledger
	settings Settings
	set      resolved         // as far as the settings can be understood
	faults   []*settingsFault // what New would refuse

	// What tests replace.
	now       func() time.Time
	resolve   func(ctx context.Context, host string) ([]string, error)
	transport *http.Transport // of a program without Settings.HTTPClient

	version  wastore.WAVersionContainer // that this build presents
	scrubber *strings.Replacer
	found    map[string]Check
	because  map[string]string // of what was skipped: the check that is to blame

	proxy *url.URL // on the way to WhatsApp; nil if none
	heard probed   // of WhatsApp's time
}

func newDoctor(st store.Store, settings Settings) *doctor {
	d := &doctor{
		store: st, ledger: ledger.Process(), settings: settings,
		now: time.Now, resolve: net.DefaultResolver.LookupHost, version: wastore.GetWAVersion(),
		transport: http.DefaultTransport.(*http.Transport).Clone(), //nolint:forcetypeassert,errcheck // as whatsmeow's NewClient does
		found:     make(map[string]Check),
		because:   make(map[string]string),
	}
	if own, ok := st.(store.Ledger); ok {
		d.ledger = own
	}
	d.set, _ = settings.check(func(field string) string { return field })
	var failure *Error
	if _, err := settings.resolve(); errors.As(err, &failure) {
		var all interface{ Unwrap() []error }
		if errors.As(failure.Err, &all) {
			for _, err := range all.Unwrap() {
				if fault, ok := errors.AsType[*settingsFault](err); ok {
					d.faults = append(d.faults, fault)
				}
			}
		}
	}
	d.scrubber = d.newScrubber()
	return d
}

// examine does all checks and returns what they found.
func (d *doctor) examine(ctx context.Context) Report {
	report := Report{Time: d.now().UTC().Truncate(time.Second)}
	d.checkSettings()
	d.checkNumber()
	d.checkStore(ctx)
	d.checkNetwork(ctx)
	d.checkCodes(ctx)
	d.checkSession(ctx)
	for _, name := range checkOrder() {
		c := d.found[name]
		c.Name, c.Detail, c.Err = name, d.scrub(c.Detail), d.safe(c.Err)
		report.Checks = append(report.Checks, c)
	}
	return report
}

// ready reports whether a check can be done. If not, it is skipped because of
// another one, or fails because ctx has ended.
func (d *doctor) ready(ctx context.Context, name string, needs ...string) bool {
	for _, need := range needs {
		blame := d.because[need]
		if d.found[need].Status == CheckFailed {
			blame = need
		}
		if blame != "" {
			d.because[name] = blame
			d.skip(name, "because "+blame+" failed")
			if blame == d.because[cutShort] {
				d.skip(name, "because the examination was cut short")
			}
			return false
		}
	}
	if ctx.Err() == nil {
		return true
	}
	d.fail(ctx, name, "", nil)
	return false
}

func (d *doctor) ok(name, detail string) {
	d.found[name] = Check{Status: CheckOK, Detail: detail}
}

func (d *doctor) skip(name, detail string) {
	d.found[name] = Check{Status: CheckSkipped, Detail: detail}
}

func (d *doctor) warn(name, detail string, err *Error) {
	d.found[name] = Check{Status: CheckWarning, Detail: detail, Err: err}
}

// fail notes a failure. Once ctx has ended it is not one of what is examined:
// the first check is said to have been cut short, and the others with it.
func (d *doctor) fail(ctx context.Context, name, detail string, err *Error) {
	switch {
	case ctx.Err() == nil:
		d.found[name] = Check{Status: CheckFailed, Detail: detail, Err: err}
	case d.because[cutShort] == "":
		d.because[cutShort] = name
		err = stopped(ctx)
		d.found[name] = Check{
			Status: CheckFailed, Detail: "the examination was cut short",
			Err: trouble(err.Reason, err.Err, "Diagnose again, with a context that lasts two minutes."),
		}
	default:
		d.because[name] = d.because[cutShort]
		d.skip(name, "because the examination was cut short")
	}
}

// trouble is an Error of the doctor. Without a remedy it has that of its reason.
func trouble(reason Reason, cause error, remedy string) *Error {
	if remedy != "" {
		cause = &hinted{orNone(cause), remedy}
	}
	return &Error{Reason: reason, Op: "diagnose", Err: cause}
}

func orNone(err error) error {
	if err == nil {
		return errors.New("")
	}
	return err
}

// within runs a step, and gives up on one that does not heed its context.
func within[T any](ctx context.Context, limit time.Duration, step func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := step(ctx)
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
	}
	grace := time.NewTimer(stepGrace)
	defer grace.Stop()
	select {
	case r := <-done:
		return r.value, r.err
	case <-grace.C:
		var none T
		return none, ctx.Err()
	}
}

// What mask does not take for a secret because a log line cannot hold it.
var (
	maskUserinfo = regexp.MustCompile(`://[^/\s"]*@`)
	maskGrouped  = regexp.MustCompile(`\+\d[\d ()-]{5,}\d`)
)

// safe is an error without a secret in its text, whoever wrote it.
func (d *doctor) safe(err *Error) *Error {
	if err == nil {
		return nil
	}
	out := *err
	if err.Err != nil {
		text := maskUserinfo.ReplaceAllString(d.scrub(err.Err.Error()), "://"+redacted+"@")
		text = strings.TrimPrefix(mask(maskGrouped.ReplaceAllString(text, redacted)), "walink: ")
		out.Err = &hinted{errors.New(firstRunes(text, 1000)), d.scrub(err.Remedy())}
	}
	return &out
}

// scrub removes the secrets of the settings from a text.
func (d *doctor) scrub(text string) string { return d.scrubber.Replace(text) }

func (d *doctor) newScrubber() *strings.Replacer {
	secrets := []string{d.settings.Phone, d.set.phone.Digits()}
	for _, other := range d.set.phone.Alternatives() {
		secrets = append(secrets, other.Digits())
	}
	if u, err := url.Parse(d.settings.Proxy); err == nil && u.User != nil {
		password, _ := u.User.Password()
		secrets = append(secrets, u.User.String(), password, u.User.Username())
	}
	const shortest = 4 // a shorter one would be found in every other word
	var pairs []string
	for _, secret := range secrets {
		if len(secret) >= shortest {
			pairs = append(pairs, secret, redacted)
		}
	}
	return strings.NewReplacer(pairs...)
}
