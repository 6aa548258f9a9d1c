package postgres_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/walink/walink/internal/storecrash"
	"github.com/walink/walink/store/postgres"
)

// TestFullDisk fills the disk of a tablespace: the server continues, and
// refuses what needs room. (A server without room for its log stops by itself.)
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir, fill, free := storecrash.SmallDisk(t, 40)
	s := own(t) // its checkpoints fail meanwhile
	space := filepath.Join(dir, "space")
	if err := os.Mkdir(space, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Give(dir, space); err != nil {
		t.Fatal(err)
	}
	if err := s.exec(t.Context(), "postgres", `CREATE TABLESPACE small LOCATION '`+space+`'`); err != nil {
		t.Fatal(err)
	}
	database := s.create(t, "TABLESPACE small")
	st, err := postgres.Open(t.Context(), s.url(database))
	if err != nil {
		t.Fatal(err)
	}
	storecrash.Full(t, st, "Free space on the disk of the server.", fill, free)
	if err := st.Close(); err != nil {
		t.Error(err)
	}
}

// TestRefusedLogin gives a wrong password, for which the server has a line of
// its own.
func TestRefusedLogin(t *testing.T) {
	t.Parallel()
	s := running(t)
	database := s.database(t)
	if err := s.exec(t.Context(), database, `CREATE ROLE locked LOGIN PASSWORD 'right'`); err != nil {
		t.Fatal(err)
	}
	_, err := postgres.Open(t.Context(), strings.Replace(s.url(database), "user=postgres", "user=locked&password=hunter2", 1))
	if err == nil {
		t.Fatal("Open succeeded")
	}
	if !strings.Contains(err.Error(), "28P01") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v, want a refused login and no password", err)
	}
	if want := "Check the user and the password in the URL, and pg_hba.conf on the server."; remedyOf(err) != want {
		t.Errorf("%v, with the remedy %q, want %q", err, remedyOf(err), want)
	}
}
