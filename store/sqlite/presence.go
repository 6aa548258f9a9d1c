package sqlite

import (
	"os"
	"sync"
	"time"
)

// presence shows other processes that this Store is open: by a lock in a file
// next to the database, which the system releases when the process ends in any
// way. So the lease of a killed holder can be taken at once. On a system
// without such locks presence shows nothing, and a lease ends when it expires.
type presence struct {
	path string // the database's; empty in memory

	mu     sync.Mutex
	file   *os.File // nil before the first mark, and after close
	own    string   // the mark
	closed bool
}

// presenceSuffix follows the name of the database in the name of the file.
const presenceSuffix = "-lease"

// marked returns the mark, or an empty string if nobody has asked for it.
func (p *presence) marked() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.own
}

// close releases the lock after the time needed, in which a lease may still be
// in force: the holder of a lease that was not released may still be connected.
func (p *presence) close(needed time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	file := p.file
	p.file = nil
	switch {
	case file == nil:
		return nil
	case needed > 0:
		time.AfterFunc(needed, func() { _ = file.Close() })
		return nil
	}
	return file.Close()
}
