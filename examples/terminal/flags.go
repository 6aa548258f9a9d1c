package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/walink/walink"
)

// options are what the flags say.
type options struct {
	settings               walink.Settings
	db                     string
	json, verbose, sandbox bool
	doctor                 bool
	faults                 []error // errors of the settings file, for the doctor
	passkey                bool    // the simulated account wants a passkey
	apart                  bool    // db is a default file of the sandbox
}

// flagSet returns the flags, and the variables that Parse sets.
func flagSet() (*flag.FlagSet, *options, *flagValues) {
	var o options
	var v flagValues
	fs := flag.NewFlagSet("terminal", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&v.phone, "phone", "", "the account's `number` with its country code; other accounts are refused")
	fs.BoolVar(&v.qr, "qr", false, "link by QR code only")
	fs.BoolVar(&v.both, "both", false, "show a pairing code and a QR code together; needs -phone")
	fs.StringVar(&v.session, "session", "", "the `name` under which the session is kept (default \"default\")")
	fs.StringVar(&o.db, "db", "", "the `file` that keeps the sessions, or \""+memory+"\" (default \"walink.db\";\nwith -sandbox \""+sandboxDB+"\", and others with -qr, -both and -passkey)")
	fs.StringVar(&v.file, "settings", "", "read walink's settings from a JSON `file`, instead of the code with QR as fallback;\nother flags override what it says")
	fs.DurationVar(&v.timeout, "timeout", 0, "give up after this `time`, such as 90s (default 10m)")
	fs.BoolVar(&o.json, "json", false, "write each event as a line of JSON on stdout, with its code, and everything else on stderr;\nwith -doctor write the report as one line of JSON")
	fs.BoolVar(&o.verbose, "verbose", false, "write a log on stderr, without secrets")
	fs.BoolVar(&o.sandbox, "sandbox", false, "link to a simulated WhatsApp: a simulated phone does what the screen says")
	fs.BoolVar(&o.passkey, "passkey", false, "with -sandbox: the simulated account wants a passkey, and a simulated browser has it")
	fs.BoolVar(&o.doctor, "doctor", false, "examine settings, database, network and clock, and name what is wrong; nothing is linked or changed")
	return fs, &o, &v
}

// flagValues are the flags that become Settings.
type flagValues struct {
	phone, session, file string
	qr, both             bool
	timeout              time.Duration
}

// usage is what -h prints.
func usage() string {
	var out strings.Builder
	out.WriteString(`Link a WhatsApp account to this machine.

  terminal -phone "+55 11 98765-4321"     by pairing code, or by QR code if no code can be had
  terminal                                by QR code, any account that scans it
  terminal -phone "+55 ..." -both         by either, both on the screen
  terminal -phone "+55 ..." -json         for scripts: one event a line on stdout
  terminal -phone "+55 ..." -doctor       find out why linking does not work
  terminal -sandbox                       try it without a phone, an account or a network
  terminal -sandbox -passkey              the same with an account that wants a passkey

Flags:
`)
	fs, _, _ := flagSet()
	fs.SetOutput(&out)
	fs.PrintDefaults()
	out.WriteString(`
If the session is stored already, the program connects it without a code.
Exit codes: 0 linked, 1 not, with the reason and what to do on stderr, 2 wrong usage (go run makes a 1 of the 2).
With -doctor the report is on stdout: 0 linking can work, though there may be warnings, 1 a check has failed.
`)
	return out.String()
}

// parse reads the flags and the settings file. For -h it returns flag.ErrHelp.
func parse(args []string) (options, error) {
	fs, o, v := flagSet()
	if err := fs.Parse(args); err != nil {
		return options{}, err
	}
	switch {
	case fs.NArg() > 0:
		return options{}, fmt.Errorf("put quotes around a number with spaces: unexpected argument %q", fs.Arg(0))
	case o.passkey && !o.sandbox:
		return options{}, errors.New("add -sandbox, or leave out -passkey: a real account asks for its passkey by itself")
	case v.qr && v.both:
		return options{}, errors.New("leave out -qr or -both: -qr and -both contradict each other")
	}
	if o.db == "" {
		o.apart = o.sandbox
		switch {
		case !o.sandbox:
			o.db = "walink.db"
		case o.passkey:
			o.db = sandboxPasskeyDB
		case v.qr:
			o.db = sandboxQRDB
		case v.both:
			o.db = sandboxBothDB
		default:
			o.db = sandboxDB
		}
	}
	if v.file == "" {
		if o.sandbox && v.phone == "" && !v.qr {
			v.phone = sandboxPhone
		}
		o.settings.PreferPairingCode = v.phone != ""
		o.settings.QRFallback = true
	} else {
		data, err := os.ReadFile(v.file)
		if err != nil {
			err = fmt.Errorf("the settings cannot be read: %w", err)
		} else if o.settings, err = walink.ParseSettings(data); err != nil && !o.doctor {
			err = fmt.Errorf("%s: %s", v.file, reason(err))
		}
		switch {
		case err != nil && o.doctor:
			o.faults = append(o.faults, err)
		case err != nil:
			return options{}, err
		}
	}
	if o.sandbox {
		o.settings.Proxy = "" // the simulated WhatsApp is in this process
	}
	switch {
	case v.qr:
		o.settings.LinkingMode, o.settings.PreferPairingCode = walink.ModeQR, false
	case v.both:
		o.settings.LinkingMode = walink.ModeBoth
	}
	if v.phone != "" {
		o.settings.Phone = v.phone
	}
	if v.session != "" {
		o.settings.Session = v.session
	}
	if v.timeout != 0 {
		o.settings.Timeout = v.timeout
	}
	return *o, nil
}
