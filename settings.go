package walink

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.mau.fi/whatsmeow"

	"github.com/walink/walink/internal/choice"
	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/number"
	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/internal/wire"
)

// Settings says how a Linker links. It is plain data, passed by value; the zero
// value links session "default" by QR code. New checks it. Settings that are printed with
// fmt, logged with slog or given to panic show no password and no whole number. Three
// things go past that: their JSON, the verbs %p and %w, and an unexported field of
// another struct, whose methods fmt cannot call.
type Settings struct {
	// Session is the name under which the Store keeps this link; "" is "default".
	Session string `json:"session,omitempty"`
	// Phone is the account's number with its country code, as a person writes it;
	// ParsePhone reads it. A pairing code needs a Phone. If Phone is set, walink
	// refuses every other account; if it is "", any account that scans the QR code is
	// linked.
	Phone string `json:"phone,omitempty"`
	// LinkingMode says whether a pairing code, a QR code or both are shown; "" is ModeAuto.
	LinkingMode LinkingMode `json:"linkingMode,omitempty"`
	// PreferPairingCode shows a pairing code instead of a QR code in ModeAuto; the
	// default is the QR code. It contradicts ModeQR, and has no effect in the other modes.
	PreferPairingCode bool `json:"preferPairingCode,omitempty"`
	// QRFallback shows QR codes if no pairing code can be had; by default the Link
	// fails then.
	QRFallback bool `json:"qrFallback,omitempty"`
	// ResumeOnly logs a stored session in and never asks anybody for anything. Link and
	// Supervise end with ErrLoggedOut at once if nothing is stored, or if WhatsApp has
	// removed the device.
	ResumeOnly bool `json:"resumeOnly,omitempty"`
	// Browser is the browser that the linked device claims to be; "" is BrowserChrome.
	Browser Browser `json:"browser,omitempty"`
	// OS is the system that the linked device claims to run on; "" is OSLinux.
	OS OS `json:"os,omitempty"`
	// DeviceName is the name in the phone's list of linked devices, at most 50
	// characters; "" is "walink".
	DeviceName string `json:"deviceName,omitempty"`
	// DisablePush requests pairing codes without a notification on the phone; by
	// default WhatsApp notifies the phone.
	DisablePush bool `json:"disablePush,omitempty"`
	// Timeout bounds one Link as a whole; 0 is 10 minutes. A passkey's challenge
	// extends this default, so that there is time to answer the challenge. With a
	// negative Timeout only the context bounds the Link. In JSON it is a Go duration
	// string, such as "10m".
	Timeout time.Duration `json:"timeout,omitempty"`
	// Probation holds Linked back until a new session has lived this long; 0 is none.
	// WhatsApp removes some devices seconds after they were linked ([ErrRemoved]).
	// In JSON it is a Go duration string.
	Probation time.Duration `json:"probation,omitempty"`
	// CodeBudget is how many pairing codes walink requests per number in 15 minutes,
	// across restarts; 0 is 3.
	CodeBudget int `json:"codeBudget,omitempty"`
	// DisableVersionRefresh keeps walink from fetching the current WhatsApp Web
	// version if WhatsApp refuses the built-in one (405).
	DisableVersionRefresh bool `json:"disableVersionRefresh,omitempty"`
	// ComparePasskeyCode has the person compare the code of every passkey ceremony with
	// the phone's; the program then calls ConfirmPasskey. By default walink confirms by
	// itself if the hand-off proves that one person holds the phone and sits here.
	ComparePasskeyCode bool `json:"comparePasskeyCode,omitempty"`
	// Proxy is an http, https or socks5 URL, for the socket, media and the version
	// request. Nothing connects without the proxy. "" is none.
	Proxy string `json:"proxy,omitempty"`

	// HTTPClient is used for the socket, before and after the login, and for the version
	// request. HTTPClient and Proxy exclude each other. nil is walink's own client.
	HTTPClient *http.Client `json:"-"`
	// Logger receives the log, without secrets at any level; nil discards the log.
	Logger *slog.Logger `json:"-"`
	// OnClient gets each new client before the client connects. Add event handlers in
	// it. nil does nothing.
	OnClient func(*whatsmeow.Client) `json:"-"`
	// Passkey answers a PasskeyRequired. It gets the challenge as the server sent it,
	// and returns the JSON of PublicKeyCredential.toJSON(). Its context ends with the
	// challenge and with the attempt. If the assertion has the wrong form, or WhatsApp
	// refuses it, walink calls Passkey again with the same challenge. Three refused
	// answers, or an error, end the attempt; a fresh attempt follows, a few times. nil
	// leaves the answer to Linker.AnswerPasskey, which also works if Passkey is set.
	Passkey func(ctx context.Context, challenge json.RawMessage) (assertion json.RawMessage, err error) `json:"-"`
}

// LinkingMode says whether a pairing code, a QR code or both are shown. Case does not matter.
type LinkingMode string

// The linking modes.
const (
	// ModeAuto shows a QR code, or a pairing code with Settings.PreferPairingCode. It is the default.
	ModeAuto LinkingMode = "auto"
	// ModePairing shows a pairing code.
	ModePairing LinkingMode = "pairing"
	// ModeQR shows a QR code.
	ModeQR LinkingMode = "qr"
	// ModeBoth shows a pairing code and a QR code at the same time.
	ModeBoth LinkingMode = "both"
)

// Browser is a browser that a linked device may claim to be. The set is closed,
// because WhatsApp refuses pairing codes to any other name. Case does not matter.
type Browser string

// The browsers: those of whatsmeow's PairClient constants that are browsers.
const (
	BrowserChrome  Browser = "Chrome"
	BrowserEdge    Browser = "Edge"
	BrowserFirefox Browser = "Firefox"
	BrowserIE      Browser = "IE"
	BrowserOpera   Browser = "Opera"
	BrowserSafari  Browser = "Safari"
)

// OS is an operating system that a linked device may claim to run on, in the spelling
// of WhatsApp Web. The set is closed, as for Browser. Case and spaces do not matter.
type OS string

// The operating systems.
const (
	OSLinux   OS = "Linux"
	OSWindows OS = "Windows"
	OSMac     OS = "Mac OS"
)

// linkingModes, browsers and systems are the closed sets, the default first.
func linkingModes() []LinkingMode { return []LinkingMode{ModeAuto, ModePairing, ModeQR, ModeBoth} }

func browsers() []Browser {
	return []Browser{BrowserChrome, BrowserEdge, BrowserFirefox, BrowserIE, BrowserOpera, BrowserSafari}
}

func systems() []OS { return []OS{OSLinux, OSWindows, OSMac} }

// The defaults of Settings.
const (
	defaultSession    = "default"
	defaultDeviceName = "walink"
	defaultTimeout    = 10 * time.Minute
	defaultCodeBudget = 3
)

const (
	maxSessionBytes    = 128
	maxDeviceNameRunes = 50
)

// resolved holds checked Settings, with the defaults filled in and the phone parsed.
type resolved struct {
	session    string
	phone      Phone // zero if none
	machine    machine.Config
	conn       *wire.Config
	codeBudget int
	logger     *slog.Logger
	passkey    func(context.Context, json.RawMessage) (json.RawMessage, error)
	pace       *wire.Pace // of all sockets of the session
}

// Check returns the error that New would return for the Settings: nil, or an [*Error]
// with ErrInvalidSettings that joins a [*SettingError] for each fault.
func (s Settings) Check() error {
	_, err := s.resolve()
	return err
}

// resolve checks the Settings and fills in the defaults. If there are faults, it
// returns what it could read together with the error.
func (s Settings) resolve() (resolved, error) {
	r, faults := s.check(nil)
	if r.machine.Code && s.Phone == "" && !s.ResumeOnly {
		faults = append(faults, &SettingError{
			Field: "Phone", Value: `""`, Problem: "needed for a pairing code", cause: ErrInvalidPhone,
			Fix: "Set Phone to the account's number with its country code, or link by QR code.",
		})
	}
	if len(faults) > 0 {
		return r, &Error{Reason: ErrInvalidSettings, Op: "settings", Err: errors.Join(faults...)}
	}
	return r, nil
}

// check finds the faults, except for a missing phone, which a program may add after
// ParseSettings. key gives the JSON key under which the user wrote a field; it is nil
// for Settings that come from Go.
func (s Settings) check(key func(field string) string) (resolved, []error) {
	var faults []error
	label := func(field string) string { return field }
	if key != nil {
		label = func(field string) string { return strconv.Quote(key(field)) }
	}
	fault := func(field, value, problem, fix string) {
		e := &SettingError{Field: field, Value: value, Problem: problem, Fix: fix}
		if field == "Phone" {
			e.cause = ErrInvalidPhone
		}
		if key != nil {
			e.Field, e.quoted = key(field), true
		}
		faults = append(faults, e)
	}
	r := resolved{
		session:    cmp.Or(s.Session, defaultSession),
		codeBudget: cmp.Or(s.CodeBudget, defaultCodeBudget),
		logger:     cmp.Or(s.Logger, slog.New(slog.DiscardHandler)),
		passkey:    s.Passkey,
		pace:       &wire.Pace{},
		machine: machine.Config{
			VersionRefresh: !s.DisableVersionRefresh, Timeout: max(cmp.Or(s.Timeout, defaultTimeout), 0), Patient: s.Timeout == 0,
			Probation: s.Probation, Hook: s.Passkey != nil, CompareCode: s.ComparePasskeyCode, Jitter: rand.Float64, ResumeOnly: s.ResumeOnly,
		},
	}
	r.conn = &wire.Config{
		DeviceName: cmp.Or(s.DeviceName, defaultDeviceName), Push: !s.DisablePush, Log: r.logger, OnClient: s.OnClient,
	}
	if problem := checkSession(s.Session); problem != "" {
		fault("Session", redact.Quote(s.Session), problem, "Choose a short name of printable characters.")
	}
	if s.Phone != "" {
		var err error
		if r.phone, err = ParsePhone(s.Phone); err != nil {
			problem := &number.Fault{}
			errors.As(err, &problem)
			fault("Phone", strconv.Quote(number.RedactedInput(s.Phone)), problem.Sentence, problem.Fix)
		}
	}
	mode, ok := choice.Of(s.LinkingMode, linkingModes())
	if !ok {
		fault("LinkingMode", redact.Quote(string(s.LinkingMode)), "unknown mode", choice.Fix(s.LinkingMode, linkingModes()))
	}
	browser, ok := choice.Of(s.Browser, browsers())
	if !ok {
		fault("Browser", redact.Quote(string(s.Browser)), "not a browser that WhatsApp accepts", choice.Fix(s.Browser, browsers()))
	}
	system, ok := choice.Of(s.OS, systems())
	if !ok {
		fault("OS", redact.Quote(string(s.OS)), "not a system that WhatsApp accepts", choice.Fix(s.OS, systems()))
	}
	r.conn.Browser, r.conn.OS = wire.BrowserOf(string(browser)), string(system)
	link := &r.machine
	switch mode {
	case ModeAuto:
		link.Code, link.QR = s.PreferPairingCode, !s.PreferPairingCode
	case ModePairing:
		link.Code = true
	case ModeQR:
		link.QR = true
		if s.PreferPairingCode {
			fault("PreferPairingCode", "true", "contradicts "+label("LinkingMode")+" qr, which shows no pairing code",
				"Choose the mode auto or pairing for a pairing code, or drop the preference for one.")
		}
	case ModeBoth:
		link.Code, link.QR = true, true
	}
	link.Fallback = s.QRFallback && link.Code && !link.QR
	link.OtherForm = len(r.phone.Alternatives()) > 0
	if problem := checkDeviceName(s.DeviceName); problem != "" {
		fault("DeviceName", redact.Quote(s.DeviceName), problem, "Choose a name of at most 50 printable characters.")
	}
	if s.Probation < 0 {
		fault("Probation", s.Probation.String(), "negative", "Set it to 0 for none, or to a positive duration.")
	}
	if s.CodeBudget < 0 {
		fault("CodeBudget", strconv.Itoa(s.CodeBudget), "negative", "Set it to 0 for the default of 3, or to a positive number.")
	}
	if s.Proxy != "" {
		var shown, problem, remedy string
		r.conn.Proxy, shown, problem, remedy = wire.ParseProxy(s.Proxy)
		r.machine.Proxy = strings.Trim(shown, `"`)
		if problem != "" {
			fault("Proxy", shown, problem, remedy)
		} else if s.HTTPClient != nil {
			fault("Proxy", shown, "contradicts HTTPClient, which is used in its place",
				"Set the proxy in the HTTPClient's transport, or leave HTTPClient out.")
		}
	}
	return r, faults
}

func checkSession(name string) string {
	switch {
	case !utf8.ValidString(name):
		return "not valid UTF-8"
	case len(name) > maxSessionBytes:
		return fmt.Sprintf("longer than %d bytes", maxSessionBytes)
	case strings.ContainsFunc(name, unicode.IsControl):
		return "has a control character in it"
	}
	return ""
}

func checkDeviceName(name string) string {
	const joiner = '\u200d' // holds an emoji together
	switch {
	case !utf8.ValidString(name):
		return "not valid UTF-8"
	case name != "" && strings.TrimSpace(name) == "":
		return "blank"
	case utf8.RuneCountInString(name) > maxDeviceNameRunes:
		return fmt.Sprintf("longer than %d characters", maxDeviceNameRunes)
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) && r != joiner }):
		return "has a character in it that cannot be shown"
	}
	return ""
}
