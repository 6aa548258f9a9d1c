package sqlite_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/sqlite"
)

const ttl = time.Minute

func take(t *testing.T, st *sqlite.Store, holder string) store.Lease {
	t.Helper()
	lease, err := st.TakeLease(t.Context(), "default", holder, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return lease
}

func busy(t *testing.T, st *sqlite.Store, want store.Lease) {
	t.Helper()
	_, err := st.TakeLease(t.Context(), "default", "another", ttl)
	if held, ok := errors.AsType[*store.BusyError](err); !ok || held.Lease != want {
		t.Errorf("the lease of %s is in force, and taking another returns %v", want.Holder, err)
	}
}

// TestLeaseOfTheDead takes the lease of a killed process.
func TestLeaseOfTheDead(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux lets go of a lock with the open file")
	}
	path := filepath.Join(t.TempDir(), "walink.db")
	one, two, three := open(t, path), open(t, path), open(t, path)
	first := take(t, one, "one")
	busy(t, two, first)
	busy(t, one, first) // the holder does not get another lease either
	if held, err := two.PeekLease(t.Context(), "default"); err != nil || held != first {
		t.Errorf("PeekLease: %+v, %v, want %+v", held, err, first)
	}
	if err := sqlite.Die(one); err != nil {
		t.Fatal(err)
	}
	watching := open(t, path) // it has no lease itself
	if held, err := watching.PeekLease(t.Context(), "default"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the dead holder has %+v, %v", held, err)
	}
	second := take(t, two, "two")
	if second.Token <= first.Token {
		t.Errorf("token %d after %d", second.Token, first.Token)
	}
	busy(t, three, second)

	// A Store with another file cannot know who is alive, and has to wait.
	if err := os.Remove(path + "-lease"); err != nil {
		t.Fatal(err)
	}
	four := open(t, path)
	busy(t, four, second)
	if err := sqlite.Die(two); err != nil {
		t.Fatal(err)
	}
	busy(t, four, second)
	take(t, three, "three")
}

// A Store that is closed under a Linker, which is connected for some time yet.
func TestLeaseOfAClosedStore(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "walink.db")
	one, two := open(t, path), open(t, path)
	first := take(t, one, "one")
	if _, err := one.TakeLease(t.Context(), "short", "one", 200*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	busy(t, two, first)
	for { // until its time is up
		_, err := two.TakeLease(t.Context(), "short", "two", ttl)
		if err == nil {
			break
		}
		if _, ok := errors.AsType[*store.BusyError](err); !ok {
			t.Fatal(err)
		}
	}
}

// A lease that waits for the database while it is being closed is lent for its
// time, or not at all.
func TestLeaseBesideClose(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "walink.db")
	two := open(t, path)
	for range 20 {
		one := open(t, path)
		if _, err := one.TakeLease(t.Context(), "first", "one", 0); err != nil { // which makes the file
			t.Fatal(err)
		}
		tx, err := sqlite.Writer(one).BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		lent, closed := make(chan error, 1), make(chan error, 1)
		go func() { _, err := one.TakeLease(t.Context(), "default", "one", ttl); lent <- err }()
		go func() { closed <- one.Close() }()
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		lentErr := <-lent
		if err := <-closed; err != nil {
			t.Fatal(err)
		}
		if lentErr != nil {
			continue
		}
		if lease, err := two.TakeLease(t.Context(), "default", "two", ttl); err == nil {
			t.Fatalf("%+v was lent beside another", lease)
		}
		return
	}
	t.Log("Close was always first")
}

func TestLeaseFileIsForTheOwnerAlone(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("there is no such file")
	}
	path := filepath.Join(t.TempDir(), "walink.db")
	st := open(t, path)
	if _, err := os.Stat(path + "-lease"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is one before the first lease (%v)", err)
	}
	take(t, st, "one")
	info, err := os.Stat(path + "-lease")
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != 0 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestLeaseInMemory(t *testing.T) {
	t.Parallel()
	st := open(t, ":memory:")
	first := take(t, st, "one")
	busy(t, st, first)
	if err := st.ReleaseLease(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if second := take(t, st, "two"); second.Token <= first.Token {
		t.Errorf("token %d after %d", second.Token, first.Token)
	}
	if _, err := os.Stat(":memory:-lease"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a database in memory has a file")
	}
}

// A lease that was renewed an hour ahead is what a clock that was set back by an hour leaves.
// No holder renews it any more, so it must not be in force for that hour.
func TestLeaseOfADeadHolderEndsAfterTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "walink.db")
	one, two := open(t, path), open(t, path)
	first := take(t, one, "one")
	const hour = "3600000"
	execSQL(t, one, "UPDATE walink_lease SET since=since+"+hour+", until=until+"+hour+", renewed=renewed+"+hour)
	var until time.Time
	for i := range 2 {
		peeked, err := two.PeekLease(t.Context(), "default")
		if err != nil {
			t.Fatal(err)
		}
		_, err = two.TakeLease(t.Context(), "default", "two", ttl)
		held, ok := errors.AsType[*store.BusyError](err)
		if !ok {
			t.Fatalf("a lease that may be a living holder's is not in force: %v", err)
		}
		if left := time.Until(held.Lease.Until); left > ttl || left < ttl/2 || held.Lease.Until.Sub(peeked.Until).Abs() > ttl/2 {
			t.Errorf("it is in force for %v, and PeekLease says until %v", left, peeked.Until)
		}
		if i > 0 && !held.Lease.Until.Equal(until) {
			t.Errorf("it ends at %v, and then at %v", until, held.Lease.Until)
		}
		until = held.Lease.Until
	}
	// The holder may be alive after all.
	first.Since = first.Since.Add(time.Hour)
	if renewed, err := one.RenewLease(t.Context(), first, ttl); err != nil || renewed.Until.Before(until) {
		t.Errorf("RenewLease: %+v, %v", renewed, err)
	}
}

// The tables of walink 0.1 do not say when a lease was renewed.
func TestLeaseOfAnOlderProgramStaysInForce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "walink.db")
	old := open(t, path)
	lease := take(t, old, "one")
	execSQL(t, old, "ALTER TABLE walink_lease DROP COLUMN renewed; UPDATE walink_version SET version=3")
	st := open(t, path)
	busy(t, st, lease)
	if _, err := st.RenewLease(t.Context(), lease, ttl); err != nil {
		t.Error(err)
	}
}
