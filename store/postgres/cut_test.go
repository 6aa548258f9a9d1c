package postgres_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/leasetest"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/postgres"
	"github.com/walink/walink/walinktest"
)

// A program gets no answer to its renewals. It must give up its session before another
// program has the session.
func TestLeaseOfAProgramThatHearsNothing(t *testing.T) {
	t.Parallel()
	s := running(t)
	database := s.database(t)
	one, proxy := s.through(t, database)
	two := open(t, s.url(database))
	srv := walinktest.NewServer(t)
	first, err := walink.New(one, walink.Settings{HTTPClient: srv.HTTPClient()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Close() }() // the connection with its session has ended
	events, err := first.Link(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for event := range events {
		if code, ok := event.(walink.QRCode); ok {
			if err := srv.NewPhone("+5511987654321").ScanQR(t.Context(), code.Payload); err != nil {
				t.Fatal(err)
			}
		}
	}
	client := first.Client()
	if client == nil || !client.IsConnected() {
		t.Fatalf("not linked: %v", first.Status().Err)
	}

	proxy.Cut()
	second, err := walink.New(two, walink.Settings{
		HTTPClient: srv.HTTPClient(),
		OnClient: func(*whatsmeow.Client) { // it has the lease, and no socket yet
			if client.IsConnected() {
				t.Error("the session has passed to another while its client was connected")
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := second.Close(); err != nil {
			t.Error(err)
		}
	}()
	began := time.Now()
	events, err = second.Supervise(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for event := range events {
		if event.Kind() == walink.KindLinked {
			break
		}
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the session has passed after %v", took)
	}
	if state := first.Status().State; state != walink.StateFailed {
		t.Errorf("the first Linker says %v", state)
	}
}

// through opens a Store of a database behind a proxy.
func (s *server) through(t *testing.T, database string) (*postgres.Store, *leasetest.Proxy) {
	t.Helper()
	proxy := leasetest.NewProxy(t, "unix", filepath.Join(s.Dir, ".s.PGSQL.5432"))
	st, err := postgres.Open(t.Context(), "postgres://postgres@"+proxy.Addr()+"/"+database+"?sslmode=disable&pool_max_conns=8")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() }) // its connections may lead nowhere
	return st, proxy
}

// take takes the lease of one session.
func take(t *testing.T, st *postgres.Store, session string, holder store.Holder, ttl time.Duration) store.Lease {
	t.Helper()
	taken, _, err := st.TakeLeases(t.Context(), []string{session}, holder, ttl)
	if err != nil || len(taken) != 1 {
		t.Fatalf("TakeLeases: %+v, %v", taken, err)
	}
	return taken[0]
}

// A renewal gets no answer, and reaches the server after the next one, as TCP sends it again.
func TestLateRenewalDoesNotShortenALaterOne(t *testing.T) {
	t.Parallel()
	s := running(t)
	st, proxy := s.through(t, s.database(t))
	one := store.Holder{ID: "one", Name: "one"}
	one.Until = take(t, st, "default", one, time.Hour).Until
	held, release := proxy.HoldAfter("UPDATE walink_holder SET until")
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := st.RenewHolder(ctx, one, time.Hour)
		failed <- err
	}()
	<-held
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Fatalf("RenewHolder: %v, want context.Canceled", err)
	}
	renewed, err := st.RenewHolder(t.Context(), one, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	<-time.After(10 * time.Millisecond) // the clock of the server goes on
	release()
	for {
		got, err := st.PeekLease(t.Context(), "default")
		if err != nil || got.Until.Before(renewed.Until) {
			t.Fatalf("%v: the holder has until %v, and the database says %v", err, renewed.Until, got.Until)
		}
		if got.Until.After(renewed.Until) {
			return
		}
	}
}

// A program is stopped inside a transaction that pins its holder. Others can take its other
// sessions.
func TestProgramThatIsStoppedInATransactionBlocksNobodyForLong(t *testing.T) {
	t.Parallel()
	s := running(t)
	database := s.database(t)
	st, proxy := s.through(t, database)
	held, release := proxy.HoldAfter("INSERT INTO walink_lease")
	defer release()
	one := store.Holder{ID: "one", Name: "one"}
	other := open(t, s.url(database))
	one.Until = take(t, other, "default", one, 0).Until
	failed := make(chan error)
	go func() {
		_, _, err := st.TakeLeases(t.Context(), []string{"another"}, one, 0)
		failed <- err
	}()
	<-held
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second) // as long as a program waits
	defer cancel()
	taken, _, err := other.TakeLeases(ctx, []string{"default"}, store.Holder{ID: "two", Name: "two"}, time.Hour)
	if err != nil || len(taken) != 1 {
		t.Errorf("TakeLeases: %+v, %v", taken, err)
	}
	release()
	if err := <-failed; err == nil {
		t.Error("a transaction was committed that the server has ended")
	}
}
