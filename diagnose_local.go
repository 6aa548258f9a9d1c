package walink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink/store"
)

// checkSettings tells every fault, but for those of a number that was given.
func (d *doctor) checkSettings() {
	var faults []error
	var sentences []string
	for _, fault := range d.faults {
		if !d.isNumbers(fault) {
			faults = append(faults, fault)
			sentences = append(sentences, fault.Error())
		}
	}
	if len(faults) > 0 {
		d.found[onSettings] = Check{
			Status: CheckFailed, Detail: strings.Join(sentences, "\n"),
			Err: &Error{Reason: ErrInvalidSettings, Op: "settings", Err: errors.Join(faults...)},
		}
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

func (d *doctor) isNumbers(fault *settingsFault) bool {
	return fault.field == "Phone" && d.settings.Phone != ""
}

func (d *doctor) checkNumber() {
	if d.settings.Phone == "" {
		d.skip(onNumber, "none is set: whichever account scans is linked")
		if d.set.wantCode {
			d.skip(onNumber, "none is set, though a pairing code needs one")
		}
		return
	}
	if i := slices.IndexFunc(d.faults, d.isNumbers); i >= 0 {
		fault := d.faults[i]
		d.found[onNumber] = Check{
			Status: CheckFailed, Detail: fault.value + ": " + fault.problem,
			Err: &Error{Reason: ErrInvalidPhone, Op: "parse phone", Err: &hinted{errors.New(fault.problem), fault.remedy}},
		}
		return
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

func (d *doctor) checkStore(ctx context.Context) {
	if d.store == nil {
		d.found[onStore] = Check{
			Status: CheckFailed, Detail: "there is none",
			Err: trouble(ErrInvalidSettings, errors.New("the store is nil"), "Open a store, such as store/sqlite, and hand it over."),
		}
		return
	}
	if !d.ready(ctx, onStore) {
		return
	}
	name := "the store"
	if s, ok := d.store.(interface{ Path() string }); ok {
		name += " " + strconv.Quote(maskDigit.ReplaceAllString(s.Path(), redacted))
	}
	list, err := within(ctx, stepLimit, d.store.Sessions)
	if err != nil {
		d.fail(ctx, onStore, name+" cannot be read", trouble(ErrStore, err, ""))
		return
	}
	name += fmt.Sprintf(" holds %s", count(len(list), "session"))
	own, ok := d.store.(store.Checker)
	if !ok {
		d.ok(onStore, name+"; whether it can be written was not examined, because it has no Check method")
		return
	}
	if _, err := within(ctx, stepLimit, func(ctx context.Context) (struct{}, error) { return struct{}{}, own.Check(ctx) }); err != nil {
		d.fail(ctx, onStore, name+", and is not in order", trouble(ErrStore, err, ""))
		return
	}
	d.ok(onStore, name+" and can be written")
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
	case !d.ready(ctx, onCodes, onSettings, onStore):
		return
	}
	reader, ok := d.ledger.(store.CodePeeker)
	if !ok {
		d.skip(onCodes, "not examined, because the ledger has no PeekCode method and could not be asked without using a code up")
		return
	}
	now, budget := d.now(), d.set.codeBudget
	type balance struct {
		left int
		next time.Time
	}
	b, err := within(ctx, stepLimit, func(ctx context.Context) (b balance, err error) {
		b.left, b.next, err = reader.PeekCode(ctx, d.set.phone.Digits(), now, budget, codeWindow)
		return b, err
	})
	if err != nil {
		d.fail(ctx, onCodes, "the ledger cannot be read", trouble(ErrStore, err, ""))
		return
	}
	if b.next.IsZero() {
		d.ok(onCodes, fmt.Sprintf("%d of %s are left within %s", b.left, count(budget, "pairing code"), codeWindow))
		return
	}
	wait := b.next.Sub(now).Round(time.Second)
	detail := fmt.Sprintf("all %s within %s have been asked for", count(budget, "pairing code"), codeWindow)
	if b.left > 0 {
		detail = "WhatsApp has refused this number a code"
	}
	detail += fmt.Sprintf("; the next can be had at %s, in %s", b.next.UTC().Format(time.DateOnly+" "+time.TimeOnly+" MST"), wait)
	failure := &Error{Reason: ErrRateLimited, Op: "diagnose", RetryAfter: wait, Err: errors.New("no pairing code may be asked for now")}
	if d.set.wantQR || d.set.qrFallback {
		d.warn(onCodes, detail+"; until then there is the QR code", failure)
		return
	}
	d.fail(ctx, onCodes, detail, failure)
}

// checkSession tells what is stored. Whether WhatsApp still knows it could be
// learned only by a login with its keys, and that ends the connection of
// whoever uses the session now.
func (d *doctor) checkSession(ctx context.Context) {
	if !d.ready(ctx, onSession, onStore) {
		return
	}
	name := show(d.set.session)
	list, err := within(ctx, stepLimit, d.store.Sessions)
	if err != nil {
		d.fail(ctx, onSession, "the store cannot be read", trouble(ErrStore, err, ""))
		return
	}
	i := slices.IndexFunc(list, func(s store.Session) bool { return s.Name == d.set.session })
	if i < 0 {
		detail := "none is stored under " + name + ": Link will ask for the phone"
		if len(list) > 0 {
			detail += "; under other names there is " + count(len(list), "session")
		}
		d.ok(onSession, detail)
		return
	}
	stored := list[i]
	device, err := within(ctx, stepLimit, func(ctx context.Context) (*wastore.Device, error) { return d.store.Device(ctx, d.set.session) })
	switch {
	case err != nil:
		d.fail(ctx, onSession, "session "+name+" is stored and cannot be loaded", trouble(ErrStore, err, ""))
		return
	case device.ID == nil:
		d.fail(ctx, onSession, "session "+name+" is listed by the store, which has no device for it", trouble(ErrStore,
			errors.New("the store contradicts itself"), "Delete the session from the store and link again."))
		return
	}
	account := phoneFromDigits(device.ID.User)
	if want := d.set.phone; !want.IsZero() && !want.SameAccount(account) {
		wrong := &wrongStored{want: want, have: account}
		d.fail(ctx, onSession, wrong.Error(), &Error{Reason: ErrWrongAccount, Op: "diagnose", Err: wrong})
		return
	}
	d.ok(onSession, fmt.Sprintf("session %s is %s, linked on %s; whether WhatsApp still knows it was not asked, "+
		"because a login would throw out a program that is using it: Link tells",
		name, redactJID(*device.ID), stored.LinkedAt.UTC().Format(time.DateOnly)))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
