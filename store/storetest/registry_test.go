package storetest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/storetest"
)

// registry is a Store that does one thing wrong with entries.
type registry struct {
	*kv.Store
	wrong string
	last  []byte // the value that was stored last
}

func (r *registry) PutEntry(ctx context.Context, entry store.Entry) error {
	switch r.wrong {
	case "names without case":
		entry.Session = strings.ToLower(entry.Session)
	case "a value ends with NUL":
		entry.Value = []byte(cutAtNUL(string(entry.Value)))
	case "the longest value is refused":
		if len(entry.Value) == store.MaxEntry {
			return errOther
		}
	case "what is too long is cut off":
		entry.Value = entry.Value[:min(len(entry.Value), store.MaxEntry)]
	case "what is too long deletes":
		if len(entry.Value) > store.MaxEntry {
			return errors.Join(errOther, r.Store.DeleteEntry(ctx, entry.Session))
		}
	case "values are not copied":
		r.last = entry.Value
	case "ctx is ignored":
		return r.Store.PutEntry(context.WithoutCancel(ctx), entry)
	case "ctx is obeyed too late":
		return errors.Join(r.Store.PutEntry(context.WithoutCancel(ctx), entry), ctx.Err())
	case "the first value stays":
		if _, err := r.Store.Entry(ctx, entry.Session); err == nil {
			return nil
		}
	case "not atomic":
		half := store.Entry{Session: entry.Session, Value: entry.Value[:len(entry.Value)/2]}
		if err := r.Store.PutEntry(ctx, half); err != nil {
			return err
		}
		runtime.Gosched()
	case "an entry ends leases":
		if lease, err := r.PeekLease(ctx, entry.Session); err == nil {
			_ = r.ReleaseLease(ctx, lease)
		}
	}
	if err := r.Store.PutEntry(ctx, entry); err != nil {
		if r.wrong == "an error says all" {
			return fmt.Errorf("%s: %w", entry.Value, err)
		}
		if r.wrong == "open for ever" {
			return nil
		}
		return err
	}
	return nil
}

func (r *registry) Entry(ctx context.Context, session string) (store.Entry, error) {
	entry, err := r.Store.Entry(ctx, session)
	switch {
	case r.wrong == "no entry is an empty one" && errors.Is(err, store.ErrNotFound):
		return store.Entry{Session: session}, nil
	case r.wrong == "values are not copied" && err == nil:
		entry.Value = r.last
	}
	return entry, err
}

func (r *registry) Entries(ctx context.Context) ([]store.Entry, error) {
	all, err := r.Store.Entries(ctx)
	switch r.wrong {
	case "backwards":
		slices.Reverse(all)
	case "empty values are not listed":
		all = slices.DeleteFunc(all, func(e store.Entry) bool { return bytes.Equal(e.Value, nil) })
	}
	return all, err
}

func (r *registry) DeleteEntry(ctx context.Context, session string) error {
	switch _, err := r.Store.Entry(ctx, session); {
	case r.wrong == "delete once" && err != nil:
		return err
	case r.wrong == "an entry goes with its device":
		_ = r.Store.Delete(ctx, session)
	}
	return r.Store.DeleteEntry(ctx, session)
}

func (r *registry) Delete(ctx context.Context, session string) error {
	if r.wrong == "Delete deletes the entry" {
		_ = r.Store.DeleteEntry(ctx, session)
	}
	return r.Store.Delete(ctx, session)
}

func TestRegistryCasesFindWhatIsBroken(t *testing.T) {
	t.Parallel()
	for wrong, by := range map[string]string{
		"names without case":            "clause 1: any string is a session",
		"no entry is an empty one":      "clause 1: any string is a session",
		"a value ends with NUL":         "clause 1: any bytes are a value",
		"the longest value is refused":  "clause 1: any bytes are a value",
		"values are not copied":         "clause 1: any bytes are a value",
		"empty values are not listed":   "clause 1: any bytes are a value",
		"what is too long is cut off":   "clause 1: a value that is too long is refused",
		"what is too long deletes":      "clause 1: a value that is too long is refused",
		"Delete deletes the entry":      "clause 2: an entry does not depend on a device",
		"an entry goes with its device": "clause 2: an entry does not depend on a device",
		"an entry ends leases":          "clause 2: a lease does not depend on an entry",
		"the first value stays":         "clause 3: the last of many values is there, whole",
		"not atomic":                    "clause 3: the last of many values is there, whole",
		"ctx is ignored":                "clause 3: ctx is obeyed and nothing is changed",
		"ctx is obeyed too late":        "clause 3: ctx is obeyed and nothing is changed",
		"backwards":                     "clause 4: entries are listed, and deleted only once",
		"delete once":                   "clause 4: entries are listed, and deleted only once",
		"an error says all":             "clause 5: no error has a value",
		"open for ever":                 "clause 6: after Close each call returns ErrClosed",
	} {
		t.Run(wrong, func(t *testing.T) {
			t.Parallel()
			test := storetest.RegistryCases()[by]
			if test == nil {
				t.Fatalf("no case is named %q", by)
			}
			for range 50 { // a race may not be lost the first time
				if fails(t, func(tb testing.TB) {
					tb.Helper()
					st := &registry{Store: kv.New(memory.New()), wrong: wrong}
					test(tb, st, st)
				}) {
					return
				}
			}
			t.Errorf("%q found nothing", by)
		})
	}
}
