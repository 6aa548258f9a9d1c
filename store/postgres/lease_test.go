package postgres_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/walink/walink/internal/leasetest"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/postgres"
)

func busy(t *testing.T, st *postgres.Store, want store.Lease) (until time.Time) {
	t.Helper()
	_, err := st.TakeLease(t.Context(), "default", "another", time.Hour)
	held, ok := errors.AsType[*store.BusyError](err)
	if !ok || held.Lease.Token != want.Token || held.Lease.Holder != want.Holder {
		t.Fatalf("the lease of %s is in force, and taking another returns %v", want.Holder, err)
	}
	return held.Lease.Until
}

// hold takes the lease of the default session.
func hold(t *testing.T, st *postgres.Store, holder string) store.Lease {
	t.Helper()
	lease, err := st.TakeLease(t.Context(), "default", holder, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return lease
}

// armed returns the alarm of a Store that has a lease. On a busy machine the
// Store may not have got its connection outside the pool yet.
func armed(t *testing.T, st *postgres.Store, lease store.Lease) <-chan struct{} {
	t.Helper()
	for st.LeaseAlarm() == nil {
		if _, err := st.RenewLease(t.Context(), lease, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	return st.LeaseAlarm()
}

// unlock makes the server end the connections with the locks that show who is
// alive. It returns when the locks are free, which is later than the clients
// learn of it.
func unlock(t *testing.T, s *server, database string) {
	t.Helper()
	err := s.exec(t.Context(), database, `SELECT pg_terminate_backend(pid, 60000) FROM pg_locks JOIN pg_database d ON d.oid=database
		WHERE locktype='advisory' AND datname='`+database+`'`)
	if err != nil {
		t.Fatal(err)
	}
}

// TestLeaseOfTheDead: the server sees the connection of a program end. A
// program that is still alive has 13 seconds to show it.
func TestLeaseOfTheDead(t *testing.T) {
	t.Parallel()
	s := running(t)
	database := s.database(t)
	one, two := open(t, s.url(database)), open(t, s.url(database))
	lease := hold(t, one, "one")
	if until := busy(t, two, lease); !until.Equal(lease.Until) {
		t.Errorf("the holder lives, and its lease ends at %v, want %v", until, lease.Until)
	}

	alarm := armed(t, one, lease)
	unlock(t, s, database)
	<-alarm
	if until := busy(t, two, lease); until.After(time.Now().Add(time.Minute)) {
		t.Errorf("the holder is taken for dead, and its lease ends at %v", until)
	}
	renewed, err := one.RenewLease(t.Context(), lease, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	armed(t, one, lease)
	if until := busy(t, two, lease); until.Before(renewed.Until) {
		t.Errorf("the holder lives after all, and its lease ends at %v, want %v", until, renewed.Until)
	}

	if err := one.Close(); err != nil { // as if it were killed: the lease is not released
		t.Fatal(err)
	}
	free := busy(t, two, lease)
	for deadline := time.Now().Add(time.Minute); time.Until(free) > 14*time.Second; free = busy(t, two, lease) {
		if time.Now().After(deadline) { // the server takes a moment to see the connection end
			t.Fatalf("the holder is dead, and its lease ends at %v", free)
		}
	}
	// Thirteen seconds go by, for the database.
	if err := s.exec(t.Context(), database, fmt.Sprintf("UPDATE walink_lease SET doubt=doubt-%d", store.LeaseGrace.Milliseconds())); err != nil {
		t.Fatal(err)
	}
	next, err := two.TakeLease(t.Context(), "default", "two", time.Hour)
	if err != nil || next.Token <= lease.Token {
		t.Errorf("after the grace: %v, %v, want a lease with a token greater than %d", next, err, lease.Token)
	}
}

// The server may see the connection of a program end that the program itself
// takes for good. It finds out when it renews, and in time.
func TestLeaseOfAHalfDeadConnection(t *testing.T) {
	t.Parallel()
	s := running(t)
	database := s.database(t)
	proxy := leasetest.NewProxy(t, "unix", filepath.Join(s.Dir, ".s.PGSQL.5432"))
	one := open(t, "postgres://postgres@"+proxy.Addr()+"/"+database+"?sslmode=disable&pool_max_conns=8")
	two := open(t, s.url(database))
	lease := hold(t, one, "one")
	alarm := armed(t, one, lease)
	proxy.Keep() // a connection that the server ends stays open for the program
	unlock(t, s, database)
	busy(t, two, lease)
	renewed, err := one.RenewLease(t.Context(), lease, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	<-alarm
	armed(t, one, lease)
	if until := busy(t, two, lease); until.Before(renewed.Until) {
		t.Errorf("the holder lives, and its lease ends at %v, want %v", until, renewed.Until)
	}
}

// A renewal and a takeover at the same moment: the second of them must notice
// the first.
func TestLeaseIsNotLostAndRenewed(t *testing.T) {
	t.Parallel()
	s := running(t)
	database := s.database(t)
	one, two := open(t, s.url(database)), open(t, s.url(database))
	for range 30 {
		lease, err := one.TakeLease(t.Context(), "default", "one", -time.Second)
		if err != nil {
			t.Fatal(err)
		}
		renewed := make(chan error, 1)
		go func() {
			_, err := one.RenewLease(t.Context(), lease, time.Hour)
			renewed <- err
		}()
		taken, err := two.TakeLease(t.Context(), "default", "two", time.Hour)
		renewErr := <-renewed
		if err == nil && renewErr == nil {
			t.Fatal("a lease was renewed and taken by another")
		}
		for _, held := range []store.Lease{taken, lease} {
			if held.Token != 0 {
				if err := one.ReleaseLease(t.Context(), held); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
