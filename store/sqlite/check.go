package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/internal/ownfile"
	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/internal/sqlkeep"
	"github.com/walink/walink/store"
)

// Check implements [store.Checker]. It tests whether the database can be used:
// the file is still the one that was opened, the file and its directory are
// writable, nobody else can read the file or SQLite's files next to it, every
// pragma is set, and a transaction that changes nothing reaches the disk. The error
// is a [*store.Advice] if another user than that of this program and root can read or
// replace the file: the file, a directory above it or a symbolic link on the way to it
// belongs to that user, or others can write to such a directory and it is not sticky.
func (s *Store) Check(ctx context.Context) error {
	if err := s.check(ctx); err != nil {
		return redact.Errorf("sqlite: check %q: %w", s.path, explain(err))
	}
	return nil
}

func (s *Store) check(ctx context.Context) error {
	if s.path != memory {
		if err := s.file.Check(); err != nil {
			return err
		}
		if err := checkFile(s.file.Path()); err != nil {
			return err
		}
	}
	if err := s.checkPragmas(ctx); err != nil {
		return err
	}
	if err := sqlkeep.Probe(ctx, s.keeper); err != nil {
		return err
	}
	if s.path != memory {
		if told := ownfile.Trusted(s.file.Path()); told != nil {
			return &store.Advice{Err: told, Fix: told.Remedy()}
		}
	}
	return nil
}

func (s *Store) checkPragmas(ctx context.Context) error {
	if s.lent {
		return errors.Join(fit(ctx, s.writer), fit(ctx, s.reader))
	}
	// The first pragma is the busy timeout, which may have any value.
	if err := verify(ctx, s.writer, writerPragmas(s.path == memory, 0)[1:]); err != nil || s.reader == nil {
		return err
	}
	return verify(ctx, s.reader, readerPragmas(0)[1:])
}

// checkFile examines the file, SQLite's files next to it, and the directory. It
// opens none of them.
func checkFile(path string) error {
	file, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("the file: %w", err)
	}
	if err := cmp.Or(ownfile.Examine(path), checkNextTo(path)); err != nil {
		return err
	}
	names, err := files(path)
	if err != nil {
		return err
	}
	for _, name := range names {
		info, err := os.Lstat(name)
		if err == nil {
			err = ownfile.Private(info)
		}
		if err != nil && (name == names[0] || !errors.Is(err, fs.ErrNotExist)) {
			return err
		}
	}
	if err := writable(path, file); err != nil {
		return readOnlyFile(err)
	}
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("the directory: %w", err)
	}
	if err := writableDir(dir, info); err != nil {
		return hint.New(fmt.Errorf("the directory, which SQLite writes to, is read-only: %w", err), remedyDirectory)
	}
	return nil
}
