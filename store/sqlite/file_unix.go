//go:build unix

package sqlite

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// access asks the system whether path is writable. The system knows about
// owners, access lists and read-only mounts.
func access(path string) error { return unix.Access(path, unix.W_OK) }

// writableDir returns why a directory cannot be written.
func writableDir(path string, info fs.FileInfo) error { return writable(path, info) }
