package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink/store"
)

// cases need no more than an empty Store.
func cases() map[string]func(ctx context.Context, st store.Store) error {
	return map[string]func(ctx context.Context, st store.Store) error{
		"stores: two sessions never see each other's data":          isolation,
		"stores: what a device of a deleted session writes is lost": stale,
		"stores: ctx is obeyed by every method":                     cancellation,
		"stores: a transaction whose ctx ends is rolled back":       cancelledTxn,
		"stores: a migration that failed is done the next time":     migrationAgain,
		"stores: odd keys of Signal's stores":                       oddSignal,
		"stores: odd keys of the other stores":                      oddAccount,
		"stores: odd users":                                         oddUsers,
		"stores: large values":                                      largeValues,
		"stores: large batches":                                     largeBatches,
		"stores: many goroutines on the stores of several devices":  concurrency,
		"clause 6: any string is a name":                            oddSessions,
	}
}

func runCases(t *testing.T, open func(t *testing.T) store.Store, o options) {
	t.Helper()
	for name, test := range cases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := test(context.WithValue(t.Context(), textKeys{}, o.text), open(t)); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("stores: every method of whatsmeow's stores is known", func(t *testing.T) {
		t.Parallel()
		if err := unknown(methods(), generators()); err != nil {
			t.Error(err)
		}
	})
}

// linked is [Link] without a test.
func linked(ctx context.Context, st store.Store, session string, device uint16) (*wastore.Device, error) {
	d, err := st.Device(ctx, session)
	if err != nil {
		return nil, err
	}
	if d.ID != nil {
		return nil, fmt.Errorf("Device(%q) is linked, want a fresh one", session)
	}
	Pair(d, JID(number, device))
	err = d.Save(ctx)
	return d, err
}

// isolation has two devices of one number. The JID and the session of one are
// the beginning of the other's.
func isolation(ctx context.Context, st store.Store) error {
	devices, names := [2]*wastore.Device{}, [2]string{"one", "one:1"}
	numbers := [2]uint16{1, 11}
	var err error
	for i, name := range names {
		if devices[i], err = linked(ctx, st, name, numbers[i]); err != nil {
			return err
		}
	}
	empty := dump(ctx, devices[0])
	var errs []error
	join(&errs, sameDump("two new devices", empty, dump(ctx, devices[1])))
	for round, i := range []int{0, 1} {
		other := 1 - i
		before := dump(ctx, devices[other])
		fill(ctx, devices[i], uint64(round)+1)
		join(&errs, sameDump("a device when the other one was written to", before, dump(ctx, devices[other])))
		if sameDump("", empty, dump(ctx, devices[i])) == nil {
			return errors.New("what was written to a device is not there")
		}
	}
	for i, name := range names {
		other := 1 - i
		before := dump(ctx, devices[other])
		if err := st.Delete(ctx, name); err != nil {
			return err
		}
		join(&errs, sameDump("a device when the other one was deleted", before, dump(ctx, devices[other])))
		if devices[i], err = linked(ctx, st, name, numbers[i]); err != nil {
			return err
		}
		join(&errs, sameDump("a device that was deleted and linked again", empty, dump(ctx, devices[i])))
		if devices[other], err = st.Device(ctx, names[other]); err != nil {
			return err
		}
		join(&errs, sameDump("a device that was loaded after the other one was deleted", before, dump(ctx, devices[other])))
		fill(ctx, devices[i], uint64(i)+3)
	}
	return errors.Join(errs...)
}

// stale tests a client that does not know yet that its session was deleted.
func stale(ctx context.Context, st store.Store) error {
	old, err := linked(ctx, st, "default", 1)
	if err != nil {
		return err
	}
	empty := dump(ctx, old)
	if err := st.Delete(ctx, "default"); err != nil {
		return err
	}
	fill(ctx, old, 1)
	device, err := linked(ctx, st, "default", 1)
	if err != nil {
		return err
	}
	return sameDump("a device that was linked again", empty, dump(ctx, device))
}
