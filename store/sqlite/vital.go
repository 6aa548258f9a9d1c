package sqlite

import (
	"os"
	"sync"
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

// close lets go of the lock.
func (v *vital) close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.over = true
	if v.file == nil {
		return nil
	}
	err := v.file.Close()
	v.file = nil
	return err
}
