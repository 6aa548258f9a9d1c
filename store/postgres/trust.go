package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walink/walink/internal/remote"
	"github.com/walink/walink/store"
)

// checkTrust returns a [*store.Advice] if others can read or change what is stored.
func (s *Store) checkTrust(ctx context.Context) error {
	if host := unverified(&s.pool.Config().ConnConfig.Config); host != "" {
		return &store.Advice{
			Err: fmt.Errorf("the connection to %q has no TLS that verifies the server, so whoever is between can read and change what is stored", host),
			Fix: "Put sslmode=verify-full into the URL, and the certificate of the server's authority into sslrootcert.",
		}
	}
	var table, role, group string
	var owner bool
	err := s.db.QueryRow(ctx, strangerQuery).Scan(&table, &role, &owner, &group)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	case owner:
		return &store.Advice{
			Err: fmt.Errorf("the table %s belongs to the role %q, which is not that of this program, so whoever has that role can read it", table, role),
			Fix: "Make the role of this program the owner of the tables (ALTER TABLE ... OWNER TO), or connect as their owner.",
		}
	case group != "":
		return &store.Advice{
			Err: fmt.Errorf("the role %q is a member of %q, so whoever has that role can use the table %s", role, group, table),
			Fix: "End that membership (REVOKE ... FROM ...), or that in a role between the two, unless the role may use the accounts.",
		}
	}
	return &store.Advice{
		Err: fmt.Errorf("the role %q may use the table %s, so whoever has that role can do so too", role, table),
		Fix: "Run REVOKE ALL ON ALL TABLES IN SCHEMA ... FROM that role, or give this program its own database, unless the role may use the accounts.",
	}
}

// unverified returns a host beyond this machine that the pool reaches without TLS that
// verifies the host, and an empty string if there is none. Of sslmode's values only
// verify-full does so.
func unverified(config *pgconn.Config) string {
	hosts := []*pgconn.FallbackConfig{{Host: config.Host, Port: config.Port, TLSConfig: config.TLSConfig}}
	for _, at := range append(hosts, config.Fallbacks...) {
		if network, _ := pgconn.NetworkAddress(at.Host, at.Port); network != "unix" && !remote.Verified(at.Host, at.TLSConfig) {
			return at.Host
		}
	}
	return ""
}

// strangerQuery returns a table, a role that owns it or may use it or some of its
// columns, whether the role is the owner, and the group if the role may do so only as a
// member of a group, directly or not. It returns nothing if there are only roles that are
// trusted: the current one, superusers, and the roles of which the current one is a
// member. A superuser counts as a member of no role. Whoever is in pg_read_all_data or
// pg_write_all_data, which PostgreSQL 13 does not have, or in a superuser can use all
// tables.
const strangerQuery = `
	WITH RECURSIVE me AS (
		SELECT oid, rolsuper FROM pg_roles WHERE rolname = current_user
	), powerful AS (
		SELECT oid FROM pg_roles WHERE rolsuper OR rolname IN ('pg_read_all_data', 'pg_write_all_data')
	), trusted AS (
		SELECT oid FROM powerful
		UNION ALL
		SELECT role.oid FROM pg_roles role, me
		WHERE role.oid = me.oid OR NOT me.rolsuper AND pg_has_role(me.oid, role.oid, 'MEMBER')
	), tables AS (
		SELECT class.oid, class.relname::text AS name, class.relowner AS owner, class.relacl AS acl
		FROM pg_class class JOIN pg_class device ON device.oid = to_regclass('whatsmeow_device') AND device.relnamespace = class.relnamespace
		WHERE class.relkind IN ('r', 'p') AND class.relname ~ '^(whatsmeow|walink)_'
	), lists AS (
		SELECT name, owner, acl FROM tables
		UNION ALL
		SELECT name, owner, attacl FROM tables JOIN pg_attribute ON attrelid = tables.oid
	), roles AS (
		SELECT name, owner AS role, true AS owns FROM tables
		UNION ALL
		SELECT name, grantee, false FROM lists, aclexplode(acl) WHERE grantee <> owner
		UNION ALL
		SELECT 'whatsmeow_device', oid, false FROM powerful
	), ways AS (
		SELECT name, role, owns, 0::oid AS through FROM roles
		UNION
		SELECT name, member, false, CASE through WHEN 0 THEN role ELSE through END FROM ways JOIN pg_auth_members ON roleid = role
	)
	SELECT name, CASE role WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(role)::text END, owns,
		CASE through WHEN 0 THEN '' ELSE pg_get_userbyid(through)::text END
	FROM ways WHERE role NOT IN (SELECT oid FROM trusted)
	ORDER BY owns DESC, through <> 0, name, role LIMIT 1
`
