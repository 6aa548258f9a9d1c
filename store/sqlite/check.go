package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Check implements [store.Checker]. It looks whether the database can be used: the file is still there, it and
// its directory may be written and nobody else's program may read it, every
// pragma holds, and a transaction that changes nothing reaches the disk.
func (s *Store) Check(ctx context.Context) error {
	if err := s.check(ctx); err != nil {
		return fmt.Errorf("sqlite: check %q: %w", s.path, err)
	}
	return nil
}

func (s *Store) check(ctx context.Context) error {
	inMemory := s.path == memory
	if !inMemory {
		if err := checkFile(s.path); err != nil {
			return err
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

func checkFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("the file: %w", err)
	}
	if shared(info) {
		return fmt.Errorf("others than its owner may use the file (mode %04o): run chmod 600 on it", info.Mode().Perm())
	}
	if err := writable(path, info); err != nil {
		return fmt.Errorf("the file is read-only: %w", err)
	}
	dir := filepath.Dir(path)
	if info, err = os.Stat(dir); err != nil {
		return fmt.Errorf("the directory: %w", err)
	}
	if err := writable(dir, info); err != nil {
		return fmt.Errorf("the directory, which SQLite writes to, is read-only: %w", err)
	}
	return nil
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
		return 0, time.Time{}, fmt.Errorf("sqlite: read the pairing codes in %q: %w", s.path, err)
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
