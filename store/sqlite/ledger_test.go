package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/walink/walink/store/sqlite"
)

func TestLedgerOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "walink.db")
	now := time.Now()
	for i, want := range []time.Time{{}, {}, now.Add(time.Minute)} {
		st, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		next, err := st.TakeCode(t.Context(), number, now, 2, time.Minute)
		if err != nil || !next.Equal(want) {
			t.Errorf("code %d: next %v, %v, want %v", i+1, next, err, want)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenForgetsNumbers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "walink.db")
	st := open(t, path)
	for _, ago := range []time.Duration{25 * time.Hour, 2 * time.Hour} {
		if _, err := st.TakeCode(t.Context(), number, time.Now().Add(-ago), 3, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	if got := asked(t, st); got != 2 {
		t.Fatalf("%d rows, want 2", got)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if got := asked(t, open(t, path)); got != 1 {
		t.Errorf("%d rows, want the one of the last day", got)
	}
}

func TestLedgerForgets(t *testing.T) {
	t.Parallel()
	st := open(t, ":memory:")
	now := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	for _, at := range []time.Duration{0, time.Hour, 25 * time.Hour} {
		if _, err := st.TakeCode(t.Context(), number, now.Add(at), 3, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	if got := asked(t, st); got != 2 {
		t.Errorf("%d rows, want those of the last day", got)
	}
}

// asked counts the requests for codes that st remembers.
func asked(t *testing.T, st *sqlite.Store) (rows int) {
	t.Helper()
	if err := sqlite.Writer(st).QueryRowContext(t.Context(), "SELECT COUNT(*) FROM walink_code").Scan(&rows); err != nil {
		t.Fatal(err)
	}
	return rows
}
