package sqlite

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mark returns what the others can tell from whether this process is alive:
// which file it is, since it may be deleted and made anew, and the position of
// a byte in it that is locked as long as the Store is open. The lock is of the
// open file and not of the process (F_OFD_SETLK in fcntl(2)), so that two
// Stores of one process are two holders, and closing another descriptor of the
// file does no harm.
func (v *vital) mark() (string, error) {
	if v.path == "" {
		return "", nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.over:
		return "", os.ErrClosed
	case v.file != nil:
		return v.own, nil
	}
	file, err := os.OpenFile(v.path+vitalSuffix, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", fmt.Errorf("the file beside the database that shows who is alive: %w", err)
	}
	own, err := lockByte(file)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOLCK) || errors.Is(err, unix.ENOTSUP) {
		return "", file.Close() // a file system without such locks: a lease ends with its time
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("lock in %q: %w", file.Name(), err), file.Close())
	}
	v.file, v.own = file, own
	return own, nil
}

// lockByte locks a byte that nobody else has.
func lockByte(file *os.File) (mark string, err error) {
	where, err := identity(file)
	if err != nil {
		return "", err
	}
	var b [8]byte
	_, _ = rand.Read(b[:])                                // it never fails
	position := int64(binary.BigEndian.Uint64(b[:]) >> 2) // 62 bits
	lock := byteLock(unix.F_WRLCK, position)
	if err := unix.FcntlFlock(file.Fd(), unix.F_OFD_SETLK, &lock); err != nil {
		return "", err
	}
	return where + ":" + strconv.FormatInt(position, 10), nil
}

// dead reports whether the holder with that mark is known to be dead. It is
// not known of one that has used another file, or this Store itself.
func (v *vital) dead(mark string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.path == "" || mark == "" || mark == v.own {
		return false
	}
	where, offset, _ := strings.Cut(mark, ":")
	position, err := strconv.ParseInt(offset, 10, 64)
	if err != nil {
		return false
	}
	file := v.file
	if file == nil { // a Store without a lease, which looks
		if file, err = os.Open(v.path + vitalSuffix); err != nil {
			return false
		}
		defer func() { _ = file.Close() }()
	}
	if its, err := identity(file); err != nil || where != its {
		return false
	}
	lock := byteLock(unix.F_WRLCK, position)
	if err := unix.FcntlFlock(file.Fd(), unix.F_OFD_GETLK, &lock); err != nil {
		return false
	}
	return lock.Type == unix.F_UNLCK
}

func byteLock(kind int16, position int64) unix.Flock_t {
	return unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: position, Len: 1}
}

// identity is the file's device and inode, whatever its name.
func identity(file *os.File) (string, error) {
	var stat unix.Stat_t
	err := unix.Fstat(int(file.Fd()), &stat)
	return fmt.Sprintf("%d.%d", stat.Dev, stat.Ino), err
}
