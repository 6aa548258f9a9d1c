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
// The package is a separate module, so that only programs that use it depend
// on bbolt.
//
// # What the file holds, and its danger
//
// The file holds everything that package kv stores, in clear: the keys of
// WhatsApp accounts. Open creates the file for its owner alone (mode 0600), and
// takes access to an existing file away from everybody else. Check warns if
// another user owns the file, or can write to its directory. With [kv.Encrypt] a
// stolen file is useless. Deleted data, such as the keys of a session that
// was deleted or moved, may stay in unused parts of the file until bbolt uses
// them again. The file never gets smaller; bbolt's own "compact" command makes
// a small copy without deleted data.
//
// Copy the file only after Close: a copy made while a program writes to the
// file may be useless. Never run two copies: both would be the same device, and
// WhatsApp disconnects it.
//
// # What a crash may lose
//
// Nothing that was reported as stored. A transaction is on the disk, with two
// calls of fdatasync, before its call returns; no option of this package
// changes that. Transactions that waited for each other share one commit. After
// a crash of the program or of the machine, the next Open finds the state of
// the last commit, with each transaction complete or not at all. On a full disk
// writes fail with an error that says so, and reads continue; once there is
// room, writes succeed again. TestCrash kills a writing program hundreds of
// times, and TestFullDisk fills a disk.
//
// # One process
//
// One Store at a time has a file. Another Open, by this or any other process,
// waits a second for the file, and then returns an error that wraps
// [ErrLocked]. The lock ends when its process ends in any way.
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
	"github.com/walink/walink/internal/intact"
	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/internal/group"
)

// ErrLocked is in the chain of the error about a file that is in use.
var ErrLocked error = hint.New(
	errors.New("it is in use: stop the process that has it open, or open it once in this process and share the Store"),
	"Stop the program that has the file open, or open it once in this program and share the Store.",
)

// ErrDamaged is in the chain of the error about a file that is not a database
// of bbolt, or that was cut off or overwritten. The file is not changed.
var ErrDamaged error = hint.New(
	errors.New("it is not a complete bbolt file: restore a copy, or give the path of a file that does not exist yet"),
	"Restore the file from a backup, or give the path of a file that does not exist yet.",
)

// lockTimeout is how long Open waits for a file that is in use.
const lockTimeout = time.Second

// DB is a file. It is safe for concurrent use. Use [Open].
type DB struct {
	path    string
	file    intact.File
	db      *bbolt.DB
	writer  *group.Writer
	closing sync.Once
	err     error
}

var (
	_ kv.DB      = (*DB)(nil)
	_ kv.Checker = (*DB)(nil)
)

// Open opens the file at path. If there is no file, Open creates it with mode
// 0600; an existing file that others may use gets that mode too. The directory
// must exist. A symbolic link at path must belong to the user that the program runs
// as or to root, and lead to a file. Open refuses a file of another user in a
// directory that others can write to.
//
// If the file cannot be used, the error names the path and the reason, and the
// file is not changed: see [ErrLocked], [ErrDamaged] and, if the file has
// another program's buckets, [kv.ErrForeign].
func Open(ctx context.Context, path string) (*DB, error) {
	db, err := open(ctx, path)
	if err != nil {
		return nil, redact.Errorf("bolt: open %q: %w", path, explain(err))
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
	var opened intact.File
	if err == nil {
		opened, err = intact.Of(path)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	db := &DB{path: path, file: opened, db: file}
	db.writer = group.New(db.begin)
	return db, nil
}

// bucketName is the bucket that has all keys.
func bucketName() []byte { return []byte("walink") }

// openFile opens the file with bbolt, and turns bbolt's panics about the
// contents of the file into errors.
func openFile(path string, readOnly bool) (db *bbolt.DB, err error) {
	defer guard(&err)
	options := *bbolt.DefaultOptions
	options.Timeout = lockTimeout
	options.ReadOnly = readOnly
	options.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		return os.OpenFile(name, flag&^os.O_CREATE, mode) // prepareFile has made it, and followed no link to make it
	}
	options.FreelistType = bbolt.FreelistMapType
	// Write the list of free pages with each commit. Without it, bbolt makes
	// the list at Open in its own goroutine, where a panic about a damaged file
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

// checkFile tests whether the file is as long as it says, and has no other
// program's buckets. Reading beyond the end of a file that was cut off would
// end the process.
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
		info, err := os.Stat(path) // the lock keeps writers away
		switch {
		case err != nil:
			return err
		case info.Size() < tx.Size():
			return fmt.Errorf("%w: the file has %d bytes of %d", ErrDamaged, info.Size(), tx.Size())
		}
		if other, _ := tx.Cursor().First(); other != nil && tx.Bucket(bucketName()) == nil {
			return fmt.Errorf("the file has another program's buckets: %w", kv.ErrForeign)
		}
		return nil
	})
	return errors.Join(err, db.Close())
}

// guard turns a panic of bbolt into an error. bbolt panics when the contents of
// a file are impossible.
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

// Close waits for the running transactions, and closes the file. A second Close
// does nothing.
func (db *DB) Close() error {
	db.closing.Do(func() {
		db.writer.Close()
		if err := db.db.Close(); err != nil {
			db.err = redact.Errorf("bolt: close %q: %w", db.path, err)
		}
	})
	return db.err
}

// begin begins a transaction that may write. It fails if the file was deleted or
// replaced: what is stored then is lost.
func (db *DB) begin(context.Context) (group.Base, error) {
	if err := db.file.Check(); err != nil {
		return nil, err
	}
	return db.beginTx(true)
}

func (db *DB) beginTx(write bool) (t *tx, err error) {
	defer guard(&err)
	bolt, err := db.db.Begin(write)
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return nil, store.ErrClosed
	} else if err != nil {
		return nil, err
	}
	return &tx{tx: bolt, bucket: bolt.Bucket(bucketName())}, nil
}
