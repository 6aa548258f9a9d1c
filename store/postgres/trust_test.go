package postgres_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/walink/walink/internal/pgserver"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/postgres"
)

func TestOnlyVerifyFullProtectsFromWhoeverIsBetween(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"postgres://db.example.org/x":                                                  "db.example.org", // prefer
		"postgres://db.example.org/x?sslmode=disable":                                  "db.example.org",
		"postgres://db.example.org/x?sslmode=allow":                                    "db.example.org",
		"postgres://db.example.org/x?sslmode=require":                                  "db.example.org",
		"postgres://db.example.org/x?sslmode=verify-ca":                                "db.example.org",
		"postgres://127.0.0.1,db.example.org/x?sslmode=disable":                        "db.example.org",
		"postgres://192.168.1.2/x?sslmode=require":                                     "192.168.1.2",
		"postgres://db.example.org/x?sslmode=verify-full":                              "",
		"postgres://a.example.org,b.example.org/x?sslmode=verify-full":                 "",
		"postgres://127.0.0.1/x?sslmode=disable":                                       "",
		"postgres://[::1]/x":                                                           "",
		"postgres://localhost/x?sslmode=disable":                                       "",
		"postgres:///x?host=/run/postgresql&sslmode=disable":                           "",
		"host=localhost.example.org user=x dbname=x sslmode=disable":                   "localhost.example.org",
		"host=/run/postgresql,db.example.org user=x dbname=x port=5432 sslmode=prefer": "db.example.org",
	} {
		config, err := pgconn.ParseConfig(url)
		if err != nil {
			t.Fatal(err)
		}
		if got := postgres.Unverified(config); got != want {
			t.Errorf("%s: %q is not verified, want %q", url, got, want)
		}
	}
}

// wantAdvice wants Check to warn with a text and a remedy.
func wantAdvice(t *testing.T, st *postgres.Store, says, remedy string) {
	t.Helper()
	err := st.Check(t.Context())
	if advice, ok := errors.AsType[*store.Advice](err); !ok || !strings.Contains(advice.Error(), says) || !strings.Contains(advice.Fix, remedy) {
		t.Errorf("Check: %v, with the remedy %q, want %q and %q", err, remedyOf(err), says, remedy)
	}
}

func TestCheckWarnsOfAServerThatIsNotVerified(t *testing.T) {
	t.Parallel()
	s := running(t)
	config, err := pgxpool.ParseConfig("postgres://postgres@db.example.org/" + s.database(t) + "?sslmode=disable&pool_max_conns=8")
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	config.ConnConfig.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(s.Dir, ".s.PGSQL.5432"))
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	st, err := postgres.OpenPool(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	wantAdvice(t, st, `"db.example.org" has no TLS that verifies`, "sslmode=verify-full")
}

func TestCheckSaysWhichRoleMayUseTheTables(t *testing.T) {
	t.Parallel()
	s := running(t)
	for name, test := range map[string]struct {
		statements []string // the role of the program is in NAME, and the name of another begins with it
		weak       bool     // the program is not a superuser
		says       string   // nothing is wrong if empty
		remedy     string
	}{
		"another role owns one":     {[]string{`ALTER TABLE walink_session OWNER TO NAME_other`}, false, `walink_session belongs to the role "`, "OWNER TO"},
		"another role may read one": {[]string{`GRANT SELECT ON whatsmeow_device TO NAME_other`}, false, `_other" may use the table whatsmeow_device`, "REVOKE"},
		"everybody may read one":    {[]string{`GRANT SELECT ON whatsmeow_sessions TO PUBLIC`}, false, `"PUBLIC" may use the table whatsmeow_sessions`, "REVOKE"},
		"everybody may read a column": {
			[]string{`GRANT SELECT (noise_key) ON whatsmeow_device TO PUBLIC`}, false, `"PUBLIC" may use the table whatsmeow_device`, "REVOKE",
		},
		"another role may read all, as the one of the program": {
			[]string{`GRANT ALL ON ALL TABLES IN SCHEMA public TO NAME, NAME_other`}, true, `_other" may use the table`, "REVOKE",
		},
		"another role is a member of the owner": {
			[]string{`ALTER TABLE whatsmeow_device OWNER TO NAME`, `GRANT ALL ON ALL TABLES IN SCHEMA public TO NAME`, `GRANT NAME TO NAME_other`},
			true, `_other" is a member of "`, "REVOKE",
		},
		"another role is a member of a member": {
			[]string{`GRANT ALL ON ALL TABLES IN SCHEMA public TO NAME`, `CREATE ROLE NAME_between ROLE NAME_other`, `GRANT NAME TO NAME_between`},
			true, `_other" is a member of "`, "REVOKE",
		},
		"another role is a member of a role that may use them, as the one of the program": {
			[]string{`CREATE ROLE NAME_team ROLE NAME, NAME_other`, `GRANT ALL ON ALL TABLES IN SCHEMA public TO NAME_team`},
			true, `_other" is a member of "`, "REVOKE",
		},
		"another role is a member of a role that may not use them": {
			[]string{`CREATE ROLE NAME_team ROLE NAME, NAME_other`, `GRANT ALL ON ALL TABLES IN SCHEMA public TO NAME`}, true, "", "",
		},
		"a superuser owns all":           {[]string{`GRANT ALL ON ALL TABLES IN SCHEMA public TO NAME`}, true, "", ""},
		"a role of which it is a member": {[]string{`GRANT ALL ON ALL TABLES IN SCHEMA public TO NAME_other`, `GRANT NAME_other TO NAME`}, true, "", ""},
		"a table of another program": {
			[]string{`CREATE TABLE bill (id INTEGER)`, `GRANT SELECT ON bill TO PUBLIC`, `ALTER TABLE bill OWNER TO NAME_other`}, false, "", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := s.database(t)
			role := "r" + database
			statements := []string{`CREATE ROLE NAME LOGIN`, `CREATE ROLE NAME_other`}
			for _, statement := range append(statements, test.statements...) {
				if err := s.exec(t.Context(), database, strings.ReplaceAll(statement, "NAME", role)); err != nil {
					t.Fatal(err)
				}
			}
			url := s.url(database)
			if test.weak {
				url = strings.Replace(url, "user=postgres", "user="+role, 1)
			}
			st := open(t, url)
			if test.says != "" {
				wantAdvice(t, st, test.says, test.remedy)
			} else if err := st.Check(t.Context()); err != nil {
				t.Errorf("Check: %v", err)
			}
		})
	}
}

// The memberships hold for all databases of a server, so that the test has its own one.
func TestCheckSaysWhichRoleIsAMemberOfWhatMayReadAll(t *testing.T) {
	t.Parallel()
	running(t) // skips
	pg, err := pgserver.Init(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pg.Close(context.WithoutCancel(t.Context())) })
	if err := pg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := &server{Server: pg}
	st := open(t, s.url("postgres"))
	if err := errors.Join(st.Check(t.Context()), s.exec(t.Context(), "postgres", `CREATE ROLE other`, `CREATE ROLE boss SUPERUSER`)); err != nil {
		t.Fatal(err)
	}
	for _, group := range []string{"pg_read_all_data", "pg_write_all_data", "postgres", "boss"} {
		for _, role := range []string{"other", "boss"} {
			if role == group {
				continue
			}
			if err := s.exec(t.Context(), "postgres", `GRANT `+group+` TO `+role); err != nil {
				t.Fatal(err)
			}
			if role == "other" {
				wantAdvice(t, st, `"other" is a member of "`+group+`"`, "REVOKE")
			} else if err := st.Check(t.Context()); err != nil {
				t.Errorf("a superuser in %s: Check: %v", group, err)
			}
			if err := s.exec(t.Context(), "postgres", `REVOKE `+group+` FROM `+role); err != nil {
				t.Fatal(err)
			}
		}
	}
}
