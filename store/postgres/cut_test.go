package postgres_test

import (
	"path/filepath"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/leasetest"
	"github.com/walink/walink/store/postgres"
	"github.com/walink/walink/walinktest"
)

// A program gets no answer to its renewals. It must give up its session before another
// program has the session.
func TestLeaseOfAProgramThatHearsNothing(t *testing.T) {
	t.Parallel()
	s := running(t)
	database := s.database(t)
	proxy := leasetest.NewProxy(t, "unix", filepath.Join(s.Dir, ".s.PGSQL.5432"))
	one, err := postgres.Open(t.Context(), "postgres://postgres@"+proxy.Addr()+"/"+database+"?sslmode=disable&pool_max_conns=8")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = one.Close() }() // its connections lead nowhere
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
