package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink/store"
)

func runUse(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	t.Run("clause 8: many goroutines at once", func(t *testing.T) {
		t.Parallel()
		const devices = 16
		st := open(t)
		var group sync.WaitGroup
		for i := range devices {
			group.Go(func() {
				if err := link(t.Context(), st, i); err != nil {
					t.Errorf("device %d: %v", i, err)
				}
			})
		}
		group.Wait()
		if got := len(names(t, st)); got != devices/2 {
			t.Errorf("%d sessions, want %d", got, devices/2)
		}
	})

	t.Run("clause 8: ctx is obeyed", func(t *testing.T) {
		t.Parallel()
		st := open(t)
		device := Link(t, st, "default", JID(number, 1))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, deviceErr := st.Device(ctx, "default")
		_, sessionsErr := st.Sessions(ctx)
		for what, err := range map[string]error{
			"Device":     deviceErr,
			"Sessions":   sessionsErr,
			"Delete":     st.Delete(ctx, "default"),
			"Save":       device.Save(ctx),
			"PutSession": device.Sessions.PutSession(ctx, "1:0", []byte("session")),
		} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v, want context.Canceled", what, err)
			}
		}
		if got := get(t, st, "default"); got.ID == nil {
			t.Error("the session is gone")
		}
	})

	t.Run("clause 9: Close may be called twice and ends everything", func(t *testing.T) {
		t.Parallel()
		st := open(t)
		fresh := get(t, st, "fresh")
		Pair(fresh, JID(number, 2))
		linked := Link(t, st, "default", JID(number, 1))
		for range 2 {
			if err := st.Close(); err != nil {
				t.Fatalf("Close: %v", err)
			}
		}
		for what, err := range storeErrors(t.Context(), st) {
			if !errors.Is(err, store.ErrClosed) {
				t.Errorf("after Close, %s: %v, want ErrClosed", what, err)
			}
		}
		for what, err := range map[string]error{
			"Save of a new device":  fresh.Save(t.Context()),
			"Save of a linked one":  linked.Save(t.Context()),
			"PutSession of the one": linked.Sessions.PutSession(t.Context(), "1:0", []byte("session")),
		} {
			if err == nil {
				t.Errorf("after Close, %s succeeded", what)
			}
		}
	})
}

// storeErrors makes each call of a Store and its optional interfaces, and returns the errors.
func storeErrors(ctx context.Context, st store.Store) map[string]error {
	_, deviceErr := st.Device(ctx, "default")
	_, sessionsErr := st.Sessions(ctx)
	errs := map[string]error{"Device": deviceErr, "Sessions": sessionsErr, "Delete": st.Delete(ctx, "default")}
	if ledger, ok := st.(store.Ledger); ok {
		now := time.Now()
		_, errs["TakeCode"] = ledger.TakeCode(ctx, number, now, 1, time.Minute)
		_, errs["RefuseCode"] = ledger.RefuseCode(ctx, number, now, time.Minute)
		_, _, errs["PeekCode"] = ledger.PeekCode(ctx, number, now, 1, time.Minute)
	}
	if leaser, ok := st.(store.Leaser); ok {
		_, _, errs["TakeLeases"] = leaser.TakeLeases(ctx, []string{"default"}, holder("one"), time.Minute)
		_, errs["RenewHolder"] = leaser.RenewHolder(ctx, holder("one"), time.Minute)
		_, errs["PeekLease"] = leaser.PeekLease(ctx, "default")
		_, errs["Leases"] = leaser.Leases(ctx)
		errs["ReleaseLease"] = leaser.ReleaseLease(ctx, store.Lease{Session: "default"})
		errs["EndHolder"] = leaser.EndHolder(ctx, holder("one"))
	}
	if registry, ok := st.(store.Registry); ok {
		maps.Copy(errs, registryErrors(ctx, registry, "value"))
	}
	if checker, ok := st.(store.Checker); ok {
		errs["Check"] = checker.Check(ctx)
	}
	return errs
}

func runCheck(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	t.Run("Checker: a Store in order, and one that is closed", func(t *testing.T) {
		t.Parallel()
		st := open(t)
		checker, ok := st.(store.Checker)
		if !ok {
			t.Skip("the Store is no Checker")
		}
		if err := checker.Check(t.Context()); err != nil {
			t.Errorf("Check of an empty Store: %v", err)
		}
		write(t, Link(t, st, "default", JID(number, 1)))
		if err := checker.Check(t.Context()); err != nil {
			t.Errorf("Check: %v", err)
		}
		check(t, get(t, st, "default"), written)
		if diff := cmp.Diff([]string{"default"}, names(t, st)); diff != "" {
			t.Errorf("sessions after Check (-want +got):\n%s", diff)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := checker.Check(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Check: %v, want context.Canceled", err)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		if err := checker.Check(t.Context()); err == nil {
			t.Error("Check of a closed Store found nothing")
		}
	})
}

// link does everything that happens to a device when it is linked, and deletes
// every second device.
func link(ctx context.Context, st store.Store, i int) error {
	session := fmt.Sprintf("session %d", i)
	device, err := st.Device(ctx, session)
	if err != nil {
		return err
	}
	Pair(device, JID(fmt.Sprintf("55119%08d", i), 1))
	if err := device.Save(ctx); err != nil {
		return err
	}
	if err := device.LIDs.PutLIDMapping(ctx, device.LID, *device.ID); err != nil {
		return err
	}
	if _, err := device.PreKeys.GetOrGenPreKeys(ctx, 50); err != nil {
		return err
	}
	for range 5 {
		if err := device.Sessions.PutSession(ctx, "1:0", []byte("session")); err != nil {
			return err
		}
		if lid, err := device.LIDs.GetLIDForPN(ctx, *device.ID); err != nil || lid.User != device.LID.User {
			return fmt.Errorf("LID %v, %w", lid, err)
		}
		if _, err := st.Sessions(ctx); err != nil {
			return err
		}
	}
	if i%2 == 0 {
		return st.Delete(ctx, session)
	}
	return nil
}
