//go:build !unix

package bolt

import "io/fs"

// shared is always false here: the mode says nothing about other users.
func shared(fs.FileInfo) bool { return false }
