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

// layout is the version of the layout that this package reads and writes.
const layout = 1

// checkFormat looks whether the DB is one of ours, and returns false where it
// is empty. The first transaction that writes marks it.
func checkFormat(tx Tx, write bool) (known bool, err error) {
	key := name(spaceFormat)
	value, err := tx.Get(key)
	if err != nil {
		return false, err
	}
	if value == nil {
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
