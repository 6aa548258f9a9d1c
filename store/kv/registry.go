package kv

import (
	"context"
	"slices"
	"strings"

	"github.com/walink/walink/internal/registry"
	"github.com/walink/walink/store"
)

// PutEntry implements [store.Registry].
func (s *Store) PutEntry(ctx context.Context, e store.Entry) error {
	err := registry.Check(e.Value)
	if err == nil {
		err = s.txn(ctx, true, func(tx Tx) error {
			return tx.Set(name(spaceEntry, e.Session), newEncoder(len(e.Session)+len(e.Value)).string(e.Session).bytes(e.Value).b)
		})
	}
	if err != nil {
		return s.fail("store the entry of session", e.Session, err)
	}
	return nil
}

// Entry implements [store.Registry].
func (s *Store) Entry(ctx context.Context, session string) (found store.Entry, err error) {
	err = s.txn(ctx, false, func(tx Tx) error {
		key := name(spaceEntry, session)
		value, err := tx.Get(key)
		if err == nil && value == nil {
			err = store.ErrNotFound
		}
		if err == nil {
			found, err = decodeStoreEntry(key, value)
		}
		return err
	})
	if err != nil {
		return store.Entry{}, registry.Fault(s.fail("read the entry of session", session, err))
	}
	return found, nil
}

// Entries implements [store.Registry]. An error names the key of a damaged entry,
// which has the name of the session.
func (s *Store) Entries(ctx context.Context) ([]store.Entry, error) {
	all, err := list(ctx, s, "the entries", spaceEntry, decodeStoreEntry)
	slices.SortFunc(all, func(a, b store.Entry) int { return strings.Compare(a.Session, b.Session) })
	return all, registry.Fault(err)
}

// DeleteEntry implements [store.Registry].
func (s *Store) DeleteEntry(ctx context.Context, session string) error {
	if err := s.txn(ctx, true, func(tx Tx) error { return tx.Delete(name(spaceEntry, session)) }); err != nil {
		return s.fail("delete the entry of session", session, err)
	}
	return nil
}

func decodeStoreEntry(key, value []byte) (store.Entry, error) {
	d := decode(key, value)
	e := store.Entry{Session: d.string(), Value: d.bytes()}
	return e, d.end()
}
