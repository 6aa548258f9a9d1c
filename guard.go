package walink

import (
	"context"
	"errors"
	"fmt"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
)

// How long one call of a store may take. While a device is being linked it is
// less than one try to log in has (loginTryLimit), and for a session that is
// resumed less than the whole attempt (openLimit): else a store that does not
// answer would be told as a WhatsApp that does not.
const (
	linkStoreLimit   = 8 * time.Second
	resumeStoreLimit = 20 * time.Second
	refusalLimit     = 3 * time.Second // to record that a code was refused
	heedGrace        = time.Second     // for a store to heed the end of its context
)

// ask makes a call of somebody else's code, which may not heed its context: when
// this has ended it is given the grace, and then left to itself. answered is
// false then, and err that of the context.
func ask[T any](ctx context.Context, grace time.Duration, call func(context.Context) (T, error)) (value T, answered bool, err error) {
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		value, err := call(ctx)
		answers <- answer{value, err}
	}()
	select {
	case a := <-answers:
		return a.value, true, a.err
	case <-ctx.Done():
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case a := <-answers:
		return a.value, true, a.err
	case <-timer.C:
		return value, false, ctx.Err()
	}
}

// bounded calls a store, and returns [slowStore] if it has not answered when
// limit has passed.
func bounded[T any](ctx context.Context, limit time.Duration, call func(context.Context) (T, error)) (T, error) {
	inner, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	value, _, err := ask(inner, heedGrace, call)
	if err != nil && ctx.Err() == nil && errors.Is(inner.Err(), context.DeadlineExceeded) {
		err = slowStore(limit)
	}
	return value, err
}

// slowStore is the cause of an ErrStore: no answer in this time.
type slowStore time.Duration

func (s slowStore) Error() string {
	return fmt.Sprintf("the store did not answer within %v", time.Duration(s))
}

// guard stands before the stores that whatsmeow calls on the way to Linked. It
// bounds each call, and tells of one that was not answered: whatsmeow waits for
// its stores without a limit, and only logs most of what they answer. After the
// login it lets everything through.
type guard struct {
	limit   time.Duration
	free    func() bool  // whether the login is over
	stalled func(*Error) // is told of each call that was not answered
}

// put places the guard before the stores of a device, in the place of an
// earlier one: a Store may give the same device twice.
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
	if g.free() {
		return call(ctx)
	}
	value, err := bounded(ctx, g.limit, call)
	if _, slow := errors.AsType[slowStore](err); slow {
		g.stalled(&Error{Reason: ErrStore, Op: op, Err: err})
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

// PutDevice saves the device. The first one gives it its stores (sqlstore's initializeDevice).
func (c guardedContainer) PutDevice(ctx context.Context, device *wastore.Device) error {
	err := passOn(ctx, c.g, "save device", func(ctx context.Context) error { return c.DeviceContainer.PutDevice(ctx, device) })
	if err == nil {
		c.g.put(device)
	}
	return err
}

func (c guardedContainer) DeleteDevice(ctx context.Context, device *wastore.Device) error {
	return passOn(ctx, c.g, "delete device", func(ctx context.Context) error { return c.DeviceContainer.DeleteDevice(ctx, device) })
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
