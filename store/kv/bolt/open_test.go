package bolt_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/bolt"
	"github.com/walink/walink/store/storetest"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		make func(t *testing.T, path string)
		want error
		text string
		// remedy is the remedy of the error.
		remedy string
	}{
		{"a directory that is not there", func(t *testing.T, path string) {
			t.Helper()
			if err := os.Remove(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
		}, fs.ErrNotExist, "directory", "Make the directory, or correct the path."},
		{"a directory", func(t *testing.T, path string) {
			t.Helper()
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, nil, "it is a directory", "Give the path of a file, which need not exist yet, in a directory that does."},
		{"a file that is read-only", func(t *testing.T, path string) {
			t.Helper()
			write(t, path, nil, 0o400)
		}, fs.ErrPermission, "read-only", "Let the user that this program runs as write to the file and to its directory."},
		{"a short file of something else", func(t *testing.T, path string) {
			t.Helper()
			write(t, path, []byte("hello"), 0o644)
		}, bolt.ErrDamaged, "restore a copy", "Restore the file from a backup, or give the path of a file that does not exist yet."},
		{"a long file of something else", func(t *testing.T, path string) {
			t.Helper()
			write(t, path, bytes.Repeat([]byte("hello "), 10000), 0o644)
		}, bolt.ErrDamaged, "restore a copy", "Restore the file from a backup, or give the path of a file that does not exist yet."},
		{"a database of SQLite", func(t *testing.T, path string) {
			t.Helper()
			write(t, path, append([]byte("SQLite format 3\x00"), make([]byte, 40000)...), 0o644)
		}, bolt.ErrDamaged, "restore a copy", "Restore the file from a backup, or give the path of a file that does not exist yet."},
		{"a file that was cut off", func(t *testing.T, path string) {
			t.Helper()
			fill(t, path)
			if err := os.Truncate(path, 12<<10); err != nil {
				t.Fatal(err)
			}
		}, bolt.ErrDamaged, "bytes of", "Restore the file from a backup, or give the path of a file that does not exist yet."},
		{"a file of another program", func(t *testing.T, path string) {
			t.Helper()
			write(t, path, nil, 0o644)
			db, err := bbolt.Open(path, 0o644, nil)
			if err != nil {
				t.Fatal(err)
			}
			err = db.Update(func(tx *bbolt.Tx) error {
				bucket, err := tx.CreateBucket([]byte("theirs"))
				if err != nil {
					return err
				}
				return bucket.Put([]byte("key"), []byte("value"))
			})
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
		}, kv.ErrForeign, "another program's", "Give walink its own database or prefix, or the key if this database is encrypted."},
		{"a file whose pages were overwritten", func(t *testing.T, path string) {
			t.Helper()
			fill(t, path)
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			page := os.Getpagesize()
			write(t, path, append(content[:2*page:2*page], make([]byte, len(content)-2*page)...), 0o600)
		}, bolt.ErrDamaged, "restore a copy", "Restore the file from a backup, or give the path of a file that does not exist yet."},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := temp(t)
			test.make(t, path)
			before := look(path)
			_, err := bolt.Open(t.Context(), path)
			if err == nil {
				t.Fatal("Open succeeded")
			}
			if test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("Open: %v, want %v", err, test.want)
			}
			for _, part := range []string{path, test.text} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("Open: %v, want it to say %q", err, part)
				}
			}
			if got := remedyOf(err); got != test.remedy {
				t.Errorf("Open: %v, with the remedy %q, want %q", err, got, test.remedy)
			}
			if after := look(path); after != before {
				t.Error("the file has changed")
			}
		})
	}
}

func TestOpenObeysCtx(t *testing.T) {
	t.Parallel()
	path := temp(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := bolt.Open(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v, want context.Canceled", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is there: %v", err)
	}
}

func TestLocked(t *testing.T) {
	t.Parallel()
	path := temp(t)
	db := open(t, path)
	_, err := bolt.Open(t.Context(), path)
	if !errors.Is(err, bolt.ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("Open of a file that is in use: %v, want ErrLocked and the path", err)
	}
	if want := "Stop the program that has the file open, or open it once in this program and share the Store."; remedyOf(err) != want {
		t.Errorf("the remedy is %q, want %q", remedyOf(err), want)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, path).Close(); err != nil {
		t.Error(err)
	}
}

func TestPrivate(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("modes do not say who may use a file")
	}
	path := temp(t)
	write(t, path, nil, 0o644)
	st := kv.New(open(t, path))
	t.Cleanup(func() { _ = st.Close() })
	fresh := temp(t)
	if err := open(t, fresh).Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{path, fresh} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
		}
	}
	if err := st.Check(t.Context()); err != nil {
		t.Errorf("Check: %v", err)
	}
	for _, test := range []struct {
		spoil  func() error
		remedy string
	}{
		{func() error { return os.Chmod(path, 0o640) }, "Run chmod 600 on walink.bolt: whoever can read it can use the accounts in it."},
		{func() error { return os.Chmod(path, 0o400) }, "Let the user that this program runs as write to the file and to its directory."},
		{func() error { return os.Remove(path) }, "Restore the file, or restart this program, which makes a new one."},
		{st.Close, "Open the store again: this program has closed it."},
	} {
		if err := test.spoil(); err != nil {
			t.Fatal(err)
		}
		if err := st.Check(t.Context()); err == nil || !strings.Contains(err.Error(), path) || remedyOf(err) != test.remedy {
			t.Errorf("Check: %v, with the remedy %q, want the path and %q", err, remedyOf(err), test.remedy)
		}
	}
}

func TestNothingCanBeReadWithoutTheKey(t *testing.T) {
	t.Parallel()
	path := temp(t)
	st := kv.New(kv.Encrypt(open(t, path), kv.NewKey()))
	device := storetest.Link(t, st, "the session name", storetest.JID("5511987654321", 1))
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range [][]byte{[]byte("the session name"), []byte("5511987654321"), device.NoiseKey.Priv[:], device.AdvSecretKey} {
		if bytes.Contains(content, word) {
			t.Errorf("%q is in the file", word)
		}
	}
	other := kv.New(kv.Encrypt(open(t, path), kv.NewKey()))
	if _, err := other.Device(t.Context(), "the session name"); !errors.Is(err, kv.ErrKey) {
		t.Errorf("Device with another key: %v, want ErrKey", err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
}

// fill stores more than fits on the first pages.
func fill(t *testing.T, path string) {
	t.Helper()
	st := kv.New(open(t, path))
	device := storetest.Link(t, st, "default", storetest.JID("5511987654321", 1))
	if _, err := device.PreKeys.GetOrGenPreKeys(t.Context(), 812); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path string, content []byte, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, content, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// look returns everything that a refused Open must not change.
func look(path string) string {
	content, _ := os.ReadFile(path)
	info, err := os.Stat(path)
	if err != nil {
		return err.Error()
	}
	return info.Mode().String() + string(content)
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	for i := range b.N {
		db, err := bolt.Open(b.Context(), filepath.Join(dir, strings.Repeat("x", i%200)+".bolt"))
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := errors.Join(db.Close(), os.Remove(filepath.Join(dir, strings.Repeat("x", i%200)+".bolt"))); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// A program takes the file over from one that writes to it until its end.
func TestHandOver(t *testing.T) {
	t.Parallel()
	path := temp(t)
	first, err := bolt.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	begun, ended := make(chan struct{}), make(chan error)
	go func() {
		close(begun)
		second, err := bolt.Open(t.Context(), path)
		if err == nil {
			err = second.Close()
		}
		ended <- err
	}()
	<-begun
	for i := range 20 { // the file grows while the other one examines it, and waits for it
		err = errors.Join(err, first.Txn(t.Context(), true, func(tx kv.Tx) error { return tx.Set([]byte{byte(i)}, make([]byte, 1<<20)) }))
	}
	if err := errors.Join(err, first.Close()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil && !errors.Is(err, bolt.ErrLocked) { // a slow disk
		t.Errorf("Open: %v", err)
	}
}

func TestNothingIsStoredInAFileThatWasReplaced(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(path string) error{
		"deleted": os.Remove,
		"replaced": func(path string) error {
			return errors.Join(os.Rename(path, path+".old"), os.WriteFile(path, nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "walink.bolt")
			db, err := bolt.Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			st := kv.New(db)
			one := store.Holder{ID: "one"}
			if _, _, err := st.TakeLeases(t.Context(), []string{"default"}, one, time.Hour); err != nil {
				t.Fatal(err)
			}
			if err := harm(path); err != nil {
				t.Fatal(err)
			}
			if _, err := st.RenewHolder(t.Context(), one, time.Hour); !strings.Contains(remedyOf(err), "estart this program") {
				t.Errorf("RenewHolder: %v, remedy %q", err, remedyOf(err))
			}
			if err := st.Check(t.Context()); !strings.Contains(remedyOf(err), "estart this program") {
				t.Errorf("Check: %v, remedy %q", err, remedyOf(err))
			}
		})
	}
}

func TestErrorAboutALongPathIsOneShortLine(t *testing.T) {
	t.Parallel()
	for what, path := range map[string]string{
		"a name that is too long":        filepath.Join(t.TempDir(), strings.Repeat("long\n", 1200)),
		"directories that are not there": filepath.Join(t.TempDir(), strings.Repeat("long/", 200), "walink.bolt"),
	} {
		if _, err := bolt.Open(t.Context(), path); err == nil || len(err.Error()) > 500 || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
