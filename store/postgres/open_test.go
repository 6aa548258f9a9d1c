package postgres_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mau.fi/util/dbutil"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/postgres"
	"github.com/walink/walink/store/storetest"
)

// A database that cannot be used gets its own error with a remedy, and is not
// changed.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	s := running(t)
	newer := s.database(t)
	foreign := s.create(t, "")
	forbidden := s.create(t, "")
	for database, statements := range map[string][]string{
		newer:     {`UPDATE walink_version SET version=99, compat=99`},
		foreign:   {`CREATE SCHEMA other`, `CREATE TABLE other.whatsmeow_version (version INTEGER)`, `INSERT INTO other.whatsmeow_version VALUES (5)`},
		forbidden: {`CREATE ROLE weak LOGIN PASSWORD 'hunter2'`, `REVOKE CREATE ON SCHEMA public FROM PUBLIC`},
	} {
		if err := s.exec(t.Context(), database, statements...); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		url    string
		reason string
		remedy string
		is     error
	}{
		"no URL":            {url: "postgres://user:hunter2@host:port/x", reason: "cannot be understood", remedy: "postgres://user:password@host:5432/database?sslmode=verify-full"},
		"slash in password": {url: "postgres://user:12/hunter2@127.0.0.1:1/x", reason: "special character", remedy: "percent-encoded"},
		"@ in password":     {url: "postgres://user:nobody@hunter2@127.0.0.1:1/x", reason: "special character", remedy: "percent-encoded"},
		"? in password":     {url: "postgresql://user:aa?hunter2@127.0.0.1:1/x", reason: "special character", remedy: "percent-encoded"},
		"?@ in password":    {url: "postgres://user:aa?hunter2@cc@127.0.0.1:1/x", reason: "special character", remedy: "percent-encoded"},
		"?/ in password":    {url: "postgres://user:aa?hunter2/cc@127.0.0.1:1/x", reason: "special character", remedy: "percent-encoded"},
		"?= in password":    {url: "postgres://user:hunter2?b=c@127.0.0.1:1/x", reason: "127.0.0.1:1", remedy: "PostgreSQL runs there"},
		"@ in an option":    {url: "postgres://127.0.0.1:1/x?user=me@corp&connect_timeout=5", reason: "127.0.0.1:1", remedy: "PostgreSQL runs there"},
		"a password of URL": {url: "host=127.0.0.1 port=1 connect_timeout=5 password=postgres://hunter2@b@c", reason: "127.0.0.1:1", remedy: "PostgreSQL runs there"},
		"no server":         {url: "postgres://user:hunter2@127.0.0.1:1/x?connect_timeout=5", reason: "127.0.0.1:1/x", remedy: "PostgreSQL runs there"},
		"no socket":         {url: "postgres:///x?host=" + filepath.Join(s.Dir, "nothing"), reason: "no such file", remedy: "PostgreSQL runs there"},
		"no database":       {url: s.url("nothing"), reason: "3D000", remedy: "createdb"},
		"no such role":      {url: strings.Replace(s.url(newer), "user=postgres", "user=nobody&password=hunter2", 1), reason: "28000", remedy: "pg_hba.conf"},
		"a newer schema":    {url: s.url(newer), reason: "schema version", remedy: "Update this program", is: dbutil.ErrUnsupportedDatabaseVersion},
		"another schema":    {url: s.url(foreign), remedy: "its own database"},
		"may not create":    {url: strings.Replace(s.url(forbidden), "user=postgres", "user=weak", 1), reason: "42501", remedy: "GRANT CREATE"},
		"TLS is not there":  {url: s.url(newer) + "&sslmode=verify-full&host=localhost&port=1", remedy: "in the URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, err := postgres.Open(t.Context(), test.url)
			if err == nil {
				t.Fatal(st.Close(), "Open succeeded")
			}
			var hint interface{ Remedy() string }
			if !errors.As(err, &hint) || !strings.Contains(hint.Remedy(), test.remedy) || !strings.Contains(err.Error(), test.reason) {
				t.Errorf("%v", err)
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("%v is not %v", err, test.is)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error holds the password: %v", err)
			}
		})
	}
	t.Cleanup(func() {
		for database, table := range map[string]string{foreign: "whatsmeow_device", forbidden: "whatsmeow_version"} {
			if err := s.exec(context.WithoutCancel(t.Context()), database, `SELECT 1 FROM `+table); err == nil {
				t.Errorf("%s was made in a database that was refused", table)
			}
		}
	})
}

func TestOpenAtOnceAndTwice(t *testing.T) {
	t.Parallel()
	s := running(t)
	url := s.url(s.create(t, ""))
	errs := make(chan error, 4)
	for range cap(errs) {
		go func() {
			st, err := postgres.Open(t.Context(), url)
			if err == nil {
				err = st.Close()
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	s := running(t)
	database := s.database(t)
	st := open(t, s.url(database))
	if err := st.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	careless := open(t, s.url(database)+"&synchronous_commit=off")
	if err := careless.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "synchronous_commit") {
		t.Errorf("Check: %v", err)
	}
	standby := open(t, s.url(database)+"&default_transaction_read_only=off")
	if err := s.exec(t.Context(), database, `ALTER TABLE walink_session RENAME TO gone`); err != nil {
		t.Fatal(err)
	}
	if err := standby.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "tables are missing") {
		t.Errorf("Check: %v", err)
	}
}

// TestServerThatIsRestarted has its own server.
func TestServerThatIsRestarted(t *testing.T) {
	t.Parallel()
	s := own(t)
	st, other := open(t, s.url("postgres")), open(t, s.url("postgres"))
	device := storetest.Link(t, st, "default", storetest.JID("5511987654321", 1))
	one := store.Holder{ID: "one"}
	taken, _, err := st.TakeLeases(t.Context(), []string{"default"}, one, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Crash(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The others do not take the holder for dead because the server was.
	for answered := 0; answered < 2; { // calls on old connections fail
		again, busy, err := other.TakeLeases(t.Context(), []string{"default"}, store.Holder{ID: "two"}, time.Hour)
		if err != nil {
			continue
		}
		answered++
		if len(again) > 0 || !slices.Equal(busy, taken) {
			t.Fatalf("%+v is lent again, and %+v in force, want %+v", again, busy, taken)
		}
	}
	if err := device.Sessions.PutSession(t.Context(), "1:0", []byte("session")); err != nil {
		t.Logf("the first call after the restart: %v", err) // on an old connection
	}
	if err := device.Sessions.PutSession(t.Context(), "1:0", []byte("session")); err != nil {
		t.Errorf("PutSession: %v", err)
	}
	if _, err := st.RenewHolder(t.Context(), one, time.Hour); err != nil {
		t.Errorf("RenewHolder: %v", err)
	}
}
