package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/walink/walink/store/kv"
)

// Journal is a kv.DB that appends each transaction to one file, as JSON after its
// length and a checksum. The Journal also keeps all values in memory. One process
// can use it, and its file never gets shorter.
//
// A crash loses no transaction that Txn has reported as stored, since Txn returns
// once the transaction is on the disk. A crash never leaves a part of a transaction.
// TestCrash and TestCutOffAnywhere check both.
type Journal struct {
	state  atomic.Pointer[map[string][]byte] // nil when closed; nobody changes the map
	writer chan struct{}                     // holds a value while a transaction writes
	use    sync.RWMutex                      // running transactions hold it, and so does Close
	file   *os.File
	size   int64
}

// A journal begins with magic. Each record in it begins with a head.
const magic, headSize = "walink journal 1\n", 12

// head is the size of a record's body, the same number with all bits inverted, and
// the body's checksum. The body is a list of keys and values. It does not end with a
// zero byte, since a crash may leave zeros at the end of the file.
type head struct{ Size, Inverted, Sum uint32 }

var errForeign, errDamaged = errors.New("give another path: the file is no journal, and stays as it is"), errors.New("restore a backup: the journal is damaged, and stays as it is")

// OpenJournal reads the file at path, or makes one. It removes the part of a
// transaction that a crash has left at the end: Txn has not reported it as stored.
func OpenJournal(path string) (*Journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|noFollow, 0o600)
	if err != nil {
		return nil, err
	}
	j := &Journal{writer: make(chan struct{}, 1), file: file, size: int64(len(magic))}
	if err := lock(int(file.Fd())); err != nil {
		return nil, errors.Join(errors.New("the journal is in use by another process"), err, file.Close())
	} else if err := j.read(path); err != nil { // under the lock, since read changes the file
		return nil, errors.Join(err, release(file))
	}
	return j, nil
}

func (j *Journal) read(path string) error {
	all, err := os.ReadFile(path)
	if err != nil || !bytes.HasPrefix(all, []byte(magic)) && !bytes.HasPrefix([]byte(magic), all) {
		return cmp.Or(err, errForeign)
	}
	all = append(all, magic[min(len(all), len(magic)):]...) // of a new file, or after a crash in OpenJournal
	t, h := &tx{state: map[string][]byte{}, write: true}, head{}
	for rest := bytes.TrimRight(all[len(magic):], "\x00"); len(rest) >= headSize; j.size += headSize + int64(h.Size) {
		_, _ = binary.Decode(rest, binary.BigEndian, &h) // cannot fail: rest is long enough
		rest = rest[headSize:]
		if h.Inverted == ^h.Size && int64(len(rest)) < int64(h.Size) {
			break
		}
		if h.Inverted != ^h.Size || crc32.ChecksumIEEE(rest[:h.Size]) != h.Sum || json.Unmarshal(rest[:h.Size], &t.changes) != nil {
			return errDamaged
		}
		for _, c := range t.changes {
			_ = t.change(c[0], c[1], true) // also appends to t.changes, which the next record overwrites
		}
		rest = rest[h.Size:]
	}
	j.state.Store(&t.state)
	_, err = j.file.WriteAt([]byte(magic), 0)
	return errors.Join(err, j.file.Truncate(j.size), j.file.Sync())
}

// Txn implements kv.DB. A transaction that writes changes a copy of the state.
func (j *Journal) Txn(ctx context.Context, write bool, fn func(kv.Tx) error) error {
	if write {
		select {
		case j.writer <- struct{}{}:
			defer func() { <-j.writer }()
		case <-ctx.Done():
		}
	}
	if !j.use.TryRLock() { // Close waits for the lock, or holds it
		return os.ErrClosed
	}
	defer j.use.RUnlock()
	state := j.state.Load()
	if state == nil || ctx.Err() != nil {
		return cmp.Or(ctx.Err(), os.ErrClosed)
	}
	t := &tx{state: *state, write: write}
	if write {
		t.state = maps.Clone(*state)
	}
	defer func() { t.state, t.ended = nil, errors.New("the transaction has ended") }()
	if err := errors.Join(fn(t), ctx.Err()); err != nil || len(t.changes) == 0 {
		return err
	}
	return j.commit(t)
}

// commit appends the changes to the file, and waits for the disk. If that fails,
// commit removes what it has written. If that fails too, commit closes the Journal,
// so that no record follows one that may be incomplete.
func (j *Journal) commit(t *tx) error {
	body, _ := json.Marshal(t.changes) // cannot fail for bytes
	size := uint32(len(body))          //nolint:gosec // no transaction has 4 GiB
	record, _ := binary.Append(nil, binary.BigEndian, head{size, ^size, crc32.ChecksumIEEE(body)})
	_, err := j.file.WriteAt(append(record, body...), j.size)
	if err = cmp.Or(err, j.file.Sync()); err == nil {
		j.size += headSize + int64(size)
		j.state.Store(new(t.state))
	} else if undo := cmp.Or(j.file.Truncate(j.size), j.file.Sync()); undo != nil {
		j.state.Store(nil)
		err = errors.Join(err, undo, release(j.file))
	}
	return err
}

// Close waits for the transactions that run, and closes the file. It may be called twice.
func (j *Journal) Close() error {
	j.use.Lock()
	defer j.use.Unlock()
	if j.state.Swap(nil) == nil {
		return nil
	}
	return release(j.file)
}

// release unlocks and closes the file. Without the unlock, a child process that is
// just being started would keep the lock.
func release(file *os.File) error { return errors.Join(unlock(int(file.Fd())), file.Close()) }

// tx implements kv.Tx. A change without a value deletes the key.
type tx struct {
	state   map[string][]byte
	changes [][2][]byte
	write   bool
	ended   error // nil while the transaction runs
}

func (t *tx) Get(key []byte) ([]byte, error) { return bytes.Clone(t.state[string(key)]), t.ended }

func (t *tx) Set(key, value []byte) error { return t.change(key, value, min(len(key), len(value)) > 0) }

func (t *tx) Delete(key []byte) error { return t.change(key, nil, true) }

func (t *tx) change(key, value []byte, valid bool) error {
	if t.ended != nil || !t.write || !valid {
		return cmp.Or(t.ended, errors.New("the transaction only reads, or the key or the value is empty"))
	}
	t.changes = append(t.changes, [2][]byte{bytes.Clone(key), bytes.Clone(value)})
	t.state[string(key)] = bytes.Clone(value)
	if len(value) == 0 {
		delete(t.state, string(key))
	}
	return nil
}

func (t *tx) Scan(prefix []byte, fn func(key, value []byte) error) error {
	for _, key := range slices.Sorted(maps.Keys(t.state)) {
		if !bytes.HasPrefix([]byte(key), prefix) {
			continue
		} else if err := fn([]byte(key), bytes.Clone(t.state[key])); err != nil {
			return err
		}
	}
	return t.ended
}
