package sqlite

import (
	"os"
	"sync"
	"time"
)

// vital shows other processes that this one is alive, as long as the Store is
// open: a lock in a file beside the database, which the system lets go of when
// the process ends, however it ends. Thus a lease whose holder was killed can
// be taken at once. Where there are no such locks it shows nothing, and a lease
// ends with its time.
type vital struct {
	path string // of the database; empty in memory

	mu   sync.Mutex
	file *os.File // nil before the first mark, and after close
	own  string   // the mark
	over bool     // closed
}

// vitalSuffix is what the name of the file adds to that of the database.
const vitalSuffix = "-lease"

// marked returns the mark, or an empty string if none was asked for.
func (v *vital) marked() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.own
}

// close lets go of the lock, as long as needed later: whoever has a lease that
// was not given back may be connected still.
func (v *vital) close(needed time.Duration) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.over = true
	file := v.file
	v.file = nil
	switch {
	case file == nil:
		return nil
	case needed > 0:
		time.AfterFunc(needed, func() { _ = file.Close() })
		return nil
	}
	return file.Close()
}
