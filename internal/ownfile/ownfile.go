// Package ownfile makes and examines the files that walink writes. It sees to it that no
// other user of the machine chooses where such a file goes, reads the file or replaces
// it. The users that it trusts are that of this program and root. On a system without
// owners and modes in the manner of Unix only symbolic links at the place of a file or of
// its folder are refused.
package ownfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/walink/walink/internal/hint"
)

const (
	remedyPath = "Give the path of a file, which need not exist yet, in a directory that does."
	remedyDir  = "Make the directory, or correct the path."
	remedyMove = "Use a directory with mode 0700 that belongs to the user that this program runs as, below directories that no other user can change."
)

// Dir returns the directory of the file at path, which need not exist. It fails if there
// is no such directory.
func Dir(path string) (dir string, info fs.FileInfo, err error) {
	if path == "" {
		return "", nil, hint.New(errors.New("the path is empty"), remedyPath)
	}
	dir = filepath.Dir(path)
	info, err = os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = hint.New(fmt.Errorf("the directory %q does not exist: %w", dir, fs.ErrNotExist), remedyDir)
	case err != nil:
		err = fmt.Errorf("the directory: %w", err)
	case !info.IsDir():
		err = hint.New(fmt.Errorf("%q is not a directory", dir), remedyDir)
	}
	return dir, info, err
}

// Make makes an empty file at path with mode 0600. If there is a file, Make only examines
// it: see [Examine].
func Make(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return Examine(path)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // it follows no link
	switch {
	case errors.Is(err, fs.ErrExist): // another process was faster
		return Examine(path)
	case err != nil:
		return fmt.Errorf("the file cannot be created: %w", err)
	}
	return file.Close()
}

// Examine returns why a database must not use the file at path. Examine refuses what is
// not a regular file, a file of another user in a directory that others can write to, and
// a symbolic link that is another user's or leads to nothing. It opens no file: closing
// it would drop the locks that this process holds on it.
func Examine(path string) error {
	at, err := os.Lstat(path)
	if err != nil {
		return err
	}
	linked := at.Mode().Type() == fs.ModeSymlink
	info, err := os.Stat(path)
	switch {
	case linked && foreign(at):
		return hint.New(errors.New("it is a symbolic link that belongs to another user"),
			"Remove the link, or make the user that this program runs as its owner (chown -h).")
	case linked && errors.Is(err, fs.ErrNotExist):
		return hint.New(fmt.Errorf("it is a symbolic link to a file that does not exist: %w", fs.ErrNotExist),
			"Remove the link, or make the file to which it leads.")
	case err != nil:
		return err
	case info.IsDir():
		return hint.New(errors.New("it is a directory"), remedyPath)
	case !info.Mode().IsRegular():
		return hint.New(errors.New("it is not a regular file"), remedyPath)
	case !foreign(info):
		return nil
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	dir, folder, err := Dir(target)
	if err == nil && open(folder) {
		err = hint.New(fmt.Errorf("it belongs to another user, who can have put it into the directory %q, which others can write to", dir), remedyMove)
	}
	return err
}

// NextTo returns why a database must not use a file that it keeps next to its own, which
// need not exist. It refuses what is not a regular file, such as a symbolic link, and the
// file of a user who does not own the database. A database that does not exist is nil.
func NextTo(name string, database fs.FileInfo) error {
	info, err := os.Lstat(name)
	short := filepath.Base(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return hint.New(fmt.Errorf("%s is not a regular file", short), "Find out who has made "+short+", and remove it.")
	case foreign(info) && (database == nil || !sameOwner(info, database)):
		return hint.New(fmt.Errorf("%s belongs to another user than the database", short), "Find out who has made "+short+", and remove it.")
	}
	return nil
}

// Private returns an error if others than the owner may use a file.
func Private(info fs.FileInfo) error {
	if !shared(info) {
		return nil
	}
	return hint.New(
		fmt.Errorf("others than its owner may use it (mode %04o): run chmod 600 on it", info.Mode().Perm()),
		"Run chmod 600 on "+info.Name()+": whoever can read it can use the accounts in it.",
	)
}

// MakePrivate takes access to the file at path, which is no symbolic link, away from
// everybody but its owner.
func MakePrivate(path string) error {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return hint.New(fmt.Errorf("%s is not a regular file", info.Name()), remedyPath)
	case !shared(info):
		return nil
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return hint.New(
			fmt.Errorf("others than its owner may use it (mode %04o): run chmod 600 as its owner, or make this user its owner: %w", info.Mode().Perm(), err),
			"Run chmod 600 on the file as its owner, or make the user that this program runs as its owner.",
		)
	}
	return nil
}
