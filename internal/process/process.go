// Package process names this program, in errors that people read and in leases.
package process

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// Name returns the name of the program, its process number and the host.
func Name() string {
	host, err := os.Hostname()
	if err != nil {
		host = "a host without a name"
	}
	return fmt.Sprintf("%s, process %d on %s", filepath.Base(os.Args[0]), os.Getpid(), host)
}

// ID returns a random text that no other process has, ever. The IDs of the holders of this
// process begin with it.
var ID = sync.OnceValue(rand.Text) //nolint:gochecknoglobals // it belongs to the process
