package kv

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"iter"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/transfer"
)

// errChanged is the error of an export that has met two states.
var errChanged = errors.New("the session was changed during the export")

// errStop ends an export whose loop has ended.
var errStop = errors.New("the loop has ended")

// stream decides which of the values that a transaction reads are new to the
// loop. A DB may call fn of a reading transaction again. Values that were
// yielded before must then come again, which the hash tests, and are not
// yielded a second time.
type stream struct {
	sum     hash.Hash
	past    int    // how many were read in this call of fn
	count   int    // how many the loop has had
	want    []byte // the hash of those
	stopped bool   // the loop has ended
}

// restart is called when fn is called.
func (s *stream) restart() { s.sum, s.past = sha256.New(), 0 }

// next reports whether a value that was read must be yielded. Then passed must follow.
func (s *stream) next(key, value []byte) (bool, error) {
	if s.stopped {
		return false, errStop
	}
	for _, b := range [][]byte{key, value} {
		s.sum.Write(binary.AppendUvarint(nil, uint64(len(b))))
		s.sum.Write(b)
	}
	s.past++
	if s.past == s.count && !bytes.Equal(s.sum.Sum(nil), s.want) {
		return false, errChanged
	}
	return s.past > s.count, nil
}

// passed is called when the loop has had the value, with what yield has returned.
func (s *stream) passed(more bool) error {
	s.count, s.want, s.stopped = s.past, s.sum.Sum(nil), !more
	if s.stopped {
		return errStop
	}
	return nil
}

// end is called when everything was read.
func (s *stream) end() error {
	if s.past < s.count {
		return errChanged
	}
	return nil
}

// Export implements [transfer.Exporter].
func (s *Store) Export(ctx context.Context, session string) iter.Seq2[transfer.Record, error] {
	return func(yield func(transfer.Record, error) bool) {
		var done stream
		err := s.txn(ctx, false, func(tx Tx) error {
			done.restart()
			if err := s.export(tx, session, &done, yield); err != nil {
				return err
			}
			return done.end()
		})
		if err != nil && !done.stopped {
			yield(nil, s.fail("export session", session, err))
		}
	}
}

func (s *Store) export(tx Tx, session string, done *stream, yield func(transfer.Record, error) bool) error {
	emit := func(key, value []byte, record func() (transfer.Record, error)) error {
		fresh, err := done.next(key, value)
		if err != nil || !fresh {
			return err
		}
		r, err := record()
		if err != nil {
			return err
		}
		return done.passed(yield(r, nil))
	}
	found, err := lookUp(tx, session)
	if err != nil {
		return err
	}
	key := name(spaceDevice, found.id)
	value, err := tx.Get(key)
	switch {
	case err != nil:
		return err
	case found.id == "" || value == nil:
		return store.ErrNotFound
	}
	err = emit(key, value, func() (transfer.Record, error) {
		device, err := decodeDevice(key, value)
		return transfer.DeviceRecord{Device: device, LinkedAt: time.UnixMilli(found.linkedAt).UTC()}, err
	})
	if err != nil {
		return err
	}
	d := newData(s, session, found.id)
	for _, kind := range kinds() {
		err := tx.Scan(d.key(kind), func(key, value []byte) error {
			return emit(key, value, func() (transfer.Record, error) {
				if kind == kindSalt { // its key has no names
					return decodeRecord(kind, key, value, nil)
				}
				names, err := d.suffix(tx, key)
				if err != nil {
					return nil, err
				}
				return decodeRecord(kind, key, value, names)
			})
		})
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}

// ExportLIDs implements [transfer.Exporter].
func (s *Store) ExportLIDs(ctx context.Context) iter.Seq2[wastore.LIDMapping, error] {
	return func(yield func(wastore.LIDMapping, error) bool) {
		var done stream
		var broken error // the first damaged pair
		err := s.txn(ctx, false, func(tx Tx) error {
			done.restart()
			err := tx.Scan([]byte(spaceLID), func(key, value []byte) error {
				fresh, err := done.next(key, value)
				if err != nil || !fresh {
					return err
				}
				pair, err := decodePair(key, value)
				if err != nil {
					broken = cmp.Or(broken, err)
					return done.passed(true)
				}
				return done.passed(yield(pair, nil))
			})
			if err != nil && !errors.Is(err, ErrDamaged) { // a damaged pair comes last, after all others
				return err
			}
			return cmp.Or(done.end(), err)
		})
		err = cmp.Or(err, broken)
		if err != nil && !done.stopped {
			yield(wastore.LIDMapping{}, redact.Errorf("kv: export the LID map of %s: %w", s.title(), err))
		}
	}
}

// decodePair reads a pair that is stored under its LID.
func decodePair(key, value []byte) (pair wastore.LIDMapping, err error) {
	list, err := parts(key, len(spaceLID), noLong)
	if err != nil || len(list) != 1 {
		return pair, damaged(key, errors.New("the key is not that of a LID"))
	}
	dec := decode(key, value)
	pair.LID = types.JID{User: list[0], Server: types.HiddenUserServer}
	pair.PN = types.JID{User: dec.string(), Server: types.DefaultUserServer}
	return pair, dec.end()
}

func noLong(string) (string, error) { return "", errors.New("a LID is not that long") }
