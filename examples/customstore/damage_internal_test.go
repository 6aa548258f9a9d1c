package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink/store/kv"
)

// written returns the path of a journal of three transactions, and its content.
func written(t *testing.T) (path string, content []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "walink.journal")
	db, err := OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range byte(3) {
		if err := set(t.Context(), db, i); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if content, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	return path, content
}

func set(ctx context.Context, db *Journal, i byte) error {
	return db.Txn(ctx, true, func(tx kv.Tx) error { return tx.Set([]byte{i}, []byte("value\x00")) })
}

// OpenJournal changes neither a file that is no journal nor a damaged journal.
func TestUnreadableFilesStay(t *testing.T) {
	t.Parallel()
	path, content := written(t)
	refused := func(what string, content []byte, want error) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenJournal(path); !errors.Is(err, want) {
			t.Errorf("%s: OpenJournal: %v, want %v", what, err, want)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, content) {
			t.Errorf("%s: the file has changed to %d bytes of %d, %v", what, len(after), len(content), err)
		}
	}
	refused("a diary", []byte(strings.Repeat("an important text\n", 50)), errForeign)
	refused("short", []byte("x"), errForeign)
	refused("zeros", make([]byte, 100), errForeign)
	for bit := range 8 * len(content) {
		flipped := bytes.Clone(content)
		flipped[bit/8] ^= 1 << (bit % 8)
		want := errDamaged
		if bit/8 < len(magic) {
			want = errForeign
		}
		refused("one bit", flipped, want)
	}
}

// A crash may leave zeros at the end of the file, where data was still to be written.
func TestZerosAtTheEnd(t *testing.T) {
	t.Parallel()
	path, content := written(t)
	for cut := len(magic); cut <= len(content); cut++ {
		if err := os.WriteFile(path, append(bytes.Clone(content[:cut]), make([]byte, 64)...), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			db, err := OpenJournal(path)
			if err != nil {
				t.Fatalf("cut off at %d, and zeros: %v", cut, err)
			}
			if err := errors.Join(set(t.Context(), db, 9), db.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A failed transaction leaves nothing in the file, and no other follows it.
func TestFailedCommit(t *testing.T) {
	t.Parallel()
	path, content := written(t)
	db, err := OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.file.Close(); err != nil { // stands for a disk that fails
		t.Fatal(err)
	}
	for range 2 {
		if err := set(t.Context(), db, 7); err == nil {
			t.Error("Txn reports a transaction as stored in a closed file")
		}
	}
	if err := db.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	after, err := os.ReadFile(path)
	if diff := cmp.Diff(content, after); err != nil || diff != "" {
		t.Errorf("the file (-want +got, %v):\n%s", err, diff)
	}
}

func TestADanglingLinkMakesNothingElsewhere(t *testing.T) {
	t.Parallel()
	if noFollow == 0 {
		t.Skip("this system cannot be told to follow no link")
	}
	elsewhere, path := filepath.Join(t.TempDir(), "planted"), filepath.Join(t.TempDir(), "walink.journal")
	if err := os.Symlink(elsewhere, path); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenJournal(path); err == nil {
		t.Error("OpenJournal succeeded")
	}
	if _, err := os.Lstat(elsewhere); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file elsewhere: %v", err)
	}
}

func TestOneAtATime(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no lock that keeps two processes from one journal")
	}
	path, _ := written(t)
	db, err := OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenJournal(path); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("OpenJournal of one that is open: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = OpenJournal(path); err != nil {
		t.Fatalf("OpenJournal after Close: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
