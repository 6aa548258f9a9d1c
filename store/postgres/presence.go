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
	"github.com/jackc/pgx/v5/pgxpool"
)

// presence shows others that this Store is alive: by an advisory lock on a
// connection outside the pool. The server releases the lock when it sees the
// connection end. A goroutine waits for that end.
type presence struct {
	config *pgxpool.Config
	one    chan struct{} // has a token while no goroutine connects

	mu      sync.Mutex
	useless bool          // behind a pooler, which shares its connections
	closed  bool          // the Store is closed
	own     string        // the mark; empty without a connection
	lost    chan struct{} // closed when the connection has ended; nil without one
	stop    context.CancelFunc
	done    chan struct{}
}

// claimLimit is how long the connection and its lock may take.
const claimLimit = 2 * time.Second

var errClosed = errors.New("the store is closed")

func newPresence(config *pgxpool.Config) *presence {
	p := &presence{config: config.Copy(), one: make(chan struct{}, 1)}
	p.one <- struct{}{}
	return p
}

// mark returns a text from which others can tell whether this Store is alive.
// It has the start time of the server, with which its locks end, and the number
// of the lock. If no connection outside the pool is possible, the mark is
// empty.
func (p *presence) mark(ctx context.Context) (string, error) {
	select {
	case <-p.one:
		defer func() { p.one <- struct{}{} }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	own, ready, err := p.state()
	if ready {
		return own, err
	}
	limited, cancel := context.WithTimeout(ctx, claimLimit)
	defer cancel()
	conn, err := p.connect(limited)
	if err == nil {
		if own, err = p.claim(limited, conn); err == nil {
			err = ctx.Err() // the caller has given up
		}
		if err != nil {
			_ = conn.Close(limited) // the first error is enough
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err != nil && ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		p.lost = nil // the lease is valid anyway, and ends when it expires
		return "", nil
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.own, p.stop = own, stop
	p.lost, p.done = make(chan struct{}), make(chan struct{})
	if p.closed {
		stop()
	}
	go p.watch(life, conn, own, p.lost, p.done)
	return own, nil
}

// connect makes a connection outside the pool.
func (p *presence) connect(ctx context.Context) (*pgx.Conn, error) {
	config := p.config.ConnConfig.Copy()
	if before := p.config.BeforeConnect; before != nil { // it may set a password that lives for minutes
		if err := before(ctx, config); err != nil {
			return nil, err
		}
	}
	return pgx.ConnectConfig(ctx, config)
}

// state returns the mark, and whether no new connection is needed for it.
func (p *presence) state() (own string, ready bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return "", true, errClosed
	}
	return p.own, p.useless || p.own != "", nil
}

// serverStart is the time at which the server was started, in any time zone of
// the connection.
const serverStart = `extract(epoch FROM pg_postmaster_start_time())::text`

// claim takes the lock. It makes sure that the server does not end the
// connection by itself before a lease has ended: 60 seconds are more than twice
// the time of a lease.
func (p *presence) claim(ctx context.Context, conn *pgx.Conn) (string, error) {
	var b [8]byte
	_, _ = rand.Read(b[:]) // Read never fails
	number := int64(binary.BigEndian.Uint64(b[:]) >> 1)
	var started string
	// Some servers do not know all of these.
	_, err := conn.Exec(ctx, `
		SELECT set_config(name, CASE name WHEN 'tcp_keepalives_idle' THEN '60' ELSE '0' END, false) FROM pg_settings
		WHERE name IN ('tcp_keepalives_idle', 'tcp_user_timeout', 'idle_session_timeout')
	`)
	if err == nil {
		err = conn.QueryRow(ctx, `SELECT `+serverStart+` FROM (SELECT pg_advisory_lock($1)) AS locked`, number).Scan(&started)
	}
	return started + " " + strconv.FormatInt(number, 10), err
}

// watch waits until the connection ends, or ctx ends and watch closes the
// connection.
func (p *presence) watch(ctx context.Context, conn *pgx.Conn, own string, lost, done chan struct{}) {
	defer close(done)
	for {
		if _, err := conn.WaitForNotification(ctx); err != nil {
			break
		}
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimLimit)
	defer cancel()
	_ = conn.Close(limited) // it has ended, or must end
	p.mu.Lock()
	if p.own == own {
		p.own = ""
	}
	p.mu.Unlock()
	close(lost)
}

// drop closes a connection whose lock the server no longer knows.
func (p *presence) drop(own string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.own == own {
		p.own = ""
		p.stop()
	}
}

// alarm returns a channel that is closed when the lock is lost, or nil without
// a lock.
func (p *presence) alarm() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// close releases the lock, even one that another goroutine is about to take.
func (p *presence) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	<-p.one
	defer func() { p.one <- struct{}{} }()
	p.mu.Lock()
	stop, done := p.stop, p.done
	p.mu.Unlock()
	if stop != nil {
		stop()
		<-done
	}
}

// mark returns the mark of this Store, and makes sure that the server has its
// lock. A connection may have ended at the server only, for example because a
// router between the two has forgotten it.
func (s *Store) mark(ctx context.Context) (string, error) {
	own, err := s.presence.mark(ctx)
	if err == nil && own != "" && s.dead(ctx, own) {
		s.presence.drop(own)
		return s.presence.mark(ctx)
	}
	return own, err
}

// dead reports whether the Store with that mark is known to be dead: its lock
// is free, and the server has not been restarted since. Others may ask at the
// same time, so dead tries to take the lock as a shared one.
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
