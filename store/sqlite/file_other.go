//go:build !unix

package sqlite

import "io/fs"

// access has nothing to ask here: the read-only attribute is in the mode.
func access(string) error { return nil }

// writableDir has nothing to ask: what that attribute says of a directory is not
// whether it may be written to.
func writableDir(string, fs.FileInfo) error { return nil }

// shared has nothing to say here: modes are made up from that attribute.
func shared(fs.FileInfo) bool { return false }
