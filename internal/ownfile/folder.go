package ownfile

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/walink/walink/internal/hint"
)

// Copy writes the files, which are in no folders, into the folder dir with mode 0644. It
// makes dir with mode 0700 if dir does not exist. A file that differs is replaced in one
// step, and one that is the same is not touched.
//
// Copy makes and writes nothing if dir is a symbolic link, belongs to another user or can
// be written by others, if a file to be written does, or if the folders above dir are not
// [Trusted].
func Copy(dir string, files fs.FS) error {
	root, err := folder(filepath.Clean(dir)) // a link with a slash at its end would be followed
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return err
	}
	for _, entry := range entries { // all of them, before the first is written
		if info, err := root.Lstat(entry.Name()); err == nil {
			if err := own(info, filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	for _, entry := range entries {
		data, err := fs.ReadFile(files, entry.Name())
		if err == nil {
			err = replace(root, entry.Name(), data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// folder opens the folder dir, and makes it if it does not exist.
func folder(dir string) (*os.Root, error) {
	info, err := ownFolder(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(dir, 0o700); err == nil {
			info, err = ownFolder(dir) // another user may have been faster
		}
	}
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	if opened, err := root.Stat("."); err != nil || !os.SameFile(info, opened) {
		return nil, errors.Join(fmt.Errorf("%q was replaced meanwhile", dir), err, root.Close())
	}
	return root, nil
}

// ownFolder returns why files must not be written to the folder dir, and what was found
// there.
func ownFolder(dir string) (fs.FileInfo, error) {
	if told := Trusted(filepath.Dir(dir)); told != nil {
		return nil, told
	}
	info, err := os.Lstat(dir)
	if err == nil {
		err = own(info, dir)
	}
	return info, err
}

// own returns why a file or folder that was found must not be written.
func own(info fs.FileInfo, path string) error {
	const remedy = "Remove it, or choose a folder of which the user that this program runs as is the owner and that nobody else can write to."
	switch {
	case !info.IsDir() && !info.Mode().IsRegular():
		return hint.New(fmt.Errorf("%q is a symbolic link or another special file", path), remedy)
	case foreign(info):
		return hint.New(fmt.Errorf("%q belongs to %s, and not to the user that this program runs as", path, ownerOf(info)), remedy)
	case open(info):
		return hint.New(fmt.Errorf("others can write to %q (mode %04o)", path, info.Mode().Perm()), "Run chmod go-w on it: its contents go into a browser.")
	}
	return nil
}

// replace gives the file called name new contents, unless it has them already.
func replace(root *os.Root, name string, data []byte) error {
	if old, err := root.ReadFile(name); err == nil && bytes.Equal(old, data) {
		return nil
	}
	temporary := "." + name + "." + rand.Text()
	file, err := root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Close()); err == nil {
		err = root.Rename(temporary, name)
	}
	if err != nil {
		return errors.Join(err, root.Remove(temporary))
	}
	return nil
}
