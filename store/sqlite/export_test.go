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
