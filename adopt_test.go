package walink_test

import (
	"path/filepath"
	"testing"

	"go.mau.fi/whatsmeow/store/sqlstore"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/plaintest"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/walinktest"
)

// The way in for who has used whatsmeow without walink: open, adopt, and go on;
// or move on to another Store from there.
func TestDeviceOfAPlainWhatsmeowLogsIn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "whatsmeow.db")
	srv := walinktest.NewServer(t)
	container, err := sqlstore.New(t.Context(), "sqlite", "file:"+path+"?_pragma=foreign_keys(1)", nil)
	if err != nil {
		t.Fatal(err)
	}
	jid := plaintest.Link(t, srv, srv.NewPhone(number), container)

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
	next := kv.New(memory.New())
	first := walink.Linked{Account: walink.Account{JID: jid}}
	r := newRigOn(t, srv, st, walink.Settings{Session: "shop"})
	resumes(t, r, st, first)
	if err := store.Move(t.Context(), next, st); err != nil {
		t.Fatal(err)
	}
	resumes(t, r, next, first)
}
