package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/walink/walink/store/kv"
)

// Journal is a kv.DB in one file to which every transaction is appended: the
// length and the checksum of what follows, and then the pairs that it changed.
// All is in memory too. It is for one process, and never gets shorter.
//
// A crash loses nothing that was reported as stored, since Txn returns once the
// transaction is on the disk, and no part of a transaction is there without the
// rest. TestCrash and TestCutOffAnywhere check it.
type Journal struct {
	state  atomic.Pointer[map[string]string] // nil when closed; nothing changes a map that is here
	writer chan struct{}                     // holds a value while a transaction writes
	file   *os.File
	size   int64
}

// OpenJournal reads the file at path, or makes one. What a crash has left of a
// transaction at the end goes: it was not reported as stored.
func OpenJournal(path string) (*Journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	j := &Journal{writer: make(chan struct{}, 1), file: file}
	t := &tx{state: map[string]string{}, changes: map[string]string{}, write: true}
	rest, err := io.ReadAll(file)
	for err == nil && len(rest) >= 8 {
		end := 8 + int(binary.BigEndian.Uint32(rest))
		if len(rest) < end || crc32.ChecksumIEEE(rest[8:end]) != binary.BigEndian.Uint32(rest[4:]) {
			break
		}
		var changes map[string]string
		err = gob.NewDecoder(bytes.NewReader(rest[8:end])).Decode(&changes)
		for key, value := range changes {
			_ = t.Set([]byte(key), []byte(value))
		}
		rest, j.size = rest[end:], j.size+int64(end)
	}
	if err == nil {
		err = errors.Join(file.Truncate(j.size), file.Sync())
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	j.state.Store(&t.state)
	return j, nil
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
	state := j.state.Load()
	if state == nil || ctx.Err() != nil {
		return cmp.Or(ctx.Err(), os.ErrClosed)
	}
	t := &tx{state: *state, changes: map[string]string{}, write: write}
	if write {
		t.state = maps.Clone(*state)
	}
	defer func() { t.write = false }()
	err := fn(t)
	if err = errors.Join(err, ctx.Err()); err != nil || len(t.changes) == 0 {
		return err
	}
	return j.commit(t)
}

// commit appends what has changed, and waits for the disk. What failed is written over by the next.
func (j *Journal) commit(t *tx) error {
	record := bytes.NewBuffer(make([]byte, 8))
	if err := gob.NewEncoder(record).Encode(t.changes); err != nil {
		return err
	}
	b := record.Bytes()
	binary.BigEndian.PutUint32(b, uint32(len(b)-8)) //nolint:gosec // no transaction has 4 GiB
	binary.BigEndian.PutUint32(b[4:], crc32.ChecksumIEEE(b[8:]))
	_, err := j.file.WriteAt(b, j.size)
	if err := cmp.Or(err, j.file.Sync()); err != nil {
		return err
	}
	j.size += int64(len(b))
	j.state.Store(&t.state)
	return nil
}

// Close waits for the transaction that writes. It may be called twice.
func (j *Journal) Close() error {
	j.writer <- struct{}{}
	defer func() { <-j.writer }()
	if j.state.Swap(nil) == nil {
		return nil
	}
	return j.file.Close()
}

// tx implements kv.Tx. A change to no value is that of a deleted key.
type tx struct {
	state, changes map[string]string
	write          bool
}

func (t *tx) Get(key []byte) ([]byte, error) {
	return append([]byte(nil), t.state[string(key)]...), nil
}

func (t *tx) Set(key, value []byte) error {
	if !t.write {
		return errors.New("the transaction only reads, or has ended")
	}
	t.state[string(key)], t.changes[string(key)] = string(value), string(value)
	if len(value) == 0 {
		delete(t.state, string(key))
	}
	return nil
}

func (t *tx) Delete(key []byte) error { return t.Set(key, nil) }

func (t *tx) Scan(prefix []byte, fn func(key, value []byte) error) error {
	keys := slices.Collect(maps.Keys(t.state))
	keys = slices.DeleteFunc(keys, func(key string) bool { return !strings.HasPrefix(key, string(prefix)) })
	slices.Sort(keys)
	for _, key := range keys {
		if err := fn([]byte(key), []byte(t.state[key])); err != nil {
			return err
		}
	}
	return nil
}
