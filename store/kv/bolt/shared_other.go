//go:build !unix

package bolt

import "io/fs"

// shared reports nothing where modes do not say who may use a file.
func shared(fs.FileInfo) bool { return false }
