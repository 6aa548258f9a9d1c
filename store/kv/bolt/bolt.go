// Package bolt is a [kv.DB] in one file, with go.etcd.io/bbolt. It needs
// neither a server nor cgo.
//
//	db, err := bolt.Open(ctx, "walink.bolt")
//	if err != nil {
//		return err
//	}
//	st := kv.New(db)
//	defer st.Close()
//
// The package is a module of its own, so that bbolt is in the programs that
// use it and in no other.
//
// # What the file holds, and its danger
//
// All that package kv stores, in clear: the keys of WhatsApp accounts. Open
// creates the file for its owner alone (mode 0600) and takes one that exists
// from all others. With [kv.Encrypt] a stolen file is useless. What was deleted
// may stay in unused parts of the file until they are used again. The file
// never gets smaller; bbolt's own "compact" command makes a small copy.
//
// Copy the file only after Close: beside a program that writes to it a copy
// may be of no use. Never run two copies: both would be the same device, and
// WhatsApp drops it.
//
// # What a crash may lose
//
// Nothing that was reported as stored. A transaction is on the disk, with two
// calls of fdatasync, before the call that made it returns, and no option of
// this package changes that. Transactions that waited for each other share
// one commit. After a crash of the program or of the machine the next Open
// finds the state of the last commit: each transaction in full, or not at all.
// On a full disk what needs room fails with an error that says so, reading goes
// on, and with room again so does all else. TestCrash kills a writing program,
// hundreds of times, and TestFullDisk fills a disk.
//
// # One process
//
// A file is held by one Store at a time. Another Open, by this or any other
// process, waits a second for it, and then gets an error that wraps
// [ErrLocked]. The lock ends with the process that holds it, however it ends.
package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/internal/group"
)

// ErrLocked is in the chain of the error about a file that is in use.
var ErrLocked error = hint.New(
	errors.New("it is in use: stop the process that has it open, or open it once in this process and share the Store"),
	"Stop the program that has the file open, or open it once in this program and share the Store.",
)

// ErrDamaged is in the chain of the error about a file that is no database of
// bbolt, or has been cut off or overwritten. It is not changed.
var ErrDamaged error = hint.New(
	errors.New("it is not a whole bbolt file: restore a copy, or give the path of a file that does not exist yet"),
	"Bring the file back from a backup, or give the path of a file that does not exist yet.",
)

// lockTimeout is how long Open waits for who has the file.
const lockTimeout = time.Second

// DB is a file. It is safe for concurrent use. Use [Open].
type DB struct {
	path    string
	db      *bbolt.DB
	writer  *group.Writer
	closing sync.Once
	err     error
}

var (
	_ kv.DB      = (*DB)(nil)
	_ kv.Checker = (*DB)(nil)
)

// Open opens the file at path, creating it with mode 0600 if there is none.
// The directory must exist. A file that others may use gets the mode 0600.
//
// A file that cannot be used gets an error that names the path and the reason,
// and is not changed: see [ErrLocked], [ErrDamaged] and, where another program's
// buckets are in it, [kv.ErrForeign].
func Open(ctx context.Context, path string) (*DB, error) {
	db, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("bolt: open %q: %w", path, explain(err))
	}
	return db, nil
}

func open(ctx context.Context, path string) (*DB, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := prepareFile(path); err != nil {
		return nil, err
	}
	if err := checkFile(path); err != nil {
		return nil, err
	}
	file, err := openFile(path, false)
	if err != nil {
		return nil, err
	}
	err = file.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucketName())
		return err
	})
	if err == nil {
		err = makePrivate(path)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	db := &DB{path: path, db: file}
	db.writer = group.New(db.begin)
	return db, nil
}

// bucketName is where all keys are.
func bucketName() []byte { return []byte("walink") }

// openFile opens the file with bbolt, whose panics about what it finds there
// become errors.
func openFile(path string, readOnly bool) (db *bbolt.DB, err error) {
	defer guard(&err)
	options := *bbolt.DefaultOptions
	options.Timeout = lockTimeout
	options.ReadOnly = readOnly
	options.FreelistType = bbolt.FreelistMapType
	// What is free is written with each commit: bbolt would otherwise look for
	// it at Open in a goroutine of its own, where its panic about a damaged file
	// ends the process.
	options.NoFreelistSync = false
	db, err = bbolt.Open(path, 0o600, &options)
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, ErrLocked
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return db, err
}

// checkFile looks whether the file is as long as it says, and nobody else's. A
// shorter one would end the process where it is read.
func checkFile(path string) error {
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		return err
	}
	db, err := openFile(path, true)
	if err != nil {
		return err
	}
	err = db.View(func(tx *bbolt.Tx) (err error) {
		defer guard(&err)
		info, err := os.Stat(path) // while nobody writes there
		switch {
		case err != nil:
			return err
		case info.Size() < tx.Size():
			return fmt.Errorf("%w: it has %d bytes of %d", ErrDamaged, info.Size(), tx.Size())
		}
		if other, _ := tx.Cursor().First(); other != nil && tx.Bucket(bucketName()) == nil {
			return fmt.Errorf("it has another program's buckets: %w", kv.ErrForeign)
		}
		return nil
	})
	return errors.Join(err, db.Close())
}

// guard makes an error of a panic of bbolt, which is how it says that what it
// finds in a file cannot be.
func guard(err *error) {
	if panicked := recover(); panicked != nil {
		*err = fmt.Errorf("%w: %v", ErrDamaged, panicked)
	}
}

// String names the file.
func (db *DB) String() string { return strconv.Quote(db.path) }

// Txn implements [kv.DB].
func (db *DB) Txn(ctx context.Context, write bool, fn func(kv.Tx) error) error {
	return explain(db.txn(ctx, write, fn))
}

func (db *DB) txn(ctx context.Context, write bool, fn func(kv.Tx) error) error {
	if write {
		return db.writer.Txn(ctx, fn)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	t, err := db.beginTx(false)
	if err != nil {
		return err
	}
	defer t.Rollback()
	if err := fn(readOnly{t}); err != nil {
		return err
	}
	return ctx.Err()
}

// Close waits for the transactions that run, and closes the file. It may be
// called twice.
func (db *DB) Close() error {
	db.closing.Do(func() {
		db.writer.Close()
		if err := db.db.Close(); err != nil {
			db.err = fmt.Errorf("bolt: close %q: %w", db.path, err)
		}
	})
	return db.err
}

func (db *DB) begin(context.Context) (group.Base, error) { return db.beginTx(true) }

func (db *DB) beginTx(write bool) (t *tx, err error) {
	defer guard(&err)
	bolt, err := db.db.Begin(write)
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return nil, group.ErrClosed
	} else if err != nil {
		return nil, err
	}
	return &tx{tx: bolt, bucket: bolt.Bucket(bucketName())}, nil
}
