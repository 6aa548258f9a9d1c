//go:build unix

package ownfile

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/walink/walink/internal/hint"
)

// Trusted returns an error if a user who is not trusted can read or replace the file or
// folder at path: if it, or a folder or symbolic link on the way from / to it, belongs to
// such a user, or if others can write to one of these folders and the folder is not sticky.
// Trusted follows links as the system does. The group of a folder does not count as others
// if its number is that of the owner, as for a user who has a group alone. The error wraps
// [fs.ErrNotExist] if path does not exist and what exists of the way to it is in order.
func Trusted(path string) *hint.Error {
	at, err := filepath.Abs(path)
	if err != nil {
		return hint.New(err, remedyDir)
	}
	const most = 255               // links
	rest := strings.Split(at, "/") // the first is empty, and means /
	at = "/"
	for links := 0; len(rest) > 0; {
		name := filepath.Join(at, rest[0]) // at has no link in it, so that .. is the folder above
		rest = rest[1:]
		info, err := os.Lstat(name)
		target, linked := "", err == nil && info.Mode().Type() == fs.ModeSymlink
		if linked {
			if links++; links > most {
				return hint.New(&fs.PathError{Op: "open", Path: path, Err: syscall.ELOOP}, remedyDir)
			}
			target, err = os.Readlink(name)
		}
		switch {
		case err != nil:
			return hint.New(err, remedyDir)
		case foreign(info) && linked:
			return hint.New(fmt.Errorf("the symbolic link %q belongs to %s, who can make it lead elsewhere", name, ownerOf(info)), remedyMove)
		case foreign(info) && info.IsDir():
			return hint.New(fmt.Errorf("the directory %q belongs to %s, who can replace what is in it", name, ownerOf(info)), remedyMove)
		case foreign(info):
			return hint.New(
				fmt.Errorf("%s belongs to %s, and neither to the user that this program runs as nor to root, so that user can read it", info.Name(), ownerOf(info)),
				"Make the user that this program runs as the owner of "+info.Name()+" (chown), or run this program as its owner.",
			)
		case info.IsDir() && open(info) && info.Mode()&fs.ModeSticky == 0:
			return hint.New(fmt.Errorf("others can write to the directory %q (mode %04o), and replace what is in it", name, info.Mode().Perm()), remedyMove)
		case !linked:
			at = name
			continue
		case filepath.IsAbs(target):
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return nil
}
