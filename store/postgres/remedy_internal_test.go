package postgres

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walink/walink/internal/bound"
)

// A Supervise that begins while the server starts, or has no connection left, goes on.
func TestErrorOfAServerThatMayAnswerLaterIsATimeout(t *testing.T) {
	t.Parallel()
	for code, later := range map[string]bool{
		"53300": true, "57P01": true, "57P02": true, "57P03": true, "28P01": false, "3D000": false, "53100": false, "XX000": false,
	} {
		if err := explain(&pgconn.PgError{Code: code}); bound.IsSlow(err) != later {
			t.Errorf("%s passes for a timeout: %t", code, !later)
		}
	}
}
