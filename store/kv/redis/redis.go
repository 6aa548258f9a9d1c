// Package redis is a [kv.DB] in a Redis server, for programs on several
// machines, with github.com/redis/go-redis.
//
//	db, err := redis.Open(ctx, "rediss://user:password@host:6379/0", "walink")
//	if err != nil {
//		return err
//	}
//	st := kv.New(db)
//	defer st.Close()
//
// The package is a separate module, so that only programs that use it depend
// on go-redis. It needs Redis 6.2 or later, or Valkey.
//
// # What the server holds, and its danger
//
// The server holds everything that package kv stores, in clear: the keys of
// WhatsApp accounts. Whoever can read the server, its files or its network can
// act as those accounts. Use [kv.Encrypt], TLS and a password. Check warns of a
// server that is not on this machine and is reached without TLS that verifies it.
// Deleted data, such as the keys of a session that was deleted or moved, stays in
// the append-only file until the server rewrites the file (BGREWRITEAOF), and in
// snapshots until the next one.
//
// Everything is in a few Redis keys. Their names are the prefix in braces and a
// word, so that a cluster keeps them in one slot. They are: a hash of values; a
// sorted set of names; a number that each commit increases; a lock; the queue
// for the lock, and when each process in the queue last asked; two lists with
// the changes of a large commit; for ten minutes, the last commit of each
// process; and, only while Check runs, one key to try commands on.
//
// A user of the server that is only for this package needs no more than
//
//	ACL SETUSER walink on >password ~{walink}:* -@all +ping +info +config|get +eval +evalsha
//	    +del +get +hdel +hget +hmget +hset +incr +llen +lrange +pexpire +rpush
//	    +set +time +type +unlink +zadd +zrange +zrank +zrem +zscore
//
// Without info and config, Check cannot read the settings of the server. Open
// and Check name every other permission that is missing, and change nothing on
// the server to find it. If a permission is revoked later, a transaction that
// needs it stores nothing.
//
// # What a crash may lose
//
// A crash of the program loses nothing that was reported as stored: a
// transaction is one script on the server, done completely or not at all. What
// a crash of the server loses depends on its settings: with "appendonly yes"
// and "appendfsync always" nothing, with "everysec" the last second, with
// snapshots alone the minutes since the last snapshot, and without either
// everything. A lease can be lost too, and its token used again: Check warns
// about snapshots alone with a [*store.Advice]. A failover can lose what the
// replica had not yet received.
//
// Open refuses a server that keeps nothing on its disk, and one that deletes
// keys when its memory is full: "maxmemory-policy" must be "noeviction". A
// device whose last writes are lost cannot decrypt what its contacts send,
// until they notice: choose "always".
//
// While the server is down, calls fail; they work again once the server is up.
// After a crash of the server, calls that write may have to wait five seconds
// for a lock. If the disk of the server is full, a server with "everysec"
// refuses to write, and one with "always" stops, until there is room. TestCrash
// kills a writing program, and TestCrashOfTheServer the server under load,
// hundreds of times. TestFullDisk and TestFullDiskAlways fill its disk.
//
// # Many processes
//
// A writing transaction takes the lock, which only one process can have at a
// time, so that each transaction runs once and one after the other.
// Transactions of one process that wait for each other share the lock and one
// commit. Processes get the lock in the order in which they asked. A process
// renews the lock as long as its transaction runs. If the process dies, the
// lock ends after five seconds. A process that was stopped for longer gets an
// error that wraps [ErrLockLost], and has stored nothing. If the network fails
// during a commit, the package sends the commit again, which does no harm; if
// there is still no answer, the error says that the outcome is not known.
// Leases end by the time of the server, on a cluster by that of the node with
// the keys.
//
// A commit of more than a thousand changes is sent in steps and then done at
// once. During that time the server does nothing else: one or two seconds for
// four hundred thousand changes. A commit of more than a million changes or a
// GiB is refused.
package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/internal/group"
)

// ErrEvicts is in the chain of the error about a server that deletes keys by
// itself. Nothing on the server was changed.
var ErrEvicts error = hint.New(
	errors.New("it deletes keys when its memory is full: set maxmemory-policy to noeviction"),
	"Set maxmemory-policy of the server to noeviction, or use another server: this one deletes keys by itself.",
)

// ErrVolatile is in the chain of the error about a server that keeps nothing on
// its disk. Nothing on the server was changed.
var ErrVolatile error = hint.New(
	errors.New("it keeps nothing on its disk: set appendonly to yes, and appendfsync to always"),
	"Set appendonly of the server to yes and appendfsync to always, or use another server: this one keeps nothing on its disk.",
)

// ErrLockLost is in the chain of the error about a transaction that took longer
// than its lock. The transaction has stored nothing, and can be tried again.
var ErrLockLost error = hint.New(
	errors.New("the lock was lost before the end of the transaction"),
	"Try again, and find out why this program or the server was so slow.",
)

var errPrefix = errors.New("the prefix is empty or has a brace in it")

// DB is a part of a Redis server. It is safe for concurrent use. Use [Open].
type DB struct {
	address string
	prefix  string
	client  redis.UniversalClient
	names   []string // of the Redis keys, in the order of the scripts
	writer  *group.Writer
	holder  string // of locks, not of leases
	batches atomic.Uint64

	calls   sync.WaitGroup // reads, and calls in the background
	mu      sync.Mutex
	closed  bool
	closing sync.Once
	err     error
}

var (
	_ kv.DB      = (*DB)(nil)
	_ kv.Clock   = (*DB)(nil)
	_ kv.Checker = (*DB)(nil)
)

// Open connects to the server at url. The URL begins with redis://, with
// rediss:// for TLS, or with unix:// for a socket. It can have a user, a
// password and the number of a database; the options after a question mark are
// those of go-redis. The names of all Redis keys begin with prefix, which must
// not be empty or have braces. DBs with different prefixes share nothing.
//
// If the server cannot be reached, must not be used, or denies its user a
// command that the package needs, the error names the address, without user and
// password, and the reason. Nothing on the server is changed. See [ErrEvicts]
// and [ErrVolatile].
func Open(ctx context.Context, url, prefix string) (*DB, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		// Its text may contain the URL, and so the password.
		return nil, fmt.Errorf("redis: open: %w", hint.New(errURL, remedyURL))
	}
	options.MaxRetries = -1 // this package retries where a retry is safe
	options.ContextTimeoutEnabled = true
	db, err := OpenClient(ctx, redis.NewClient(options), prefix)
	if err != nil {
		return nil, err
	}
	return db, nil
}

// OpenClient is [Open] for a client of go-redis, such as one of a cluster or a
// sentinel. The DB owns the client, and closes it, even if OpenClient fails.
func OpenClient(ctx context.Context, client redis.UniversalClient, prefix string) (*DB, error) {
	if prefix == "" || strings.ContainsAny(prefix, "{}") {
		return nil, redact.Errorf("redis: open: %w", errors.Join(hint.New(errPrefix, "Choose a prefix such as walink."), client.Close()))
	}
	slot := "{" + prefix + "}:"
	db := &DB{
		address: address(client),
		client:  client,
		prefix:  prefix,
		holder:  rand.Text(),
	}
	for _, name := range []string{"version", "values", "index", "lock", "queue", "seen", "sets", "deletes", "done:" + db.holder, "trial"} {
		db.names = append(db.names, slot+name)
	}
	db.writer = group.New(db.begin)
	db.writer.Span = batchTime
	var advice *store.Advice
	if err := db.Check(ctx); err != nil && !errors.As(err, &advice) {
		return nil, redact.Errorf("redis: open %s: %w", db, errors.Join(err, client.Close()))
	}
	return db, nil
}

// address names a server without its password.
func address(client redis.UniversalClient) string {
	single, ok := client.(*redis.Client)
	if !ok {
		return "redis"
	}
	return fmt.Sprintf("redis %s database %d", strconv.Quote(single.Options().Addr), single.Options().DB)
}

// String names the server and the keys.
func (db *DB) String() string {
	return fmt.Sprintf("%s, prefix %s", db.address, strconv.Quote(db.prefix))
}

// Now implements [kv.Clock] with the time of the server that has the keys.
func (db *DB) Now(ctx context.Context) (time.Time, error) {
	end, err := db.enter()
	if err != nil {
		return time.Time{}, explain(err)
	}
	defer end()
	parts, err := db.run(ctx, timeScript).StringSlice()
	if err != nil {
		return time.Time{}, explain(err)
	}
	if len(parts) != 2 {
		return time.Time{}, errShort
	}
	seconds, err := strconv.ParseInt(parts[0], 10, 64)
	micros, err2 := strconv.ParseInt(parts[1], 10, 64)
	return time.Unix(seconds, micros*1000), explain(errors.Join(err, err2))
}

// enter keeps the connections open until end is called.
func (db *DB) enter() (end func(), err error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return nil, store.ErrClosed
	}
	db.calls.Add(1)
	return db.calls.Done, nil
}

// Close waits for the running transactions, and closes the connections. A
// second Close does nothing.
func (db *DB) Close() error {
	db.closing.Do(func() {
		db.writer.Close()
		db.mu.Lock()
		db.closed = true
		db.mu.Unlock()
		db.calls.Wait()
		if err := db.client.Close(); err != nil {
			db.err = redact.Errorf("redis: close %s: %w", db, err)
		}
	})
	return db.err
}
