//go:build unix

package bolt

import "io/fs"

// shared reports whether others than the owner may use the file.
func shared(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }
