package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Check implements [store.Checker]. It looks whether the
// database can be used: the file is still there and is the one that was opened,
// it and its directory may be written, nobody else may read it or what lies
// beside it, every pragma holds, and a transaction that changes nothing reaches
// the disk.
func (s *Store) Check(ctx context.Context) error {
	if err := s.check(ctx); err != nil {
		return fmt.Errorf("sqlite: check %q: %w", s.path, explain(err))
	}
	return nil
}

func (s *Store) check(ctx context.Context) error {
	inMemory := s.path == memory
	if !inMemory {
		info, err := checkFile(s.path)
		if err != nil {
			return err
		}
		if s.file != nil && !os.SameFile(s.file, info) {
			return &hinted{errors.New("another file has taken the place of the one that is open, so what is stored now is lost"), remedyReplaced}
		}
	}
	// The first pragma is the busy timeout, of which any will do.
	if err := verify(ctx, s.writer, writerPragmas(inMemory, 0)[1:]); err != nil {
		return err
	}
	if s.reader != nil {
		if err := verify(ctx, s.reader, readerPragmas(0)[1:]); err != nil {
			return err
		}
	}
	// Both in one transaction: other programs never see the row, a crash leaves
	// nothing behind, and yet its pages are written.
	return s.txn(ctx, func(ctx context.Context) error {
		if _, err := s.db.Exec(ctx, `INSERT INTO walink_code (number, asked_at) VALUES ('', 0)`); err != nil {
			return err
		}
		_, err := s.db.Exec(ctx, `DELETE FROM walink_code WHERE number=''`)
		return err
	})
}

// checkFile looks at the file, at those beside it and at its directory, and
// opens none of them.
func checkFile(path string) (fs.FileInfo, error) {
	file, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &hinted{fmt.Errorf("the file: %w", err), remedyMissing}
	} else if err != nil {
		return nil, fmt.Errorf("the file: %w", err)
	}
	for _, name := range beside(path) {
		info, err := os.Stat(name)
		if err != nil && name != path {
			continue // there is none
		}
		if err == nil && shared(info) {
			return nil, exposed(info)
		}
	}
	if err := writable(path, file); err != nil {
		return nil, readOnlyFile(err)
	}
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("the directory: %w", err)
	}
	if err := writableDir(dir, info); err != nil {
		return nil, &hinted{fmt.Errorf("the directory, which SQLite writes to, is read-only: %w", err), remedyDirectory}
	}
	return file, nil
}

// PeekCode implements [store.CodePeeker].
func (s *Store) PeekCode(ctx context.Context, number string, now time.Time, limit int, window time.Duration) (left int, next time.Time, err error) {
	var taken int
	var oldest, until int64
	err = s.db.QueryRow(ctx, `
		SELECT COUNT(*), COALESCE(MIN(asked_at), 0), (SELECT COALESCE(MAX(until), 0) FROM walink_refusal WHERE number=$1 AND refused_at<=$5)
		FROM (SELECT asked_at FROM walink_code WHERE number=$1 AND asked_at>$2 AND asked_at<=$4 ORDER BY asked_at DESC LIMIT $3) AS asked
	`, number, now.Add(-window).UnixNano(), limit, now.Add(max(window, clockSlack)).UnixNano(), now.Add(clockSlack).UnixNano()).
		Scan(&taken, &oldest, &until)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("sqlite: read the pairing codes in %q: %w", s.path, explain(err))
	}
	left = max(limit-taken, 0)
	switch {
	case until > now.UnixNano():
		next = time.Unix(0, until).UTC()
	case limit <= 0:
		next = now.Add(window)
	case left == 0:
		next = time.Unix(0, oldest).Add(window).UTC()
	}
	return left, next, nil
}
