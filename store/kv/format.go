package kv

import "fmt"

// ErrNewer is in the chain of the error about a DB whose layout was written by
// a newer version of this package. Nothing in it has been changed.
var ErrNewer error = &fault{
	"its layout is newer than this program: use the newer version of the program",
	"Update this program: a newer one has changed the database.",
}

// ErrForeign is in the chain of the error about a DB that holds something
// else. Nothing in it has been changed.
var ErrForeign error = &fault{
	"it holds data that walink has not stored: give walink a database or a prefix of its own",
	"Give walink a database or a prefix of its own, or the key if this one is encrypted.",
}

// ErrEncrypted is in the chain of the error about a DB that [Encrypt] has
// sealed, and that was given to [New] without it. Nothing in it has been changed.
var ErrEncrypted error = &fault{
	"it is encrypted: open it with Encrypt and its key",
	"Give the key with which the database was encrypted.",
}

// ErrEmptied is in the chain of the error about writing to a DB that has lost
// all it held while the program ran. Nothing is stored there: what the program
// knows of it is not true any more.
var ErrEmptied error = &fault{
	"all that it held is gone or has been replaced since this program opened it: bring it back from a backup, or restart the program",
	"Bring the database back from a backup, or restart this program to begin with an empty one.",
}

// layout is the version of the layout that this package reads and writes.
const layout = 1

// checkFormat looks whether the DB is one of ours, and returns false where it
// is empty. The first transaction that writes marks it. before says that it was
// one of ours before.
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
	// Only the first field: a newer layout may have more.
	d := decode(key, value)
	version := d.uint()
	switch {
	case d.err != nil:
		return false, damaged(key, d.err)
	case version > layout:
		return false, fmt.Errorf("it has layout %d and this program knows %d: %w", version, layout, ErrNewer)
	}
	return true, nil
}
