package transfer

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink/internal/process"
	"github.com/walink/walink/store"
)

const (
	copyLease   = 2 * time.Minute // how long a session stays lent where who copies it has died
	releaseTime = 5 * time.Second // how long giving it back may take
)

// CopyOption says more about what [Copy] and [Move] do.
type CopyOption func(*copying)

// Sessions names the sessions to copy. Without it all are.
func Sessions(names ...string) CopyOption {
	return func(c *copying) { c.names, c.named = names, true }
}

// LoginOnly allows Stores that are no [Exporter] or no [Importer]. Of a session
// between them the device with its keys is copied, and nothing else. That is
// enough to log in. The rest comes anew, or not at all: WhatsApp's app state,
// with contacts and the settings of chats, is fetched again; people's first
// messages are asked for a second time, since there are no Signal sessions,
// prekeys and sender keys to read them with; what belongs to earlier messages,
// such as votes in polls, can no longer be read; and the session is linked at
// the time of the copy.
func LoginOnly() CopyOption { return func(c *copying) { c.loginOnly = true } }

// Copy copies sessions from one Store to another, with all that is stored for
// them, and with the LID map, which goes as a whole. Both must be able to, as
// all Stores of walink are (see [Exporter] and [Importer]), or the error wraps
// [errors.ErrUnsupported]; [LoginOnly] makes do with less.
//
// Each session is one transaction in the target: where Copy fails, or ctx ends,
// or the process dies, it is there as a whole or not at all. Those that were
// copied before stay, and a second Copy passes over them, since a session that
// the target has with the same device is left as it is. Where it has another
// device under that name, or the device under another name, the error wraps
// [ErrTaken]. Copy goes on with the next session, and joins the errors. What is
// damaged ([store.ErrDamaged]) in one session, or in the LID map, keeps no other from
// being copied.
//
// A session in use is not copied: in each Store that is a [store.Leaser] it is leased
// for as long as that takes, and the error is a [*store.BusyError] where another has
// it, or wraps [store.ErrLeaseLost] where another took it meanwhile. Where the target
// has one transaction at a time, as all Stores of walink but PostgreSQL, all
// else that writes to it waits while a session is read and stored, and with
// hundreds of thousands of records that is longer than a Linker can wait to
// renew its lease: stop what uses the target, too.
//
// Nothing is deleted. From then on there are two copies of one device, of
// which only one may ever connect again: WhatsApp throws out who uses both, and
// what the one receives the other cannot read. [Move] leaves one.
//
// When pairing codes were asked for ([store.Ledger]) is not of a session, and is not
// copied; nor are leases.
func Copy(ctx context.Context, to, from store.Store, opts ...CopyOption) error {
	return run(ctx, &copying{to: to, from: from}, opts)
}

// Move is [Copy], and deletes each session in from once the target has it,
// also where it had the same device before. Where that fails the error says so,
// and both have it; another Move ends it.
func Move(ctx context.Context, to, from store.Store, opts ...CopyOption) error {
	return run(ctx, &copying{to: to, from: from, remove: true}, opts)
}

// copying is a Copy or a Move.
type copying struct {
	to, from  store.Store
	names     []string
	named     bool
	loginOnly bool
	remove    bool
}

func run(ctx context.Context, c *copying, opts []CopyOption) error {
	for _, opt := range opts {
		opt(c)
	}
	if t := reflect.ValueOf(c.to); t.Comparable() && c.to == c.from {
		return errors.New("transfer: copy: the Stores are one and the same")
	}
	exporter, canExport := c.from.(Exporter)
	importer, canImport := c.to.(Importer)
	whole := canExport && canImport
	if !whole && !c.loginOnly {
		return fmt.Errorf("transfer: copy: a whole session cannot be had from a %T for a %T (see LoginOnly): %w", c.from, c.to, errors.ErrUnsupported)
	}
	var errs []error
	if !c.named {
		stored, err := c.from.Sessions(ctx)
		for _, session := range stored { // with an error those that can be read
			c.names = append(c.names, session.Name)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("transfer: copy: %w", err))
		}
	}
	if len(c.names) > 0 && whole {
		// First, so that nobody resumes a session without it. Known pairs are
		// true whatever becomes of the sessions.
		if err := copyLIDs(ctx, importer, exporter); err != nil {
			errs = append(errs, fmt.Errorf("transfer: copy the LID map: %w", err))
			if !errors.Is(err, store.ErrDamaged) { // it may be had whole another time
				return errors.Join(errs...)
			}
		}
	}
	for _, name := range c.names {
		if err := c.session(ctx, name, whole); err != nil {
			errs = append(errs, fmt.Errorf("transfer: copy session %q: %w", name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// copyLIDs copies the LID map. Its error wraps [store.ErrDamaged] where nothing is
// missing but what cannot be read.
func copyLIDs(ctx context.Context, to Importer, from Exporter) error {
	var unread error
	err := to.ImportLIDs(ctx, func(yield func(wastore.LIDMapping, error) bool) {
		for pair, err := range from.ExportLIDs(ctx) {
			if errors.Is(err, store.ErrDamaged) {
				unread = err
				return
			}
			if !yield(pair, err) {
				return
			}
		}
	})
	if err != nil && !errors.Is(err, store.ErrDamaged) {
		return err
	}
	return errors.Join(unread, err)
}

// session copies one session, under the leases of both Stores. Where one is
// lost meanwhile, nothing more is done, and that is the error.
func (c *copying) session(ctx context.Context, name string, whole bool) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer func() {
		if lost := context.Cause(ctx); err != nil && errors.Is(lost, store.ErrLeaseLost) {
			err = lost
		}
	}()
	source, err := hold(ctx, c.from, name, cancel)
	if err != nil {
		return err
	}
	defer source.release(ctx)
	// It also finds that both are the same database, from which Move must not
	// delete.
	target, err := hold(ctx, c.to, name, cancel)
	if err != nil {
		return fmt.Errorf("in the target: %w", err)
	}
	defer target.release(ctx)

	device, err := c.from.Device(ctx, name)
	switch {
	case err != nil:
		return err
	case device.ID == nil:
		return store.ErrNotFound
	}
	there, err := c.to.Device(ctx, name)
	if err != nil {
		return err
	}
	switch {
	case there.ID != nil && same(there, device):
	case there.ID != nil:
		return fmt.Errorf("the target has another device under this name: %w", ErrTaken)
	case whole:
		err = c.whole(ctx, name, source)
	default:
		err = c.login(ctx, there, device, source)
	}
	if err != nil || !c.remove {
		return err
	}
	// Whoever has had one of them since may have changed it: this may be the
	// better copy, or the only one.
	err = errors.Join(source.renew(ctx), target.renew(ctx))
	if err == nil {
		err = c.from.Delete(ctx, name)
	}
	if err != nil {
		return fmt.Errorf("it is copied, and still where it was: %w", err)
	}
	return nil
}

// same reports whether two devices are one: a number that is linked anew has
// other keys.
func same(a, b *wastore.Device) bool {
	return *a.ID == *b.ID && *a.NoiseKey.Priv == *b.NoiseKey.Priv && *a.IdentityKey.Priv == *b.IdentityKey.Priv
}

// whole copies all records. Before the target stores them the lease of the
// source is renewed, which fails if another has had the session meanwhile.
func (c *copying) whole(ctx context.Context, name string, source *held) error {
	exporter, _ := c.from.(Exporter)
	importer, _ := c.to.(Importer)
	return importer.Import(ctx, name, func(yield func(Record, error) bool) {
		for record, err := range exporter.Export(ctx, name) {
			if !yield(record, err) || err != nil {
				return
			}
		}
		if err := source.renew(ctx); err != nil {
			yield(nil, err)
		}
	})
}

// login copies the device alone, which a Store saves in one transaction.
func (c *copying) login(ctx context.Context, to, from *wastore.Device, source *held) error {
	sessions, err := c.to.Sessions(ctx)
	if err != nil {
		return err
	}
	for _, session := range sessions {
		if session.JID == *from.ID {
			return fmt.Errorf("the target has the device under another name: %w", ErrTaken)
		}
	}
	saved := Bare(from)
	saved.Log, saved.Container = to.Log, to.Container
	if err := source.renew(ctx); err != nil {
		return err
	}
	return saved.Save(ctx)
}

// Bare returns a copy of a device without its log, stores and container, as a
// [DeviceRecord] has it. It is for implementations of [Exporter].
func Bare(device *wastore.Device) *wastore.Device {
	bare := *device
	fields := reflect.ValueOf(&bare).Elem()
	for _, field := range fields.Fields() {
		if field.Kind() == reflect.Interface {
			field.SetZero()
		}
	}
	bare.Initialized = false
	return &bare
}

// held is the lease of a session in a Store that lends them, and nil otherwise.
// It is renewed until it is released.
type held struct {
	leaser store.Leaser
	lease  store.Lease // as it was taken: its end does not matter to the Store
	stop   context.CancelFunc
	done   chan struct{} // closed when nothing renews it any more
}

// hold leases a session, and calls lost if another takes it.
func hold(ctx context.Context, st store.Store, session string, lost context.CancelCauseFunc) (*held, error) {
	leaser, ok := st.(store.Leaser)
	if !ok {
		return nil, nil
	}
	lease, err := leaser.TakeLease(ctx, session, "a copy, "+process.Name(), copyLease)
	if err != nil {
		return nil, err
	}
	h := &held{leaser: leaser, lease: lease, done: make(chan struct{})}
	ctx, h.stop = context.WithCancel(ctx)
	go h.keep(ctx, lost)
	return h, nil
}

// keep renews the lease now and then. In the target that may wait for the
// session to be stored, and so does whoever would take the lease.
func (h *held) keep(ctx context.Context, lost context.CancelCauseFunc) {
	defer close(h.done)
	ticker := time.NewTicker(copyLease / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := h.renew(ctx); errors.Is(err, store.ErrLeaseLost) { // all else is tried again
				lost(err)
				return
			}
		}
	}
}

// renew fails where another has had the session since it was leased, however
// long that is ago.
func (h *held) renew(ctx context.Context) error {
	if h == nil {
		return nil
	}
	_, err := h.leaser.RenewLease(ctx, h.lease, copyLease)
	return err
}

// release gives the session back, also where ctx has ended.
func (h *held) release(ctx context.Context) {
	if h == nil {
		return
	}
	h.stop()
	<-h.done
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	_ = h.leaser.ReleaseLease(ctx, h.lease) // it ends by itself, too
}
