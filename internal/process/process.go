// Package process says which program this is, to people who find that another
// one has what they want.
package process

import (
	"fmt"
	"os"
	"path/filepath"
)

// Name returns the name of the program, the number of its process and the host.
func Name() string {
	host, err := os.Hostname()
	if err != nil {
		host = "a host without a name"
	}
	return fmt.Sprintf("%s, process %d on %s", filepath.Base(os.Args[0]), os.Getpid(), host)
}
