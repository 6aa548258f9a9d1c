package postgres

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// vital shows others that this Store is alive: by an advisory lock on a
// connection beside the pool, which the server lets go of when it sees the
// connection end. Its goroutine waits for that.
type vital struct {
	config *pgx.ConnConfig

	mu      sync.Mutex
	useless bool          // behind a pooler, where connections are not one's own
	over    bool          // closed
	own     string        // the mark; empty while there is no connection
	lost    chan struct{} // closed when the connection has ended
	stop    context.CancelFunc
	done    chan struct{}
}

var errClosed = errors.New("the store is closed")

// mark returns what others can tell by whether this Store is alive: when the
// server was started, since its locks end with it, and the number of the lock.
func (v *vital) mark(ctx context.Context) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.over:
		return "", errClosed
	case v.useless, v.own != "":
		return v.own, nil
	}
	conn, err := pgx.ConnectConfig(ctx, v.config.Copy())
	if err != nil {
		return "", err
	}
	own, err := v.claim(ctx, conn)
	if err != nil {
		_ = conn.Close(ctx) // the first error says it all
		return "", err
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	v.own, v.stop = own, stop
	v.lost, v.done = make(chan struct{}), make(chan struct{})
	go v.watch(life, conn, v.lost, v.done)
	return own, nil
}

// claim takes the lock. The server is not to end the connection by itself before
// any lease has ended: 60 seconds are more than twice their time.
func (v *vital) claim(ctx context.Context, conn *pgx.Conn) (string, error) {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	number := int64(binary.BigEndian.Uint64(b[:]) >> 1)
	var started string
	err := conn.QueryRow(ctx, `
		SELECT pg_postmaster_start_time()::text FROM
			(SELECT set_config('tcp_keepalives_idle', '60', false), set_config('tcp_user_timeout', '0', false),
				set_config('idle_session_timeout', '0', false)) AS settings,
			(SELECT pg_advisory_lock($1)) AS locked
	`, number).Scan(&started)
	return started + " " + strconv.FormatInt(number, 10), err
}

// watch waits for the end of the connection, or for ctx to end it.
func (v *vital) watch(ctx context.Context, conn *pgx.Conn, lost, done chan struct{}) {
	defer close(done)
	for {
		if _, err := conn.WaitForNotification(ctx); err != nil {
			break
		}
	}
	_ = conn.Close(context.WithoutCancel(ctx)) // it has ended, or is to
	v.mu.Lock()
	v.own = ""
	v.mu.Unlock()
	close(lost)
}

// alarm returns a channel that is closed when the lock is lost; nil if there is
// none to lose.
func (v *vital) alarm() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.lost
}

// close lets go of the lock.
func (v *vital) close() {
	v.mu.Lock()
	v.over = true
	stop, done := v.stop, v.done
	v.mu.Unlock()
	if stop != nil {
		stop()
		<-done
	}
}

// dead reports whether the Store with that mark is known to be dead: its lock is
// free on a server that has not been started since.
func (s *Store) dead(ctx context.Context, mark string) bool {
	at := strings.LastIndexByte(mark, ' ')
	if at < 0 {
		return false
	}
	number, err := strconv.ParseInt(mark[at+1:], 10, 64)
	if err != nil {
		return false
	}
	var same, free bool
	err = s.db.QueryRow(ctx, `
		SELECT started, CASE WHEN started THEN pg_try_advisory_xact_lock($2) ELSE false END
		FROM (SELECT pg_postmaster_start_time()::text=$1 AS started) AS server
	`, mark[:at], number).Scan(&same, &free)
	return err == nil && same && free
}
