//go:build unix

package bolt_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/bolt"
)

// give makes another user than root and that of the test the owner of a file or folder.
func give(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file to another user")
	}
	const stranger = 65534
	if err := os.Lchown(path, stranger, stranger); err != nil {
		t.Fatal(err)
	}
}

func TestOpenMakesNothingWhereADanglingLinkLeads(t *testing.T) {
	t.Parallel()
	elsewhere, path := filepath.Join(t.TempDir(), "planted"), temp(t)
	if err := os.Symlink(elsewhere, path); err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(t.Context(), path)
	if err == nil {
		t.Errorf("Open succeeded: %v", db.Close())
	} else if !strings.HasPrefix(remedyOf(err), "Remove the link") {
		t.Errorf("Open: %v, with the remedy %q", err, remedyOf(err))
	}
	if _, err := os.Lstat(elsewhere); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file elsewhere: %v", err)
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
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := temp(t)
			write(t, path, nil, 0o600)
			if err := harm(t, path); err != nil {
				t.Fatal(err)
			}
			before := look(path)
			if _, err := bolt.Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "belongs to another user") || remedyOf(err) == "" {
				t.Errorf("Open: %v, with the remedy %q", err, remedyOf(err))
			}
			if after := look(path); after != before {
				t.Error("the file has changed")
			}
		})
	}
}

func TestOpenFollowsALinkOfItsUser(t *testing.T) {
	t.Parallel()
	target, path := temp(t), temp(t)
	write(t, target, nil, 0o644)
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	st := kv.New(open(t, path))
	if err := errors.Join(st.Check(t.Context()), st.Close()); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(target); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
}

func TestCheckSaysWhoCanReadOrReplaceTheFile(t *testing.T) {
	t.Parallel()
	for says, harm := range map[string]func(t *testing.T, path string) error{
		"walink.bolt belongs to user 65534": func(t *testing.T, path string) error { t.Helper(); give(t, path); return nil },
		"others can write to the directory": func(_ *testing.T, path string) error { return os.Chmod(filepath.Dir(path), 0o777) },
		"who can make it lead elsewhere": func(t *testing.T, path string) error {
			t.Helper()
			dir := filepath.Dir(path)
			err := errors.Join(os.Rename(dir, dir+".moved"), os.Symlink(dir+".moved", dir))
			give(t, dir)
			return err
		},
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			path := temp(t)
			st := kv.New(open(t, path))
			t.Cleanup(func() { _ = st.Close() })
			if err := harm(t, path); err != nil {
				t.Fatal(err)
			}
			err := st.Check(t.Context())
			if advice, ok := errors.AsType[*store.Advice](err); !ok || !strings.Contains(advice.Error(), says) || advice.Fix == "" {
				t.Errorf("Check: %v, with the remedy %q", err, remedyOf(err))
			}
		})
	}
}
