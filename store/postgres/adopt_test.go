package postgres_test

import (
	"database/sql"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver named "pgx"
	"go.mau.fi/whatsmeow/store/sqlstore"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/plaintest"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/walinktest"
)

// A database that plain whatsmeow has made is opened, its device adopted, and
// logged in; then it moves on to another Store, and logs in from there.
func TestDeviceOfAPlainWhatsmeowLogsIn(t *testing.T) {
	t.Parallel()
	s := running(t)
	database := s.create(t, "")
	srv := walinktest.NewServer(t)
	db, err := sql.Open("pgx", s.URL(database))
	if err != nil {
		t.Fatal(err)
	}
	container := sqlstore.NewWithDB(db, "pgx", nil)
	if err := container.Upgrade(t.Context()); err != nil {
		t.Fatal(err)
	}
	jid := plaintest.Link(t, srv, srv.NewPhone("+5511987654321"), container)

	st := open(t, s.url(database))
	jids, err := st.Adoptable(t.Context())
	if err != nil || len(jids) != 1 || jids[0] != jid {
		t.Fatalf("adoptable %v, %v, want %v", jids, err, jid)
	}
	for range 2 {
		if err := st.Adopt(t.Context(), "shop", jids[0]); err != nil {
			t.Fatal(err)
		}
	}
	resumes(t, srv, st)
	next := kv.New(memory.New())
	defer func() { _ = next.Close() }()
	if err := store.Move(t.Context(), next, st); err != nil {
		t.Fatal(err)
	}
	resumes(t, srv, next)
	if err := store.Move(t.Context(), st, next); err != nil {
		t.Fatal(err)
	}
	resumes(t, srv, st)
}

// resumes logs in from what a Store has.
func resumes(t *testing.T, srv *walinktest.Server, st store.Store) {
	t.Helper()
	linker, err := walink.New(st, walink.Settings{Session: "shop", HTTPClient: srv.HTTPClient()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = linker.Close() }()
	updates, err := linker.Link(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var last walink.Event
	for last = range updates {
		if code, ok := last.(walink.QRCode); ok {
			t.Fatalf("a new link is wanted: %v", code)
		}
	}
	if linked, ok := last.(walink.Linked); !ok || !linked.Resumed {
		t.Fatalf("the Link ended with %v, want resumed", last)
	}
	if err := linker.Client().SetPassive(t.Context(), false); err != nil {
		t.Errorf("the client is not usable: %v", err)
	}
}
