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
type presence struct {
	config *pgx.ConnConfig
	one    chan struct{} // has a token while nobody connects

	mu      sync.Mutex
	useless bool          // behind a pooler, where connections are not one's own
	closed  bool          // closed
	own     string        // the mark; empty while there is no connection
	lost    chan struct{} // closed when the connection has ended; nil if there is none to lose
	stop    context.CancelFunc
	done    chan struct{}
}

// claimLimit is how long the connection may take.
const claimLimit = 2 * time.Second

var errClosed = errors.New("the store is closed")

func newPresence(config *pgx.ConnConfig) *presence {
	p := &presence{config: config, one: make(chan struct{}, 1)}
	p.one <- struct{}{}
	return p
}

// mark returns what others can tell by whether this Store is alive: when the
// server was started, since its locks end with it, and the number of the lock.
// Where no connection can be had beside the pool it is empty.
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
	conn, err := pgx.ConnectConfig(limited, p.config.Copy())
	if err == nil {
		if own, err = p.claim(limited, conn); err == nil {
			err = ctx.Err() // nobody would keep it
		}
		if err != nil {
			_ = conn.Close(limited) // the first error says it all
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err != nil && ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		p.lost = nil // a lease is good all the same, and ends with its time
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

// state returns the mark if it can be had without a new connection.
func (p *presence) state() (own string, ready bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return "", true, errClosed
	}
	return p.own, p.useless || p.own != "", nil
}

// serverStart is when the server was started, whatever the time zone of the
// connection.
const serverStart = `extract(epoch FROM pg_postmaster_start_time())::text`

// claim takes the lock. The server is not to end the connection by itself before
// any lease has ended: 60 seconds are more than twice their time.
func (p *presence) claim(ctx context.Context, conn *pgx.Conn) (string, error) {
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
func (p *presence) watch(ctx context.Context, conn *pgx.Conn, own string, lost, done chan struct{}) {
	defer close(done)
	for {
		if _, err := conn.WaitForNotification(ctx); err != nil {
			break
		}
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimLimit)
	defer cancel()
	_ = conn.Close(limited) // it has ended, or is to
	p.mu.Lock()
	if p.own == own {
		p.own = ""
	}
	p.mu.Unlock()
	close(lost)
}

// drop gives up a connection of which the server knows no more.
func (p *presence) drop(own string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.own == own {
		p.own = ""
		p.stop()
	}
}

// alarm returns a channel that is closed when the lock is lost; nil if there is
// none to lose.
func (p *presence) alarm() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// close lets go of the lock, also of one that is being taken.
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

// mark returns the mark of this Store, whose lock the server has: a connection
// may end there and not here, as when something in between has forgotten it.
func (s *Store) mark(ctx context.Context) (string, error) {
	own, err := s.presence.mark(ctx)
	if err == nil && own != "" && s.dead(ctx, own) {
		s.presence.drop(own)
		return s.presence.mark(ctx)
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
