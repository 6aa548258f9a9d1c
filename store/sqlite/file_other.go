//go:build !unix

package sqlite

import "io/fs"

// access does nothing here: the mode already has the read-only attribute.
func access(string) error { return nil }

// writableDir does nothing here: the read-only attribute of a directory does
// not say whether it is writable.
func writableDir(string, fs.FileInfo) error { return nil }
