package postgres

import (
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"go.mau.fi/util/dbutil"

	"github.com/walink/walink/internal/bound"
	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/store"
)

var (
	errURL       = errors.New("the URL of the database cannot be understood")
	errElsewhere = errors.New("the tables are in a schema that is not in search_path")
	errTables    = errors.New("tables are missing that existed when the store was opened")
	errPrepares  = errors.New("the pool prepares statements, and there is a pooler between it and the database")
	errStandby   = errors.New("the server is a read-only standby")
)

const (
	remedyURL       = "Write it like postgres://user:password@host:5432/database?sslmode=verify-full, with special characters percent-encoded." //nolint:gosec // no password
	remedyElsewhere = "Give each store its own database, or put the schema of the tables into search_path."
	remedyPrepares  = "Set DefaultQueryExecMode of the pool to pgx.QueryExecModeExec, or default_query_exec_mode=exec in its URL."
	remedyStandby   = "Name the primary server in the URL, or all servers with target_session_attrs=read-write."
	remedyFull      = "Lower pool_max_conns in the URL, or raise max_connections on the server."
	remedyNotYet    = "Wait until the server has started, then try again."
	remedyDurable   = "Set fsync and synchronous_commit to on, for the server, the database or the role."
)

// explain adds the remedy to an error of PostgreSQL, if the remedy is known.
// The codes are those of appendix A of its manual.
func explain(err error) error {
	if err == nil || hint.Known(err) {
		return err
	}
	remedy := ""
	failure, answered := errors.AsType[*pgconn.PgError](err)
	network, _ := errors.AsType[net.Error](err)
	switch {
	case answered:
		remedy = remedyOf(failure.Code)
		if remedy == remedyFull || remedy == remedyNotYet {
			err = bound.Slow(err)
		}
	case errors.Is(err, dbutil.ErrUnsupportedDatabaseVersion):
		remedy = "Update this program: a newer one has changed the database."
	case errors.Is(err, sql.ErrConnDone), strings.Contains(err.Error(), "sql: database is closed"), // database/sql has no variable for it
		strings.Contains(err.Error(), "closed pool"):
		return fmt.Errorf("%w: %w", store.ErrClosed, err)
	case strings.Contains(err.Error(), "tls"), strings.Contains(err.Error(), "TLS"), strings.Contains(err.Error(), "certificate"):
		remedy = "Check sslmode and sslrootcert in the URL, and the certificate of the server."
	case network != nil:
		remedy = "Check the host and the port in the URL, that PostgreSQL runs there, and that it listens to this machine."
	}
	if remedy == "" {
		return err
	}
	return hint.New(err, remedy)
}

// query matches the beginning of the options of a URL.
var query = regexp.MustCompile(`\?[A-Za-z_]+=`)

// misread reports whether pgx would understand a URL in another way than it is
// meant, because its password has an @, a slash or a question mark that is not
// encoded. Then a part of the password would become the host, the database or
// an option, and would be shown.
func misread(dsn string) bool {
	rest, isURL := strings.CutPrefix(dsn, "postgres://")
	if !isURL {
		rest, isURL = strings.CutPrefix(dsn, "postgresql://")
	}
	if begin := query.FindStringIndex(rest); begin != nil {
		rest = rest[:begin[0]]
	}
	user, _, _ := strings.Cut(rest, "@")
	return isURL && (strings.ContainsAny(user, "/?#") && strings.Contains(rest, "@") || strings.Count(rest, "@") > 1)
}

// reasonOf returns why a URL is not valid, without the URL, which may have a
// password.
func reasonOf(err error) error {
	cause := err // about the settings of the pool
	if whole, ok := errors.AsType[*url.Error](err); ok {
		cause = whole.Err
	} else if parse, ok := errors.AsType[*pgconn.ParseConfigError](err); ok {
		cause = errors.Unwrap(parse)
	}
	if cause == nil || strings.ContainsAny(cause.Error(), "\"'`") { // it quotes a part of the URL, perhaps of the password
		return errors.New("a part of it is wrong")
	}
	return cause
}

func remedyOf(code string) string {
	switch code {
	case "28P01", "28000":
		return "Check the user and the password in the URL, and pg_hba.conf on the server."
	case "3D000":
		return "Make the database (createdb), or correct its name in the URL."
	case "42501":
		return "Give the role the right to create tables in the schema (GRANT CREATE ON SCHEMA), and to use the existing ones."
	case "53300":
		return remedyFull
	case "53100":
		return "Free space on the disk of the server."
	case "08P01":
		return "Move the settings of the URL to ALTER ROLE, or name them in PgBouncer's ignore_startup_parameters."
	case "25006":
		return remedyStandby
	case "57P03", "57P01", "57P02":
		return remedyNotYet
	}
	return ""
}
