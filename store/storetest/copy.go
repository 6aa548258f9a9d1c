package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.mau.fi/whatsmeow/proto/waAdv"
	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/transfer"
)

// RunCopy tests [transfer.Copy] and [transfer.Move] between two Stores. The
// first is a [transfer.Importer], and the second a [transfer.Exporter]. Each
// call of open must return empty Stores, which RunCopy closes. [Run] calls
// RunCopy with two Stores of one kind.
func RunCopy(t *testing.T, open func(t *testing.T) (to, from store.Store)) {
	t.Helper()
	for name, test := range map[string]func(t *testing.T, to, from store.Store){
		"all that is stored is copied":                      copyAll,
		"what the target has is not touched":                copyTaken,
		"a session in use is not copied":                    copyBusy,
		"what fails leaves nothing":                         copyFailing,
		"Move leaves one":                                   copyMove,
		"sessions are chosen by name, and one is not there": copyNamed,
		"the LID map of the target stays":                   copyLIDs,
		"the entry of a session goes along":                 copyEntries,
	} {
		t.Run("Copy: "+name, func(t *testing.T) {
			t.Parallel()
			to, from := open(t)
			if _, ok := to.(transfer.Importer); !ok {
				t.Skip("the Store is no Importer")
			}
			if _, ok := from.(transfer.Exporter); !ok {
				t.Skip("the Store is no Exporter")
			}
			test(t, closing(t, to), closing(t, from))
		})
	}
}

// whole links a device with all its fields set, and fills its stores.
func whole(t *testing.T, st store.Store, session string, device uint16) *wastore.Device {
	t.Helper()
	ctx := t.Context()
	d := get(t, st, session)
	Pair(d, JID(number, device))
	d.PushName, d.CompanionMetaNonce, d.LIDMigrationTimestamp = "Ana", "nonce", 1_700_000_000
	d.FacebookUUID[0] = 7
	for field, value := range reflect.ValueOf(transfer.Bare(d)).Elem().Fields() {
		if value.IsZero() && value.Kind() != reflect.Interface && value.Kind() != reflect.Bool {
			t.Errorf("whatsmeow's Device has a field %s, which storetest does not set", field.Name)
		}
	}
	if err := d.Save(ctx); err != nil {
		t.Fatalf("Save: %v", err)
	}
	fill(ctx, d, uint64(device))
	p, known := newPool(rand.New(rand.NewPCG(uint64(device), 3))), generators()
	for range 5 {
		p.draw(method{"LIDs", "PutLIDMapping"}, known).on(ctx, d)
	}
	write(t, d)
	return get(t, st, session)
}

func copyAll(t *testing.T, to, from store.Store) {
	t.Helper()
	ctx := t.Context()
	for i, session := range []string{"", "one", "\xff\x00"} {
		whole(t, from, session, uint16(i)+1)
	}
	Link(t, to, "other", JID(number, 9))
	stored, err := from.Sessions(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to do
		if err := transfer.Copy(ctx, to, from); err != nil {
			t.Fatalf("Copy: %v", err)
		}
	}
	for _, session := range stored {
		SameSession(t, session.Name, to, from)
		const known = 15
		if _, kinds := recordsOf(t, to, session.Name); kinds != known {
			t.Errorf("records of %d kinds, want all %d", kinds, known)
		}
	}
	if got, want := names(t, to), []string{"", "one", "other", "\xff\x00"}; !slices.Equal(got, want) {
		t.Errorf("the target has %q, want %q", got, want)
	}
	// The copy is a session like any other.
	device := get(t, to, "one")
	if err := device.Save(ctx); err != nil {
		t.Errorf("Save: %v", err)
	}
	if err := to.Delete(ctx, "one"); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	check(t, Link(t, to, "one", JID(number, 2)), unwritten)
}

// SameSession fails the test unless two Stores have the same data of a session.
func SameSession(t *testing.T, session string, to, from store.Store) {
	t.Helper()
	want, got := get(t, from, session), get(t, to, session)
	if got.ID == nil {
		t.Fatalf("session %q is not there", session)
	}
	if diff := cmp.Diff(transfer.Bare(want), transfer.Bare(got), cmp.Transformer("fields", accountFields)); diff != "" {
		t.Errorf("device of %q (-from +to):\n%s", session, diff)
	}
	if diff := different(dump(t.Context(), want), dump(t.Context(), got), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("session %q (-from +to):\n%s", session, diff)
	}
	before, _ := recordsOf(t, from, session)
	after, _ := recordsOf(t, to, session)
	if diff := different(before, after); diff != "" {
		t.Errorf("records of %q (-from +to):\n%s", session, diff)
	}
}

func accountFields(account *waAdv.ADVSignedDeviceIdentity) [4][]byte {
	return [4][]byte{account.GetDetails(), account.GetAccountSignatureKey(), account.GetAccountSignature(), account.GetDeviceSignature()}
}

// recordsOf returns all records of a session, sorted, and the number of their
// kinds.
func recordsOf(t *testing.T, st store.Store, session string) (all []string, kinds int) {
	t.Helper()
	exporter, _ := st.(transfer.Exporter)
	met := map[string]bool{}
	for record, err := range exporter.Export(t.Context(), session) {
		if err != nil {
			t.Fatalf("Export: %v", err)
		}
		met[record.Kind()] = true
		if device, ok := record.(transfer.DeviceRecord); ok { // SameSession compares it
			all = append(all, "linked "+device.LinkedAt.Format(time.RFC3339Nano))
			continue
		}
		all = append(all, fmt.Sprintf("%s %+v", record.Kind(), record))
	}
	slices.Sort(all)
	return all, len(met)
}

func copyTaken(t *testing.T, to, from store.Store) {
	t.Helper()
	ctx := t.Context()
	whole(t, from, "default", 1)
	whole(t, from, "second", 2)
	Link(t, to, "default", JID(number, 3))
	Link(t, to, "another", JID(number, 2))
	before := dump(ctx, get(t, to, "default"))
	err := transfer.Copy(ctx, to, from)
	if !errors.Is(err, transfer.ErrTaken) {
		t.Errorf("Copy: %v, want ErrTaken", err)
	}
	if err := sameDump("the target's session", before, dump(ctx, get(t, to, "default"))); err != nil {
		t.Error(err)
	}
	if got, want := names(t, to), []string{"another", "default"}; !slices.Equal(got, want) {
		t.Errorf("the target has %q, want %q", got, want)
	}

	// The same number, linked again, is another device.
	if err := to.Delete(ctx, "default"); err != nil {
		t.Fatal(err)
	}
	Link(t, to, "default", JID(number, 1))
	if err := transfer.Copy(ctx, to, from, transfer.Sessions("default")); !errors.Is(err, transfer.ErrTaken) {
		t.Errorf("Copy of another device of the same JID: %v, want ErrTaken", err)
	}
}

func copyBusy(t *testing.T, to, from store.Store) {
	t.Helper()
	whole(t, from, "default", 1)
	for _, st := range []store.Store{from, to} {
		leaser, ok := st.(store.Leaser)
		if !ok {
			continue
		}
		lease := begin(t, leaser, "default", holder("a bot"), long)
		err := transfer.Copy(t.Context(), to, from)
		busy, ok := errors.AsType[*store.BusyError](err)
		if !ok || busy.Lease.Holder != "a bot" {
			t.Errorf("Copy: %v, want a BusyError", err)
		}
		if got := names(t, to); len(got) != 0 {
			t.Errorf("the target has %q", got)
		}
		release(t, leaser, lease)
	}
	if err := transfer.Copy(t.Context(), to, from); err != nil {
		t.Errorf("Copy: %v", err)
	}
	for _, st := range []store.Store{from, to} { // and the lease was released
		if leaser, ok := st.(store.Leaser); ok {
			end(t, leaser, begin(t, leaser, "default", holder("a bot"), long))
		}
	}
}

func copyFailing(t *testing.T, to, from store.Store) {
	t.Helper()
	whole(t, from, "default", 1)
	exporter, _ := from.(transfer.Exporter)
	importer, _ := to.(transfer.Importer)
	total := 0
	for _, err := range exporter.Export(t.Context(), "default") {
		if err != nil {
			t.Fatal(err)
		}
		total++
	}
	failure := errors.New("the failure")
	for _, at := range []int{0, 1, 2, total / 2, total} {
		ctx, cancel := context.WithCancel(t.Context())
		for _, test := range []struct {
			what string
			end  func(yield func(transfer.Record, error) bool) bool
			want error
		}{
			{"an error", func(yield func(transfer.Record, error) bool) bool { return yield(nil, failure) }, failure},
			{"the end of ctx", func(func(transfer.Record, error) bool) bool {
				cancel()
				return true
			}, context.Canceled},
		} {
			err := importer.Import(ctx, "default", breaking(exporter.Export(t.Context(), "default"), at, test.end))
			if !errors.Is(err, test.want) {
				t.Errorf("Import with %s after %d records: %v, want %v", test.what, at, err, test.want)
			}
			if got := names(t, to); len(got) != 0 {
				t.Fatalf("after %s the target has %q", test.what, got)
			}
		}
		cancel()
	}
	// A loop that ends early is no error, and leaves nothing behind.
	for _, err := range exporter.Export(t.Context(), "default") {
		if err != nil {
			t.Error(err)
		}
		break
	}
	if err := transfer.Copy(t.Context(), to, from); err != nil {
		t.Fatalf("Copy: %v", err)
	}
	SameSession(t, "default", to, from)
}

// breaking calls end before record at of records.
func breaking(records iter.Seq2[transfer.Record, error], at int, end func(func(transfer.Record, error) bool) bool) iter.Seq2[transfer.Record, error] {
	return func(yield func(transfer.Record, error) bool) {
		i := 0
		for record, err := range records {
			if i == at && !end(yield) {
				return
			}
			if i++; !yield(record, err) {
				return
			}
		}
		if i == at {
			end(yield)
		}
	}
}

func copyMove(t *testing.T, to, from store.Store) {
	t.Helper()
	ctx := t.Context()
	whole(t, from, "default", 1)
	whole(t, from, "stays", 2)
	want := dump(ctx, get(t, from, "default"))
	if err := transfer.Move(ctx, to, from, transfer.Sessions("default")); err != nil {
		t.Fatalf("Move: %v", err)
	}
	if diff := different(want, dump(ctx, get(t, to, "default")), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the session (-from +to):\n%s", diff)
	}
	// As after a Move that was interrupted between the two steps.
	if err := transfer.Copy(ctx, to, from); err != nil {
		t.Fatalf("Copy: %v", err)
	}
	if err := transfer.Move(ctx, to, from); err != nil {
		t.Fatalf("Move: %v", err)
	}
	if got := names(t, from); len(got) != 0 {
		t.Errorf("the source has %q", got)
	}
	if err := transfer.Move(ctx, to, to); err == nil || len(names(t, to)) != 2 {
		t.Errorf("Move to the same Store: %v, and it has %q", err, names(t, to))
	}
}

func copyNamed(t *testing.T, to, from store.Store) {
	t.Helper()
	whole(t, from, "one", 1)
	whole(t, from, "two", 2)
	err := transfer.Copy(t.Context(), to, from, transfer.Sessions("none", "two"))
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Copy: %v, want ErrNotFound", err)
	}
	if got, want := names(t, to), []string{"two"}; !slices.Equal(got, want) {
		t.Errorf("the target has %q, want %q", got, want)
	}
	exporter, _ := from.(transfer.Exporter)
	for _, err := range exporter.Export(t.Context(), "none") {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Export: %v, want ErrNotFound", err)
		}
	}
}

func copyLIDs(t *testing.T, to, from store.Store) {
	t.Helper()
	ctx := t.Context()
	p := newPool(rand.New(rand.NewPCG(1, 4)))
	pn, lid, other := p.pn(), p.lid(), p.lid()
	for other == lid {
		other = p.lid()
	}
	source, target := Link(t, from, "default", JID(number, 1)), Link(t, to, "other", JID(number, 2))
	if got, err := target.LIDs.GetLIDForPN(ctx, *source.ID); err != nil || !got.IsEmpty() { // the answer may be cached
		t.Fatalf("LID %v, %v", got, err)
	}
	if err := errors.Join(
		source.LIDs.PutLIDMapping(ctx, source.LID, *source.ID),
		source.LIDs.PutLIDMapping(ctx, lid, pn),
		target.LIDs.PutLIDMapping(ctx, other, pn),
	); err != nil {
		t.Fatal(err)
	}
	if err := transfer.Copy(ctx, to, from); err != nil {
		t.Fatalf("Copy: %v", err)
	}
	for _, st := range []*wastore.Device{target, get(t, to, "default")} {
		if got, err := st.LIDs.GetLIDForPN(ctx, pn); err != nil || got != other {
			t.Errorf("LID %v, %v, want the target's", got, err)
		}
		if got, err := st.LIDs.GetLIDForPN(ctx, *source.ID); err != nil || got.User != source.LID.User {
			t.Errorf("LID %v, %v, want the source's", got, err)
		}
	}
}
