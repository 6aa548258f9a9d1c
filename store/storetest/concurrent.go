package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/store"
)

// concurrency runs several goroutines on each of several devices. Each
// goroutine has its own keys, and some keys are shared.
func concurrency(ctx context.Context, st store.Store) error {
	const devices, each = 3, 4
	var all [devices]*wastore.Device
	for i := range all {
		var err error
		if all[i], err = linked(ctx, st, fmt.Sprint(i), uint16(i)+1); err != nil {
			return err
		}
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	ids := map[int][]uint32{} // of the prekeys of a device
	for i, device := range all {
		for j := range each {
			group.Go(func() {
				w := worker{device: device, address: fmt.Sprintf("4915%d%d:0", i, j), user: fmt.Sprintf("4915%d%d", i, j)}
				err := w.work(ctx)
				mu.Lock()
				defer mu.Unlock()
				join(&errs, err)
				ids[i] = append(ids[i], w.preKeys...)
			})
		}
	}
	group.Wait()
	for i, list := range ids {
		slices.Sort(list)
		if len(slices.Compact(slices.Clone(list))) != len(list) {
			join(&errs, fmt.Errorf("device %d has given a prekey twice: %d", i, list))
		}
		if got, err := all[i].PreKeys.UploadedPreKeyCount(ctx); err != nil || got != len(list) {
			join(&errs, failf("device %d has %d prekeys, %v, want %d", i, got, err, len(list)))
		}
	}
	return errors.Join(errs...)
}

type worker struct {
	device        *wastore.Device
	address, user string
	preKeys       []uint32
}

func (w *worker) work(ctx context.Context) error {
	shared, own := JID(peer, 0), JID(w.user, 0)
	lid := types.JID{User: "77" + w.user, Server: types.HiddenUserServer}
	for round := range 6 {
		value := fmt.Sprintf("%s %d", w.address, round)
		key, err := w.device.PreKeys.GenOnePreKey(ctx)
		if err != nil {
			return err
		}
		w.preKeys = append(w.preKeys, key.KeyID)
		_, _, err = w.device.Contacts.PutPushName(ctx, shared, value)
		_, _, err2 := w.device.Contacts.PutBusinessName(ctx, own, value)
		if err := errors.Join(
			err, err2,
			w.device.LIDs.PutLIDMapping(ctx, lid, own),
			w.device.ChatSettings.PutPinned(ctx, shared, round%2 == 0),
			w.device.NCTSalt.PutNCTSalt(ctx, []byte(value)),
			w.device.EventBuffer.DoDecryptionTxn(ctx, func(ctx context.Context) error {
				if err := w.device.Sessions.PutSession(ctx, w.address, []byte(value)); err != nil {
					return err
				}
				return w.check(ctx, value)
			}),
		); err != nil {
			return err
		}
		err = w.device.EventBuffer.DoDecryptionTxn(ctx, func(ctx context.Context) error {
			return errors.Join(w.device.Sessions.DeleteAllSessions(ctx, w.user), errRollback)
		})
		if !errors.Is(err, errRollback) {
			return err
		}
		if err := w.check(ctx, value); err != nil {
			return err
		}
		if name, err := w.device.Contacts.GetContact(ctx, shared); err != nil || name.PushName == "" {
			return failf("the contact of all is %v, %v", name, err)
		}
		if name, err := w.device.Contacts.GetContact(ctx, own); err != nil || name.BusinessName != value {
			return failf("the contact %s is %v, %v, want %s", own, name, err, value)
		}
		if got, err := w.device.LIDs.GetLIDForPN(ctx, own); err != nil || got != lid {
			return failf("the LID of %s is %s, %v, want %s", own, got, err, lid)
		}
	}
	return nil
}

func (w *worker) check(ctx context.Context, want string) error {
	if got, err := w.device.Sessions.GetSession(ctx, w.address); err != nil || string(got) != want {
		return failf("the session of %s is %q, %v, want %q", w.address, got, err, want)
	}
	return nil
}
