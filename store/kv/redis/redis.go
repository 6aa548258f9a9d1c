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
// The package is a module of its own, so that go-redis is in the programs that
// use it and in no other. It needs Redis 6.2 or later, or Valkey.
//
// # What the server holds, and its danger
//
// All that package kv stores, in clear: the keys of WhatsApp accounts. Who can
// read the server, its files or its network can be those accounts. Use
// [kv.Encrypt], TLS and a password.
//
// Everything is in a few Redis keys: a hash of values, a sorted set of names, a
// number that each commit raises, a lock, the queue for it and when each in it
// has last asked, two lists of what a large commit is yet to store, for ten
// minutes the last commit of each process, and within a script of Check one to
// try commands on. Their names are the prefix in braces and a word, so that a
// cluster keeps them in one slot.
//
// A user of the server for this package alone needs no more than
//
//	ACL SETUSER walink on >password ~{walink}:* -@all +ping +info +config|get +eval +evalsha
//	    +del +get +hdel +hget +hmget +hset +incr +llen +lrange +pexpire +rpush
//	    +set +time +type +unlink +zadd +zrange +zrank +zrem +zscore
//
// Without info and config the settings of the server go unchecked. Open and
// Check name what else is missing, without a change to the server. Where a
// permission ends later, a transaction that needs it stores nothing.
//
// # What a crash may lose
//
// A program that crashes loses nothing that was reported as stored: a
// transaction is one script on the server, done in full or not at all. What a
// crash of the server loses is for its settings to say: with "appendonly yes"
// and "appendfsync always" nothing, with "everysec" the last second, with
// snapshots alone the minutes since the last, and without either all. A lease
// can be lost like anything else, and its token be given again: Check advises
// against snapshots alone with a [*store.Advice]. A
// failover can lose what the replica had not yet got. Open refuses a server
// with no persistence, and one that evicts keys when its memory is full:
// "maxmemory-policy" must be "noeviction". A device whose last writes are lost
// can no longer read what its contacts send, until they notice: choose
// "always".
//
// While the server is away calls fail, and work again once it is back; after
// its crash those that write may have to wait ten seconds for a lock. Where its
// disk is full, a server with "everysec" refuses to write, and one with
// "always" ends itself, until there is room. TestCrash kills a writing program,
// TestCrashOfTheServer the server under load, hundreds of times, and
// TestFullDisk and TestFullDiskAlways fill its disk.
//
// # Many processes
//
// Writing transactions take the lock, which is theirs alone across all
// processes, so that each runs once and after the other; those of one process
// that wait for each other share it and one commit. Processes get it in the
// order in which they asked. It is renewed as long as its transaction runs; a
// process that dies with it loses it after ten seconds. One that stood still
// for longer gets an error that wraps [ErrLockLost], and has stored nothing.
// Where the network fails under a commit it is asked for again, which does no
// harm; if there is no answer either, the error says that the outcome is not
// known. The time by which leases end is the server's, on a cluster that of the
// node with the keys.
//
// A commit of more than a thousand changes is sent in steps and then done at
// once, during which the server does nothing else: one or two seconds for four
// hundred thousand. More than a million or a GiB are refused.
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
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/internal/group"
)

// ErrEvicts is in the chain of the error about a server that deletes keys by
// itself. Nothing in it has been changed.
var ErrEvicts error = hint.New(
	errors.New("it deletes keys when its memory is full: set maxmemory-policy to noeviction"),
	"Set maxmemory-policy of the server to noeviction, or use another server: this one deletes keys by itself.",
)

// ErrVolatile is in the chain of the error about a server that keeps nothing
// on its disk. Nothing in it has been changed.
var ErrVolatile error = hint.New(
	errors.New("it keeps nothing on its disk: set appendonly to yes, and appendfsync to always"),
	"Set appendonly of the server to yes and appendfsync to always, or use another server: this one keeps nothing on its disk.",
)

// ErrLockLost is in the chain of the error about a transaction that took
// outlived its lock. It has stored nothing, and can be tried again.
var ErrLockLost error = hint.New(
	errors.New("the lock was lost before the end of the transaction"),
	"Try again, and look why this program or the server was so slow.",
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

	calls   sync.WaitGroup // what reads, and what goes on in the background
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

// Open connects to the server at url, which is of the form redis://, rediss://
// with TLS, or unix:// for a socket, and can hold a user, a password and the
// number of a database. The options that can follow after a question mark are
// those of go-redis. The names of all Redis keys begin with prefix, which is
// not empty and without braces: two that differ share nothing.
//
// A server that cannot be reached, that must not be used, or that does not let
// its user do what is needed, gets an error that names the address and the
// reason, and is not changed: see [ErrEvicts] and [ErrVolatile]. The address in
// errors is without user and password.
func Open(ctx context.Context, url, prefix string) (*DB, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		// Its text may hold the URL, and with it the password.
		return nil, fmt.Errorf("redis: open: %w", hint.New(errURL, remedyURL))
	}
	options.MaxRetries = -1 // what is worth it is asked again anyway
	options.ContextTimeoutEnabled = true
	db, err := OpenClient(ctx, redis.NewClient(options), prefix)
	if err != nil {
		return nil, err
	}
	return db, nil
}

// OpenClient is [Open] for a client of go-redis, such as one of a cluster or a
// sentinel. The DB owns it, and closes it, also when OpenClient fails.
func OpenClient(ctx context.Context, client redis.UniversalClient, prefix string) (*DB, error) {
	if prefix == "" || strings.ContainsAny(prefix, "{}") {
		return nil, errors.Join(fmt.Errorf("redis: open: %w", hint.New(errPrefix, "Choose a prefix such as walink.")), client.Close())
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
		return nil, errors.Join(fmt.Errorf("redis: open %s: %w", db, err), client.Close())
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
	return time.Unix(seconds, micros*1000), errors.Join(err, err2)
}

// enter keeps the connections open until end is called.
func (db *DB) enter() (end func(), err error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return nil, group.ErrClosed
	}
	db.calls.Add(1)
	return db.calls.Done, nil
}

// Close waits for the transactions that run, and closes the connections. It
// may be called twice.
func (db *DB) Close() error {
	db.closing.Do(func() {
		db.writer.Close()
		db.mu.Lock()
		db.closed = true
		db.mu.Unlock()
		db.calls.Wait()
		if err := db.client.Close(); err != nil {
			db.err = fmt.Errorf("redis: close %s: %w", db, err)
		}
	})
	return db.err
}
