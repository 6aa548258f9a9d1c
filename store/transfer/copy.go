package transfer

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink/internal/absent"
	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/store"
)

// CopyOption is an option of [Copy] and [Move].
type CopyOption func(*copying)

// Sessions names the sessions to copy. Without this option all are copied.
func Sessions(names ...string) CopyOption {
	return func(c *copying) { c.names, c.named = names, true }
}

// LoginOnly allows a source that is no [Exporter] and a target that is no
// [Importer]. Between such Stores only the device with its keys is copied,
// which is enough to log in. The rest is lost or comes again:
//
//   - WhatsApp sends the app state again, with contacts and chat settings.
//   - Signal sessions, prekeys and sender keys are lost. whatsmeow cannot
//     decrypt the first messages of each contact, and asks for them a second time.
//   - Secrets of earlier messages are lost. A vote in an earlier poll, for
//     example, can no longer be decrypted.
//   - The session's LinkedAt is the time of the copy.
func LoginOnly() CopyOption { return func(c *copying) { c.loginOnly = true } }

// Copy copies sessions from one Store to another, with everything that is
// stored for them, and with the whole LID map. The source must be an [Exporter]
// and the target an [Importer], or the error wraps [errors.ErrUnsupported];
// [LoginOnly] lifts this condition.
//
// Each session is one transaction in the target. If Copy fails, ctx ends or the
// process dies, the target has the whole session or nothing of it. Sessions that
// were copied before stay. A session that the target already has, with the same
// device, is left as it is, so a second Copy continues where the first one
// ended. If the target has another device under the session's name, or the
// device under another name, the error wraps [ErrTaken]. After an error Copy
// continues with the next session, and joins the errors, of which the text has
// the first three. A session or a LID pair
// that is damaged ([store.ErrDamaged]) does not stop the others.
//
// A session in use is not copied. Copy leases it in each Store that is a
// [store.Leaser], for as long as the copy takes. The error is a
// [*store.BusyError] if somebody else holds the lease, and wraps
// [store.ErrLeaseLost] if somebody took it during the copy.
//
// Stop everything that writes to the target too, unless the target is
// PostgreSQL. The other Stores of walink have one writing transaction at a time,
// so other writers wait while a session is read and stored. With hundreds of
// thousands of records, they wait longer than a Linker can wait for the renewal
// of its lease.
//
// Copy deletes nothing: afterwards there are two copies of one device. Only one
// of them may ever connect again, because WhatsApp disconnects each when the
// other connects, and one cannot decrypt what the other has received. [Move]
// leaves a single copy.
//
// If both Stores are a [store.Registry], Copy stores the entry of a session in the
// target after the session, unless the target has one. Entries of names that have
// no device are not copied.
//
// The history of pairing code requests ([store.Ledger]) does not belong to a
// session, and is not copied. Leases are not copied either.
func Copy(ctx context.Context, to, from store.Store, opts ...CopyOption) error {
	return run(ctx, &copying{to: to, from: from}, opts)
}

// Move does what [Copy] does, and deletes each session from the source once the
// target has it, even if the target had the same device before. If that
// deletion fails, the error says so and both Stores have the session; another
// Move finishes the work. If both Stores turn out to have the same database, Move
// fails and deletes nothing.
//
// Move also deletes the entry of the session from the source, unless the target had
// another value for it. If one of the Stores is no [store.Registry], the entry stays.
//
// Only store/sqlite removes the bytes of the keys from its files. The files of
// bolt, the tables and the log of PostgreSQL, and the append-only file of Redis
// keep them until the database uses the space again; docs/storage.md says what
// to do. Backups, replicas and copies keep them in any case. If somebody may have
// read one of these, remove the device on the phone and link anew.
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
	exporter  Exporter // from and to, if whole sessions are copied; otherwise nil
	importer  Importer
}

func run(ctx context.Context, c *copying, opts []CopyOption) error {
	for _, opt := range opts {
		opt(c)
	}
	if absent.Is(c.to) || absent.Is(c.from) {
		return errors.New("transfer: a Store is nil")
	}
	if t := reflect.ValueOf(c.to); t.Comparable() && c.to == c.from {
		return errors.New("transfer: the two Stores are the same")
	}
	exporter, canExport := c.from.(Exporter)
	importer, canImport := c.to.(Importer)
	switch {
	case canExport && canImport:
		c.exporter, c.importer = exporter, importer
	case c.loginOnly:
	case canExport:
		return fmt.Errorf("transfer: %T is no Importer, so only LoginOnly is possible: %w", c.to, errors.ErrUnsupported)
	default:
		return fmt.Errorf("transfer: %T is no Exporter, so only LoginOnly is possible: %w", c.from, errors.ErrUnsupported)
	}
	var errs []error
	if !c.named {
		stored, err := c.from.Sessions(ctx)
		for _, session := range stored { // even with an error: these could be read
			c.names = append(c.names, session.Name)
		}
		if err != nil {
			errs = append(errs, redact.Errorf("transfer: list the sessions: %w", err))
		}
	}
	if len(c.names) > 0 && c.exporter != nil {
		// First, so that nobody resumes a session without the LID map. Its pairs
		// are true even if no session is copied.
		if err := copyLIDs(ctx, c.importer, c.exporter); err != nil {
			errs = append(errs, redact.Errorf("transfer: copy the LID map: %w", err))
			if !errors.Is(err, store.ErrDamaged) { // the next Copy may get all of it
				return redact.Join(errs...)
			}
		}
	}
	for _, name := range c.names {
		if err := c.session(ctx, name); err != nil {
			errs = append(errs, redact.Errorf("transfer: copy session %q: %w", name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return redact.Join(errs...)
}

// copyLIDs copies the LID map. Its error wraps [store.ErrDamaged] if all pairs
// were copied but the damaged ones.
func copyLIDs(ctx context.Context, to Importer, from Exporter) error {
	var damaged error
	err := to.ImportLIDs(ctx, func(yield func(wastore.LIDMapping, error) bool) {
		for pair, err := range from.ExportLIDs(ctx) {
			if errors.Is(err, store.ErrDamaged) {
				damaged = err
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
	return errors.Join(damaged, err)
}

// session copies one session, under the leases of both Stores. If a lease is
// lost, session stops and returns that as its error.
func (c *copying) session(ctx context.Context, name string) (err error) {
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
	// If both Stores are on the same database and have leases, this fails.
	target, err := hold(ctx, c.to, name, cancel)
	if err != nil {
		return fmt.Errorf("in the target: %w", err)
	}
	defer target.release(ctx)

	device, err := c.from.Device(ctx, name)
	switch {
	case err != nil:
		return err
	case device == nil:
		return errNoDevice
	case device.ID == nil:
		return store.ErrNotFound
	}
	existing, err := c.to.Device(ctx, name)
	switch {
	case err != nil:
		return err
	case existing == nil:
		return fmt.Errorf("in the target: %w", errNoDevice)
	case existing.ID != nil && same(existing, device):
		if c.remove { // otherwise the deletion may take the only copy
			err = separate(ctx, existing, device)
		}
	case existing.ID != nil:
		return fmt.Errorf("the target has another device under this name: %w", ErrTaken)
	case c.exporter != nil:
		err = c.whole(ctx, name, source)
	default:
		err = c.login(ctx, existing, device, source)
	}
	if err != nil {
		return err
	}
	entered, err := c.entry(ctx, name)
	if err != nil {
		return fmt.Errorf("the target has the session, but not its entry: %w", err)
	}
	if !c.remove {
		return nil
	}
	// If another holder has had one of the leases since, it may have changed
	// the session there: the source may be the better copy, or the only one.
	err = errors.Join(source.renew(ctx), target.renew(ctx))
	if err == nil && entered != nil {
		err = entered.DeleteEntry(ctx, name)
	}
	if err == nil {
		err = c.from.Delete(ctx, name)
	}
	if err != nil {
		return fmt.Errorf("the target has the session, but the source still has it too: %w", err)
	}
	return nil
}

// entry copies the entry of a session, if there is one and the target has none. It
// returns the source if both Stores have the same entry then.
func (c *copying) entry(ctx context.Context, name string) (store.Registry, error) {
	from, readable := c.from.(store.Registry)
	to, writable := c.to.(store.Registry)
	if !readable || !writable {
		return nil, nil
	}
	entry, err := from.Entry(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	there, err := to.Entry(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		there, err = entry, to.PutEntry(ctx, entry)
	}
	if err != nil || !bytes.Equal(there.Value, entry.Value) {
		return nil, err
	}
	return from, nil
}

var errNoDevice = errors.New("the store returned nil for a device")

// same reports whether two devices are one. A number that was linked again has
// other keys.
func same(a, b *wastore.Device) bool {
	return *a.ID == *b.ID && *a.NoiseKey.Priv == *b.NoiseKey.Priv && *a.IdentityKey.Priv == *b.IdentityKey.Priv
}

var errOneDatabase error = hint.New(
	errors.New("the two Stores have the same database"),
	"Give another database as the target: the session is already where it should be.",
)

// separate fails if both devices are in one database, of which a Store without leases
// says nothing: it stores a Signal session under an address that no device has, and
// looks for it in the target.
func separate(ctx context.Context, to, from *wastore.Device) error {
	const address = "walink-move:0"
	mark := []byte(rand.Text())
	if err := from.Sessions.PutSession(ctx, address, mark); err != nil {
		return err
	}
	found, err := to.Sessions.GetSession(ctx, address)
	if err == nil && bytes.Equal(found, mark) {
		err = errOneDatabase
	}
	return errors.Join(err, from.Sessions.DeleteSession(context.WithoutCancel(ctx), address))
}

// whole copies all records. Before the target commits them, whole renews the
// lease of the source, which fails if another holder has had the session since.
func (c *copying) whole(ctx context.Context, name string, source *held) error {
	return c.importer.Import(ctx, name, func(yield func(Record, error) bool) {
		for record, err := range c.exporter.Export(ctx, name) {
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
