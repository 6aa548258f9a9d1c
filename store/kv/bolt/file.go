package bolt

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/walink/walink/internal/ownfile"
	"github.com/walink/walink/store"
)

// prepareFile creates a missing file for its owner alone. It does not open an
// existing file.
func prepareFile(path string) error {
	if _, _, err := ownfile.Dir(path); err != nil {
		return err
	}
	if err := ownfile.Make(path); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err == nil {
		err = readOnlyFile(info)
	}
	return err
}

// readOnlyFile obeys the mode even for root: whoever removes all write bits wants
// the file to stay as it is.
func readOnlyFile(info fs.FileInfo) error {
	if info.Mode().Perm()&0o222 == 0 {
		return fmt.Errorf("the file is read-only: %w", fs.ErrPermission)
	}
	return nil
}

// makePrivate takes access to the file away from everybody but the owner.
func makePrivate(path string) error {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	return ownfile.MakePrivate(target)
}

// Check implements [kv.Checker]. It tests whether the file is still the one
// that was opened, is writable, and is private. The error is a [*store.Advice] if
// another user than that of this program and root can read or replace the file, also by
// way of a directory above it or of a symbolic link on the way to it.
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
	if err := cmp.Or(ownfile.Private(info), readOnlyFile(info), ownfile.Examine(db.file.Path())); err != nil {
		return err
	}
	if told := ownfile.Trusted(db.file.Path()); told != nil {
		return &store.Advice{Err: told, Fix: told.Remedy()}
	}
	return nil
}
