package postgres

import "github.com/jackc/pgx/v5/pgconn"

// Unverified returns a host that is reached without TLS that verifies it.
func Unverified(config *pgconn.Config) string { return unverified(config) }
