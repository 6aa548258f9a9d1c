//go:build unix

package sqlite

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// access asks the system whether path may be written, which knows about
// owners, access lists and file systems that are mounted read-only.
func access(path string) error { return unix.Access(path, unix.W_OK) }

// writableDir reports why nothing can be written to a directory.
func writableDir(path string, info fs.FileInfo) error { return writable(path, info) }

// shared reports whether others than the owner may use the file.
func shared(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }
