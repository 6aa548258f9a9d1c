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
// Whatever is not listed here has to be the same.
//
// Either answer is taken:
//
//   - the text of an error, as long as both fail and it wraps the same of
//     sentinels;
//   - the location of a time;
//   - an empty map or list and a nil one. A []byte that is not there is nil,
//     though: whatsmeow tells by it that there is no session, no sender key,
//     or that an event was handled before;
//   - which of several rows answers, where a message secret, a privacy token
//     of the same time or an outgoing event is stored under the phone number
//     and under the LID, or two app state keys have the same time (see
//     oracle.alternatives), and the order of app state keys of the same time;
//   - the bytes of prekeys, which are random, and the time of insertion of a
//     buffered event, which has to be that of the call.
//
// The sequences leave out (see generators and sequence), since sqlstore does
// there what no caller wants, or whatsmeow does not do it:
//
//   - MigratePNToLID of a device that has been in use: sqlstore migrates a
//     number once for each load of a device, and after a failure too says that
//     all is done without doing it. Both devices are loaded anew before;
//   - writing to Contacts and LIDs, and MigratePNToLID, inside of a
//     transaction: the caches of sqlstore keep what was rolled back;
//   - what follows a call that has failed, inside of a transaction: the
//     transaction is ended, as in whatsmeow and as PostgreSQL demands;
//   - one user twice in a PutManyLIDMappings: sqlstore passes over what its cache
//     knows, so that which pair wins is a matter of what was asked before;
//   - removing the last prekey: sqlstore then gives its ID to another one;
//   - addresses that are LIKE patterns of others: sqlstore deletes all that
//     match. What is demanded is in the cases of odd keys;
//   - values that are nil where SQL has NOT NULL, empty ones, which come back
//     as nil, JIDs without a server, which are NULL, no privacy tokens at all,
//     which are an error of syntax, an app state of version 0, which can be
//     put and not be read, or of one beyond int64, and times before 1970 and
//     fractions of a second, which are lost.
//
// More than sqlstore does is demanded in the cases, which need no oracle:
// privacy tokens go with their device; what is deleted or migrated is what was
// named, and no pattern; a migration that failed or was rolled back is done the
// next time; contacts are read and written by several goroutines at once, where
// sqlstore has a race; and after a call whose ctx had ended nothing has changed.
// Cases of ctx ask for what was never asked for: a Store may answer from a
// cache, or refuse an argument, without looking at ctx.

// sentinels returns the errors that whatsmeow's callers look for.
func sentinels() []error {
	return []error{context.Canceled, context.DeadlineExceeded, sql.ErrNoRows, wastore.ErrDeviceDeleted, errRollback, errPanic}
}

// diff says how the answer got of a Store differs from what sqlstore has said.
func (o *oracle) diff(ctx context.Context, our types.JID, c call, want, got answer) string {
	if diff := diffErrors(want.err, got.err); diff != "" || want.err != nil {
		return diff
	}
	diff := cmp.Diff(plain(want.results), plain(got.results))
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

// plain takes out of results in what they may differ.
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
