// Package intact notices that the file of an open database was deleted or replaced.
// The system keeps such a file until the database is closed, and then all that was
// stored meanwhile is lost.
package intact

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/walink/walink/internal/hint"
)

// File is the file of an open database. The zero File belongs to a database
// without a file, and is always in order.
type File struct {
	path string
	info os.FileInfo
}

// Of returns the file at path, which was just opened.
func Of(path string) (File, error) {
	path, err := filepath.Abs(path) // for when the working directory has changed
	if err != nil {
		return File{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return File{}, err
	}
	return File{path, info}, nil
}

// Path returns the absolute path.
func (f File) Path() string { return f.path }

// Check fails if another file, or none, is at the path now.
func (f File) Check() error {
	if f.info == nil {
		return nil
	}
	info, err := os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return hint.New(fmt.Errorf("the file: %w", err), "Restore the file, or restart this program, which makes a new one.")
	case err != nil:
		return fmt.Errorf("the file: %w", err)
	case !os.SameFile(f.info, info):
		return hint.New(
			errors.New("another file has replaced the open one, so everything that is stored now is lost"),
			"Restart this program, and do not replace the file while it runs.",
		)
	}
	return nil
}
