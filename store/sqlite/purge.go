package sqlite

import (
	"context"
	"database/sql"
	"fmt"
)

// purgeTimeout is how long a purge waits, with the write lock, for transactions that
// read the -wal file. It is in milliseconds.
const purgeTimeout = 100

// purge is [purge] on the connection that writes.
func (s *Store) purge(ctx context.Context) bool {
	conn, err := s.writer.Conn(ctx)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	return purge(ctx, conn)
}

// purge brings what is in the -wal file into the database, and empties that file: it
// has old pages, with keys that were deleted since. purge returns false if that was
// not possible, for example because another process reads an old state of the
// database.
func purge(ctx context.Context, conn *sql.Conn) bool {
	var busy, pages, moved, timeout int
	// PASSIVE waits for nobody. If it leaves pages in the file, somebody reads an old
	// state, maybe for hours, and it is no use to wait for that with the write lock.
	err := ask(ctx, conn, "wal_checkpoint(PASSIVE)", &busy, &pages, &moved)
	if err != nil || busy != 0 || moved < pages || ask(ctx, conn, "busy_timeout", &timeout) != nil {
		return false
	}
	defer func() { _ = ask(context.WithoutCancel(ctx), conn, fmt.Sprintf("busy_timeout=%d", timeout), new(int)) }()
	if ask(ctx, conn, fmt.Sprintf("busy_timeout=%d", purgeTimeout), new(int)) != nil {
		return false
	}
	return ask(ctx, conn, "wal_checkpoint(TRUNCATE)", &busy, &pages, &moved) == nil && busy == 0
}
