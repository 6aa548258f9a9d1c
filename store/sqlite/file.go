package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/walink/walink/internal/hint"
)

// prepareFile creates a missing file for its owner alone. It does so before
// SQLite opens the file, because the -wal and -shm files inherit the mode. It
// does not open an existing file: closing it would drop the locks that another
// Store of this process holds on it.
func prepareFile(path string) error {
	switch {
	case path == "":
		return errors.New("the path is empty")
	case strings.ContainsRune(path, 0):
		return errors.New("the path holds a zero byte")
	}
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return hint.New(fmt.Errorf("the directory %q does not exist: %w", dir, fs.ErrNotExist), "Make the directory, or correct the path.")
	case err != nil:
		return fmt.Errorf("the directory: %w", err)
	case !info.IsDir():
		return fmt.Errorf("%q is not a directory", dir)
	}
	if err := writableDir(dir, info); err != nil {
		return hint.New(fmt.Errorf("the directory %q, which SQLite writes to, is read-only: %w", dir, err), remedyDirectory)
	}

	info, err = os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return create(path)
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("it is a directory")
	case !info.Mode().IsRegular():
		return errors.New("it is not a regular file")
	}
	if err := writable(path, info); err != nil {
		return readOnlyFile(err)
	}
	return nil
}

// makePrivate takes access to the database, and to SQLite's files next to it,
// away from everybody but the owner.
func makePrivate(path string) error {
	for _, name := range files(path) {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) && name != path {
			continue
		}
		if err != nil {
			return err
		}
		if !shared(info) {
			continue
		}
		if err := os.Chmod(name, 0o600); err != nil {
			return hint.New(
				fmt.Errorf("others than its owner may use it (mode %04o): run chmod 600 as its owner, or make this user its owner: %w",
					info.Mode().Perm(), err),
				"Run chmod 600 on the file as its owner, or make the user that this program runs as its owner.",
			)
		}
	}
	return nil
}

// files returns the database file and the files that SQLite keeps next to it.
func files(path string) []string { return []string{path, path + "-wal", path + "-shm"} }

func create(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		if info, statErr := os.Stat(path); statErr == nil && info.Mode().IsRegular() {
			return nil // another process was faster
		}
	}
	if err != nil {
		return fmt.Errorf("the file cannot be created: %w", err)
	}
	return f.Close()
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
