package sqlite_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
	for name, test := range map[string]struct {
		harm   func(t *testing.T, path string) error
		remedy string
	}{
		"deleted":              {func(_ *testing.T, path string) error { return os.Remove(path) }, "Restore the file, or restart this program"},
		"moved away":           {func(_ *testing.T, path string) error { return os.Rename(path, path+".old") }, "Restore the file, or restart this program"},
		"replaced by a backup": {restore, "Restart this program, and do not replace the file while it runs."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "walink.db")
			opened := map[string]*sqlite.Store{"Open": open(t, path), "OpenDB": openDB(t, pool(t, path, settings))}
			type call func() error
			calls := map[string]call{}
			for kind, st := range opened {
				linked := storetest.Link(t, st, kind, storetest.JID("5511987654321", uint16(len(calls)+1)))
				fresh, err := st.Device(t.Context(), "fresh")
				if err != nil {
					t.Fatal(err)
				}
				lease, err := st.TakeLease(t.Context(), kind, "one", time.Hour)
				if err != nil {
					t.Fatal(err)
				}
				source := kv.New(memory.New())
				storetest.Link(t, source, "moved", storetest.JID("5511987654322", 1))
				for what, call := range map[string]call{
					"Save":       func() error { storetest.Pair(fresh, storetest.JID("5511987654323", 1)); return fresh.Save(t.Context()) },
					"Save again": func() error { return linked.Save(t.Context()) },
					"RenewLease": func() error { _, err := st.RenewLease(t.Context(), lease, time.Hour); return err },
					"TakeLease":  func() error { _, err := st.TakeLease(t.Context(), "other", "one", time.Hour); return err },
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
				} {
					calls[kind+", "+what] = call
				}
			}
			if err := test.harm(t, path); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(path) // nil if it is gone
			for what, call := range calls {
				if err := call(); err == nil || !strings.HasPrefix(remedyOf(err), test.remedy) {
					t.Errorf("%s: %v, remedy %q", what, err, remedyOf(err))
				}
			}
			for kind, st := range opened {
				// The pool of readers makes a new connection when all are busy.
				var busy []io.Closer
				for range 4 {
					conn, err := sqlite.Reader(st).Conn(t.Context())
					if err != nil {
						if !strings.HasPrefix(remedyOf(err), test.remedy) {
							t.Errorf("%s: a new connection: %v", kind, err)
						}
						break
					}
					busy = append(busy, conn)
				}
				if len(busy) == 4 {
					t.Errorf("%s: the Store connects to the file that has replaced its own", kind)
				}
				for _, conn := range busy {
					_ = conn.Close()
				}
				if err := st.Close(); err != nil {
					t.Errorf("%s: Close: %v", kind, err)
				}
			}
			if after, _ := os.ReadFile(path); !cmp.Equal(before, after) {
				t.Error("the file at the path has changed")
			}
			if before != nil {
				device, err := open(t, path).Device(t.Context(), "restored")
				if err != nil || device.ID == nil {
					t.Errorf("the backup: %v", err)
				}
			}
		})
	}
}
