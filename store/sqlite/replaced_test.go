package sqlite_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/store/storetest"
	"github.com/walink/walink/store/transfer"
)

// restore puts a backup in the place of the database.
func restore(t *testing.T, path string) error {
	t.Helper()
	backup := filepath.Join(t.TempDir(), "backup.db")
	st := open(t, backup)
	storetest.Link(t, st, "restored", storetest.JID("4915123456789", 1))
	return errors.Join(st.Close(), os.Rename(backup, path))
}

func TestNothingIsStoredInAFileThatWasReplaced(t *testing.T) {
	t.Parallel()
	const gone, kept, stop = "Restore the file, or restart this program", "Restart this program, and do not replace the file while it runs.", "Stop this program in the ordinary way"
	for name, test := range map[string]struct {
		harm   func(t *testing.T, path string) error
		remedy string
		then   string // the session that is in the file after Close
	}{
		"deleted":              {func(_ *testing.T, path string) error { return os.Remove(path) }, gone, ""},
		"moved away":           {func(_ *testing.T, path string) error { return os.Rename(path, path+".old") }, gone, ""},
		"replaced by a backup": {restore, kept, "restored"},
		"without its -wal":     {func(_ *testing.T, path string) error { return os.Remove(path + "-wal") }, stop, "linked"},
	} {
		for kind, connect := range map[string]func(t *testing.T, path string) *sqlite.Store{
			"Open":   func(t *testing.T, path string) *sqlite.Store { return open(t, path) },
			"OpenDB": func(t *testing.T, path string) *sqlite.Store { return openDB(t, pool(t, path, settings)) },
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				path := filepath.Join(t.TempDir(), "walink.db")
				st := connect(t, path)
				calls := callsOf(t, st)
				if err := test.harm(t, path); err != nil {
					t.Fatal(err)
				}
				before, _ := os.ReadFile(path) // nil if it is gone
				for what, call := range calls {
					if err := call(); err == nil || !strings.HasPrefix(remedyOf(err), test.remedy) {
						t.Errorf("%s: %v, remedy %q", what, err, remedyOf(err))
					}
				}
				wantNoNewConnection(t, st, test.remedy)
				if after, _ := os.ReadFile(path); !cmp.Equal(before, after) {
					t.Error("the file at the path has changed")
				}
				if test.then == "restored" { // also if the program is killed now
					wantSession(t, path, test.then)
				}
				if err := st.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				if test.then != "" && (test.then == "restored" || kind == "Open") { // a lent pool is still open
					wantSession(t, path, test.then)
				}
			})
		}
	}
}

// callsOf returns calls that store something in st, and Check.
func callsOf(t *testing.T, st *sqlite.Store) map[string]func() error {
	t.Helper()
	linked := storetest.Link(t, st, "linked", storetest.JID("5511987654321", 1))
	fresh, err := st.Device(t.Context(), "fresh")
	if err != nil {
		t.Fatal(err)
	}
	one := store.Holder{ID: rand.Text()}
	if _, _, err := st.TakeLeases(t.Context(), []string{"linked"}, one, time.Hour); err != nil {
		t.Fatal(err)
	}
	source := kv.New(memory.New())
	storetest.Link(t, source, "moved", storetest.JID("5511987654322", 1))
	return map[string]func() error{
		"Save":        func() error { storetest.Pair(fresh, storetest.JID("5511987654323", 1)); return fresh.Save(t.Context()) },
		"Save again":  func() error { return linked.Save(t.Context()) },
		"RenewHolder": func() error { _, err := st.RenewHolder(t.Context(), one, time.Hour); return err },
		"TakeLeases": func() error {
			_, _, err := st.TakeLeases(t.Context(), []string{"other"}, store.Holder{ID: rand.Text()}, time.Hour)
			return err
		},
		"TakeCode": func() error {
			_, err := st.TakeCode(t.Context(), "5511987654321", time.Now(), 5, time.Hour)
			return err
		},
		"Move":  func() error { return transfer.Move(t.Context(), st, source) },
		"Check": func() error { return st.Check(t.Context()) },
		"DoDecryptionTxn": func() error {
			return linked.EventBuffer.DoDecryptionTxn(t.Context(), func(context.Context) error { return nil })
		},
		"Delete": func() error { return linked.Delete(t.Context()) },
	}
}

// wantNoNewConnection fails the test if the pool of readers makes a new connection, as it
// does when all are busy.
func wantNoNewConnection(t *testing.T, st *sqlite.Store, remedy string) {
	t.Helper()
	var busy []*sql.Conn
	defer func() {
		for _, conn := range busy {
			_ = conn.Close()
		}
	}()
	for range 4 {
		conn, err := sqlite.Reader(st).Conn(t.Context())
		if err != nil {
			if !strings.HasPrefix(remedyOf(err), remedy) {
				t.Errorf("a new connection: %v", err)
			}
			return
		}
		busy = append(busy, conn)
	}
	t.Error("the Store connects to the file that has replaced its own")
}

// wantSession fails the test unless the session is in the database at path.
func wantSession(t *testing.T, path, session string) {
	t.Helper()
	st, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	if device, err := st.Device(t.Context(), session); err != nil || device.ID == nil {
		t.Errorf("session %q: %v, %+v", session, err, device)
	}
}
