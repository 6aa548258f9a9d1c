package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/ledger"
	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/store"
)

// checkSettings names every fault, except a wrong number, which checkNumber names.
func (d *doctor) checkSettings(context.Context) finding {
	var all []string
	var first string // its fix
	add := func(text, fix string) {
		if !slices.Contains(all, text) {
			all, first = append(all, text), cmp.Or(first, fix)
		}
	}
	for _, fault := range d.faults {
		parts := settingErrors(fault)
		for _, part := range parts {
			if part.Field != "Phone" || d.settings.Phone == "" {
				add(part.Error(), part.Fix)
			}
		}
		if len(parts) == 0 && fault != nil {
			add(d.foreign(walink.ErrInvalidSettings, fault, ""))
		}
	}
	if len(all) > 0 {
		f := wrong(strings.Join(all, "\n"), walink.ErrInvalidSettings, all[0], first)
		f.Err.Op = "settings"
		return f
	}
	shown := "a QR code"
	switch {
	case d.code && d.qr:
		shown = "a pairing code and a QR code side by side"
	case d.code && d.settings.QRFallback:
		shown = "a pairing code, and a QR code if none can be had"
	case d.code:
		shown = "a pairing code"
	}
	return good("session " + redact.Quote(d.session) + " is linked by " + shown)
}

func settingErrors(err error) (all []*walink.SettingError) {
	switch e := err.(type) { //nolint:errorlint // each error of the tree is looked at by itself
	case *walink.SettingError:
		return []*walink.SettingError{e}
	case interface{ Unwrap() []error }:
		for _, part := range e.Unwrap() {
			all = append(all, settingErrors(part)...)
		}
	case interface{ Unwrap() error }:
		return settingErrors(e.Unwrap())
	}
	return all
}

func (d *doctor) checkNumber(context.Context) finding {
	fault, _ := errors.AsType[*walink.SettingError](walink.Settings{Phone: d.settings.Phone}.Check())
	switch {
	case d.settings.Phone == "" && d.unread:
		return d.because("settings")
	case d.settings.Phone == "" && d.code:
		return skip("none is set, though a pairing code needs one")
	case d.settings.Phone == "":
		return skip("none is set: any account that scans the QR code is linked")
	case fault != nil:
		f := wrong(fault.Value+": "+fault.Problem, walink.ErrInvalidPhone, fault.Problem, fault.Fix)
		f.Err.Op = "parse phone"
		return f
	}
	detail := d.phone.Redacted()
	if region := d.phone.Region(); region != "" {
		detail += ", region " + region
	}
	if others, digits := d.phone.Alternatives(), d.phone.Digits(); len(others) > 0 {
		with := "with "
		if len(others[0].Digits()) < len(digits) {
			with = "without "
		}
		with += map[string]string{"55": "the ninth digit", "52": "the 1 after +52", "54": "the 9 after +54"}[digits[:2]]
		detail += "; WhatsApp may know it " + with + ", so try that form if codes are refused"
	}
	return good(detail)
}

func (d *doctor) checkStore(ctx context.Context) finding {
	if d.store == nil {
		return wrong("there is none", walink.ErrInvalidSettings, "the store is nil", "Open a store, such as store/sqlite, and hand it over.")
	}
	name := "the store"
	if s, ok := d.store.(interface{ Path() string }); ok {
		d.path, _ = within(ctx, func(context.Context) (string, error) { return s.Path(), nil })
		name += ` "` + d.shownPath(d.path) + `"`
	}
	list, err := within(ctx, d.store.Sessions)
	if err != nil {
		f := d.storeFailed(ctx, err, name+" cannot be read", name+" was not opened")
		if f.Status == CheckWarning {
			f.culprit = "store" // there is nothing to look into
		}
		return f
	}
	name += " holds " + count(len(list), "session")
	own, ok := d.store.(store.Checker)
	if !ok {
		return good(name + "; whether it can be written was not examined, because it has no Check method")
	}
	_, err = within(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, own.Check(ctx) })
	if err != nil {
		return d.storeFailed(ctx, err, name+", and is not in order", name)
	}
	return good(name + " and can be written")
}

// storeFailed warns, with the detail advised, if the error is an Advice; otherwise it fails.
func (d *doctor) storeFailed(ctx context.Context, err error, detail, advised string) finding {
	if advice, ok := errors.AsType[*store.Advice](err); ok {
		text, remedy := d.foreign(walink.ErrStore, err, "")
		return warn(advised+": "+d.clean(advice.Error(), err), walink.ErrStore, text, remedy)
	}
	return d.fail(ctx, detail, walink.ErrStore, err, "")
}

// checkCodes says how many pairing codes are left. It uses none of them.
func (d *doctor) checkCodes(ctx context.Context) finding {
	switch {
	case !d.code:
		return skip("no pairing code is asked for with these settings")
	case d.phone.IsZero():
		return skip("because there is no usable number")
	}
	codes, counted := d.store.(store.Ledger)
	if !counted {
		codes = ledger.Process()
	}
	now, budget, left := d.now(), cmp.Or(d.settings.CodeBudget, 3), 0
	next, err := within(ctx, func(ctx context.Context) (next time.Time, err error) {
		left, next, err = codes.PeekCode(ctx, d.phone.Digits(), now, budget, ledger.Window)
		return next, err
	})
	if err != nil {
		return d.fail(ctx, "the ledger cannot be read", walink.ErrStore, err, "")
	}
	if next.IsZero() {
		detail := fmt.Sprintf("%d of %s are left within %s", left, count(budget, "pairing code"), spoken(ledger.Window))
		if counted {
			return good(detail)
		}
		return skip("the store does not count pairing codes, so what other processes asked for is not known; in this process " + detail)
	}
	wait := next.Sub(now).Round(time.Second)
	detail := fmt.Sprintf("all %s within %s have been asked for", count(budget, "pairing code"), spoken(ledger.Window))
	if left > 0 {
		detail = "WhatsApp has refused this number a code"
	}
	detail += fmt.Sprintf("; the next can be had at %s, in %s", next.UTC().Format(moment), spoken(wait))
	f := wrong(detail, walink.ErrRateLimited, "no pairing code may be asked for now", "")
	if d.qr || d.settings.QRFallback {
		f.Status, f.Detail = CheckWarning, detail+"; until then there is the QR code"
	}
	f.Err.RetryAfter = wait
	return f
}

func (d *doctor) checkLease(ctx context.Context) finding {
	leaser, ok := d.store.(store.Leaser)
	switch {
	case d.unread && d.settings.Session == "":
		return d.because("settings")
	case !ok:
		return skip("whether another program uses the session is not known, because the store has no leases")
	}
	name := "session " + redact.Quote(d.session)
	lease, err := within(ctx, func(ctx context.Context) (store.Lease, error) { return leaser.PeekLease(ctx, d.session) })
	switch {
	case errors.Is(err, store.ErrNotFound):
		return good("nobody uses " + name)
	case err != nil:
		return d.fail(ctx, "the lease of "+name+" cannot be read", walink.ErrStore, err, "")
	}
	detail := fmt.Sprintf("%s is in use by %s since %s", name, d.clean(lease.Holder), lease.Since.UTC().Format(moment))
	busy := &walink.Error{Reason: walink.ErrSessionBusy, Err: &store.BusyError{Lease: lease}} // knows this program's own lease
	return wrong(detail, busy.Reason, "two programs of one session throw each other out", busy.Remedy())
}

// checkSession says what is stored. A login, which could show whether WhatsApp still knows
// the session, would end the connection of the program that uses it.
func (d *doctor) checkSession(ctx context.Context) finding {
	if d.unread && d.settings.Session == "" {
		return d.because("settings")
	}
	name := redact.Quote(d.session)
	list, err := within(ctx, d.store.Sessions)
	if err != nil {
		return d.fail(ctx, "the store cannot be read", walink.ErrStore, err, "")
	}
	i := slices.IndexFunc(list, func(s store.Session) bool { return s.Name == d.session })
	if i < 0 {
		detail := "none is stored under " + name + ": Link will ask for the phone"
		if len(list) > 0 {
			detail += "; under other names there is " + count(len(list), "session")
		}
		return good(detail)
	}
	device, err := within(ctx, func(ctx context.Context) (*wastore.Device, error) { return d.store.Device(ctx, d.session) })
	switch {
	case err != nil:
		return d.fail(ctx, "session "+name+" is stored and cannot be loaded", walink.ErrStore, err, "")
	case device == nil || device.ID == nil:
		return wrong("session "+name+" is listed by the store, which has no device for it", walink.ErrStore,
			"the store contradicts itself", "Delete the session from the store and link again.")
	}
	account, _ := walink.ParsePhone("+" + device.ID.User) // zero if it is none
	number := cmp.Or(account.Redacted(), "another number")
	if !d.phone.IsZero() && !d.phone.SameAccount(account) {
		text := fmt.Sprintf("the stored session belongs to %s, and not to %s", number, d.phone.Redacted())
		return wrong(text, walink.ErrWrongAccount, text, "Unlink the stored session first, or use another session name for this number.")
	}
	return skip(fmt.Sprintf("session %s is %s:%d@%s, linked on %s. The session is stored. Only a login shows whether WhatsApp still knows it, "+
		"and a login would disturb the program that uses the session. On the phone the device is in the list under Linked devices, unless it was removed; "+
		"Link drops a removed session and shows a new code",
		name, number, device.ID.Device, device.ID.Server, list[i].LinkedAt.UTC().Format(time.DateOnly)))
}
