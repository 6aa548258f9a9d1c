// Package process names this program for people, for example in the error of
// another program that finds a session in use.
package process

import (
	"fmt"
	"os"
	"path/filepath"
)

// Name returns the name of the program, its process number and the host.
func Name() string {
	host, err := os.Hostname()
	if err != nil {
		host = "a host without a name"
	}
	return fmt.Sprintf("%s, process %d on %s", filepath.Base(os.Args[0]), os.Getpid(), host)
}
