package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/walink/walink/store/kv"
)

// Journal is a kv.DB in one file to which every transaction is appended, with
// its length, a checksum and an end mark. All is in memory too. It is for one
// process, and never gets shorter.
//
// A crash loses nothing that was reported as stored, since Txn returns once the
// transaction is on the disk, and no part of a transaction is there without the
// rest. TestCrash and TestCutOffAnywhere check it.
type Journal struct {
	state  atomic.Pointer[map[string]string] // nil when closed; nothing changes a map that is here
	writer chan struct{}                     // holds a value while a transaction writes
	mu     sync.Mutex                        // no transaction begins while Close takes the state
	users  sync.WaitGroup                    // the transactions that run
	file   *os.File
	size   int64
}

const (
	magic = "walink journal 1\n" // begins every journal
	head  = 12                   // of a record: its length, the same with all bits turned, its checksum
	mark  = '\n'                 // ends a record: zeros, which a crash may leave, do not
)

var (
	errForeign = errors.New("the file is no journal, and is left as it is: give another path")
	errDamaged = errors.New("the journal is damaged, and is left as it is: bring it back from a backup")
)

// OpenJournal reads the file at path, or makes one. What a crash has left of a
// transaction at the end goes: it was not reported as stored.
func OpenJournal(path string) (*Journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	j := &Journal{writer: make(chan struct{}, 1), file: file}
	if err := cmp.Or(lock(file), j.read()); err != nil {
		return nil, errors.Join(err, release(file))
	}
	return j, nil
}

func (j *Journal) read() error {
	all, err := io.ReadAll(j.file)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(all, []byte(magic)) {
		if !strings.HasPrefix(magic, string(all)) {
			return errForeign
		}
		all = []byte(magic) // a new one, or a crash while it was made
		if _, err := j.file.WriteAt(all, 0); err != nil {
			return err
		}
	}
	t := &tx{state: map[string]string{}, changes: map[string]string{}, write: true}
	j.size = int64(len(magic))
	for rest := bytes.TrimRight(all[len(magic):], "\x00"); len(rest) >= head; {
		size := binary.BigEndian.Uint32(rest)
		if size == 0 || size != ^binary.BigEndian.Uint32(rest[4:]) {
			return errDamaged
		} else if int64(len(rest)-head) < int64(size) {
			break
		}
		body := rest[head : head+int(size)]
		if crc32.ChecksumIEEE(body) != binary.BigEndian.Uint32(rest[8:]) || !t.replay(body[:len(body)-1]) {
			return errDamaged
		}
		rest, j.size = rest[head+len(body):], j.size+int64(head+len(body))
	}
	j.state.Store(&t.state)
	return errors.Join(j.file.Truncate(j.size), j.file.Sync())
}

// Txn implements kv.DB. A transaction that writes does so on a copy.
func (j *Journal) Txn(ctx context.Context, write bool, fn func(kv.Tx) error) error {
	if write {
		select {
		case j.writer <- struct{}{}:
			defer func() { <-j.writer }()
		case <-ctx.Done():
		}
	}
	j.mu.Lock()
	state := j.state.Load()
	if state == nil || ctx.Err() != nil {
		j.mu.Unlock()
		return cmp.Or(ctx.Err(), os.ErrClosed)
	}
	j.users.Add(1)
	j.mu.Unlock()
	defer j.users.Done()
	t := &tx{state: *state, changes: map[string]string{}, write: write}
	if write {
		t.state = maps.Clone(*state)
	}
	defer func() { t.ended = true }()
	if err := errors.Join(fn(t), ctx.Err()); err != nil || len(t.changes) == 0 {
		return err
	}
	return j.commit(t)
}

// commit appends what has changed, and waits for the disk. What failed goes, or
// else the Journal is closed, so that nothing follows what may be there.
func (j *Journal) commit(t *tx) error {
	b := make([]byte, head)
	for key, value := range t.changes {
		b = append(append(binary.AppendUvarint(b, uint64(len(key))), key...), binary.AppendUvarint(nil, uint64(len(value)))...)
		b = append(b, value...)
	}
	b = append(b, mark)
	size := uint32(len(b) - head) //nolint:gosec // no transaction has 4 GiB
	binary.BigEndian.PutUint32(b, size)
	binary.BigEndian.PutUint32(b[4:], ^size)
	binary.BigEndian.PutUint32(b[8:], crc32.ChecksumIEEE(b[head:]))
	_, err := j.file.WriteAt(b, j.size)
	if err = cmp.Or(err, j.file.Sync()); err != nil {
		if undo := cmp.Or(j.file.Truncate(j.size), j.file.Sync()); undo != nil {
			j.state.Store(nil)
			err = errors.Join(err, undo, release(j.file))
		}
		return err
	}
	j.size += int64(len(b))
	j.state.Store(&t.state)
	return nil
}

// Close waits for the transactions that run. It may be called twice.
func (j *Journal) Close() error {
	j.writer <- struct{}{}
	defer func() { <-j.writer }()
	j.mu.Lock()
	state := j.state.Swap(nil)
	j.mu.Unlock()
	j.users.Wait()
	if state == nil {
		return nil
	}
	return release(j.file)
}
