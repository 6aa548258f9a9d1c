package sqlite_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/walink/walink/internal/storecrash"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/store/storetest"
	"github.com/walink/walink/store/transfer"
)

func TestDamage(t *testing.T) {
	t.Parallel()
	storecrash.Damage(t, storecrash.SQL{
		Open: func(t *testing.T) store.Store { t.Helper(); return open(t, filepath.Join(t.TempDir(), "walink.db")) },
		Set: func(t *testing.T, st store.Store, table, column, where string, value any) {
			t.Helper()
			s, ok := st.(*sqlite.Store)
			if !ok {
				t.Fatalf("%T", st)
			}
			db := raw(t, s.Path())
			db.SetMaxOpenConns(1)
			_, err := db.ExecContext(t.Context(), "PRAGMA ignore_check_constraints=1; UPDATE "+table+" SET "+column+"=?1 WHERE "+where, value)
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
		},
	})
}

// Damage that only a file of SQLite can have.
func TestDamageOfSQLite(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"a time that is none":   "UPDATE walink_session SET linked_at='soon' WHERE name='one'",
		"an entry that is text": "INSERT INTO walink_entry (session, value) VALUES ('one', 'text')",
		"half a pair":           "INSERT INTO whatsmeow_lid_map (lid, pn) VALUES (NULL, '491')",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := open(t, filepath.Join(t.TempDir(), "walink.db"))
			storetest.Link(t, st, "one", storetest.JID("5511987654321", 1))
			device := storetest.Link(t, st, "two", storetest.JID("5511987654321", 2))
			if err := device.LIDs.PutLIDMapping(t.Context(), device.LID, *device.ID); err != nil {
				t.Fatal(err)
			}
			db := raw(t, st.Path())
			_, err := db.ExecContext(t.Context(), statement)
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
			to := open(t, filepath.Join(t.TempDir(), "walink.db"))
			if err := transfer.Copy(t.Context(), to, st); !errors.Is(err, store.ErrDamaged) {
				t.Errorf("Copy: %v, want ErrDamaged", err)
			}
			device, err = to.Device(t.Context(), "two")
			if err != nil {
				t.Fatal(err)
			}
			if lid, err := device.LIDs.GetLIDForPN(t.Context(), *device.ID); err != nil || lid.IsEmpty() {
				t.Errorf("the LID is %v, %v", lid, err)
			}
		})
	}
}

// An error goes to logs and terminals.
func TestErrorAboutMassDamageIsShort(t *testing.T) {
	t.Parallel()
	st := open(t, filepath.Join(t.TempDir(), "walink.db"))
	storetest.Link(t, st, "one", storetest.JID("5511987654321", 1))
	db := raw(t, st.Path())
	db.SetMaxOpenConns(1)
	err := run(t.Context(), db, []string{
		`CREATE TEMP TABLE many AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<3000)
			SELECT whatsmeow_device.* FROM whatsmeow_device, n`,
		"UPDATE many SET jid=rowid||'@s.whatsapp.net'",
		"INSERT INTO whatsmeow_device SELECT * FROM many",
		"INSERT INTO walink_session (name, jid, linked_at) SELECT rowid, jid, 'soon' FROM many",
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	sessions, err := st.Sessions(t.Context())
	if text := fmt.Sprint(err); len(sessions) != 1 || !errors.Is(err, store.ErrDamaged) || len(text) > 1000 || !strings.HasSuffix(text, "and 2997 more") {
		t.Errorf("%d sessions, %d bytes: %.1000s", len(sessions), len(text), text)
	}
}
