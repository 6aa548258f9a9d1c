package sqlite

import (
	"context"
	"database/sql"
	"time"
)

// OpenBusy is Open with a busy timeout for tests of locked files.
func OpenBusy(ctx context.Context, path string, busy time.Duration) (*Store, error) {
	return open(ctx, path, busy)
}

// Writer is the pool of the one connection that writes.
func Writer(s *Store) *sql.DB { return s.writer }

// Reader is the pool of the connections that read.
func Reader(s *Store) *sql.DB { return s.reader }

// Kept returns how many statements of reads are kept prepared.
func Kept(s *Store) int {
	pools, ok := s.db.LoggingDB.UnderlyingExecable.(split)
	if !ok {
		return 0
	}
	pools.reader.mu.Lock()
	defer pools.reader.mu.Unlock()
	return len(pools.reader.kept)
}

// Ask reads a number as whatsmeow's stores do.
func Ask(ctx context.Context, s *Store, query string, args ...any) (n int, err error) {
	err = s.db.QueryRow(ctx, query, args...).Scan(&n)
	return n, err
}
