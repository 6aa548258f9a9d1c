package sqlite_test

import (
	"path/filepath"
	"testing"

	"go.mau.fi/whatsmeow/store/sqlstore"

	"github.com/walink/walink/internal/plaintest"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/store/transfer"
	"github.com/walink/walink/walinktest"
)

// A database that plain whatsmeow has made is opened, its device adopted, and
// logged in; then the session moves to another Store, and logs in from there.
func TestDeviceOfAPlainWhatsmeowLogsIn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "whatsmeow.db")
	srv := walinktest.NewServer(t)
	container, err := sqlstore.New(t.Context(), "sqlite", "file:"+path+"?_pragma=foreign_keys(1)", nil)
	if err != nil {
		t.Fatal(err)
	}
	jid := plaintest.Link(t, srv, srv.NewPhone("+5511987654321"), container)

	st, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	jids, err := st.Adoptable(t.Context())
	if err != nil || len(jids) != 1 || jids[0] != jid {
		t.Fatalf("adoptable %v, %v, want %v", jids, err, jid)
	}
	if err := st.Adopt(t.Context(), "shop", jids[0]); err != nil {
		t.Fatal(err)
	}
	plaintest.Resumes(t, srv, st, jid)
	next := kv.New(memory.New())
	defer func() { _ = next.Close() }()
	if err := transfer.Move(t.Context(), next, st); err != nil {
		t.Fatal(err)
	}
	plaintest.Resumes(t, srv, next, jid)
}
