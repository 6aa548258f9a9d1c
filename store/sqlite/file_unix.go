//go:build unix

package sqlite

import "golang.org/x/sys/unix"

// access asks the system whether path may be written, which knows about
// owners, access lists and file systems that are mounted read-only.
func access(path string) error { return unix.Access(path, unix.W_OK) }
