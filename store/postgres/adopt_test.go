package postgres_test

import (
	"database/sql"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver named "pgx"
	"go.mau.fi/whatsmeow/store/sqlstore"

	"github.com/walink/walink/internal/plaintest"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/transfer"
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
	plaintest.Resumes(t, srv, st, jid)
	next := kv.New(memory.New())
	defer func() { _ = next.Close() }()
	if err := transfer.Move(t.Context(), next, st); err != nil {
		t.Fatal(err)
	}
	plaintest.Resumes(t, srv, next, jid)
	if err := transfer.Move(t.Context(), st, next); err != nil {
		t.Fatal(err)
	}
	plaintest.Resumes(t, srv, st, jid)
}
