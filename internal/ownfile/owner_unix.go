//go:build unix

package ownfile

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// foreign reports whether neither the user of this program nor root is the owner.
func foreign(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid != 0 && int(stat.Uid) != os.Geteuid()
}

// sameOwner reports whether two files have one owner.
func sameOwner(a, b fs.FileInfo) bool {
	one, ok := a.Sys().(*syscall.Stat_t)
	two, also := b.Sys().(*syscall.Stat_t)
	return ok && also && one.Uid == two.Uid
}

// ownerOf names the owner.
func ownerOf(info fs.FileInfo) string {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprint("user ", stat.Uid)
	}
	return "another user"
}

// open reports whether others than the owner can write. A system that gives each user a
// group alone gives both the same number, and lets the group write to new files (umask
// 002).
func open(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	alone := ok && stat.Gid == stat.Uid
	return info.Mode()&0o002 != 0 || info.Mode()&0o020 != 0 && !alone
}

// shared reports whether others than the owner may use the file in any way.
func shared(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }
