package sqlite

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/walink/walink/store"
)

// mark returns a text from which others can tell whether this process is alive.
// It names the file, which may be deleted and made again, and the position of a
// byte in the file that is locked as long as the Store is open. The lock
// belongs to the open file and not to the process (F_OFD_SETLK in fcntl(2)). So
// two Stores of one process are two holders, and closing another descriptor of
// the file does no harm.
func (p *presence) mark() (string, error) {
	if p.path == "" {
		return "", nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return "", os.ErrClosed
	case p.file != nil:
		return p.own, nil
	}
	if err := checkBeside(p.path); err != nil {
		return "", err
	}
	file, err := p.open(os.O_RDWR | os.O_CREATE)
	if errors.Is(err, fs.ErrPermission) {
		return "", nil // it is another user's: a lease ends when it expires, and Check says so
	}
	if err != nil {
		return "", fmt.Errorf("the file next to the database that shows who is alive: %w", err)
	}
	own, err := lockByte(file)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOLCK) || errors.Is(err, unix.ENOTSUP) {
		return "", file.Close() // a file system without such locks: a lease ends when it expires
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("lock in %q: %w", file.Name(), err), file.Close())
	}
	p.file, p.own = file, own
	return own, nil
}

// open opens the file, and follows no symbolic link.
func (p *presence) open(flag int) (*os.File, error) {
	return os.OpenFile(p.path+presenceSuffix, flag|unix.O_NOFOLLOW, 0o600)
}

// check returns an Advice if the file is there and cannot be used. It makes no file.
func (p *presence) check() error {
	if p.path == "" {
		return nil
	}
	file, err := p.open(os.O_RDWR)
	switch {
	case err == nil:
		return file.Close()
	case errors.Is(err, fs.ErrPermission):
		name := filepath.Base(p.path) + presenceSuffix
		return &store.Advice{
			Err: fmt.Errorf("%s belongs to another user, so the session of a program that was killed is not free before its lease ends", name),
			Fix: "Make the user that this program runs as the owner of " + name + " (chown), or delete that file while no program uses the database.",
		}
	}
	return nil
}

// lockByte locks a byte that nobody else locks.
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

// dead reports whether the holder with that mark is known to be dead. A holder
// with the mark of another file, and this Store itself, are never known to be
// dead.
func (p *presence) dead(mark string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.path == "" || mark == "" || mark == p.own {
		return false
	}
	where, offset, _ := strings.Cut(mark, ":")
	position, err := strconv.ParseInt(offset, 10, 64)
	if err != nil {
		return false
	}
	file := p.file
	if file == nil { // this Store has lent no lease
		if file, err = p.open(os.O_RDONLY); err != nil {
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

// identity returns the file's device and inode, which do not depend on its
// name.
func identity(file *os.File) (string, error) {
	var stat unix.Stat_t
	err := unix.Fstat(int(file.Fd()), &stat)
	return fmt.Sprintf("%d.%d", stat.Dev, stat.Ino), err
}
