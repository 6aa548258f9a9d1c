package kv

import (
	"errors"
	"fmt"

	"github.com/walink/walink/internal/hint"
)

// ErrNewer is in the chain of the error about a DB whose layout a newer version
// of this package has written. Nothing in the DB was changed.
var ErrNewer error = hint.New(
	errors.New("its layout is newer than this program: use the newer version of the program"),
	"Update this program: a newer one has changed the database.",
)

// ErrForeign is in the chain of the error about a DB that has other data.
// Nothing in the DB was changed.
var ErrForeign error = hint.New(
	errors.New("it has data that walink did not store: give walink its own database or prefix"),
	"Give walink its own database or prefix, or the key if this database is encrypted.",
)

// ErrEncrypted is in the chain of the error about a DB that [Encrypt] has
// encrypted, but that was given to [New] without Encrypt. Nothing in the DB was
// changed.
var ErrEncrypted error = hint.New(
	errors.New("it is encrypted: open it with Encrypt and its key"),
	"Give the key with which the database was encrypted.",
)

// ErrEmptied is in the chain of the error about a write to a DB that has lost
// all its data while the program ran. Nothing is stored, because the program
// may rely on data that no longer exists.
var ErrEmptied error = hint.New(
	errors.New("all its data is gone or was replaced since this program opened it: restore it from a backup, or restart the program"),
	"Restore the database from a backup, or restart this program to begin with an empty one.",
)

// layout is the version of the layout that this package reads and writes.
const layout = 2

// checkFormat fails unless the DB has walink's layout or is empty, and reports
// which of the two. The first transaction that writes stores the version of the
// layout. before says that the DB had the layout in an earlier transaction.
func checkFormat(tx Tx, write, before bool) (known bool, err error) {
	key := name(spaceFormat)
	value, err := tx.Get(key)
	if err != nil {
		return false, err
	}
	if value == nil && before {
		return false, ErrEmptied
	}
	if value == nil {
		head, err := tx.Get([]byte(headName))
		if err != nil {
			return false, err
		} else if head != nil {
			return false, ErrEncrypted
		}
		other, _, err := first(tx, nil)
		switch {
		case err != nil:
			return false, err
		case other != nil:
			return false, ErrForeign
		case !write:
			return false, nil
		}
		return true, tx.Set(key, newEncoder(1).uint(layout).b)
	}
	// Only the first field: a newer layout may have more fields.
	d := decode(key, value)
	version := d.uint()
	switch {
	case d.err != nil:
		return false, damaged(key, d.err)
	case version > layout:
		return false, fmt.Errorf("it has layout %d, and this program knows %d: %w", version, layout, ErrNewer)
	case version < layout && write:
		if err := holdLeases(tx); err != nil {
			return false, err
		}
		return true, tx.Set(key, newEncoder(1).uint(layout).b)
	}
	return true, nil
}

// holdLeases gives each lease of layout 1 its own holder, whose ID has the name of the
// session, so that a program that cannot renew it any more has the time to give the session
// up. Left out are those whose value is damaged, or whose session has a name that is too
// long for a key.
func holdLeases(tx Tx) error {
	keys, err := keysOf(tx, []byte("t"))
	if err != nil {
		return err
	}
	for _, key := range keys {
		value, err := tx.Get(key)
		if err == nil {
			err = tx.Delete(key)
		}
		if err != nil {
			return err
		}
		dec := decode(key, value)
		last := loan{token: dec.uint()}
		held := holding{name: dec.string()}
		last.since, held.until = dec.int(), dec.int()
		released := dec.bool()
		names, err := parts(key, 1, func(string) (string, error) { return "", errors.New("its name is too long") })
		if dec.err != nil || err != nil || len(names) != 1 {
			continue
		}
		if last.session = names[0]; !released {
			last.holder = "of " + last.session
			if err := tx.Set(name(spaceHolder, last.holder), held.encode()); err != nil {
				return err
			}
		}
		if err := tx.Set(name(spaceLease, last.session), last.encode()); err != nil {
			return err
		}
	}
	return nil
}
