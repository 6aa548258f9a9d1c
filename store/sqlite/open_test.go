package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mau.fi/util/dbutil"
	driver "modernc.org/sqlite"

	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/store/storetest"
)

func TestOpenTakesAnyPath(t *testing.T) {
	for _, name := range []string{
		"walink.db", "with space.db", "a?b.db", "a#b.db", "100%.db", "%41.db", "a&b=c;d.db", "a+b.db", "ação 日本.db",
		"file:x.db", "'q\".db", "?mode=memory",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Chdir(dir)
			for _, path := range []string{name, filepath.Join(dir, name)} {
				st, err := sqlite.Open(t.Context(), path)
				if err != nil {
					t.Fatal(err)
				}
				if st.Path() != path {
					t.Errorf("Path %q, want %q", st.Path(), path)
				}
				if path == name {
					storetest.Link(t, st, "default", storetest.JID("5511987654321", 1))
				}
				if sessions, err := st.Sessions(t.Context()); err != nil || len(sessions) != 1 {
					t.Errorf("Open(%q): sessions %v, %v, want the one", path, sessions, err)
				}
				if err := st.Close(); err != nil {
					t.Error(err)
				}
			}
			if diff := cmp.Diff([]string{name}, list(t, dir)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

func TestErrorAboutALongPathIsOneShortLine(t *testing.T) {
	t.Parallel()
	for what, path := range map[string]string{
		"a name that is too long":        filepath.Join(t.TempDir(), strings.Repeat("long\n", 1200)),
		"directories that are not there": filepath.Join(t.TempDir(), strings.Repeat("long/", 200), "walink.db"),
	} {
		_, opened := sqlite.Open(t.Context(), path)
		_, inspected := sqlite.Inspect(t.Context(), path)
		for which, err := range map[string]error{"Open": opened, "Inspect": inspected} {
			if err == nil || len(err.Error()) > 500 || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s, %s: %v", what, which, err)
			}
		}
	}
}

func TestOpenFollowsNoChangeOfDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	st := open(t, "walink.db")
	t.Chdir(t.TempDir())
	sqlite.Reader(st).SetMaxIdleConns(0) // every read opens a connection
	storetest.Link(t, st, "default", storetest.JID("5511987654321", 1))
	if device, err := st.Device(t.Context(), "default"); err != nil || device.ID == nil {
		t.Errorf("Device: %v, %v", device, err)
	}
}

func TestPains20PragmasAreSetOnEveryConnection(t *testing.T) {
	t.Parallel()
	file, memory := open(t, filepath.Join(t.TempDir(), "walink.db")), open(t, ":memory:")
	for _, test := range []struct {
		name string
		db   *sql.DB
		want map[string]string
	}{
		{"writer", sqlite.Writer(file), map[string]string{
			"foreign_keys": "1", "journal_mode": "wal", "synchronous": "2", "secure_delete": "1", "busy_timeout": "5000", "query_only": "0",
		}},
		{"reader", sqlite.Reader(file), map[string]string{
			"journal_mode": "wal", "busy_timeout": "5000", "query_only": "1",
		}},
		{"memory", sqlite.Writer(memory), map[string]string{
			"foreign_keys": "1", "journal_mode": "memory", "synchronous": "2", "busy_timeout": "5000",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for range test.db.Stats().MaxOpenConnections {
				conn, err := test.db.Conn(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.Close() })
				for name, want := range test.want {
					var got string
					if err := conn.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&got); err != nil || got != want {
						t.Errorf("%s is %q, %v, want %q", name, got, err, want)
					}
				}
			}
		})
	}
	if got := sqlite.Writer(file).Stats().MaxOpenConnections; got != 1 {
		t.Errorf("%d writing connections, want 1", got)
	}
}

func TestFilesAreForTheOwnerAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "walink.db")
	storetest.Link(t, open(t, path), "default", storetest.JID("5511987654321", 1))
	for _, name := range []string{"walink.db", "walink.db-wal", "walink.db-shm"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("%s has mode %o, want 600", name, got)
		}
	}
}

// TestOpenTakesFilesFromOthers opens a database that a program under another
// umask has made and that has crashed, so that its -wal file is there too.
func TestOpenTakesFilesFromOthers(t *testing.T) {
	t.Parallel()
	dir := crashed(t)
	for _, name := range list(t, dir) {
		if err := os.Chmod(filepath.Join(dir, name), 0o664); err != nil {
			t.Fatal(err)
		}
	}
	open(t, filepath.Join(dir, "walink.db"))
	for name, file := range snapshot(t, dir) {
		if file.Mode.Perm() != 0o600 {
			t.Errorf("%s has mode %o, want 600", name, file.Mode)
		}
	}
}

// crashed returns a directory with the database of a process that was killed:
// the results of some statements are only in the -wal file.
func crashed(t *testing.T, statements ...string) (dir string) {
	t.Helper()
	from, dir := t.TempDir(), t.TempDir()
	err := locked(append([]string{"PRAGMA journal_mode=WAL", "PRAGMA user_version=7"}, statements...)...)(t, filepath.Join(from, "walink.db"))
	if err == nil {
		err = os.CopyFS(dir, os.DirFS(from))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestOpenRefusesAndLeavesACrashedDatabaseAlone(t *testing.T) {
	t.Parallel()
	dir := crashed(t, "UPDATE whatsmeow_version SET version=99, compat=99")
	before := snapshot(t, dir)
	if len(before["walink.db-wal"].Content) == 0 {
		t.Fatalf("there is no -wal file in %v", list(t, dir))
	}
	if _, err := sqlite.Open(t.Context(), filepath.Join(dir, "walink.db")); !errors.Is(err, dbutil.ErrUnsupportedDatabaseVersion) {
		t.Errorf("Open: %v, want ErrUnsupportedDatabaseVersion", err)
	}
	if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
		t.Errorf("the directory changed (-before +after):\n%s", diff)
	}
}

// TestCloseWaitsForTheTransactionThatRuns ends a Store under a device that is
// in the middle of a decryption.
func TestCloseWaitsForTheTransactionThatRuns(t *testing.T) {
	t.Parallel()
	for _, path := range []string{":memory:", filepath.Join(t.TempDir(), "walink.db")} {
		synctest.Test(t, func(t *testing.T) {
			st, err := sqlite.Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			device := storetest.Link(t, st, "default", storetest.JID(number, 1))
			closed := make(chan error, 1)
			err = device.EventBuffer.DoDecryptionTxn(t.Context(), func(ctx context.Context) error {
				go func() { closed <- st.Close() }()
				synctest.Wait()
				select {
				case err := <-closed:
					t.Errorf("Close returned %v while a transaction was running", err)
				default:
				}
				return device.Sessions.PutSession(ctx, "1:0", []byte("session"))
			})
			if err := errors.Join(err, <-closed); err != nil {
				t.Fatal(err)
			}
			if path == ":memory:" {
				return
			}
			if diff := cmp.Diff([]string{filepath.Base(path)}, list(t, filepath.Dir(path))); diff != "" {
				t.Errorf("files after Close (-want +got):\n%s", diff)
			}
			if st, err = sqlite.Open(t.Context(), path); err != nil {
				t.Fatal(err)
			}
			if device, err = st.Device(t.Context(), "default"); err != nil {
				t.Fatal(err)
			}
			got, err := device.Sessions.GetSession(t.Context(), "1:0")
			if err := errors.Join(err, st.Close()); err != nil || string(got) != "session" {
				t.Errorf("after Close the session is %q, %v", got, err)
			}
		})
	}
}

func TestCloseGivesUpOnATransactionThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st, err := sqlite.Open(t.Context(), ":memory:")
		if err != nil {
			t.Fatal(err)
		}
		device := storetest.Link(t, st, "default", storetest.JID(number, 1))
		err = device.EventBuffer.DoDecryptionTxn(t.Context(), func(context.Context) error {
			began := time.Now()
			if err := st.Close(); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 5*time.Second {
				t.Errorf("Close: %v after %v, want an error after 5 s", err, time.Since(began))
			}
			return nil
		})
		if err := errors.Join(err, st.Close()); err != nil {
			t.Error(err)
		}
	})
}

func TestOpenRefusesAndLeavesAlone(t *testing.T) {
	t.Parallel()
	const newer = "UPDATE whatsmeow_version SET version=99, compat=99"
	for _, test := range []struct {
		name   string
		path   string                                // "walink.db" if empty
		make   func(t *testing.T, path string) error // nil for none
		reason string
		is     error
		code   int // of SQLite
	}{
		{name: "text", make: content(strings.Repeat("not a database\n", 100)), reason: "file is not a database", code: 26},
		{name: "short text", make: content("hello"), reason: "file is not a database", code: 26},
		{name: "directory", make: func(_ *testing.T, path string) error { return os.Mkdir(path, 0o700) }, reason: "it is a directory"},
		{name: "no directory", path: "missing/walink.db", reason: `/missing" does not exist`, is: fs.ErrNotExist},
		{name: "a file for a directory", path: "f/walink.db", make: func(_ *testing.T, path string) error {
			return os.WriteFile(filepath.Dir(path), nil, 0o600)
		}, reason: "not a directory"},
		{name: "zero byte", path: "a\x00b", reason: "zero byte"},
		{name: "dangling link", make: func(_ *testing.T, path string) error { return os.Symlink("nowhere", path) }, reason: "a symbolic link to a file that does not exist", is: fs.ErrNotExist},
		{name: "read-only file", make: mode(0o444, false), reason: "the file is read-only", is: fs.ErrPermission},
		{name: "read-only directory", make: mode(0o555, true), reason: "is read-only", is: fs.ErrPermission},
		{name: "truncated", make: func(t *testing.T, path string) error {
			return errors.Join(execute("SELECT 1")(t, path), os.Truncate(path, 4096))
		}, reason: "malformed", code: 11},
		{name: "newer whatsmeow", make: execute(newer), reason: "whatsmeow_version is 99", is: dbutil.ErrUnsupportedDatabaseVersion},
		{name: "newer whatsmeow in WAL mode", make: execute("PRAGMA journal_mode=WAL", newer), reason: "whatsmeow_version is 99", is: dbutil.ErrUnsupportedDatabaseVersion},
		{name: "newer walink", make: execute(
			"CREATE TABLE walink_version (version INTEGER, compat INTEGER)", "INSERT INTO walink_version VALUES (99, 99)",
		), reason: "walink_version is 99, which needs a program that knows 99", is: dbutil.ErrUnsupportedDatabaseVersion},
		{name: "locked", make: locked("BEGIN EXCLUSIVE"), reason: "database is locked", code: 5},
		{name: "locked in WAL mode", make: locked("PRAGMA journal_mode=WAL", "BEGIN IMMEDIATE"), reason: "database is locked", code: 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if test.path == "" {
				test.path = "walink.db"
			}
			path := filepath.Join(dir, test.path)
			if test.make != nil {
				if err := test.make(t, path); err != nil {
					t.Fatal(err)
				}
			}
			before := snapshot(t, dir)

			st, err := sqlite.OpenBusy(t.Context(), path, 20*time.Millisecond)
			if err == nil {
				t.Error(st.Close())
				t.Fatal("Open succeeded")
			}
			if st != nil {
				t.Error("Open returned a Store and an error")
			}
			if text := err.Error(); !strings.HasPrefix(text, fmt.Sprintf("sqlite: open %q: ", path)) || !strings.Contains(text, test.reason) || strings.Contains(text, "\n") {
				t.Errorf("error %q, want one line with the path and %q", text, test.reason)
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("error %v, want %v", err, test.is)
			}
			var sqliteErr *driver.Error
			if test.code != 0 && (!errors.As(err, &sqliteErr) || sqliteErr.Code()&0xff != test.code) {
				t.Errorf("error %v, want SQLite's code %d", err, test.code)
			}
			if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
				t.Errorf("the directory changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestOpenTakesANewerSchemaThatIsCompatible(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "walink.db")
	if err := execute("UPDATE whatsmeow_version SET version=99, compat=8")(t, path); err != nil {
		t.Fatal(err)
	}
	storetest.Link(t, open(t, path), "default", storetest.JID("5511987654321", 1))
}

func TestOpenObeysContext(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sqlite.Open(canceled, filepath.Join(dir, "walink.db")); !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v, want context.Canceled", err)
	}
	if got := list(t, dir); len(got) != 0 {
		t.Errorf("Open left %q", got)
	}

	path := filepath.Join(dir, "locked.db")
	if err := locked("BEGIN EXCLUSIVE")(t, path); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := sqlite.OpenBusy(ctx, path, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Open of a locked file: %v, want context.DeadlineExceeded", err)
	}
}

func TestOpenInABubble(t *testing.T) {
	t.Parallel()
	for _, path := range []string{":memory:", filepath.Join(t.TempDir(), "walink.db")} {
		synctest.Test(t, func(t *testing.T) {
			st, err := sqlite.Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			device := storetest.Link(t, st, "default", storetest.JID("5511987654321", 1))
			if _, err := device.PreKeys.GetOrGenPreKeys(t.Context(), 20); err != nil {
				t.Error(err)
			}
			sessions, err := st.Sessions(t.Context())
			if err != nil || len(sessions) != 1 || !sessions[0].LinkedAt.Equal(time.Now()) {
				t.Errorf("sessions %v, %v, want one linked at %v", sessions, err, time.Now())
			}
			if err := st.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
