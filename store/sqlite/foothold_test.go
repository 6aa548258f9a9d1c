//go:build unix

package sqlite_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/store/storetest"
)

const stranger = 65534 // a user who is neither that of the test nor root

// give makes the stranger the owner of a file, a folder or a symbolic link.
func give(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file to another user")
	}
	if err := os.Lchown(path, stranger, stranger); err != nil {
		t.Fatal(err)
	}
}

func TestOpenMakesNothingWhereADanglingLinkLeads(t *testing.T) {
	t.Parallel()
	for _, ending := range []string{"", "-wal", "-shm", "-journal"} {
		for _, exists := range []bool{false, true} { // the database
			if exists && ending == "" {
				continue
			}
			dir, elsewhere := t.TempDir(), t.TempDir()
			path := filepath.Join(dir, "walink.db")
			if exists {
				st, err := sqlite.Open(t.Context(), path)
				if err := errors.Join(err, st.Close()); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Symlink(filepath.Join(elsewhere, "planted"), path+ending); err != nil {
				t.Fatal(err)
			}
			st, err := sqlite.Open(t.Context(), path)
			if err == nil {
				t.Errorf("%q: Open succeeded: %v", ending, st.Close())
			} else if !strings.Contains(err.Error(), path) || !strings.Contains(strings.ToLower(remedyOf(err)), "remove") {
				t.Errorf("%q: Open: %v, with the remedy %q", ending, err, remedyOf(err))
			}
			if _, err := sqlite.Inspect(t.Context(), path); err == nil || errors.As(err, new(*store.Advice)) != (ending != "" && !exists) {
				t.Errorf("%q: Inspect: %v", ending, err)
			}
			if made := list(t, elsewhere); len(made) != 0 {
				t.Errorf("%q: %q was made elsewhere", ending, made)
			}
			if made := list(t, dir); !exists && len(made) != 1 {
				t.Errorf("%q: %q is in the directory", ending, made)
			}
		}
	}
}

// Whoever may write to the folder must not choose a file whose mode changes.
func TestOpenChangesNoFileToWhichALinkLeads(t *testing.T) {
	t.Parallel()
	for _, ending := range []string{"-wal", "-shm", "-journal"} {
		elsewhere, path := filepath.Join(t.TempDir(), "victim"), filepath.Join(t.TempDir(), "walink.db")
		if err := errors.Join(os.WriteFile(elsewhere, nil, 0o644), os.Symlink(elsewhere, path+ending)); err != nil {
			t.Fatal(err)
		}
		st, err := sqlite.Open(t.Context(), path)
		if err == nil {
			t.Errorf("%s: Open succeeded: %v", ending, st.Close())
		}
		if info, err := os.Stat(elsewhere); err != nil || info.Mode() != 0o644 || info.Size() != 0 {
			t.Errorf("%s: the file has mode %v and %d bytes, %v", ending, info.Mode(), info.Size(), err)
		}
	}
}

func TestOpenFollowsALinkOfItsUser(t *testing.T) {
	t.Parallel()
	volume, path := t.TempDir(), filepath.Join(t.TempDir(), "walink.db")
	target := filepath.Join(volume, "data.db")
	if err := errors.Join(execute("PRAGMA journal_mode=WAL")(t, target), os.Chmod(target, 0o644), os.Symlink(target, path)); err != nil {
		t.Fatal(err)
	}
	st := open(t, path)
	storetest.Link(t, st, "default", storetest.JID("5511987654321", 1))
	if err := st.Check(t.Context()); err != nil {
		t.Errorf("Check: %v", err)
	}
	for name, file := range snapshot(t, volume) {
		if file.Mode != 0o600 {
			t.Errorf("%s has mode %v, want 0600", name, file.Mode)
		}
	}
}

func TestOpenRefusesWhatAnotherUserCanHavePutThere(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(t *testing.T, path string) error{
		"a file in a directory for all": func(t *testing.T, path string) error {
			t.Helper()
			give(t, path)
			return os.Chmod(filepath.Dir(path), 0o777|fs.ModeSticky)
		},
		"a link": func(t *testing.T, path string) error {
			t.Helper()
			err := errors.Join(os.Rename(path, path+".moved"), os.Symlink(path+".moved", path))
			give(t, path)
			return err
		},
		"a -wal file": func(t *testing.T, path string) error {
			t.Helper()
			err := os.WriteFile(path+"-wal", nil, 0o666)
			give(t, path+"-wal")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "walink.db")
			if err := errors.Join(execute("SELECT 1")(t, path), os.Chmod(path, 0o600), harm(t, path)); err != nil {
				t.Fatal(err)
			}
			before := snapshot(t, filepath.Dir(path))
			if _, err := sqlite.Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "belongs to another user") || remedyOf(err) == "" {
				t.Errorf("Open: %v, with the remedy %q", err, remedyOf(err))
			}
			for name, file := range snapshot(t, filepath.Dir(path)) {
				if file != before[name] {
					t.Errorf("%s has changed", name)
				}
			}
		})
	}
}

func TestCheckSaysWhoCanReadOrReplaceTheFile(t *testing.T) {
	t.Parallel()
	above := func(path string) string { return filepath.Dir(filepath.Dir(path)) }
	for name, test := range map[string]struct {
		harm   func(t *testing.T, path string) error
		says   string // nothing is wrong if empty
		remedy string
	}{
		"the owner of the file": {func(t *testing.T, path string) error {
			t.Helper()
			for _, name := range []string{path, path + "-wal", path + "-shm"} {
				give(t, name)
			}
			return nil
		}, "walink.db belongs to user 65534", "(chown)"},
		"the owner of the directory": {func(t *testing.T, path string) error {
			t.Helper()
			give(t, filepath.Dir(path))
			return nil
		}, "belongs to user 65534", "Use a directory with mode 0700"},
		"everybody": {func(_ *testing.T, path string) error { return os.Chmod(filepath.Dir(path), 0o777) }, "(mode 0777)", "Use a directory with mode 0700"},
		"the owner of a directory above": {func(t *testing.T, path string) error {
			t.Helper()
			give(t, above(path))
			return nil
		}, `/a" belongs to user 65534`, "Use a directory with mode 0700"},
		"everybody in a directory above":        {func(_ *testing.T, path string) error { return os.Chmod(above(path), 0o777) }, `/a" (mode 0777)`, "Use a directory with mode 0700"},
		"nobody in a directory above like /tmp": {func(_ *testing.T, path string) error { return os.Chmod(above(path), 0o777|fs.ModeSticky) }, "", ""},
		"the owner of a link above": {func(t *testing.T, path string) error {
			t.Helper()
			err := errors.Join(os.Rename(above(path), above(path)+"2"), os.Symlink("a2", above(path)))
			give(t, above(path))
			return err
		}, `/a" belongs to user 65534`, "Use a directory with mode 0700"},
		"a link above of this user": {func(_ *testing.T, path string) error {
			return errors.Join(os.Rename(above(path), above(path)+"2"), os.Symlink("../"+filepath.Base(filepath.Dir(above(path)))+"/a2", above(path)))
		}, "", ""},
		"a group": {func(t *testing.T, path string) error {
			t.Helper()
			if os.Geteuid() != 0 {
				t.Skip("only root can give a directory to any group")
			}
			return errors.Join(os.Chown(filepath.Dir(path), 0, stranger), os.Chmod(filepath.Dir(path), 0o770))
		}, "(mode 0770)", "Use a directory with mode 0700"},
		"the group that its owner has alone": {func(t *testing.T, path string) error {
			t.Helper()
			if os.Geteuid() != 0 {
				t.Skip("only root knows that it has a group with its own number")
			}
			return os.Chmod(filepath.Dir(path), 0o775)
		}, "", ""},
		"nobody in a directory like /tmp": {func(_ *testing.T, path string) error { return os.Chmod(filepath.Dir(path), 0o777|fs.ModeSticky) }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "a", "b", "walink.db")
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			st := open(t, path)
			if err := test.harm(t, path); err != nil {
				t.Fatal(err)
			}
			err := st.Check(t.Context())
			if test.says == "" {
				if err != nil {
					t.Errorf("Check: %v", err)
				}
				return
			}
			if advice, ok := errors.AsType[*store.Advice](err); !ok || !strings.Contains(advice.Error(), test.says) || !strings.Contains(advice.Fix, test.remedy) {
				t.Errorf("Check: %v, with the remedy %q", err, remedyOf(err))
			}
		})
	}
}
