package bolt

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/walink/walink/internal/hint"
)

// explain adds the remedy to an error, if the remedy is known.
func explain(err error) error {
	if err == nil || hint.Known(err) {
		return err
	}
	remedy := ""
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		remedy = "Free space on the disk of the file."
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		remedy = "Let the user that this program runs as write to the file and to its directory."
	case errors.Is(err, fs.ErrNotExist):
		remedy = "Restore the file, or restart this program, which makes a new one."
	case errors.Is(err, syscall.EIO):
		remedy = "Check the disk of the file: the system cannot read or write the file."
	}
	if remedy == "" {
		return err
	}
	return hint.New(err, remedy)
}
