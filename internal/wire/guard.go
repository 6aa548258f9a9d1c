package wire

import (
	"context"
	"errors"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"

	"github.com/walink/walink/internal/bound"
	"github.com/walink/walink/internal/machine"
)

// How long one call of a store may take. For a device that is being linked, this is
// less than the time of one try to log in (machine.LoginTryLimit). For a session that
// is resumed, it is less than the time of the attempt (machine.OpenLimit). Otherwise
// the failure would blame WhatsApp for a store that does not answer.
const (
	linkStoreLimit   = 8 * time.Second
	resumeStoreLimit = 20 * time.Second
)

// guard is in front of the stores that whatsmeow calls on the way to Linked. It
// bounds each call, and reports a call that was not answered, because whatsmeow waits
// for its stores without a limit, and only logs most of their errors. After the login the
// guard lets everything through. Delete it when whatsmeow bounds these calls.
type guard struct {
	limit   time.Duration
	over    func() bool            // whether the login is over
	stalled func(*machine.Failure) // gets each call that was not answered
	deleted func()                 // is called when the device was deleted
}

// guard puts a guard in front of the stores of the device, until the login is over.
func (c *Conn) guard(patient bool) {
	limit := linkStoreLimit
	if patient {
		limit = resumeStoreLimit
	}
	g := &guard{
		limit: limit, over: c.released, stalled: func(err *machine.Failure) { c.lost(err, machine.NoTries) }, deleted: c.left,
	}
	g.put(c.device)
}

// put puts the guard in front of the stores of a device. It replaces an earlier guard,
// because a Store may return the same device twice.
func (g *guard) put(device *wastore.Device) {
	container, identities, preKeys, lids := device.Container, device.Identities, device.PreKeys, device.LIDs
	if old, ok := container.(guardedContainer); ok {
		container = old.DeviceContainer
	}
	if old, ok := identities.(guardedIdentities); ok {
		identities = old.IdentityStore
	}
	if old, ok := preKeys.(guardedPreKeys); ok {
		preKeys = old.PreKeyStore
	}
	if old, ok := lids.(guardedLIDs); ok {
		lids = old.LIDStore
	}
	device.Container = guardedContainer{container, g}
	if device.ID == nil {
		return // the others come with the first PutDevice
	}
	device.Identities = guardedIdentities{identities, g}
	device.PreKeys = guardedPreKeys{preKeys, g}
	device.LIDs = guardedLIDs{lids, g}
}

// pass makes a call of a store, within the limit unless the login is over.
func pass[T any](ctx context.Context, g *guard, op string, call func(context.Context) (T, error)) (T, error) {
	if g.over() {
		return call(ctx)
	}
	value, err := bound.Store(ctx, g.limit, call)
	if _, slow := errors.AsType[bound.SlowStore](err); slow {
		g.stalled(&machine.Failure{Reason: machine.ReasonStore, Op: op, Err: err})
	}
	return value, err
}

// passOn is pass for a call that returns an error alone.
func passOn(ctx context.Context, g *guard, op string, call func(context.Context) error) error {
	_, err := pass(ctx, g, op, func(ctx context.Context) (struct{}, error) { return struct{}{}, call(ctx) })
	return err
}

type guardedContainer struct {
	wastore.DeviceContainer
	g *guard
}

// PutDevice saves the device. The first PutDevice gives the device its stores:
// initializeDevice in whatsmeow's store/sqlstore/container.go. Later ones must not write
// to those fields, because whatsmeow saves a device while other goroutines use its stores.
func (c guardedContainer) PutDevice(ctx context.Context, device *wastore.Device) error {
	initialized := device.Initialized // before the call, which may go on after its limit
	err := passOn(ctx, c.g, "save device", func(ctx context.Context) error { return c.DeviceContainer.PutDevice(ctx, device) })
	if err == nil && !initialized {
		c.g.put(device)
	}
	return err
}

func (c guardedContainer) DeleteDevice(ctx context.Context, device *wastore.Device) error {
	err := passOn(ctx, c.g, "delete device", func(ctx context.Context) error { return c.DeviceContainer.DeleteDevice(ctx, device) })
	if err == nil {
		c.g.deleted()
	}
	return err
}

type guardedIdentities struct {
	wastore.IdentityStore
	g *guard
}

func (i guardedIdentities) PutIdentity(ctx context.Context, address string, key [32]byte) error {
	return passOn(ctx, i.g, "save identity", func(ctx context.Context) error { return i.IdentityStore.PutIdentity(ctx, address, key) })
}

type guardedLIDs struct {
	wastore.LIDStore
	g *guard
}

func (l guardedLIDs) PutLIDMapping(ctx context.Context, lid, jid types.JID) error {
	return passOn(ctx, l.g, "save LID", func(ctx context.Context) error { return l.LIDStore.PutLIDMapping(ctx, lid, jid) })
}

type guardedPreKeys struct {
	wastore.PreKeyStore
	g *guard
}

func (k guardedPreKeys) UploadedPreKeyCount(ctx context.Context) (int, error) {
	return pass(ctx, k.g, "count prekeys", k.PreKeyStore.UploadedPreKeyCount)
}

func (k guardedPreKeys) GetOrGenPreKeys(ctx context.Context, count uint32) ([]*keys.PreKey, error) {
	return pass(ctx, k.g, "make prekeys", func(ctx context.Context) ([]*keys.PreKey, error) {
		return k.PreKeyStore.GetOrGenPreKeys(ctx, count)
	})
}

func (k guardedPreKeys) MarkPreKeysAsUploaded(ctx context.Context, upTo uint32) error {
	return passOn(ctx, k.g, "mark prekeys", func(ctx context.Context) error { return k.PreKeyStore.MarkPreKeysAsUploaded(ctx, upTo) })
}
