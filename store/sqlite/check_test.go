package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink/internal/bound"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/sqlite"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "walink.db")
	st, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for i := range 3 {
		if _, err := st.TakeCode(t.Context(), "5511987654321", now.Add(time.Duration(i)*10*time.Minute), 9, 15*time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // and it leaves no trace
		if err := st.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		for at, want := range map[time.Duration]int{20 * time.Minute: 1, 26 * time.Minute: 2, time.Hour: 3} {
			left, next, err := st.PeekCode(t.Context(), "5511987654321", now.Add(at), 3, 15*time.Minute)
			if err != nil || left != want || !next.IsZero() {
				t.Errorf("PeekCode after %v: %d, %v, %v", at, left, next, err)
			}
		}
		left, next, err := st.PeekCode(t.Context(), "5511987654321", now.Add(20*time.Minute), 2, 15*time.Minute)
		if err != nil || left != 0 || !next.Equal(now.Add(25*time.Minute)) {
			t.Errorf("PeekCode of a budget that is used up: %d, %v, %v", left, next, err)
		}
	}
	until, err := st.RefuseCode(t.Context(), "5511987654321", now.Add(20*time.Minute), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if left, next, err := st.PeekCode(t.Context(), "5511987654321", now.Add(20*time.Minute), 3, 15*time.Minute); err != nil || left != 1 || !next.Equal(until) {
		t.Errorf("PeekCode while a refusal is in force: %d, %v, %v", left, next, err)
	}
	for _, mode := range []os.FileMode{0o640, 0o400} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := st.Check(t.Context()); err == nil {
			t.Errorf("mode %v: Check found nothing", mode)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := st.Check(t.Context()); err == nil {
		t.Error("removed: Check found nothing")
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if err := st.Check(t.Context()); err == nil {
		t.Error("closed: Check found nothing")
	}
}

// remedyOf returns the remedy of an error, "" if it has none.
func remedyOf(err error) string {
	var hint interface{ Remedy() string }
	if errors.As(err, &hint) {
		return hint.Remedy()
	}
	return ""
}

func TestCheckNamesTheRemedy(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		harm   func(st *sqlite.Store, path string) error
		says   string
		remedy string
	}{
		"the file is open to others": {
			func(_ *sqlite.Store, path string) error { return os.Chmod(path, 0o644) }, "(mode 0644)", "Run chmod 600 on walink.db: ",
		},
		"the log next to it is open to others": {
			func(_ *sqlite.Store, path string) error { return os.Chmod(path+"-wal", 0o666) }, "(mode 0666)", "Run chmod 600 on walink.db-wal: ",
		},
		"the index next to it is open to others": {
			func(_ *sqlite.Store, path string) error { return os.Chmod(path+"-shm", 0o604) }, "(mode 0604)", "Run chmod 600 on walink.db-shm: ",
		},
		"the file is read-only": {
			func(_ *sqlite.Store, path string) error { return os.Chmod(path, 0o400) }, "the file is read-only",
			"Let the user that this program runs as write to the database file.",
		},
		"the directory is read-only": {
			func(_ *sqlite.Store, path string) error { return os.Chmod(filepath.Dir(path), 0o500) }, "the directory, which SQLite writes to",
			"Let the user that this program runs as write to the directory of the database, and not only to the file.",
		},
		"the file is gone": {
			func(_ *sqlite.Store, path string) error { return os.Remove(path) }, "no such file",
			"Restore the file, or restart this program, which makes a new one.",
		},
		"another file is in its place": {
			func(_ *sqlite.Store, path string) error {
				return errors.Join(os.Rename(path, path+".old"), os.WriteFile(path, []byte("hello"), 0o600))
			}, "another file has replaced", "Restart this program, and do not replace the file while it runs.",
		},
		"the store is closed": {
			func(st *sqlite.Store, _ string) error { return st.Close() }, "database is closed", "Open the store again: this program has closed it.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
			path := filepath.Join(dir, "walink.db")
			st := open(t, path)
			if err := test.harm(st, path); err != nil {
				t.Fatal(err)
			}
			err := st.Check(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.says) || !strings.HasPrefix(remedyOf(err), test.remedy) {
				t.Errorf("Check: %v\nremedy %q, want %q", err, remedyOf(err), test.remedy)
			}
		})
	}
}

func TestOpenNamesTheRemedy(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		make   func(t *testing.T, path string) error
		remedy string
	}{
		"not a database": {content("hello"), "Choose another file, or restore this one from a backup: it is not a database."},
		"locked":         {locked("BEGIN EXCLUSIVE"), "Stop the other program that has locked the database, such as a backup or an editor."},
		"damaged": {func(t *testing.T, path string) error {
			return errors.Join(execute("SELECT 1")(t, path), os.Truncate(path, 4096))
		}, "Restore the database from a backup, or move it away and link again: it is damaged."},
		"newer": {
			execute("UPDATE whatsmeow_version SET version=99, compat=99"), "Update this program: a newer one has changed the database.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "walink.db")
			if err := test.make(t, path); err != nil {
				t.Fatal(err)
			}
			st, err := sqlite.OpenBusy(t.Context(), path, 20*time.Millisecond)
			if err == nil {
				err = st.Close()
			}
			if remedyOf(err) != test.remedy {
				t.Errorf("Open: %v\nremedy %q, want %q", err, remedyOf(err), test.remedy)
			}
			if bound.IsSlow(err) != (name == "locked") {
				t.Errorf("the error passes for a timeout: %t: %v", bound.IsSlow(err), err)
			}
		})
	}
}

func TestFullDiskNamesTheRemedy(t *testing.T) {
	t.Parallel()
	st := open(t, filepath.Join(t.TempDir(), "walink.db"))
	if _, err := sqlite.Writer(st).ExecContext(t.Context(), "PRAGMA max_page_count=1"); err != nil {
		t.Fatal(err)
	}
	var err error
	for i := 0; i < 10000 && err == nil; i++ {
		_, err = st.TakeCode(t.Context(), strings.Repeat("5", 1000), time.Now(), 1<<20, time.Hour)
	}
	if remedyOf(err) != "Free space on the disk of the database." {
		t.Errorf("%v, with the remedy %q", err, remedyOf(err))
	}
}

func TestInspectChangesNothing(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		make   func(t *testing.T, path string) error // nil for none
		advice bool
		remedy string
	}{
		"a database of this program": {make: func(t *testing.T, path string) error {
			st, err := sqlite.Open(t.Context(), path)
			return errors.Join(err, st.Close())
		}},
		"no file":                     {advice: true, remedy: "Correct the path if a database should be there; otherwise link, which makes it."},
		"an empty file":               {make: content(""), advice: true, remedy: "Copy the database if another program needs it as it is, then link."},
		"another whatsmeow program's": {make: execute("SELECT 1"), advice: true, remedy: "Copy the database if another program needs it as it is, then link."},
		"not a database":              {make: content("hello"), remedy: "Choose another file, or restore this one from a backup: it is not a database."},
		"open to others":              {make: mode(0o644, false), remedy: "Run chmod 600 on walink.db: whoever can read it can use the accounts in it."},
		"a read-only directory": {
			make:   mode(0o500, true),
			remedy: "Let the user that this program runs as write to the directory of the database, and not only to the file.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "walink.db")
			if test.make != nil {
				if err := test.make(t, path); err != nil {
					t.Fatal(err)
				}
				if test.remedy != "" && !strings.HasPrefix(test.remedy, "Run chmod") {
					if err := os.Chmod(path, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			before := snapshot(t, dir)
			st, err := sqlite.Inspect(t.Context(), path)
			if test.remedy == "" && err == nil {
				err = errors.Join(st.Check(t.Context()), st.Close())
			}
			var advice *store.Advice
			if errors.As(err, &advice) != test.advice || remedyOf(err) != test.remedy {
				t.Errorf("Inspect: %v\nremedy %q, want %q", err, remedyOf(err), test.remedy)
			}
			if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" && test.remedy != "" {
				t.Errorf("the directory changed (-before +after):\n%s", diff)
			}
		})
	}
	if _, err := sqlite.Inspect(t.Context(), filepath.Join(t.TempDir(), "missing", "walink.db")); remedyOf(err) != "Make the directory, or correct the path." {
		t.Errorf("Inspect without a directory: %v", err)
	}
	st, err := sqlite.Inspect(t.Context(), ":memory:")
	if err := errors.Join(err, st.Close()); err != nil {
		t.Error(err)
	}
}
