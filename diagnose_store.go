package walink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink/store"
)

func (d *doctor) checkStore(ctx context.Context) {
	if d.store == nil {
		d.wrong(onStore, "there is none", said(ErrInvalidSettings, "the store is nil", "Open a store, such as store/sqlite, and hand it over."))
		return
	}
	name := "the store"
	if s, ok := d.store.(interface{ Path() string }); ok {
		d.path, _ = within(ctx, stepLimit, func(context.Context) (string, error) { return s.Path(), nil })
		name += ` "` + d.shownPath(d.path) + `"`
	}
	list, err := within(ctx, stepLimit, d.store.Sessions)
	if d.advised(name+" was not opened", err) {
		d.blamed[onStore] = onStore // of what would have to look into it
		return
	} else if err != nil {
		d.fail(ctx, onStore, name+" cannot be read", d.foreign(ErrStore, err, ""))
		return
	}
	name += " holds " + count(len(list), "session")
	own, ok := d.store.(store.Checker)
	if !ok {
		d.ok(onStore, name+"; whether it can be written was not examined, because it has no Check method")
		return
	}
	_, err = within(ctx, stepLimit, func(ctx context.Context) (struct{}, error) { return struct{}{}, own.Check(ctx) })
	switch {
	case d.advised(name, err):
	case err != nil:
		d.fail(ctx, onStore, name+", and is not in order", d.foreign(ErrStore, err, ""))
	default:
		d.ok(onStore, name+" and can be written")
	}
}

// advised warns of an error that is no more than an advice, and reports whether it is.
func (d *doctor) advised(detail string, err error) bool {
	advice, ok := errors.AsType[*store.Advice](err)
	if ok {
		d.warn(onStore, detail+": "+d.clean(advice.Error(), err), d.foreign(ErrStore, err, ""))
	}
	return ok
}

// checkLease tells who uses the session: a Link beside that would throw it out, or
// be thrown out.
func (d *doctor) checkLease(ctx context.Context) {
	leaser, ok := d.store.(store.Leaser)
	switch {
	case d.unread && d.settings.Session == "":
		d.blame(onLease, onSettings)
		return
	case !ok:
		d.skip(onLease, "whether another program uses the session is not known, because the store has no leases")
		return
	}
	name := "session " + show(d.set.session)
	lease, err := within(ctx, stepLimit, func(ctx context.Context) (store.Lease, error) { return leaser.PeekLease(ctx, d.set.session) })
	switch {
	case errors.Is(err, store.ErrNotFound):
		d.ok(onLease, "nobody uses "+name)
	case err != nil:
		d.fail(ctx, onLease, "who uses "+name+" cannot be read", d.foreign(ErrStore, err, ""))
	default:
		holder := d.clean(lease.Holder)
		d.wrong(onLease, fmt.Sprintf("%s is in use by %s since %s", name, holder, lease.Since.UTC().Format(time.DateOnly+" "+time.TimeOnly+" MST")),
			said(ErrSessionBusy, "two programs of one session throw each other out", ""))
	}
}

// checkSession tells what is stored. Whether WhatsApp still knows it could be
// learned only by a login with its keys, and that ends the connection of
// whoever uses the session now.
func (d *doctor) checkSession(ctx context.Context) {
	if d.unread && d.settings.Session == "" {
		d.blame(onSession, onSettings)
		return
	}
	name := show(d.set.session)
	list, err := within(ctx, stepLimit, d.store.Sessions)
	if err != nil {
		d.fail(ctx, onSession, "the store cannot be read", d.foreign(ErrStore, err, ""))
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
	device, err := within(ctx, stepLimit, func(ctx context.Context) (*wastore.Device, error) { return d.store.Device(ctx, d.set.session) })
	switch {
	case err != nil:
		d.fail(ctx, onSession, "session "+name+" is stored and cannot be loaded", d.foreign(ErrStore, err, ""))
		return
	case device == nil || device.ID == nil:
		d.wrong(onSession, "session "+name+" is listed by the store, which has no device for it",
			said(ErrStore, "the store contradicts itself", "Delete the session from the store and link again."))
		return
	}
	account := phoneFromDigits(device.ID.User)
	if want := d.set.phone; !want.IsZero() && !want.SameAccount(account) {
		wrong := &wrongStored{want: want, have: account}
		d.wrong(onSession, wrong.Error(), said(ErrWrongAccount, wrong.Error(), wrong.Remedy()))
		return
	}
	d.skip(onSession, fmt.Sprintf("session %s is %s, linked on %s. It is stored; whether WhatsApp still knows it can only be told by logging in, "+
		"which would disturb the program that uses it. On the phone it is in the list under Linked devices, unless it was removed; "+
		"Link drops a removed session and shows a new code", name, redactJID(*device.ID), list[i].LinkedAt.UTC().Format(time.DateOnly)))
}
