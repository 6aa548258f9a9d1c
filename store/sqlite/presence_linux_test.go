package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/sqlite"
)

// withoutRights runs fn without the rights of root on files, if the test has them.
func withoutRights(t *testing.T, fn func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		fn()
		return
	}
	const nobody = 65534
	runtime.LockOSThread() // the rights are those of the thread
	defer runtime.UnlockOSThread()
	if err := unix.Setfsuid(nobody); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Setfsuid(0) }()
	fn()
}

// root has made the file that shows who is alive, for example when it once ran the
// program. The owner of the database goes on without the file.
func TestLeasesWithoutTheFileThatBelongsToAnotherUser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, dir := range []string{dir, filepath.Dir(dir)} { // so that others may look for what is in it
		if err := os.Chmod(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "walink.db")
	st, other := open(t, path), open(t, path)
	if err := os.WriteFile(path+"-lease", nil, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path+"-lease", 0); err != nil {
		t.Fatal(err)
	}
	inspected, err := sqlite.Inspect(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	withoutRights(t, func() {
		lease := take(t, st, "one")
		busy(t, other, lease)
		renewed, err := st.RenewLease(t.Context(), lease, time.Hour)
		if err != nil {
			t.Errorf("RenewLease: %v", err)
		}
		busy(t, other, renewed)
		for what, st := range map[string]*sqlite.Store{"Open": st, "Inspect": inspected} {
			err := st.Check(t.Context())
			advice, ok := errors.AsType[*store.Advice](err)
			if !ok || !strings.Contains(advice.Error(), "walink.db-lease belongs to another user") || !strings.Contains(advice.Fix, "chown") {
				t.Errorf("%s: Check: %v", what, err)
			}
		}
		if err := errors.Join(st.ReleaseLease(t.Context(), renewed), inspected.Close()); err != nil {
			t.Error(err)
		}
		take(t, other, "two")
	})
	if err := os.Chmod(path+"-lease", 0o600); err != nil {
		t.Fatal(err)
	}
	if err := st.Check(t.Context()); err != nil {
		t.Errorf("Check with a file of its own: %v", err)
	}
}
