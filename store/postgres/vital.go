package postgres

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// vital shows others that this Store is alive: by an advisory lock on a
// connection beside the pool, which the server lets go of when it sees the
// connection end. Its goroutine waits for that.
type vital struct {
	config *pgx.ConnConfig
	one    chan struct{} // has a token while nobody connects

	mu      sync.Mutex
	useless bool          // behind a pooler, where connections are not one's own
	over    bool          // closed
	own     string        // the mark; empty while there is no connection
	lost    chan struct{} // closed when the connection has ended; nil if there is none to lose
	stop    context.CancelFunc
	done    chan struct{}
}

// claimLimit is how long the connection may take.
const claimLimit = 2 * time.Second

var errClosed = errors.New("the store is closed")

func newVital(config *pgx.ConnConfig) *vital {
	v := &vital{config: config, one: make(chan struct{}, 1)}
	v.one <- struct{}{}
	return v
}

// mark returns what others can tell by whether this Store is alive: when the
// server was started, since its locks end with it, and the number of the lock.
// Where no connection can be had beside the pool it is empty.
func (v *vital) mark(ctx context.Context) (string, error) {
	select {
	case <-v.one:
		defer func() { v.one <- struct{}{} }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	own, ready, err := v.state()
	if ready {
		return own, err
	}
	limited, cancel := context.WithTimeout(ctx, claimLimit)
	defer cancel()
	conn, err := pgx.ConnectConfig(limited, v.config.Copy())
	if err == nil {
		if own, err = v.claim(limited, conn); err == nil {
			err = ctx.Err() // nobody would keep it
		}
		if err != nil {
			_ = conn.Close(limited) // the first error says it all
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case err != nil && ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		v.lost = nil // a lease is good all the same, and ends with its time
		return "", nil
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	v.own, v.stop = own, stop
	v.lost, v.done = make(chan struct{}), make(chan struct{})
	if v.over {
		stop()
	}
	go v.watch(life, conn, own, v.lost, v.done)
	return own, nil
}

// state returns the mark if it can be had without a new connection.
func (v *vital) state() (own string, ready bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over {
		return "", true, errClosed
	}
	return v.own, v.useless || v.own != "", nil
}

// serverStart is when the server was started, whatever the time zone of the
// connection.
const serverStart = `extract(epoch FROM pg_postmaster_start_time())::text`

// claim takes the lock. The server is not to end the connection by itself before
// any lease has ended: 60 seconds are more than twice their time.
func (v *vital) claim(ctx context.Context, conn *pgx.Conn) (string, error) {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	number := int64(binary.BigEndian.Uint64(b[:]) >> 1)
	var started string
	// Not every server knows all of these.
	_, err := conn.Exec(ctx, `
		SELECT set_config(name, CASE name WHEN 'tcp_keepalives_idle' THEN '60' ELSE '0' END, false) FROM pg_settings
		WHERE name IN ('tcp_keepalives_idle', 'tcp_user_timeout', 'idle_session_timeout')
	`)
	if err == nil {
		err = conn.QueryRow(ctx, `SELECT `+serverStart+` FROM (SELECT pg_advisory_lock($1)) AS locked`, number).Scan(&started)
	}
	return started + " " + strconv.FormatInt(number, 10), err
}

// watch waits for the end of the connection, or for ctx to end it.
func (v *vital) watch(ctx context.Context, conn *pgx.Conn, own string, lost, done chan struct{}) {
	defer close(done)
	for {
		if _, err := conn.WaitForNotification(ctx); err != nil {
			break
		}
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimLimit)
	defer cancel()
	_ = conn.Close(limited) // it has ended, or is to
	v.mu.Lock()
	if v.own == own {
		v.own = ""
	}
	v.mu.Unlock()
	close(lost)
}

// drop gives up a connection of which the server knows no more.
func (v *vital) drop(own string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.own == own {
		v.own = ""
		v.stop()
	}
}

// alarm returns a channel that is closed when the lock is lost; nil if there is
// none to lose.
func (v *vital) alarm() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.lost
}

// close lets go of the lock, also of one that is being taken.
func (v *vital) close() {
	v.mu.Lock()
	v.over = true
	v.mu.Unlock()
	<-v.one
	defer func() { v.one <- struct{}{} }()
	v.mu.Lock()
	stop, done := v.stop, v.done
	v.mu.Unlock()
	if stop != nil {
		stop()
		<-done
	}
}

// mark returns the mark of this Store, whose lock the server has: a connection
// may end there and not here, as when something in between has forgotten it.
func (s *Store) mark(ctx context.Context) (string, error) {
	own, err := s.vital.mark(ctx)
	if err == nil && own != "" && s.dead(ctx, own) {
		s.vital.drop(own)
		return s.vital.mark(ctx)
	}
	return own, err
}

// dead reports whether the Store with that mark is known to be dead: its lock is
// free on a server that has not been started since. Others may ask at the same
// time, so the lock is tried for sharing.
func (s *Store) dead(ctx context.Context, mark string) bool {
	started, lock, ok := strings.Cut(mark, " ")
	number, err := strconv.ParseInt(lock, 10, 64)
	if !ok || err != nil {
		return false
	}
	var free bool
	err = s.db.QueryRow(ctx, `
		SELECT CASE WHEN same THEN pg_try_advisory_xact_lock_shared($2) ELSE false END
		FROM (SELECT `+serverStart+`=$1 AS same) AS server
	`, started, number).Scan(&free)
	return err == nil && free
}
