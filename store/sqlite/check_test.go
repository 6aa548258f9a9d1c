package sqlite_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/walink/walink/store/sqlite"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "walink.db")
	st, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for i := range 3 {
		if _, err := st.TakeCode(t.Context(), "5511987654321", now.Add(time.Duration(i)*10*time.Minute), 9, 15*time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // and it leaves no trace
		if err := st.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		for at, want := range map[time.Duration]int{20 * time.Minute: 1, 26 * time.Minute: 2, time.Hour: 3} {
			left, next, err := st.PeekCode(t.Context(), "5511987654321", now.Add(at), 3, 15*time.Minute)
			if err != nil || left != want || !next.IsZero() {
				t.Errorf("PeekCode after %v: %d, %v, %v", at, left, next, err)
			}
		}
		left, next, err := st.PeekCode(t.Context(), "5511987654321", now.Add(20*time.Minute), 2, 15*time.Minute)
		if err != nil || left != 0 || !next.Equal(now.Add(25*time.Minute)) {
			t.Errorf("PeekCode of a budget that is used up: %d, %v, %v", left, next, err)
		}
	}
	until, err := st.RefuseCode(t.Context(), "5511987654321", now.Add(20*time.Minute), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if left, next, err := st.PeekCode(t.Context(), "5511987654321", now.Add(20*time.Minute), 3, 15*time.Minute); err != nil || left != 1 || !next.Equal(until) {
		t.Errorf("PeekCode while a refusal is in force: %d, %v, %v", left, next, err)
	}
	for _, mode := range []os.FileMode{0o640, 0o400} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := st.Check(t.Context()); err == nil {
			t.Errorf("mode %v: Check found nothing", mode)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := st.Check(t.Context()); err == nil {
		t.Error("removed: Check found nothing")
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if err := st.Check(t.Context()); err == nil {
		t.Error("closed: Check found nothing")
	}
}
