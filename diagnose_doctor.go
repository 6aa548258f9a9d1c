package walink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"time"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/internal/ledger"
	"github.com/walink/walink/store"
)

// The checks.
const (
	onSettings  = "settings"
	onNumber    = "number"
	onStore     = "store"
	onClock     = "clock"
	onProxy     = "proxy"
	onDNS       = "dns"
	onTCP       = "tcp"
	onTLS       = "tls"
	onWebsocket = "websocket"
	onNoise     = "noise"
	onVersion   = "version"
	onLinking   = "linking"
	onCodes     = "codes"
	onLease     = "lease"
	onSession   = "session"
)

// checkOrder is the order of the checks in a Report. The clock comes before what
// fails because of it.
func checkOrder() []string {
	return []string{
		onSettings, onNumber, onStore, onClock, onProxy, onDNS, onTCP, onTLS,
		onWebsocket, onNoise, onVersion, onLinking, onCodes, onLease, onSession,
	}
}

const (
	// wholeLimit is how long the whole examination may take.
	wholeLimit = time.Minute
	// stepLimit is how long one step may take.
	stepLimit = 10 * time.Second
	// stepGrace is how much longer a step is waited for that does not heed its context.
	stepGrace = time.Second
)

// doctor is one examination. It belongs to one goroutine.
type doctor struct {
	store    store.Store
	ledger   store.Ledger
	counted  bool // the ledger is the store's, and not this process's
	settings Settings
	set      resolved // as far as the settings can be understood
	faults   []error  // what New would refuse
	unread   bool     // there are faults beside those, so the settings are not all there is
	version  wastore.WAVersionContainer

	// What tests replace.
	now       func() time.Time
	resolve   func(ctx context.Context, host string) ([]string, error)
	getenv    func(name string) string
	home      string          // the user's directory; "" if not known
	transport *http.Transport // of a program without Settings.HTTPClient

	secrets *regexp.Regexp // of the settings and the environment; nil if none
	path    string         // the store's; "" if it has none

	found  map[string]Check
	blamed map[string]string // of a check that stands in the way of others: the one that is to blame
	cut    string            // the first check that was cut short by the end of ctx; "" if none

	proxy *url.URL // on the way to WhatsApp; nil if none
	page  *visit   // nil until it has been asked for
	link  *contact // nil until it has been tried
	heard probed   // of WhatsApp's time
}

func newDoctor(st store.Store, settings Settings, faults ...error) *doctor {
	d := &doctor{
		store: st, ledger: ledger.Process(), settings: settings, version: wastore.GetWAVersion(),
		now: time.Now, resolve: net.DefaultResolver.LookupHost, getenv: os.Getenv,
		found: make(map[string]Check), blamed: make(map[string]string),
	}
	d.home, _ = os.UserHomeDir() // "" where there is none
	if own, ok := st.(store.Ledger); ok {
		d.ledger, d.counted = own, true
	}
	d.set, d.faults = settings.examine()
	for _, fault := range faults {
		if fault != nil {
			d.faults, d.unread = append(d.faults, fault), true
		}
	}
	if transport, ok := http.DefaultTransport.(*http.Transport); ok {
		d.transport = transport.Clone()
	} else { // with which whatsmeow's NewClient panics
		d.faults, d.unread = append(d.faults, errForeignTransport), true
	}
	return d
}

// step is how one check is done.
type step struct {
	name  string
	needs []string // it cannot be done where one of these has failed, or could not be done
	asks  bool     // somebody, so it is not begun once ctx has ended
	run   func(context.Context)
}

func (d *doctor) steps() []step {
	const asks = true
	return []step{
		{onSettings, nil, !asks, d.checkSettings},
		{onNumber, nil, !asks, d.checkNumber},
		{onStore, nil, asks, d.checkStore},
		{onProxy, nil, asks, d.checkProxy},
		{onDNS, []string{onProxy}, !asks, d.checkDNS},
		{onTCP, []string{onProxy, onDNS}, !asks, d.checkTCP},
		{onTLS, []string{onProxy, onDNS, onTCP}, !asks, d.checkTLS},
		{onWebsocket, []string{onProxy, onDNS, onTCP, onTLS}, asks, d.checkWebsocket},
		{onNoise, []string{onTCP, onWebsocket}, !asks, d.judgeNoise},
		{onVersion, []string{onProxy, onDNS, onTCP, onTLS}, !asks, d.judgeVersion},
		{onLinking, []string{onTCP, onNoise, onVersion}, !asks, d.judgeLinking},
		{onClock, nil, !asks, d.judgeClock},
		{onCodes, []string{onSettings, onStore}, asks, d.checkCodes},
		{onLease, []string{onStore}, asks, d.checkLease},
		{onSession, []string{onStore}, asks, d.checkSession},
	}
}

// examine does all checks and returns what they found.
func (d *doctor) examine(ctx context.Context) Report {
	ctx, cancel := context.WithTimeout(ctx, wholeLimit)
	defer cancel()
	d.secrets = d.knownSecrets()
	report := Report{Time: d.now().UTC().Truncate(time.Second), Build: thisBuild()}
	for _, s := range d.steps() {
		switch culprit := d.culprit(s.needs...); {
		case culprit != "":
			d.blame(s.name, culprit)
		case s.asks && ctx.Err() != nil:
			d.cutShort(ctx, s.name)
		default:
			s.run(ctx)
		}
	}
	for _, name := range checkOrder() {
		c := d.found[name]
		c.Name = name
		report.Checks = append(report.Checks, c)
	}
	return report
}

// culprit returns the check that is to blame where what is needed cannot be had.
func (d *doctor) culprit(needs ...string) string {
	for _, need := range needs {
		if culprit := d.blamed[need]; culprit != "" {
			return culprit
		}
		if d.found[need].Status == CheckFailed {
			return need
		}
	}
	return ""
}

// blame skips a check because of another one.
func (d *doctor) blame(name, culprit string) {
	d.blamed[name] = culprit
	switch {
	case culprit == d.cut:
		d.skip(name, "because the examination was cut short")
	case d.found[culprit].Status == CheckFailed:
		d.skip(name, "because "+culprit+" failed")
	default:
		d.skip(name, "not examined, see "+culprit)
	}
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

// wrong notes a failure that is established.
func (d *doctor) wrong(name, detail string, err *Error) {
	d.found[name] = Check{Status: CheckFailed, Detail: detail, Err: err}
}

// fail notes a failure that the end of ctx would explain as well.
func (d *doctor) fail(ctx context.Context, name, detail string, err *Error) {
	if ctx.Err() != nil {
		d.cutShort(ctx, name)
		return
	}
	d.wrong(name, detail, err)
}

// cutShort says of the first check that ctx has ended under it, and skips the others.
func (d *doctor) cutShort(ctx context.Context, name string) {
	if d.cut != "" {
		d.blame(name, d.cut)
		return
	}
	d.cut = name
	why := stopped(ctx)
	d.wrong(name, "the examination was cut short", said(why.Reason, ctx.Err().Error(),
		"Diagnose again, with a context that lasts longer than "+spoken(wholeLimit)+"."))
}

// said is an Error in the doctor's own words. Without a remedy it has that of its reason.
func said(reason Reason, text, remedy string) *Error {
	cause := errors.New(text)
	if remedy != "" {
		cause = hint.New(cause, remedy)
	}
	return &Error{Reason: reason, Op: "diagnose", Err: cause}
}

// within runs a step, and gives up on one that does not heed its context. A panic
// is an error: what is asked may be anybody's.
func within[T any](ctx context.Context, limit time.Duration, step func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	value, answered, err := ask(ctx, stepGrace, func(ctx context.Context) (value T, err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("it panicked: %v", p)
			}
		}()
		return step(ctx)
	})
	if !answered {
		err = fmt.Errorf("no answer within %s: %w", spoken(limit), err)
	}
	return value, err
}
