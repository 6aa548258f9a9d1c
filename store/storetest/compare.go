package storetest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
)

// The allowed differences: where a Store need not answer as sqlstore does.
// Everything that is not listed here must be the same.
//
// The suite accepts any of these answers:
//
//   - the text of an error, as long as both fail and both wrap the same
//     sentinels;
//   - the location of a time;
//   - an empty map or list, or nil. But a []byte that does not exist must be
//     nil: from this whatsmeow knows that there is no session or no sender key,
//     or that an event was handled before;
//   - any of several rows, if a message secret, a privacy token of the same
//     time or an outgoing event is stored both under the phone number and under
//     the LID, or if two app state keys have the same time (see
//     oracle.alternatives). The order of app state keys of the same time;
//   - the bytes of prekeys, which are random, and the time of insertion of a
//     buffered event, which must be that of the call.
//
// The sequences leave out these calls (see generators and sequence). Either
// sqlstore does something that no caller wants, or whatsmeow does not make the
// call:
//
//   - MigratePNToLID of a device that was used: sqlstore migrates a number once
//     for each load of a device, and after a failure it reports success without
//     migrating. So both devices are loaded again first;
//   - writes to Contacts and LIDs, and MigratePNToLID, inside a transaction:
//     the caches of sqlstore keep what was rolled back;
//   - calls after a failed call inside a transaction: the transaction is ended,
//     as whatsmeow does and PostgreSQL requires;
//   - one user twice in a PutManyLIDMappings: sqlstore skips pairs that its
//     cache knows, so the pair that wins depends on earlier calls;
//   - removing the last prekey: sqlstore then gives its ID to another prekey;
//   - addresses that are LIKE patterns of others: sqlstore deletes everything
//     that matches. The cases of odd keys say what is required;
//   - values that sqlstore does not keep: nil for a column that is NOT NULL,
//     empty values, which come back as nil, JIDs without a server, which become
//     NULL, an empty list of privacy tokens, which is a syntax error, an app
//     state of version 0, which can be put but not read, or of a version beyond
//     int64, times before 1970, and fractions of a second, which are lost.
//
// The cases, which need no oracle, require more than sqlstore does. Privacy
// tokens are deleted with their device. A deletion or migration affects what it
// names, and nothing else. A migration that failed or was rolled back is
// repeated the next time. Several goroutines may read and write contacts at
// once, where sqlstore has a race. A call whose ctx has ended changes nothing.
// The cases about ctx use values that were never read before, because a Store
// may answer from a cache, or refuse an argument, without looking at ctx.

// sentinels returns the errors that whatsmeow's callers look for.
func sentinels() []error {
	return []error{context.Canceled, context.DeadlineExceeded, sql.ErrNoRows, wastore.ErrDeviceDeleted, errRollback, errPanic}
}

// diff returns how the answer got of a Store differs from that of sqlstore.
func (o *oracle) diff(ctx context.Context, our types.JID, c call, want, got answer) string {
	if diff := diffErrors(want.err, got.err); diff != "" || want.err != nil {
		return diff
	}
	diff := different(plain(want.results), plain(got.results))
	if diff == "" {
		return ""
	}
	rows, err := o.alternatives(ctx, our, c)
	if err != nil {
		return fmt.Sprintf("%s\nand the other answers of sqlstore: %v", diff, err)
	}
	for _, row := range rows {
		if cmp.Equal(row, got.results) {
			return ""
		}
	}
	return diff
}

// different is cmp.Diff for values that are mostly the same, which reflect.DeepEqual finds out
// in a fraction of the time.
func different(want, got any, opts ...cmp.Option) string {
	if reflect.DeepEqual(want, got) {
		return ""
	}
	return cmp.Diff(want, got, opts...)
}

func diffErrors(want, got error) string {
	same := (want == nil) == (got == nil)
	for _, sentinel := range sentinels() {
		same = same && errors.Is(want, sentinel) == errors.Is(got, sentinel)
	}
	if same {
		return ""
	}
	return fmt.Sprintf("error of sqlstore: %v\nerror of the Store: %v\n", want, got)
}

// plain removes from results everything that may differ.
func plain(results []any) []any {
	out := make([]any, len(results))
	for i, result := range results {
		switch result := result.(type) {
		case []byte:
			out[i] = result
		case []*keys.PreKey:
			ids := []uint32{}
			for _, key := range result {
				ids = append(ids, key.KeyID)
			}
			out[i] = ids
		case *keys.PreKey:
			if result != nil {
				out[i] = result.KeyID
			}
		case *wastore.BufferedEvent:
			out[i] = result
			if result != nil && time.Since(result.InsertTime).Abs() < time.Hour {
				event := *result
				event.InsertTime = time.Time{}
				out[i] = &event
			}
		case []*wastore.AppStateSyncKey:
			out[i] = ordered(result)
		default:
			out[i] = filled(result)
		}
	}
	return out
}

// filled returns nil for an empty map or list.
func filled(v any) any {
	value := reflect.ValueOf(v)
	if kind := value.Kind(); (kind == reflect.Map || kind == reflect.Slice) && value.Len() == 0 {
		return nil
	}
	return v
}

// ordered sorts keys of the same time.
func ordered(list []*wastore.AppStateSyncKey) any {
	list = slices.Clone(list)
	for start := 0; start < len(list); {
		end := start + 1
		for end < len(list) && list[end].Timestamp == list[start].Timestamp {
			end++
		}
		slices.SortFunc(list[start:end], func(a, b *wastore.AppStateSyncKey) int { return bytes.Compare(a.Data, b.Data) })
		start = end
	}
	return filled(list)
}

func seconds(at int64) time.Time { return time.Unix(at, 0) }
