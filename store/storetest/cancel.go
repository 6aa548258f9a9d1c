package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/store"
)

// cancellation calls every method of whatsmeow's stores with a ctx that has
// ended. A Store may answer from a cache, as sqlstore does. So the devices are
// loaded again first, and the LID map is asked for users that it was never
// asked for.
func cancellation(ctx context.Context, st store.Store) error {
	device, err := linked(ctx, st, "default", 1)
	if err != nil {
		return err
	}
	fill(ctx, device, 1)
	before := dump(ctx, device)
	if device, err = st.Device(ctx, "default"); err != nil {
		return err
	}

	var errs []error
	ended, cancel := context.WithCancel(ctx)
	cancel()
	p, known := newPool(rand.New(rand.NewPCG(1, 3))), generators()
	p.device = device
	maps.Copy(known, completeGenerators(func() {
		join(&errs, errors.New("DoDecryptionTxn ran its function though ctx has ended"))
	}))
	for _, m := range methods() {
		if known[m.field+"."+m.name] == nil {
			join(&errs, unknown([]method{m}, known))
			continue
		}
		for range 3 {
			p.first = 0
			if m.field == "LIDs" {
				p.first = 100
			}
			c := p.drawFull(m, known)
			if a := c.on(ended, device); !errors.Is(a.err, context.Canceled) {
				join(&errs, failf("%v with a ctx that has ended: %v, %v, want context.Canceled", c, a.results, a.err))
			}
		}
	}

	if device, err = st.Device(ctx, "default"); err != nil {
		return err
	}
	join(&errs, sameDump("the stores after calls with a ctx that has ended", before, dump(ctx, device)))
	for i := range users {
		pn := types.JID{User: fmt.Sprintf("4915%d", 200+i), Server: types.DefaultUserServer}
		if lid, err := device.LIDs.GetLIDForPN(ctx, pn); err != nil || !lid.IsEmpty() {
			join(&errs, failf("after calls with a ctx that has ended the LID of %s is %s, %v", pn, lid, err))
		}
	}
	return errors.Join(errs...)
}

// completeGenerators make calls that a Store cannot answer or refuse without
// reading its data. called is called by the function of a transaction.
func completeGenerators(called func()) map[string]generator {
	return map[string]generator{
		"EventBuffer.DoDecryptionTxn": func(*pool) []any {
			return []any{func(context.Context) error {
				called()
				return nil
			}}
		},
		"MsgSecrets.PutMessageSecrets": func(p *pool) []any {
			return []any{[]wastore.MessageSecretInsert{{Chat: p.chat(), Sender: p.person(), ID: p.message(), Secret: p.value()}}}
		},
		"LIDs.PutManyLIDMappings": func(p *pool) []any { return []any{[]wastore.LIDMapping{{LID: p.lid(), PN: p.pn()}}} },
		"LIDs.PutLIDMapping":      func(p *pool) []any { return []any{p.lid(), p.pn()} },
		"LIDs.GetPNForLID":        func(p *pool) []any { return []any{p.lid()} },
		"LIDs.GetLIDForPN":        func(p *pool) []any { return []any{p.pn()} },
		"LIDs.GetManyLIDsForPNs":  func(p *pool) []any { return []any{[]types.JID{p.pn()}} },
	}
}

// cancelledTxn ends the ctx of a transaction inside it.
func cancelledTxn(ctx context.Context, st store.Store) error {
	device, err := linked(ctx, st, "default", 1)
	if err != nil {
		return err
	}
	inside, cancel := context.WithCancel(ctx)
	defer cancel()
	err = device.EventBuffer.DoDecryptionTxn(inside, func(ctx context.Context) error {
		err := device.Sessions.PutSession(ctx, "1:0", []byte("session"))
		cancel()
		return err
	})
	if err == nil {
		return errors.New("DoDecryptionTxn succeeded though its ctx has ended")
	}
	// The next transaction waits until the first has really ended.
	return device.EventBuffer.DoDecryptionTxn(ctx, func(ctx context.Context) error {
		if has, err := device.Sessions.HasSession(ctx, "1:0"); err != nil || has {
			return failf("after a transaction whose ctx has ended HasSession is %t, %v, want false", has, err)
		}
		return nil
	})
}

// migrationAgain tests a migration that sqlstore makes once for each load of a
// device, and takes for done even if it has failed.
func migrationAgain(ctx context.Context, st store.Store) error {
	device, err := linked(ctx, st, "default", 1)
	if err != nil {
		return err
	}
	pn := JID(peer, 0)
	lid := types.JID{User: "7700", Server: types.HiddenUserServer}
	if err := device.Sessions.PutSession(ctx, pn.SignalAddress().String(), []byte("session")); err != nil {
		return err
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := device.Sessions.MigratePNToLID(ended, pn, lid); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("MigratePNToLID: %w, want context.Canceled", err)
	}
	err = device.EventBuffer.DoDecryptionTxn(ctx, func(ctx context.Context) error {
		return errors.Join(device.Sessions.MigratePNToLID(ctx, pn, lid), errRollback)
	})
	if !errors.Is(err, errRollback) {
		return err
	}
	if err := device.Sessions.MigratePNToLID(ctx, pn, lid); err != nil {
		return err
	}
	got, err := device.Sessions.GetSession(ctx, lid.SignalAddress().String())
	if err != nil || string(got) != "session" {
		return failf("after a MigratePNToLID that failed, one that was rolled back and one that succeeded the LID has the session %q, %v", got, err)
	}
	return nil
}
