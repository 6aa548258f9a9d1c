package bolt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/walink/walink/internal/hint"
)

// prepareFile creates a missing file for its owner alone. It does not open an
// existing file.
func prepareFile(path string) error {
	if path == "" {
		return hint.New(errors.New("the path is empty"), remedyPath)
	}
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return hint.New(fmt.Errorf("the directory %q does not exist: %w", dir, fs.ErrNotExist), remedyNoDirectory)
	case err != nil:
		return fmt.Errorf("the directory: %w", err)
	case !info.IsDir():
		return hint.New(fmt.Errorf("%q is not a directory", dir), remedyNoDirectory)
	}
	info, err = os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
		if err != nil {
			return fmt.Errorf("the file cannot be created: %w", err)
		}
		return file.Close()
	case err != nil:
		return err
	case info.IsDir():
		return hint.New(errors.New("it is a directory"), remedyPath)
	case !info.Mode().IsRegular():
		return hint.New(errors.New("it is not a regular file"), remedyPath)
	case info.Mode().Perm()&0o222 == 0:
		// Obey the mode even for root: whoever removes all write bits wants the
		// file to stay as it is.
		return fmt.Errorf("the file is read-only: %w", fs.ErrPermission)
	}
	return nil
}

// makePrivate takes access to the file away from everybody but the owner.
func makePrivate(path string) error {
	info, err := os.Stat(path)
	if err != nil || !shared(info) {
		return err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return hint.New(
			fmt.Errorf("others than its owner may use it (mode %04o): run chmod 600 as its owner, or make this user its owner: %w",
				info.Mode().Perm(), err),
			"Run chmod 600 on the file as its owner, or make the user that this program runs as its owner.",
		)
	}
	return nil
}

// Check implements [kv.Checker]. It tests whether the file is still the one
// that was opened, is writable, and is private.
func (db *DB) Check(ctx context.Context) error {
	return explain(db.check(ctx))
}

func (db *DB) check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := db.file.Check(); err != nil {
		return err
	}
	info, err := os.Stat(db.file.Path())
	if err != nil {
		return fmt.Errorf("the file: %w", err)
	}
	if shared(info) {
		return hint.New(
			fmt.Errorf("others than its owner may use the file (mode %04o): run chmod 600 on it", info.Mode().Perm()),
			"Run chmod 600 on the file: whoever can read it can use the accounts in it.",
		)
	}
	if info.Mode().Perm()&0o222 == 0 {
		return fmt.Errorf("the file is read-only: %w", fs.ErrPermission)
	}
	return nil
}
