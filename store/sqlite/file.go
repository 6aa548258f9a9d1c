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

// prepareFile creates a missing file for its owner alone, before SQLite opens
// it: the -wal and -shm files inherit its mode. A file that exists is looked
// at but never opened here, since closing it would drop the locks that another
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

// makePrivate takes a database from all but its owner, with what lies beside it.
func makePrivate(path string) error {
	for _, name := range beside(path) {
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

// beside returns the database file and those that SQLite keeps beside it.
func beside(path string) []string { return []string{path, path + "-wal", path + "-shm"} }

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

// writable also holds for root what the mode says: who takes all write bits
// away wants the file left alone.
func writable(path string, info fs.FileInfo) error {
	if info.Mode().Perm()&0o222 == 0 {
		return fs.ErrPermission
	}
	return access(path)
}
