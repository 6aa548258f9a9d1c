package walink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/walink/walink/internal/hint"
)

var errForeignTransport = hint.New(
	errors.New("http.DefaultTransport was replaced by something that is not a *http.Transport"),
	"Leave http.DefaultTransport as it is, and set Settings.HTTPClient.",
)

// checkSettings tells every fault, but for those of a number that was given.
func (d *doctor) checkSettings(context.Context) {
	var sentences, remedies []string
	tell := func(sentence, remedy string) {
		if !slices.Contains(sentences, sentence) {
			sentences, remedies = append(sentences, sentence), append(remedies, remedy)
		}
	}
	for _, fault := range d.faults {
		for _, f := range settingsFaults(fault) {
			if !d.isNumbers(f) {
				tell(f.Error(), f.remedy)
			}
		}
		if len(settingsFaults(fault)) == 0 {
			failure := d.foreign(ErrInvalidSettings, fault, "")
			tell(failure.Err.Error(), failure.Remedy())
		}
	}
	if len(sentences) > 0 {
		all := strings.Join(sentences, "\n")
		failure := said(ErrInvalidSettings, all, remedies[0])
		failure.Op = "settings"
		d.wrong(onSettings, all, failure)
		return
	}
	shown := "a QR code"
	switch {
	case d.set.wantCode && d.set.wantQR:
		shown = "a pairing code and a QR code side by side"
	case d.set.qrFallback:
		shown = "a pairing code, and a QR code where none can be had"
	case d.set.wantCode:
		shown = "a pairing code"
	}
	d.ok(onSettings, "session "+show(d.set.session)+" is linked by "+shown)
}

// settingsFaults takes an error of New or ParseSettings apart.
func settingsFaults(err error) []*settingsFault {
	switch e := err.(type) { //nolint:errorlint // each error of the tree is looked at by itself
	case *settingsFault:
		return []*settingsFault{e}
	case interface{ Unwrap() []error }:
		var faults []*settingsFault
		for _, part := range e.Unwrap() {
			faults = append(faults, settingsFaults(part)...)
		}
		return faults
	case interface{ Unwrap() error }:
		return settingsFaults(e.Unwrap())
	}
	return nil
}

func (d *doctor) isNumbers(fault *settingsFault) bool {
	return fault.field == "Phone" && d.settings.Phone != ""
}

func (d *doctor) checkNumber(context.Context) {
	switch {
	case d.settings.Phone == "" && d.unread:
		d.blame(onNumber, onSettings)
		return
	case d.settings.Phone == "" && d.set.wantCode:
		d.skip(onNumber, "none is set, though a pairing code needs one")
		return
	case d.settings.Phone == "":
		d.skip(onNumber, "none is set: whichever account scans is linked")
		return
	}
	for _, fault := range d.faults {
		for _, f := range settingsFaults(fault) {
			if d.isNumbers(f) {
				failure := said(ErrInvalidPhone, f.problem, f.remedy)
				failure.Op = "parse phone"
				d.wrong(onNumber, f.value+": "+f.problem, failure)
				return
			}
		}
	}
	phone := d.set.phone
	detail := phone.Redacted()
	if region := phone.Region(); region != "" {
		detail += ", region " + region
	}
	if forms, ok := twoForms(phone.Digits()); ok {
		what := map[phoneStyle]string{
			styleBrazil: "the ninth digit", styleMexico: "the 1 after +52", styleArgentina: "the 9 after +54",
		}[forms.style]
		with := "with "
		if phone.Digits() == forms.long {
			with = "without "
		}
		detail += "; WhatsApp may know it " + with + what + ", so try that form if codes are refused"
	}
	d.ok(onNumber, detail)
}

// checkCodes tells what is left of the code budget, and uses none of it up.
func (d *doctor) checkCodes(ctx context.Context) {
	switch {
	case !d.set.wantCode:
		d.skip(onCodes, "no pairing code is asked for with these settings")
		return
	case d.set.phone.IsZero():
		d.skip(onCodes, "because there is no usable number")
		return
	}
	now, budget := d.now(), d.set.codeBudget
	type balance struct {
		left int
		next time.Time
	}
	b, err := within(ctx, stepLimit, func(ctx context.Context) (b balance, err error) {
		b.left, b.next, err = d.ledger.PeekCode(ctx, d.set.phone.Digits(), now, budget, codeWindow)
		return b, err
	})
	if err != nil {
		d.fail(ctx, onCodes, "the ledger cannot be read", d.foreign(ErrStore, err, ""))
		return
	}
	if b.next.IsZero() {
		detail := fmt.Sprintf("%d of %s are left within %s", b.left, count(budget, "pairing code"), spoken(codeWindow))
		if d.counted {
			d.ok(onCodes, detail)
			return
		}
		d.skip(onCodes, "the store does not count pairing codes, so what other processes asked for is not known; in this process "+detail)
		return
	}
	wait := b.next.Sub(now).Round(time.Second)
	detail := fmt.Sprintf("all %s within %s have been asked for", count(budget, "pairing code"), spoken(codeWindow))
	if b.left > 0 {
		detail = "WhatsApp has refused this number a code"
	}
	detail += fmt.Sprintf("; the next can be had at %s, in %s", b.next.UTC().Format(time.DateOnly+" "+time.TimeOnly+" MST"), spoken(wait))
	failure := said(ErrRateLimited, "no pairing code may be asked for now", "")
	failure.RetryAfter = wait
	if d.set.wantQR || d.set.qrFallback {
		d.warn(onCodes, detail+"; until then there is the QR code", failure)
		return
	}
	d.wrong(onCodes, detail, failure)
}
