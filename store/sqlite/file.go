package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/internal/ownfile"
)

// prepareFile creates a missing file for its owner alone. It does so before
// SQLite opens the file, because the -wal and -shm files inherit the mode. It
// does not open an existing file: closing it would drop the locks that another
// Store of this process holds on it.
func prepareFile(path string) error {
	if strings.ContainsRune(path, 0) {
		return errors.New("the path holds a zero byte")
	}
	dir, info, err := ownfile.Dir(path)
	if err != nil {
		return err
	}
	if err := writableDir(dir, info); err != nil {
		return hint.New(fmt.Errorf("the directory %q, which SQLite writes to, is read-only: %w", dir, err), remedyDirectory)
	}
	if err := checkNextTo(path); err != nil {
		return err
	}
	if err := ownfile.Make(path); err != nil {
		return err
	}
	if info, err = os.Stat(path); err != nil {
		return err
	}
	if err := writable(path, info); err != nil {
		return readOnlyFile(err)
	}
	return nil
}

// checkNextTo fails if a file next to the database, which need not exist, leads
// elsewhere or is a stranger's.
func checkNextTo(path string) error {
	names, err := files(path)
	if err != nil {
		return err
	}
	info, _ := os.Stat(path)
	for _, name := range names[1:] {
		if err := ownfile.NextTo(name, info); err != nil {
			return err
		}
	}
	return nil
}

// makePrivate takes access to the database, and to SQLite's files next to it,
// away from everybody but the owner.
func makePrivate(path string) error {
	names, err := files(path)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := ownfile.MakePrivate(name); err != nil && (name == names[0] || !errors.Is(err, fs.ErrNotExist)) {
			return err
		}
	}
	return nil
}

// files returns the database file, which need not exist, and the files that SQLite keeps
// next to it. If path is a symbolic link, they are next to the file to which it leads.
func files(path string) ([]string, error) {
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		target, err = path, nil
	}
	return []string{target, target + "-wal", target + "-shm", target + "-journal"}, err
}

// writable returns why a file or directory cannot be written. It obeys the mode
// even for root: whoever removes all write bits wants the file to stay as it
// is.
func writable(path string, info fs.FileInfo) error {
	if info.Mode().Perm()&0o222 == 0 {
		return fs.ErrPermission
	}
	return access(path)
}
